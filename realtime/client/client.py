"""What the clients of all five protocols have in common: starting, ending, reconnecting, and listeners."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from random import SystemRandom
from typing import Any, Final, Self, TypeVar

from msgspec import Struct, field
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.client.connection import Connection, Timing
from realtime.client.dialing import dialer
from realtime.client.errors import ClientError, NotConnected, TooManyPending
from realtime.client.line import Dial, Opening
from realtime.client.reconnection import Reconnection
from realtime.limiting import Rate

M = TypeVar("M")

Token = str | Callable[[], "str | Deferred[str]"]
"""A token, or what is asked for one at each connection: for tokens that are worth little after a day."""

_RANDOM: Final = SystemRandom()


class Options(Struct, frozen=True):
    """How a client behaves.

    ``most_pending`` is how many requests may wait for their answers, in memory; one more fails with
    `TooManyPending`. A client sends ``messages_per_second``, a second's worth of them at once, and the rest in
    turn (``None``: all at once); the default is within the server's, which closes who sends more.
    ``longest_message`` is in bytes. ``endpoint`` is where to connect, if it is not the host of the URL.
    """

    reconnection: Reconnection = field(default_factory=Reconnection)
    timing: Timing = field(default_factory=Timing)
    most_pending: int = 1000
    messages_per_second: float | None = 45.0
    longest_message: int = 16 * 1024 * 1024
    endpoint: IStreamClientEndpoint | None = None


class Connected(Struct, frozen=True):
    """The server serves the client: for the first time, or again after the connection was lost."""

    again: bool


class Disconnected(Struct, frozen=True):
    """The connection is lost, with this close code (1006: none came). The client makes another by itself."""

    code: int


class Ended(Struct, frozen=True):
    """There will be no other connection; why."""

    error: ClientError


class Client:
    """A client of one protocol. Methods that ask for something return Deferreds; they can be awaited.

    ``url`` is that of the protocol, ``ws:`` or ``wss:``. ``reactor`` and ``dial`` are the world's unless they
    are handed in.
    """

    _log = Logger()

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        options: Options | None = None,
        reactor: Any = None,
        dial: Dial | None = None,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        options = options or Options()
        self.url = url
        self._token = token
        self._token_now = ""
        self._most_pending = options.most_pending
        rate = options.messages_per_second
        self._clock = reactor
        self._connection = Connection(
            self._open,
            self,
            dial or dialer(reactor, options.longest_message, options.endpoint),
            reactor,
            options.reconnection,
            options.timing,
            None if rate is None else Rate(rate, burst=rate),
            _RANDOM,
        )
        self._listeners: dict[type, tuple[Callable[[Any], object], ...]] = {}
        self._starting: list[Deferred[None]] = []
        self._is_serving = False
        self._has_served = False
        self._error: ClientError | None = None
        self._prepare()

    # -- for users -----------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether the server serves the client at this moment."""
        return self._is_serving

    def start(self) -> Deferred[None]:
        """Connect, and connect again whenever the connection is lost; fires when the server serves us.

        Fails as the client ends: with `ConnectionEnded`, or what else was wrong.
        """
        started: Deferred[None] = Deferred()
        self._starting.append(started)
        if self._is_serving:
            self._tell_started()
        else:
            self._connection.start()
        return started

    def close(self) -> Deferred[None]:
        """End; fires when nothing is left of the connection. What is not answered fails."""
        return self._connection.close()

    async def __aenter__(self) -> Self:
        """Start; ``async with`` closes it in the end."""
        await self.start()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()

    def listen(self, kind: type[M], listener: Callable[[M], object]) -> Callable[[], None]:
        """Have every message of a type given to a function, or a coroutine function; return what ends that.

        The types are those that the module of the protocol names, and `Connected`, `Disconnected`, `Ended`.
        Listeners are called in the order in which they came. What one raises is logged, and harms nobody else.
        """
        self._listeners[kind] = (*self._listeners.get(kind, ()), listener)

        def end() -> None:
            self._listeners[kind] = tuple(each for each in self._listeners[kind] if each is not listener)

        return end

    def next(self, kind: type[M]) -> Deferred[M]:
        """Fires with the next message of a type; fails as the client ends."""
        came: Deferred[M] = Deferred(lambda _: stop())

        def give(message: M) -> None:
            stop()
            came.callback(message)

        def give_up(ended: Ended) -> None:
            stop()
            came.errback(ended.error)

        def stop() -> None:
            for each in ends:
                each()

        ends = [self.listen(kind, give)]
        if kind is not Ended:
            ends.append(self.listen(Ended, give_up))
        return came

    # -- for the protocols ---------------------------------------------------------------------

    def _prepare(self) -> None:
        """Make what the protocol keeps; `_most_pending` is known."""

    def _opening(self, token: str) -> Opening:
        """Return what the protocol asks for in its handshake."""
        return Opening(self.url)

    def _opened(self) -> None:
        """The connection is open: greet."""

    def _received(self, payload: bytes, binary: bool) -> None:
        """One message came. What can't be read is the server's fault: raise ``ValueError``."""

    def _served(self) -> None:
        """The greeting is over: send what waits."""

    def _lost(self) -> None:
        """The connection is lost."""

    def _ended(self, error: ClientError) -> None:
        """There will be no other: fail what waits."""

    def _serve(self, *, settles: bool = True) -> None:
        """Say that the greeting is over; ``settles``: and that it proves that the server serves us."""
        again, self._has_served = self._has_served, True
        self._is_serving = True
        if settles:
            self._connection.settled()
        self._tell(Connected(again))
        if self._is_serving:
            self._served()
            self._tell_started()

    def _send_now(self, payload: bytes, binary: bool = False) -> None:
        """Send what nobody answers. Raises `NotConnected`, or as the client has ended."""
        if not self._is_serving:
            raise self._error or NotConnected("there is no connection at the moment")
        if self._connection.waiting >= self._most_pending:
            raise TooManyPending(f"{self._most_pending} messages wait to be sent")
        self._connection.send(payload, binary)

    def _tell(self, message: object) -> list[Deferred[Any]]:
        """Give a message to its listeners; return what they are not done with."""
        waiting: list[Deferred[Any]] = []
        for kind in type(message).__mro__:
            for listener in self._listeners.get(kind, ()):
                try:
                    result = listener(message)
                except Exception:
                    self._report(Failure())
                    continue
                if isinstance(result, Coroutine):
                    result = Deferred.fromCoroutine(result)
                if isinstance(result, Deferred):
                    waiting.append(result.addErrback(self._report))
        return waiting

    def _report(self, failure: Failure) -> None:
        self._log.failure("a listener of {client} failed", failure, client=type(self).__name__)

    # -- for the connection --------------------------------------------------------------------

    def _open(self) -> Deferred[Opening]:
        return self._ask_token().addCallback(self._opening)

    def _ask_token(self) -> Deferred[str]:
        token = self._token
        supply: Callable[[], Any] = (lambda: token) if isinstance(token, str) else token
        asked: Deferred[str] = maybeDeferred(supply)
        return asked.addCallback(self._take_token)

    def _take_token(self, token: str) -> str:
        # It goes into a header: nothing in it may end a line.
        if not (token.isascii() and token.isprintable() and token.strip() == token):
            raise ClientError("a token has no spaces around it, and no letters beyond ASCII")
        self._token_now = token
        return token

    def line_opened(self) -> None:
        """See `connection.Handler`."""
        self._error = None
        self._opened()

    def line_received(self, payload: bytes, binary: bool) -> None:
        """See `connection.Handler`."""
        try:
            self._received(payload, binary)
        except ValueError as error:
            # A server that talks nonsense, or is another protocol's, will not talk sense the next time.
            self._connection.fail(ClientError(f"the server's message can't be read: {type(error).__name__}"))

    def line_pinged(self, payload: bytes) -> None:
        """See `connection.Handler`."""
        self._connection.pong(payload)

    def line_lost(self, code: int) -> None:
        """See `connection.Handler`."""
        was_serving, self._is_serving = self._is_serving, False
        self._lost()
        if was_serving:
            self._tell(Disconnected(code))

    def line_ended(self, error: ClientError) -> None:
        """See `connection.Handler`."""
        self._error = error
        self._ended(error)
        starting, self._starting = self._starting, []
        for each in starting:
            each.errback(error)
        self._tell(Ended(error))

    def _tell_started(self) -> None:
        starting, self._starting = self._starting, []
        for each in starting:
            each.callback(None)
