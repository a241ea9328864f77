"""Where the public keys of an outside issuer come from: a file, or an address.

The keys at an address are fetched when they are first needed and kept for an hour. They are fetched
again when the hour is over, and when a token names a key that is not among them, as happens when
the issuer has changed its keys. How often that is, is not for those to say who send the tokens:

- there is one request at a time, and all who need its answer wait for it together;
- from the beginning of one to the beginning of the next there are at least 30 seconds;
- each ends after 5 seconds, and with 256 KiB, whatever the other side does.

If the address is away, or answers with something else than keys, the keys known so far stay good.
"""

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IAgent

from realtime.accounts.errors import IssuerUnavailable
from realtime.accounts.fetching import checked_address, fetch
from realtime.accounts.keys import VerificationKey, parse_key_set, parse_pem, suitable_keys

MAXIMUM_BYTES = 256 * 1024

_ACCEPT = b"application/jwk-set+json, application/json"  # RFC 7517, section 8.5.2

_log = Logger()


class KeySource(Protocol):
    """Something that knows the public keys of an issuer."""

    def find(self, key_id: str | None, algorithm: str) -> Deferred[Sequence[VerificationKey]]:
        """The keys that may verify a token of this `kid` (None: it names none) and `alg`.

        They are few, and none if there is no such key. Fails with `IssuerUnavailable` if there may
        be one, but it can't be known now.
        """


class PublicKeyFile:
    """The one key in a PEM file, whatever `kid` a token names.

    It is read once; raises `ValueError`, with one line for the user, if it can't be used.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._key = parse_pem(path.read_bytes())
        except OSError as error:
            raise ValueError(f"auth.public_key_file: {path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ValueError(f"auth.public_key_file: {path}: {error}") from None

    def find(self, key_id: str | None, algorithm: str) -> Deferred[Sequence[VerificationKey]]:
        """The key, if it suits the algorithm."""
        return defer.succeed(suitable_keys([self._key], None, algorithm))


class RemoteKeySet:
    """The JSON Web Key Set at `url`, as the module says; all times are in seconds.

    Raises `ValueError`, with one line for the user, if `url` is no absolute HTTP or HTTPS address.
    """

    def __init__(
        self,
        url: str,
        *,
        agent: IAgent,
        clock: IReactorTime,
        time_to_live: float = 3600.0,
        minimum_interval: float = 30.0,
        timeout: float = 5.0,
    ) -> None:
        self._url = checked_address("auth.jwks_url", url)
        if self._url.startswith(b"http:"):
            _log.warn("accounts: auth.jwks_url is not HTTPS; whoever is on the way can forge tokens")
        self._agent = agent
        self._clock = clock
        self._time_to_live = time_to_live
        self._minimum_interval = minimum_interval
        self._timeout = timeout
        self._keys: Sequence[VerificationKey] = ()
        self._fetched: float | None = None
        self._asked: float | None = None
        self._away = False
        self._stopped = False
        self._request: Deferred[None] | None = None
        self._waiting: deque[Deferred[None]] = deque()

    def find(self, key_id: str | None, algorithm: str) -> Deferred[Sequence[VerificationKey]]:
        """See `KeySource.find`. A caller that cancels leaves the request to the others."""
        return Deferred.fromCoroutine(self._find(key_id, algorithm))

    def stop(self) -> None:
        """Give up the request under way, if there is one, and make no more."""
        self._stopped = True
        if self._request is not None:
            self._request.cancel()

    async def _find(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        found = suitable_keys(self._keys, key_id, algorithm)
        if not found or self._is_over(self._fetched, self._time_to_live):
            await self._refresh()
            found = suitable_keys(self._keys, key_id, algorithm)
        if not found and self._away:
            raise IssuerUnavailable("the issuer's keys cannot be fetched")
        return found

    def _refresh(self) -> Deferred[None]:
        """Fires, never with an error, when the keys are as new as they may be at this moment."""
        if self._request is None and (self._stopped or not self._is_over(self._asked, self._minimum_interval)):
            return defer.succeed(None)
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        if self._request is None:
            self._ask()
        return waiter

    def _ask(self) -> None:
        self._asked = self._clock.seconds()
        answer = fetch(self._agent, self._url, accept=_ACCEPT, limit=MAXIMUM_BYTES)
        answer.addTimeout(self._timeout, self._clock)
        self._request = answer.addCallback(parse_key_set).addCallbacks(self._take, self._miss)
        self._request.addCallback(self._wake)

    def _take(self, keys: Sequence[VerificationKey]) -> None:
        if self._away:
            _log.info("accounts: the outside issuer's keys can be fetched again")
        self._away = False
        self._keys = keys
        self._fetched = self._clock.seconds()

    def _miss(self, failure: Failure) -> None:
        if not self._away and not isinstance(failure.value, CancelledError):
            _log.warn(
                "accounts: the outside issuer's keys cannot be fetched: {kind}: {reason}",
                kind=type(failure.value).__name__,
                reason=failure.getErrorMessage(),
            )
        self._away = True

    def _wake(self, _: None) -> None:
        self._request = None
        while self._waiting:
            self._waiting.popleft().callback(None)

    def _is_over(self, since: float | None, duration: float) -> bool:
        """Whether `duration` has passed, or the clock was set back so that it can't be known."""
        return since is None or not 0 <= self._clock.seconds() - since < duration
