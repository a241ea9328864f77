"""workspace over Socket.IO: events in, session called, events out.

A client that comes back to what it missed is who it was, without another ``auth``, if its token is still
good; else it begins anew, as if it had never been there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec import Raw, Struct
from twisted.internet.defer import Deferred

from realtime.closing import CloseCode
from realtime.socketio.namespace import Acknowledge, Namespace
from realtime.socketio.packets import Event as SocketEvent
from realtime.socketio.socket import Socket
from realtime.workspace import messages
from realtime.workspace.messages import OnlineStatus
from realtime.workspace.parts import Parts
from realtime.workspace.session import Event, Session

_ABSENT = Raw(b"null")


class _Place(Struct, eq=False):
    """What a socket has of ours: its session, and from then on what it takes to come back."""

    session: Session


class _Was(Struct, frozen=True, array_like=True):
    """What it takes to come back from another process."""

    token: str
    status: OnlineStatus


_encode = msgspec.msgpack.Encoder().encode
_read_was = msgspec.msgpack.Decoder(_Was).decode


class _Peer:
    """A socket, as its session sees it."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self.number = socket.number

    def emit(self, event: str, payload: object) -> None:
        """See `parts.Peer`."""
        self._socket.emit(event, payload)

    def join(self, room: str) -> None:
        """See `parts.Peer`."""
        self._socket.join(room)

    def leave(self, room: str) -> None:
        """See `parts.Peer`."""
        self._socket.leave(room)

    def disconnect(self) -> None:
        """See `parts.Peer`."""
        self._socket.disconnect(CloseCode.NOT_AUTHENTICATED)

    def identify(self, user_id: int) -> bool:
        """See `parts.Peer`."""
        if self._socket.identify(user_id):
            return True
        self._socket.disconnect(CloseCode.TOO_MANY_REQUESTS)
        return False


class Rooms:
    """The rooms of this process, in all namespaces where workspace is served. See `hub.Audience`."""

    def __init__(self) -> None:
        self._namespaces: list[Namespace] = []

    def add(self, namespace: Namespace) -> None:
        """Serve workspace in one more."""
        self._namespaces.append(namespace)

    def tell(self, room: str, event: str, payload: Raw) -> None:
        """See `hub.Audience.tell`."""
        for namespace in self._namespaces:
            namespace.to(room, event, payload)


class WorkspaceHandler:
    """The handler of a namespace where workspace is served."""

    events: ClassVar[Mapping[str, Sequence[Any]]] = {event: [Raw] for event in messages.SHAPES}

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def connect(self, socket: Socket) -> Deferred[None] | None:
        """See :meth:`Handler.connect`."""
        before, session = socket.data, Session(_Peer(socket), self._parts)
        socket.data = _Place(session)
        if not socket.is_recovered or not isinstance(before, _Place | _Was):
            return None
        was = before if isinstance(before, _Was) else before.session
        return Deferred.fromCoroutine(self._come_back(socket, session, was.token, was.status))

    async def _come_back(
        self, socket: Socket, session: Session, token: str | None, status: OnlineStatus
    ) -> None:
        if token is None or not await session.resume(token, status):
            socket.begin_anew()
            return
        for room in set(socket.rooms) - session.rooms:
            socket.leave(room)

    def pack(self, data: object) -> bytes | None:
        """See :meth:`Packer.pack`."""
        if not isinstance(data, _Place) or data.session.token is None:
            return None
        return _encode(_Was(data.session.token, data.session.status))

    def unpack(self, packed: bytes) -> object:
        """See :meth:`Packer.unpack`."""
        return _read_was(packed)

    def received(self, socket: Socket, event: SocketEvent, acknowledge: Acknowledge | None) -> None:
        """See :meth:`Handler.received`."""
        payload = _payload(event)
        self._session(socket).receive(Event(str(event.name), payload, acknowledge), len(bytes(payload)))

    def exceeded(self, socket: Socket, event: SocketEvent, acknowledge: Acknowledge | None) -> None:
        """See :meth:`Handler.exceeded`."""
        refused = Event(str(event.name), _payload(event), acknowledge)
        self._session(socket).fail(refused, messages.TOO_MANY_REQUESTS)

    def disconnected(self, socket: Socket, reason: str) -> None:
        """See :meth:`Handler.disconnected`."""
        self._session(socket).end()

    def _session(self, socket: Socket) -> Session:
        place = socket.data
        if not isinstance(place, _Place):
            raise TypeError("a socket that was not let in")
        return place.session


def _payload(event: SocketEvent) -> Raw:
    """Return an event's first argument as JSON; a binary one, which no event of ours has, as a text."""
    first = event.arguments[0] if event.arguments else None
    if first is None:
        return _ABSENT
    return first if isinstance(first, Raw) else Raw(msgspec.json.encode(first))
