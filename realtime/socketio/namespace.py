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
from typing import Any, Final, Protocol

from msgspec import UNSET
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from realtime.closing import CloseCode
from realtime.socketio import packets
from realtime.socketio.client import Client
from realtime.socketio.deadlines import Deadlines
from realtime.socketio.engine_context import Reason
from realtime.socketio.engine_packets import Group
from realtime.socketio.engine_session import Session
from realtime.socketio.moving import Claimed, Move, Moving, Place
from realtime.socketio.packets import Event, EventReader, Limits
from realtime.socketio.recovery import Membership, Strand
from realtime.socketio.returning import LOSSES, Leaving, Returning
from realtime.socketio.rooms import Room, Telling
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

        If ``socket.is_recovered``, it has its rooms and its ``data`` again; ``socket.begin_anew()`` has it let
        in as anybody else, with another id and in no rooms.
        """

    def received(self, socket: Socket, event: Event, acknowledge: Acknowledge | None) -> None:
        """An event came; ``acknowledge`` is there if the client asked for it."""

    def exceeded(self, socket: Socket, event: Event, acknowledge: Acknowledge | None) -> None:
        """An event came, beyond the rate."""

    def disconnected(self, socket: Socket, reason: str) -> None:
        """A socket that was let in is over. Called once."""


class Packer(Protocol):
    """A handler whose clients may move from process to process: what their ``data`` is on the way."""

    def pack(self, data: object) -> bytes | None:
        """Return it as bytes; ``None``: this one can't move."""

    def unpack(self, packed: bytes) -> object:
        """Return what `Handler.connect` finds in ``socket.data``. Raises ``ValueError``."""


class Namespace:
    """A namespace called ``name`` (``"/"``, ``"/chat"``).

    ``recovery_seconds`` is how long a client that was lost may take to come back to what it missed; 0: it
    can't. With ``moving`` and a ``packer`` it may have been lost from another process.
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
        moving: Moving | None = None,
        packer: Packer | None = None,
    ) -> None:
        self.name = name
        self.clock = clock
        self.reader = EventReader(handler.events, limits)
        self._handler = handler
        self._moving = moving
        self._moves: dict[Socket, Move] = {}
        self._rooms: dict[str, Room] = {}
        self._sockets: dict[str, Socket] = {}
        self._greetings: Deadlines[Socket] = Deadlines(
            clock, _GREETING_SECONDS, lambda socket, _: socket.release()
        )
        self._packer = packer
        self._returning = Returning(clock, recovery_seconds, moving) if recovery_seconds else None
        if moving is not None:
            moving.add(self)

    # -- for whoever tells ---------------------------------------------------------------------

    def to(self, room: str, event: str, *arguments: Any, but: Socket | None = None) -> None:
        """Send an event to all sockets in a room, but one; a socket's id is a room of its own."""
        found, returning = self._rooms.get(room), self._returning
        if found is None and room in self._sockets:
            if self._sockets[room] is not but:
                self.emit_to(self._sockets[room], event, arguments)
            return
        strand = None
        if returning is not None:
            strand = returning.log.known(room) if found is None else found.strand
        if found is None and strand is None:
            return
        telling = Telling(self.name, event, arguments, self._offset_of_next(strand))
        self._keep(telling, strand, but)
        if found is not None:
            found.send(telling, but)

    def emit_to(self, socket: Socket, event: str, arguments: Sequence[Any]) -> None:
        """Send an event to one socket."""
        if self._returning is None:
            if not socket.is_over:
                socket.send(packets.event(event, arguments, namespace=self.name))
            return
        strand = None
        if socket.private_id is not None:
            log = self._returning.log
            strand = log.known(socket.id) if socket.is_over else self._returning.own(socket)
        if strand is None and socket.is_over:
            return
        telling = Telling(self.name, event, arguments, self._offset_of_next(strand))
        self._keep(telling, strand, None)
        socket.send(telling.to(socket))

    def _offset_of_next(self, strand: Strand | None) -> str | None:
        return None if strand is None or self._returning is None else self._returning.log.next_offset()

    def _keep(self, telling: Telling, strand: Strand | None, but: Socket | None) -> None:
        if strand is not None and self._returning is not None:
            self._returning.add(telling.logged, strand, None if but is None else but.id)

    # -- rooms ---------------------------------------------------------------------------------

    def join(self, socket: Socket, room: str) -> None:
        """See `Socket.join`."""
        if not socket.is_over and room not in socket.rooms:
            self._join(socket, room, 0 if self._returning is None else self._returning.log.position)

    def _join(self, socket: Socket, name: str, since: int) -> None:
        socket.rooms[name] = since
        room = self._rooms.get(name)
        if room is None:
            strand = None if self._returning is None else self._returning.log.strand(name)
            room = self._rooms[name] = Room(name, strand)
        room.join(socket)

    def leave(self, socket: Socket, room: str) -> None:
        """See `Socket.leave`."""
        since = socket.rooms.pop(room, None)
        if since is None:
            return
        found = self._rooms[room]
        found.leave(socket)
        if not found:
            del self._rooms[room]
        returning = self._returning
        if returning is not None and found.strand is not None and socket.is_accepted:
            returning.left_room(socket, Membership(room, found.strand, since))

    def _leave_all(self, socket: Socket) -> None:
        for room in list(socket.rooms):
            self.leave(socket, room)

    # -- a socket's life, for the server -------------------------------------------------------

    def make_socket(self, session: Session, handshake: Handshake, auth: dict[str, Any]) -> Socket:
        """Return a socket for a client that would like to be let in; `admit` asks the handler."""
        return Socket(self, session, handshake, auth)

    def admit(self, socket: Socket) -> Deferred[None]:
        """Ask the handler; fires when the client was answered, or fails with `Refused`."""
        return Deferred.fromCoroutine(self._admit(socket))

    async def _admit(self, socket: Socket) -> None:
        await self._claim(socket)
        self._begin(socket)
        try:
            waiting = self._handler.connect(socket)
            if waiting is not None:
                await waiting
        except Refused:
            self.give_up(socket)
            raise
        except Exception:
            self.give_up(socket)
            self._log.failure("socketio: {namespace} can't let anybody in", namespace=self.name)
            raise Refused("Temporarily unavailable") from None
        if socket.is_over or socket.has_overflowed:
            self.give_up(socket)
            self._tell_disconnected(socket, Reason.TRANSPORT_CLOSE.value)
            raise Refused("Temporarily unavailable")
        missed = [] if self._returning is None else self._returning.take_missed(socket)
        if socket in self._moves:
            missed = await self._fetch(socket, self._moves[socket])
        payload: dict[str, str] | None = None
        if socket.revision == 4:
            payload = {"sid": socket.id}
            if socket.private_id is not None:
                payload["pid"] = socket.private_id
        if socket.accept([packets.connect(self.name, payload), *missed]):
            self._greetings.start(socket)

    def _begin(self, socket: Socket) -> None:
        returning = self._returning
        recovered = None
        if socket in self._moves:
            self._begin_moved(socket, self._moves[socket].claimed)
        elif returning is not None and socket.revision == 4:
            old = returning.old_socket(self._sockets, socket.auth.get("pid"))
            if old is not None:
                old.session.end(Reason.TRANSPORT_CLOSE, CloseCode.REPLACED)
            recovered = returning.come_back(socket)
            if recovered is None:
                returning.begin(socket)
            else:
                for room, _, since, until, _ in recovered.left.memberships:
                    if until is None:
                        self._join(socket, room, since)
        self._sockets[socket.id] = socket

    def begin_anew(self, socket: Socket) -> None:
        """See `Socket.begin_anew`."""
        if self._returning is not None and socket.is_recovered and not socket.is_accepted:
            self._give_back(socket, keep=False)
            self._leave_all(socket)
            if self._sockets.get(socket.id) is socket:
                del self._sockets[socket.id]
            socket.is_recovered = False
            socket.forget_waiting()
            if not socket.is_over:
                socket.begin()
                self._returning.begin(socket)
                self._sockets[socket.id] = socket

    # -- from process to process ---------------------------------------------------------------

    async def _claim(self, socket: Socket) -> None:
        """Look elsewhere for the place of a client that has none here."""
        moving, private_id, offset = self._moving, socket.auth.get("pid"), socket.auth.get("offset")
        if (
            moving is None
            or self._returning is None
            or socket.revision != 4
            or not isinstance(private_id, str)
            or not self._returning.is_elsewhere(self._sockets, private_id)
            or not isinstance(offset, str | None)
        ):
            return
        move = await moving.claim(self.name, private_id, offset)
        if move is not None:
            self._moves[socket] = move
        if socket.is_over:
            self._give_back(socket, keep=True)
            raise Refused("Temporarily unavailable")

    def _begin_moved(self, socket: Socket, claimed: Claimed) -> None:
        if self._returning is not None and self._packer is not None:
            data = self._packer.unpack(claimed.data)
            self._returning.begin_moved(socket, socket.auth["pid"], claimed.socket_id, data)
            for room in claimed.rooms:
                self._join(socket, room, self._returning.log.position)

    async def _fetch(self, socket: Socket, move: Move) -> list[Group]:
        """Return what a client has missed elsewhere; from now on its place is here."""
        missed = await move.fetch()
        self._moves.pop(socket, None)
        if missed is None or socket.is_over or socket.has_overflowed or self._returning is None:
            # What it was, nobody knows any more. Its client is to come again, as somebody else.
            self.give_up(socket)
            self._tell_disconnected(socket, Reason.TRANSPORT_CLOSE.value)
            socket.session.close(CloseCode.TRY_AGAIN_LATER)
            raise Refused("Temporarily unavailable")
        return self._returning.arrive(socket, missed)

    def _give_back(self, socket: Socket, *, keep: bool) -> None:
        move = self._moves.pop(socket, None)
        if move is not None:
            move.give_back(keep=keep)

    def claim(self, private_id: str, offset: str | None) -> Place | None:
        """See `moving.Keeper`."""
        returning, packer = self._returning, self._packer
        if returning is None or packer is None:
            return None
        old = returning.old_socket(self._sockets, private_id)
        if old is not None:
            old.session.end(Reason.TRANSPORT_CLOSE, CloseCode.REPLACED)
        recovered = returning.claim(private_id, offset)
        data = None if recovered is None else packer.pack(recovered.left.data)
        if data is None:
            returning.gone(private_id)
        return None if recovered is None or data is None else Leaving(returning, recovered, data)

    # -- events --------------------------------------------------------------------------------

    def receive(self, socket: Socket, event: Event, ack_id: int | None, *, exceeds: bool) -> None:
        """Give an event to the handler; a fault in it is ours, and ends this socket alone."""
        acknowledge = None if ack_id is None else socket.acknowledger(ack_id)
        try:
            (self._handler.exceeded if exceeds else self._handler.received)(socket, event, acknowledge)
        except Exception:
            self._failed(socket)
            socket.disconnect(CloseCode.TRY_AGAIN_LATER)

    def disconnect(self, socket: Socket, code: CloseCode) -> None:
        """See `Socket.disconnect`."""
        client = socket.session.data
        if not isinstance(client, Client) or socket.is_over:
            return
        if not socket.is_accepted:
            socket.leaves_with = code
        elif client.release(self.name, socket):
            client.put_out(self.name)
            socket.release()
            socket.session.send(packets.disconnect(self.name))
            self.end(socket, LEFT_BY_SERVER)
            if not client.is_in_use:
                socket.session.close(code)

    def end(self, socket: Socket, reason: str) -> None:
        """A socket is over: keep its place if it may come back, and tell the handler."""
        if self._returning is not None:
            is_stopping = reason == Reason.SERVER_SHUTTING_DOWN.value
            if reason in LOSSES or (is_stopping and self._moving is not None):
                self._returning.leave(socket, self._rooms)
            else:
                self._returning.forget(socket)
        self._go(socket)
        self._tell_disconnected(socket, reason)

    def give_up(self, socket: Socket, *, is_lost: bool = False) -> None:
        """A socket won't be let in. If it had come back, it may do so again."""
        self._give_back(socket, keep=True)
        if self._returning is not None:
            self._returning.give_up(socket, is_lost=is_lost)
        self._go(socket)

    def _go(self, socket: Socket) -> None:
        socket.end()
        self._leave_all(socket)
        self._greetings.stop(socket)
        if self._sockets.get(socket.id) is socket:
            del self._sockets[socket.id]

    def _tell_disconnected(self, socket: Socket, reason: str) -> None:
        try:
            self._handler.disconnected(socket, reason)
        except Exception:
            self._failed(socket)

    def _failed(self, socket: Socket) -> None:
        self._log.failure("socketio: session {session} failed", session=socket.number)

    def __len__(self) -> int:
        """Return the number of rooms."""
        return len(self._rooms)
