"""One client's Engine.IO session, on whichever transport it is: states, heartbeat, upgrade. No I/O.

::

    NEW --> OPEN --closed by us while no request waits--> CLOSING --told, or too late--> GONE
              +-----closed by the client, lost, timed out, or told at once------------------^

From the server's side, with packets as they are (`engine_packets` names them)::

    -> 0{"sid":…}          the session is open
    <- 4…     -> 4…        messages
    -> 2      <- 3         heartbeat; in revision 3 the client pings and the server answers
    <- 2probe -> 3probe    on a WebSocket, while the session polls; then a waiting request gets 6
    <- 5                   on the WebSocket: all that waits goes there, and everything after it

No packet is lost or gets before another when the transport changes: until the ``5`` packets leave by polling or
wait (`engine_polling`), and from then on the WebSocket, which has a queue of its own, has them.

What the documents leave open, and what was decided:

- The time for a pong runs on when the transport changes, and begins with the moment when the ping was due.
- A session that we close while nothing waits tells the client so when it asks next, within ``linger`` seconds,
  with all that was sent before; if it is being upgraded, the WebSocket is closed as soon as it takes over.
- While a WebSocket is probed, a request that waits is answered within a tenth of a second, so that the client
  can end its polling; at once would have it ask again and again.
- Sending never ends a session within the call: one whose queue is full ends at the end of the turn.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from twisted.logger import Logger

from realtime.closing import CloseCode
from realtime.socketio import engine_packets
from realtime.socketio.engine_context import Context, Reason
from realtime.socketio.engine_packets import EngineError, Form, Group, Packet, PacketType
from realtime.socketio.engine_polling import PollingTransport

_numbers = itertools.count(1)


class Frames(Protocol):
    """A WebSocket."""

    def send_frame(self, frame: bytes) -> None:
        """Send a frame, or several; nothing once it is closed."""

    def close(self, code: CloseCode) -> None:
        """Close it; it says that it has ended before this returns."""

    def abort(self) -> None:
        """Cut it."""

    def take_over(self, drained: float) -> None:
        """From now on it is the session's transport; ``drained`` is how full the bucket of its rate is."""


class State(Enum):
    """Where a session stands."""

    NEW = "new"
    OPEN = "open"
    CLOSING = "closing"
    GONE = "gone"


class Session:
    """A session; ``sid`` is a secret between the server and the client, ``number`` is for log lines.

    The application calls `send`, `close` and `identify`, and may keep in ``data`` what it likes.
    """

    __slots__ = (
        *("_connection", "_context", "_form", "_polling", "_probed", "_prober", "_state", "_users"),
        *("address", "data", "is_heard", "number", "revision", "sid"),
    )
    _log = Logger()

    def __init__(
        self, context: Context, sid: str, revision: int, address: str, connection: Frames | None
    ) -> None:
        self._context = context
        self.sid = sid
        self.revision = revision
        self.address = address
        self.number = next(_numbers)
        self.data: object = None
        self.is_heard = False
        self._state = State.NEW
        self._form = Form.WEBSOCKET_4 if revision == 4 else Form.WEBSOCKET_3
        self._connection = connection
        self._polling = PollingTransport(self, context) if connection is None else None
        self._prober: Frames | None = None
        self._probed = False
        self._users: frozenset[int] = frozenset()

    # -- for the application to call -----------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether anything can be sent."""
        return self._state is State.OPEN

    @property
    def connection(self) -> Frames | None:
        """The WebSocket that the session is on; ``None`` while it polls."""
        return self._connection

    def send(self, group: Group) -> None:
        """Send packets that stay together; nothing once the session is over."""
        if self._state is not State.OPEN:
            return
        if self._connection is not None:
            self._connection.send_frame(group.written(self._form))
        elif self._polling is not None:
            self._polling.send(group)

    def close(self, code: CloseCode = CloseCode.DONE) -> None:
        """Close the session, behind what was sent before; ``code`` is for a WebSocket."""
        going_away = code is CloseCode.GOING_AWAY
        self.end(Reason.SERVER_SHUTTING_DOWN if going_away else Reason.FORCED_CLOSE, code, linger=True)

    def identify(self, user_id: int) -> bool:
        """Count the session for a user; whether the user may have one more."""
        if user_id not in self._users:
            if not self._context.admission.identify(user_id):
                self._context.counts.count_refused("connections")
                return False
            self._users |= {user_id}
        return True

    def close_going_away(self) -> None:
        """Close because the server stops."""
        self.close(CloseCode.GOING_AWAY)

    def abort(self) -> None:
        """Be gone at once."""
        if self._connection is not None:
            self._connection.abort()
        else:
            self.end(Reason.FORCED_CLOSE, CloseCode.GOING_AWAY)
            self._drop()

    # -- beginning -----------------------------------------------------------------------------

    def begin(self) -> bool:
        """Open a new session; ``False``: it has come to its end before."""
        if self._state is not State.NEW:
            return False
        self._state = State.OPEN
        context = self._context
        if self._polling is not None:
            context.counts.count_opened()
        if self.revision == 4:
            context.pings.start(self)
        else:
            context.silences.start(self)
        self.send(context.opening(self.sid, self.revision, polls=self._polling is not None))
        return True

    # -- transports ----------------------------------------------------------------------------

    @property
    def polling(self) -> PollingTransport | None:
        """The transport of a session that polls."""
        return self._polling

    def probe(self, connection: Frames) -> bool:
        """A WebSocket would like to be the session's transport; whether it may try."""
        if self._state is not State.OPEN or self._polling is None or self._prober is not None:
            return False
        self._prober = connection
        self._context.upgrades.start(self)
        return True

    def receive(self, connection: Frames, payload: bytes, *, binary: bool, exceeds: bool = False) -> None:
        """A message came on a WebSocket; ``exceeds``: beyond the rate. Text is valid UTF-8."""
        if connection is not self._connection:
            self._probe_with(connection, payload, binary)
            return
        if self.is_heard and payload[:1] == b"4" and not (binary or exceeds):  # what nearly always comes
            self._tell(self._context.application.received, payload[1:].decode())
            return
        try:
            if binary:
                packet = engine_packets.read_binary(payload, self.revision)
            else:
                packet = engine_packets.read_text(payload.decode())
        except EngineError:
            self.end(Reason.PARSE_ERROR, CloseCode.POLICY_VIOLATION)
            return
        if exceeds:
            self.exceed(packet)
        else:
            self.take(packet)

    def ended(self, connection: Frames, *, cleanly: bool) -> None:
        """A WebSocket is closed or lost: nothing more can be sent on it."""
        if connection is self._prober:
            self._forget_prober()
        elif connection is self._connection:
            self.end(Reason.TRANSPORT_CLOSE if cleanly else Reason.TRANSPORT_ERROR, CloseCode.DONE)

    def lost(self, connection: Frames) -> None:
        """The transport below a WebSocket is gone."""
        if connection is self._connection:
            self._drop()

    def _probe_with(self, connection: Frames, payload: bytes, binary: bool) -> None:
        polling = self._polling
        if connection is not self._prober or polling is None:
            return  # it is closed already
        if payload == b"2probe" and not binary and not self._probed:
            self._probed = True
            connection.send_frame(engine_packets.PROBE_ANSWER.written(self._form))
            polling.begin_ending()
        elif payload == b"5" and not binary and self._probed:
            self._switch(connection, polling)
        else:
            connection.close(CloseCode.POLICY_VIOLATION)

    def _switch(self, connection: Frames, polling: PollingTransport) -> None:
        self._forget_prober()
        context = self._context
        self._connection, self._polling = connection, None
        context.counts.count_closed(CloseCode.DONE)
        connection.take_over(polling.drained)
        for group in polling.take_queue():
            if group is not engine_packets.CLOSE:  # it has one of its own
                connection.send_frame(group.written(self._form))
        if self._state is State.CLOSING:
            context.lingers.stop(self)
            context.forget(self)
            connection.close(CloseCode.DONE)
        polling.release()

    def give_up_upgrade(self) -> None:
        """The WebSocket has taken too long; polling goes on."""
        if self._prober is not None:
            self._prober.close(CloseCode.DONE)

    def _forget_prober(self) -> None:
        self._prober = None
        self._probed = False
        self._context.upgrades.stop(self)
        if self._polling is not None:
            self._polling.go_on()

    # -- packets -------------------------------------------------------------------------------

    def take(self, packet: Packet) -> None:
        """A packet came, within the rate."""
        if not self.is_heard:
            self.is_heard = True
            self._context.heard(self)
        kind = packet.type
        if kind is PacketType.MESSAGE:
            self._tell(self._context.application.received, packet.data)
        elif kind is PacketType.PONG and self.revision == 4:
            if self in self._context.pongs:
                self._context.pongs.stop(self)
                self._context.pings.start(self)
        elif kind is PacketType.PING and self.revision == 3:
            self._context.silences.start(self)
            self.send(engine_packets.pong(str(packet.data)))
        elif kind is PacketType.CLOSE:
            self.end(Reason.TRANSPORT_CLOSE, CloseCode.DONE, last=engine_packets.NOOP)
        elif kind is PacketType.PING or kind is PacketType.PONG:
            self.end(Reason.PARSE_ERROR, CloseCode.POLICY_VIOLATION)

    def exceed(self, packet: Packet) -> None:
        """A packet came, beyond the rate."""
        if packet.type is PacketType.MESSAGE:
            self._tell(self._context.application.exceeded, packet.data)
        else:
            self.end(Reason.FORCED_CLOSE, CloseCode.TOO_MANY_REQUESTS)

    def _tell(self, method: Callable[[Session, str | bytes], None], data: str | bytes) -> None:
        """Call the application; a fault in it is ours, and ends this session alone."""
        try:
            method(self, data)
        except Exception:
            self._failed()
            self.close(CloseCode.TRY_AGAIN_LATER)

    def _failed(self) -> None:
        self._log.failure("socketio: session {session} failed", session=self.number)

    # -- heartbeat -----------------------------------------------------------------------------

    def beat(self, moment: float) -> None:
        """Ask the client whether it lives; this was due at ``moment``."""
        self._context.pongs.start(self, moment)
        self.send(engine_packets.PING)

    def presumed_dead(self) -> None:
        """End a session whose client has not shown that it lives."""
        self.end(Reason.PING_TIMEOUT, CloseCode.NO_PONG)

    # -- the end -------------------------------------------------------------------------------

    def end(
        self,
        reason: Reason,
        code: CloseCode,
        *,
        last: Group = engine_packets.CLOSE,
        linger: bool = False,
    ) -> None:
        """End the session for the application.

        A polling client is told by a request that waits, with ``last`` as the last packet; with ``linger``
        also by its next ones.
        """
        if self._state is State.CLOSING or self._state is State.GONE:
            return
        is_new = self._state is State.NEW
        self._state = State.CLOSING
        context = self._context
        context.stop_beating(self)
        for user_id in self._users:
            context.admission.forget(user_id)
        if self._polling is None:
            context.forget(self)
        if self._connection is not None:
            self._connection.close(code)
        elif self._polling is not None and not self._polling.finish(last, linger=linger):
            context.lingers.start(self)
        else:
            self._drop(code)
        if is_new:
            return  # nobody knows of it
        self._log.debug(
            "socketio: session {session} of {address} ended: {reason}",
            session=self.number,
            address=self.address,
            reason=reason.value,
        )
        try:
            context.application.ended(self, reason)
        except Exception:
            self._failed()

    def has_been_told(self) -> None:
        """The client of a session that we closed knows it, with all that was sent before."""
        self._drop()

    def give_up_telling(self) -> None:
        """It has not asked."""
        self._drop()

    def _drop(self, code: CloseCode = CloseCode.DONE) -> None:
        """Let go of everything that is left."""
        if self._state is State.GONE:
            return
        self._state = State.GONE
        context = self._context
        context.stop_beating(self)
        if self._polling is not None:
            context.counts.count_closed(code)
            context.lingers.stop(self)
            self._polling.forget()
            prober = self._prober
            if prober is not None:
                self._forget_prober()
                prober.close(code)
        context.forget(self)
        context.admission.leave(self, self.address)
