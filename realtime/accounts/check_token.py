"""Tokens of an outside authorization server, which is asked about each of them (messenger.md).

    -> POST {"type": "CHECK_TOKEN", "token": "…"}
    <- {"status": "SUCCESS", "user": {"userId", "nickname", "avatar", "language", "status", "registerDate"}}
    <- {"status": "ERROR"}

Only this very ERROR says that a token is not valid. Whatever else happens (no answer in time, another HTTP
status, something that is no such answer) says that it can't be known now: a client would throw a good token
away because the server is ill.

What is asked of the server is bounded, because the tokens come from anybody:

- a SUCCESS counts for a minute without being asked again. An ERROR does not: the token may be given out in
  the next moment, and made-up tokens, of which there is no end, would push the good ones out;
- many who show the same token at once wait for one request;
- each request ends after 5 seconds, and with 64 KiB, whatever the other side does, and its connection is cut;
- 100 may be under way at once, and while the server fails none are (`realtime.accounts.circuit_breaker`).

Tokens are remembered by their SHA-256 alone. Where the document is silent: the user's id may be a number or a
text. The rest of the profile decorates: what is missing, null, of a wrong type or too long for its column is
left out or cut, and keeps nobody away.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IAgent

from realtime.accounts.circuit_breaker import CircuitBreaker, State
from realtime.accounts.claims import MAXIMUM_TOKEN_BYTES
from realtime.accounts.errors import IssuerUnavailable, TokenInvalid
from realtime.accounts.fetching import UnexpectedAnswer, checked_address, origin_of, post_json

MAXIMUM_BYTES: Final = 64 * 1024
"""The longest answer: a user is some hundred bytes, and a hundred answers at once stay below 7 MB."""

REQUESTS_AT_ONCE: Final = 100
"""Each holds a socket; a server that needs more than a second for each would otherwise be buried."""

REMEMBERED: Final = 10_000
"""Tokens; with the longest profiles that is some 43 MB, usually it is 7."""

LONGEST_TEXT: Final = 255
"""Characters, as the columns of a profile hold."""

_WARN_AGAIN: Final = 60.0  # seconds: a server that fails now and then must not fill the log

_log = Logger()


class OutsideProfile(Struct, frozen=True):
    """What the outside server tells of a user besides the id. ``registered`` is in Unix seconds.

    Texts have 1 to 255 characters, none of them NUL. ``avatar`` is an HTTP or HTTPS address, or a path from
    the root.
    """

    nickname: str | None = None
    avatar: str | None = None
    language: str | None = None
    status: str | None = None
    registered: int | None = None


class OutsideUser(Struct, frozen=True):
    """Whom the outside server knows a token to be of; ``subject`` is the user's id there."""

    subject: str
    profile: OutsideProfile


class TokenChecker:
    """Asks the server at ``url`` about tokens, as the module says; all times are in seconds.

    ``agent`` opens a connection for each request (see `post_json`); it decides whether HTTPS is possible.
    ``timeout`` is for a request as a whole, from connecting to the last byte. ``origin`` is the server's; with
    a user's ``subject`` it is the user's identity. Raises `ValueError`, with one line for the user, if ``url``
    is no address that can be asked.
    """

    def __init__(
        self,
        url: str,
        *,
        agent: IAgent,
        clock: IReactorTime,
        timeout: float = 5.0,
        cache_seconds: float = 60.0,
    ) -> None:
        self._url = checked_address("auth.check_token_url", url)
        self.origin = origin_of(url)
        self._agent = agent
        self._clock = clock
        self._timeout = timeout
        self._cache_seconds = cache_seconds
        self._breaker = CircuitBreaker(clock)
        self._known: OrderedDict[bytes, tuple[float, OutsideUser]] = OrderedDict()
        self._under_way: dict[bytes, _Question] = {}
        self._stopped = False
        self._warned: float | None = None
        if self.origin.startswith("http:"):
            _log.warn("accounts: auth.check_token_url is not HTTPS; whoever is on the way can read tokens")

    def check(self, token: str) -> Deferred[OutsideUser]:
        """Fires with the user whose token it is. A caller that cancels leaves the request to the others.

        Fails with `TokenInvalid` if the server says so, or if it is no text to ask about, and with
        `IssuerUnavailable` if it can't be known now.
        """
        try:
            digest = _digest(token)
        except TokenInvalid:
            return fail()
        user = self._remembered(digest)
        if user is not None:
            return succeed(user)
        question = self._under_way.get(digest)
        if question is not None:
            return question.wait()
        if len(self._under_way) >= REQUESTS_AT_ONCE:  # before a permit is taken, which is to be used
            return fail(IssuerUnavailable("too many questions at once for the authorization server"))
        permit = None if self._stopped else self._breaker.admit()
        if permit is None:
            return fail(IssuerUnavailable("the authorization server is not asked at present"))
        question = self._under_way[digest] = _Question()
        answer = question.wait()
        self._ask(question, digest, token, permit)
        return answer

    def stop(self) -> None:
        """Give up the requests under way, and make no more."""
        self._stopped = True
        for question in list(self._under_way.values()):
            if question.request is not None:
                question.request.cancel()

    def _ask(self, question: _Question, digest: bytes, token: str, permit: int) -> None:
        document = msgspec.json.encode({"type": "CHECK_TOKEN", "token": token})
        answer = post_json(self._agent, self._url, document, limit=MAXIMUM_BYTES)
        answer.addTimeout(self._timeout, self._clock)
        question.request = answer.addCallback(read_answer)
        question.request.addCallbacks(
            self._answered, self._missed, callbackArgs=(digest, permit), errbackArgs=(permit,)
        )
        question.request.addBoth(self._wake, question, digest)

    def _answered(self, user: OutsideUser | None, digest: bytes, permit: int) -> OutsideUser:
        was_away = self._breaker.state is not State.CLOSED
        self._breaker.succeeded(permit)
        if was_away and self._breaker.state is State.CLOSED:
            _log.info("accounts: the authorization server answers again")
        if user is None:
            raise TokenInvalid("refused by the authorization server")
        if self._cache_seconds > 0:
            self._known[digest] = (self._clock.seconds(), user)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return user

    def _missed(self, failure: Failure, permit: int) -> OutsideUser:
        self._breaker.failed(permit)
        if not self._stopped and self._is_over(self._warned, _WARN_AGAIN):
            self._warned = self._clock.seconds()
            _log.warn("accounts: the authorization server can't be asked: {reason}", reason=_reason(failure))
        raise IssuerUnavailable("the authorization server can't be asked")

    def _wake(self, result: OutsideUser | Failure, question: _Question, digest: bytes) -> None:
        del self._under_way[digest]
        question.answer(result)

    def _remembered(self, digest: bytes) -> OutsideUser | None:
        """The user of a token that was good a moment ago; the least recently used is forgotten first."""
        known = self._known.get(digest)
        if known is None:
            return None
        since, user = known
        if self._is_over(since, self._cache_seconds):
            del self._known[digest]
            return None
        self._known.move_to_end(digest)
        return user

    def _is_over(self, since: float | None, duration: float) -> bool:
        """Whether ``duration`` has passed, or the clock was set back so that it can't be known."""
        return since is None or not 0 <= self._clock.seconds() - since < duration


class _Question:
    """A request under way, and all who wait for its answer."""

    __slots__ = ("_waiting", "request")

    def __init__(self) -> None:
        self.request: Deferred[Any] | None = None
        self._waiting: deque[Deferred[OutsideUser]] = deque()

    def wait(self) -> Deferred[OutsideUser]:
        waiter: Deferred[OutsideUser] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        return waiter

    def answer(self, result: OutsideUser | Failure) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if isinstance(result, Failure):
                waiter.errback(Failure(result.value))  # each its own: who handles one may change it
            else:
                waiter.callback(result)


def _digest(token: str) -> bytes:
    """What a token is remembered by. Raises `TokenInvalid` for what the server need not be asked about."""
    if not token:
        raise TokenInvalid("no token")
    if len(token) > MAXIMUM_TOKEN_BYTES:
        raise TokenInvalid("too long")
    try:
        encoded = token.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        raise TokenInvalid("no text") from None
    if len(encoded) > MAXIMUM_TOKEN_BYTES:
        raise TokenInvalid("too long")
    return sha256(encoded).digest()


def _reason(failure: Failure) -> str:
    """Why there was no answer, without a word of what the server wrote: it may have repeated the token."""
    error = failure.value
    if isinstance(error, UnexpectedAnswer):
        return str(error)
    # Twisted's client wraps what happened to the connection.
    causes = [type(cause.value).__name__ for cause in getattr(error, "reasons", ())]
    kind = type(error).__name__
    return f"{kind} ({', '.join(causes)})" if causes else kind


class _User(Struct, frozen=True, rename="camel"):
    user_id: Any
    nickname: Any = None
    avatar: Any = None
    language: Any = None
    status: Any = None
    register_date: Any = None


class _Answer(Struct, frozen=True):
    status: Literal["SUCCESS", "ERROR"]
    user: msgspec.Raw | UnsetType = UNSET


_ANSWER = msgspec.json.Decoder(_Answer)
_USER = msgspec.json.Decoder(_User)


def read_answer(content: bytes) -> OutsideUser | None:
    """The user that an answer names; ``None`` if it says that the token is not valid.

    Raises `UnexpectedAnswer` for everything that is no such answer.
    """
    try:
        # Some servers begin every text with a byte order mark (RFC 8259, section 8.1, lets us pass over it).
        answer = _ANSWER.decode(content.removeprefix(b"\xef\xbb\xbf"))
        if answer.status == "ERROR":
            return None
        user = _USER.decode(b"" if answer.user is UNSET else answer.user)
    except (ValueError, RecursionError):
        raise UnexpectedAnswer("no answer to CHECK_TOKEN") from None
    profile = OutsideProfile(
        nickname=_text(user.nickname),
        avatar=_avatar(user.avatar),
        language=_whole_text(user.language),
        status=_text(user.status),
        registered=_moment(user.register_date),
    )
    return OutsideUser(_subject(user.user_id), profile)


def _subject(value: object) -> str:
    if isinstance(value, float) and value.is_integer():  # not every language tells 7.0 from 7
        value = int(value) if abs(value) < 2**53 else None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return str(value)
    # Some databases take a text for the same with and without spaces after it.
    if (
        isinstance(value, str)
        and 0 < len(value) <= LONGEST_TEXT
        and "\0" not in value
        and value == value.strip()
    ):
        return value
    raise UnexpectedAnswer("no usable userId in the answer to CHECK_TOKEN")


def _clean(value: object) -> str:
    return value.replace("\0", "").strip() if isinstance(value, str) else ""


def _text(value: object) -> str | None:
    """A text, cut to its column."""
    return _clean(value)[:LONGEST_TEXT].rstrip() or None


def _whole_text(value: object) -> str | None:
    """A text that means nothing if it is cut."""
    text = _clean(value)
    return text if 0 < len(text) <= LONGEST_TEXT else None


# Nothing that RFC 3986 leaves out of an address; letters of any script are let through, as browsers do. A path
# that begins with two slashes would be the address of another host.
_AVATAR = re.compile(r"(?:https?://[^/?#]|/(?!/))[^\x00-\x20\x7f\"<>\\^`{|}\s]*", re.IGNORECASE)


def _avatar(value: object) -> str | None:
    text = _whole_text(value)
    return text if text is not None and _AVATAR.fullmatch(text) else None


_UNIX_TIME = re.compile(r"[0-9]{9,13}(?:\.[0-9]{1,9})?", re.ASCII)  # eight digits are a date: 20240131
_MILLISECONDS = 1e11  # As seconds that would be the year 5138, as milliseconds it is 1973.
_END_OF_TIME = 253_402_300_800  # the year 10 000, which no database's dates reach


def _moment(value: object) -> int | None:
    """Unix seconds, of an ISO 8601 text (in UTC if it names no offset) or a Unix time in (milli)seconds."""
    seconds: float | None = None
    if isinstance(value, str):
        text = value.strip()
        if _UNIX_TIME.fullmatch(text):
            value = float(text)
        else:
            try:
                moment = datetime.fromisoformat(text)
                seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
            except (ValueError, OverflowError):
                return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value // 1000 if value >= _MILLISECONDS else value
    return int(seconds) if seconds is not None and 0 <= seconds < _END_OF_TIME else None
