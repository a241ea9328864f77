"""A namespace: its handler, the sockets in it, their rooms.

Whoever offers something over Socket.IO writes a `Handler` and makes a `Namespace` of it. From then on it
deals with sockets, rooms and events, in types of its own; packets, transports and versions are not its
matter::

    class Chat:
        events = {"say": [Say]}                     an event's arguments, in the types they are to have

        def connect(self, socket): …                accept, or raise `Refused`; may return a Deferred
        def received(self, socket, event, acknowledge): …
        def disconnected(self, socket, reason): …

    chat = Namespace("/chat", Chat(), clock=clock)
    chat.to("room", "say", {"text": "hello"})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from secrets import token_urlsafe
from typing import Any, Final, Protocol

from msgspec import UNSET
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.closing import CloseCode
from realtime.socketio import packets
from realtime.socketio.client import Client
from realtime.socketio.deadlines import Deadlines
from realtime.socketio.engine_context import Reason
from realtime.socketio.engine_packets import Group
from realtime.socketio.engine_session import Session
from realtime.socketio.packets import Event, EventReader, Limits
from realtime.socketio.recovery import Left, RecoveryLog
from realtime.socketio.socket import Socket
from realtime.websocket.handshake import Handshake

_GREETING_SECONDS: Final = 0.01
"""Between the answer to CONNECT and what a handler has sent meanwhile. Programs that wait for one message after
the other, as the official test suite does, miss the second if both come in one piece."""

LEFT_BY_CLIENT: Final = "client namespace disconnect"
LEFT_BY_SERVER: Final = "server namespace disconnect"


class Refused(Exception):
    """A client is not let into a namespace; ``message`` and ``data`` are for it."""

    def __init__(self, message: str, data: Any = UNSET) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


Acknowledge = Callable[..., None]


class Handler(Protocol):
    """What a namespace is for."""

    @property
    def events(self) -> Mapping[str, Sequence[Any]]:
        """The events that it knows, each with the types of its arguments."""

    def connect(self, socket: Socket) -> Deferred[None] | None:
        """A client would like to be let in. Raise, or fail with, `Refused`.

        If ``socket.is_recovered``, it has its rooms and its ``data`` again; set that to ``False`` to have it
        begin anew, with another id and in no rooms.
        """

    def received(self, socket: Socket, event: Event, acknowledge: Acknowledge | None) -> None:
        """An event came; ``acknowledge`` is there if the client asked for it."""

    def exceeded(self, socket: Socket, event: Event, acknowledge: Acknowledge | None) -> None:
        """An event came, beyond the rate."""

    def disconnected(self, socket: Socket, reason: str) -> None:
        """A socket that was let in is over. Called once."""


class Namespace:
    """A namespace called ``name`` (``"/"``, ``"/chat"``).

    ``recovery_seconds`` is how long a client that was lost may take to come back to what it missed; 0: it
    can't.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        handler: Handler,
        *,
        clock: IReactorTime,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        recovery_seconds: float = 0,
    ) -> None:
        self.name = name
        self.clock = clock
        self.reader = EventReader(handler.events, limits)
        self._handler = handler
        self._rooms: dict[str, dict[Socket, None]] = {}
        self._greetings: Deadlines[Socket] = Deadlines(
            clock, _GREETING_SECONDS, lambda socket, _: socket.release()
        )
        self._log_of_events = RecoveryLog(recovery_seconds) if recovery_seconds else None

    # -- for whoever tells ---------------------------------------------------------------------

    def to(self, room: str, event: str, *arguments: Any, but: Socket | None = None) -> None:
        """Send an event to all sockets in a room, but one; a socket's id is a room of its own."""
        members = self._rooms.get(room)
        if members is None and self._log_of_events is None:
            return
        logged = None if self._log_of_events is None else self._logged(event, arguments, room, but)
        plain = None
        for socket in members or ():
            if socket is but:
                continue
            if logged is not None and socket.private_id is not None:
                socket.send(logged)
            else:
                if plain is None:
                    plain = packets.event(event, arguments, namespace=self.name)
                socket.send(plain)

    def emit_to(self, socket: Socket, event: str, arguments: Sequence[Any]) -> None:
        """Send an event to one socket."""
        if socket.private_id is None:
            socket.send(packets.event(event, arguments, namespace=self.name))
        else:
            socket.send(self._logged(event, arguments, socket.id, None))

    def _logged(self, event: str, arguments: Sequence[Any], target: str, but: Socket | None) -> Group:
        """Return an event as it goes to those who may come back to it, and is kept for them."""
        log = self._log_of_events
        if log is None:
            return packets.event(event, arguments, namespace=self.name)
        group = packets.event(event, [*arguments, log.next_offset()], namespace=self.name)
        log.add(group, (target,), self.clock.seconds(), None if but is None else but.id)
        return group

    # -- rooms ---------------------------------------------------------------------------------

    def join(self, socket: Socket, room: str) -> None:
        """See `Socket.join`."""
        log = self._log_of_events
        socket.rooms.setdefault(room, 0 if log is None else log.position)
        self._rooms.setdefault(room, {})[socket] = None

    def leave(self, socket: Socket, room: str) -> None:
        """See `Socket.leave`."""
        if room in socket.rooms:
            del socket.rooms[room]
            members = self._rooms[room]
            del members[socket]
            if not members:
                del self._rooms[room]

    # -- a socket's life, for the server -------------------------------------------------------

    def admit(self, session: Session, handshake: Handshake, auth: dict[str, Any]) -> Deferred[Socket]:
        """Ask the handler; fires with a socket, whose client was answered, or fails with `Refused`."""
        return Deferred.fromCoroutine(self._admit(session, handshake, auth))

    async def _admit(self, session: Session, handshake: Handshake, auth: dict[str, Any]) -> Socket:
        log = self._log_of_events
        recovered = None
        socket = Socket(self, session, handshake, auth)
        if log is not None and session.revision == 4:
            socket.position = log.position
            socket.private_id = token_urlsafe(15)
            recovered = log.come_back(auth.get("pid"), auth.get("offset"), self.clock.seconds())
            if recovered is not None:
                left = recovered.left
                socket.id, socket.data, socket.position = left.socket_id, left.data, left.position
                socket.is_recovered = True
                socket.private_id = left.private_id  # by this a client knows that it has come back
                socket.rooms.update(left.rooms)
                for room in left.rooms:
                    self.join(socket, room)
        self.join(socket, socket.id)
        try:
            waiting = self._handler.connect(socket)
            if waiting is not None:
                await waiting
        except Refused:
            self._go(socket)
            raise
        except Exception:
            self._go(socket)
            self._log.failure("socketio: {namespace} can't let anybody in", namespace=self.name)
            raise Refused("Temporarily unavailable") from None
        if not session.is_open:
            self.end(socket, Reason.TRANSPORT_CLOSE.value)
            raise Refused("gone")
        missed: list[Group] = []
        if log is not None and recovered is not None:
            if not socket.is_recovered:
                self._begin_anew(socket)
            else:
                missed = log.missed(recovered, socket.rooms)
        payload: dict[str, str] | None = None
        if session.revision == 4:
            payload = {"sid": socket.id}
            if socket.private_id is not None:
                payload["pid"] = socket.private_id
        if socket.accept([packets.connect(self.name, payload), *missed]):
            self._greetings.start(socket)
        return socket

    def _begin_anew(self, socket: Socket) -> None:
        for room in list(socket.rooms):
            self.leave(socket, room)
        socket.id = token_urlsafe(15)
        socket.private_id = token_urlsafe(15)
        self.join(socket, socket.id)

    def receive(self, socket: Socket, event: Event, ack_id: int | None, *, exceeds: bool) -> None:
        """Give an event to the handler; a fault in it is ours, and ends this socket alone."""
        acknowledge = None if ack_id is None else socket.acknowledger(ack_id)
        try:
            (self._handler.exceeded if exceeds else self._handler.received)(socket, event, acknowledge)
        except Exception:
            self._failed(socket)

    def disconnect(self, socket: Socket, code: CloseCode) -> None:
        """See `Socket.disconnect`."""
        client = socket.session.data
        if isinstance(client, Client) and self.name in client.joining:
            socket.leaves_with = code
        elif isinstance(client, Client) and client.release(self.name, socket):
            client.put_out(self.name)
            socket.release()
            socket.session.send(packets.disconnect(self.name))
            self.end(socket, LEFT_BY_SERVER)
            if not client.is_in_use:
                socket.session.close(code)

    def end(self, socket: Socket, reason: str) -> None:
        """A socket is over: keep its place if it may come back, and tell the handler."""
        log, private_id = self._log_of_events, socket.private_id
        if log is not None and private_id is not None and reason not in (LEFT_BY_CLIENT, LEFT_BY_SERVER):
            rooms = {room: joined for room, joined in socket.rooms.items() if room != socket.id}
            left = Left(private_id, socket.id, rooms, socket.data, socket.position, self.clock.seconds())
            log.leave(left)
        socket.end()
        try:
            self._handler.disconnected(socket, reason)
        except Exception:
            self._log.failure("socketio: session {session} failed", session=socket.number)
        self._go(socket)

    def _go(self, socket: Socket) -> None:
        for room in list(socket.rooms):
            self.leave(socket, room)
        socket.end()

    def _failed(self, socket: Socket, failure: Failure | None = None) -> None:
        self._log.failure("socketio: session {session} failed", failure, session=socket.number)
        socket.disconnect(CloseCode.TRY_AGAIN_LATER)

    def __len__(self) -> int:
        """Return the number of rooms."""
        return len(self._rooms)
