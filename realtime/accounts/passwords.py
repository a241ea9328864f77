"""Hashing and checking passwords with bcrypt, off the reactor's thread and in bounded number.

One check takes about a quarter of a second of a processor, on purpose. So:

- the work is done in a few threads of its own (`realtime.threads`), where it holds up neither the reactor nor
  the database. (bcrypt lets go of the interpreter's lock meanwhile.)
- beyond a bound of waiting requests the next ones are refused at once, with `PasswordsBusy`.
- how long a check takes says nothing about the user: for an unknown name, for a password that
  nobody can have and for a stored value that is no bcrypt hash the same work is done.

The only rules for a password are bcrypt's own: no more than 72 bytes of UTF-8, no NUL, not empty.
"""

import re

import bcrypt
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads

from realtime.accounts.errors import PasswordsBusy
from realtime.threads import Workers

MAXIMUM_BYTES = 72

# A hash of more rounds than these would hold a thread for minutes; nobody makes such hashes.
_MAXIMUM_ROUNDS = 16
_BCRYPT_HASH = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}", re.ASCII)


class Passwords:
    """Hashes and checks passwords in `threads` threads; at most `waiting` more requests wait.

    `rounds` is bcrypt's cost for new hashes, the binary logarithm of its iterations. Requests are
    taken between `start` and `stop`, which are called once each; others get `PasswordsBusy`.
    """

    def __init__(
        self,
        *,
        reactor: IReactorFromThreads,
        threads: int = 2,
        waiting: int = 1000,
        rounds: int = 12,
    ) -> None:
        self._rounds = rounds
        # The hash of no password: a real salt, and digits that no check will ever arrive at.
        self._dummy = bcrypt.gensalt(rounds) + b"." * 31
        self._workers = Workers(
            "passwords", reactor=reactor, threads=threads, waiting=waiting, busy=PasswordsBusy
        )

    def start(self) -> None:
        """Begin to take requests."""
        self._workers.start()

    def stop(self) -> Deferred[None]:
        """Refuse what waits and what comes; fires when what was under way has been answered."""
        return self._workers.stop()

    def hash(self, password: str) -> Deferred[str]:
        """The bcrypt hash to store for `password`, 60 characters of ASCII.

        Fails with `ValueError`, with one line for the user, if bcrypt can't hash it, and with
        `PasswordsBusy`.
        """
        try:
            encoded = _encode(password)
        except ValueError:
            return defer.fail()
        return self._workers.submit(lambda: bcrypt.hashpw(encoded, bcrypt.gensalt(self._rounds)).decode())

    def check(self, password: str, hashed: str | None) -> Deferred[bool]:
        """Whether `hashed` was made from `password`; `hashed` is None for an unknown user.

        Fails with `PasswordsBusy` only: a password that nobody can have, or a stored value that is
        no bcrypt hash, is a wrong password, which takes the time that a wrong password takes.
        """
        stored = _parse(hashed)
        try:
            encoded = _encode(password)
        except ValueError:
            encoded, stored = b"-", None
        if stored is None:
            dummy = self._dummy
            return self._workers.submit(lambda: bcrypt.checkpw(encoded, dummy) and False)
        return self._workers.submit(lambda: bcrypt.checkpw(encoded, stored))


def _encode(password: str) -> bytes:
    """The bytes that bcrypt gets; `ValueError` if it can't tell this password from another."""
    try:
        encoded = password.encode()
    except UnicodeEncodeError:
        raise ValueError("A password must be valid Unicode.") from None
    if not encoded:
        raise ValueError("A password must not be empty.")
    if b"\0" in encoded:
        raise ValueError("A password must not hold a NUL character.")
    if len(encoded) > MAXIMUM_BYTES:
        raise ValueError(f"A password must not be longer than {MAXIMUM_BYTES} bytes of UTF-8.")
    return encoded


def _parse(hashed: str | None) -> bytes | None:
    """A stored hash as bcrypt wants it; None if it is none, or none to be checked in this life."""
    match = _BCRYPT_HASH.fullmatch(hashed or "")
    if match is None or int(match[1]) > _MAXIMUM_ROUNDS:
        return None
    return match[0].encode("ascii")
