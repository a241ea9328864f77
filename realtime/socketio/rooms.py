"""Rooms of a namespace: sockets that are told the same.

An event for a room is encoded once (`Telling`). Clients on a WebSocket are handed it together, as
`realtime.websocket.rooms` does it: what a room says in one turn is joined once for all of them. Those that
poll, or wait to be let in, are sent it one by one; whoever goes over to a WebSocket is found when the room
speaks next. Rooms of a few are not worth the bookkeeping.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from realtime.socketio import packets
from realtime.socketio.engine_packets import Form, Group
from realtime.socketio.recovery import Strand
from realtime.socketio.socket import Socket
from realtime.websocket.connection import Connection
from realtime.websocket.rooms import Room as Crowd

_FEW: Final = 8
"""Members. Below, a loop costs less than to hold them together, and most rooms are a user's own."""


class Telling:
    """An event on its way: as it is, and with ``offset`` as one more argument for those who may come back.

    Raises ``ValueError`` or ``TypeError`` for what can't be written.
    """

    __slots__ = ("_arguments", "_event", "_logged", "_namespace", "_plain")

    def __init__(self, namespace: str, event: str, arguments: Sequence[Any], offset: str | None) -> None:
        self._namespace = namespace
        self._event = event
        self._arguments = arguments
        self._plain: Group | None = None
        self._logged: Group | None = None
        if offset is None:
            self._plain = self._written(arguments)
        else:
            self._logged = self._written((*arguments, offset))

    @property
    def logged(self) -> Group:
        """It, as clients get it that may come back; as it is where none may."""
        return self._logged or self.plain

    @property
    def plain(self) -> Group:
        """It, as it is."""
        if self._plain is None:
            self._plain = self._written(self._arguments)
        return self._plain

    def to(self, socket: Socket) -> Group:
        """Return it as a socket gets it."""
        return self.plain if socket.private_id is None else self.logged

    def _written(self, arguments: Sequence[Any]) -> Group:
        return packets.event(self._event, arguments, namespace=self._namespace)


class Room:
    """Some sockets of one namespace. ``strand`` is what the log of events has of it."""

    __slots__ = ("_crowds", "_members", "_others", "name", "strand")

    def __init__(self, name: str, strand: Strand | None) -> None:
        self.name = name
        self.strand = strand
        self._members: dict[Socket, None] = {}
        self._crowds: dict[int, Crowd] | None = None  # by revision
        self._others: dict[Socket, None] = {}  # members that are in none of them

    def join(self, socket: Socket) -> None:
        """Take in a socket."""
        self._members[socket] = None
        if self._crowds is not None:
            self._others[socket] = None

    def leave(self, socket: Socket) -> None:
        """Let go of a socket."""
        self._members.pop(socket, None)
        if self._crowds is not None:
            self._others.pop(socket, None)
            connection = socket.session.connection
            if isinstance(connection, Connection):
                for crowd in self._crowds.values():
                    crowd.leave(connection)
            if not self._members:
                self._crowds = None

    def send(self, telling: Telling, but: Socket | None = None) -> None:
        """Send an event to all members but one."""
        if len(self._members) < _FEW or but in self._members:
            self._send_each(self._members, telling, but)
            return
        if self._crowds is None:
            self._crowds, self._others = {}, dict(self._members)
        if self._others:
            self._gather(self._crowds)
            self._send_each(self._others, telling, None)
        for revision, crowd in self._crowds.items():
            if crowd:
                form = Form.WEBSOCKET_4 if revision == 4 else Form.WEBSOCKET_3
                # Only clients of today may come back: 2.x has no word for it.
                crowd.send_frame((telling.logged if revision == 4 else telling.plain).written(form))

    def _send_each(self, sockets: dict[Socket, None], telling: Telling, but: Socket | None) -> None:
        for socket in sockets:
            if socket is not but:
                socket.send(telling.to(socket), self.name)

    def _gather(self, crowds: dict[int, Crowd]) -> None:
        """Put those together who have come to a WebSocket."""
        for socket in list(self._others):
            connection = socket.session.connection
            if isinstance(connection, Connection) and not socket.is_waiting:
                del self._others[socket]
                crowd = crowds.get(socket.revision)
                if crowd is None:
                    crowd = crowds[socket.revision] = Crowd(connection.factory.messages_sent)
                crowd.join(connection)

    def __iter__(self) -> Iterator[Socket]:
        return iter(list(self._members))

    def __len__(self) -> int:
        return len(self._members)
