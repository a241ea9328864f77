"""A connection that is made again when it is lost: its states, its timers, and what is told of it.

::

    IDLE --start--> CONNECTING --handshake--> OPEN --lost--> WAITING --delay--> CONNECTING
                        |                      |                |
                        +-------- refused for good, close ------+--> CLOSED --start--> CONNECTING

What is sent leaves at the server's rate at most: a burst goes out at once, the rest waits its turn. Who sends
more than a server allows is closed, with a code after which there is no coming back.

A connection over which nothing has come for ``silence`` seconds is asked with a ping; if nothing comes then for
``patience`` more, it is dead. Time is the clock's that is handed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from random import Random
from typing import Final, Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from realtime.client.errors import ClientError, ConnectionEnded
from realtime.client.line import Dial, HandshakeRefused, Line, Opening
from realtime.client.reconnection import Reconnection, is_status_worth_retrying, is_worth_retrying
from realtime.limiting import Rate

_DONE: Final = 1000
_ABNORMAL: Final = 1006
_HTTP: Final = 4000


class State(Enum):
    """Where a connection stands."""

    IDLE = auto()
    CONNECTING = auto()
    OPEN = auto()
    WAITING = auto()
    CLOSED = auto()


_NEXT: Final = {
    State.IDLE: {State.CONNECTING, State.CLOSED},
    State.CONNECTING: {State.OPEN, State.WAITING, State.CLOSED},
    State.OPEN: {State.WAITING, State.CLOSED},
    State.WAITING: {State.CONNECTING, State.CLOSED},
    State.CLOSED: {State.CONNECTING},
}


class Timing(Struct, frozen=True):
    """Seconds: for TCP, TLS and handshake; until a silent server is asked; for its answer."""

    opening: float = 10.0
    silence: float = 30.0
    patience: float = 10.0


class Handler(Protocol):
    """Who uses a connection."""

    def line_opened(self) -> None:
        """It is open; `Connection.send` sends."""

    def line_received(self, payload: bytes, binary: bool) -> None:
        """One message came."""

    def line_pinged(self, payload: bytes) -> None:
        """A ping came, to be answered with `Connection.pong`."""

    def line_lost(self, code: int) -> None:
        """It is open no more, with this close code; what comes next is told too, if it is the end."""

    def line_ended(self, error: ClientError) -> None:
        """It is over for good, or until it is started again."""


class Connection:
    """A connection of ``handler``'s to what ``opening`` names, which is asked each time: for a fresh token.

    If ``opening`` fails with a `ClientError`, that is the end; with anything else, an attempt that failed.
    """

    def __init__(
        self,
        opening: Callable[[], Deferred[Opening]],
        handler: Handler,
        dial: Dial,
        clock: IReactorTime,
        reconnection: Reconnection,
        timing: Timing,
        rate: Rate | None,
        random: Random,
    ) -> None:
        self.state = State.IDLE
        self._opening = opening
        self._handler = handler
        self._dial = dial
        self._clock = clock
        self._reconnection = reconnection
        self._timing = timing
        self._rate = rate
        self._drained = 0.0
        self._outbox: deque[tuple[bytes, bool]] = deque()
        self._sending: IDelayedCall | None = None
        self._random = random
        self._failures = 0
        self._line: Line | None = None
        self._dialing: Deferred[Line] | None = None
        self._timer: IDelayedCall | None = None
        self._heard = 0.0
        self._verdict: ClientError | None = None
        self._closed: list[Deferred[None]] = []

    # -- for who uses it -----------------------------------------------------------------------

    def start(self) -> None:
        """Connect. Nothing, if that is under way or done."""
        if self.state in (State.IDLE, State.CLOSED):
            self._failures = 0
            self._verdict = None
            self._connect()

    def settled(self) -> None:
        """The server serves us: when the connection is lost now, the first delay is a short one again."""
        self._failures = 0

    def send(self, payload: bytes, binary: bool = False) -> None:
        """Send a message over the open connection, when it is its turn. Nothing if there is none."""
        if self._line is None:
            return
        if self._rate is None:
            self._line.send(payload, binary)
            return
        self._outbox.append((payload, binary))
        if self._sending is None:
            self._send_in_turn()

    @property
    def waiting(self) -> int:
        """How many messages wait for their turn."""
        return len(self._outbox)

    def pong(self, payload: bytes) -> None:
        """Answer a ping."""
        if self._line is not None:
            self._line.pong(payload)

    def drop(self) -> None:
        """Cut an open connection that is of no use, as if it was lost: it will be made again."""
        if self._line is not None:
            self._line.abort()

    def fail(self, error: ClientError) -> None:
        """End for good with an error, after a closing handshake if the connection is open."""
        if self._line is None:
            self._end(error)
        elif self._verdict is None:
            self._verdict = error
            self._line.close(_DONE)

    def close(self) -> Deferred[None]:
        """End; fires when nothing is left of the connection."""
        closed: Deferred[None] = Deferred()
        self._closed.append(closed)
        self.fail(ConnectionEnded(_DONE, "closed by the client"))
        return closed

    def _send_in_turn(self) -> None:
        self._sending = None
        rate, line = self._rate, self._line
        while self._outbox and rate is not None and line is not None:
            now = self._clock.seconds()
            drained = rate.use(self._drained, now)
            if drained is None:
                self._sending = self._clock.callLater(rate.wait(self._drained, now), self._send_in_turn)
                return
            self._drained = drained
            line.send(*self._outbox.popleft())

    # -- connecting ----------------------------------------------------------------------------

    def _connect(self) -> None:
        self._enter(State.CONNECTING)
        self._timer = self._clock.callLater(self._timing.opening, self._took_too_long)
        dialing = self._dialing = self._opening().addCallback(self._dial, self)
        dialing.addCallbacks(self._opened, self._refused)

    def _took_too_long(self) -> None:
        if self._dialing is not None:
            self._dialing.cancel()

    def _opened(self, line: Line) -> None:
        self._dialing = None
        self._enter(State.OPEN)
        self._line = line
        self._drained = 0.0  # to the server, another connection is another bucket
        self._listen()
        self._handler.line_opened()

    def _refused(self, failure: Failure) -> None:
        self._dialing = None
        if self.state is not State.CONNECTING:
            return  # closed meanwhile
        error = failure.value
        if isinstance(error, ClientError):
            self._end(error)
        elif (
            isinstance(error, HandshakeRefused) and error.status and not is_status_worth_retrying(error.status)
        ):
            self._end(ConnectionEnded(_HTTP + error.status, str(error)))
        else:
            self._try_again(_ABNORMAL, type(error).__name__)

    def _try_again(self, code: int, reason: str) -> None:
        self._failures += 1
        delay = self._reconnection.delay(self._failures, self._random)
        if delay is None:
            self._end(ConnectionEnded(code, reason))
            return
        self._enter(State.WAITING)
        self._timer = self._clock.callLater(delay, self._connect)

    # -- Ear -----------------------------------------------------------------------------------

    def received(self, payload: bytes, binary: bool) -> None:
        """See `Ear`."""
        self._heard = self._clock.seconds()
        if self._verdict is None:
            self._handler.line_received(payload, binary)

    def pinged(self, payload: bytes) -> None:
        """See `Ear`."""
        self._heard = self._clock.seconds()
        if self._verdict is None:
            self._handler.line_pinged(payload)

    def heard(self) -> None:
        """See `Ear`."""
        self._heard = self._clock.seconds()

    def lost(self, code: int) -> None:
        """See `Ear`."""
        self._line = None
        self._outbox.clear()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        self._handler.line_lost(code)
        if self._verdict is not None:
            self._end(self._verdict)
        elif is_worth_retrying(code):
            self._try_again(code, "too many attempts")
        else:
            self._end(ConnectionEnded(code, "closed by the server"))

    # -- silence -------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Wait for the moment at which the server will have been silent for long, if nothing comes."""
        self._heard = self._clock.seconds()
        self._timer = self._clock.callLater(self._timing.silence, self._is_silent)

    def _is_silent(self) -> None:
        left = self._heard + self._timing.silence - self._clock.seconds()
        if left > 0:
            self._timer = self._clock.callLater(left, self._is_silent)
        elif self._line is not None:
            self._line.ping()
            self._timer = self._clock.callLater(self._timing.patience, self._is_dead, self._heard)

    def _is_dead(self, heard: float) -> None:
        if self._heard > heard:
            self._is_silent()
        else:
            self.drop()

    # -- the end -------------------------------------------------------------------------------

    def _end(self, error: ClientError) -> None:
        """End, now that there is no line."""
        if self.state is not State.CLOSED:
            self._enter(State.CLOSED)
            if self._dialing is not None:
                self._dialing.cancel()
            self._handler.line_ended(error)
        closed, self._closed = self._closed, []
        for each in closed:
            each.callback(None)

    def _enter(self, state: State) -> None:
        if state not in _NEXT[self.state]:
            raise RuntimeError(f"from {self.state} to {state}")
        self.state = state
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
