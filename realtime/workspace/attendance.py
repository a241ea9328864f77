"""Where one authenticated connection is: in which rooms, and how present it looks there."""

from __future__ import annotations

from realtime.accounts.store import User
from realtime.cluster.bus import Subscription
from realtime.workspace.hub import Moved, room_of_private, room_of_user, room_of_workspace
from realtime.workspace.messages import OnlineStatus, StatusUpdated
from realtime.workspace.parts import Parts, Peer
from realtime.workspace.standing import Standing


class Attendance:
    """The attendance of ``peer``, a connection of ``user_id``."""

    __slots__ = ("_is_over", "_moves", "_parts", "_peer", "_rooms", "_standing", "_user_id")

    def __init__(self, peer: Peer, parts: Parts, user_id: int) -> None:
        self._peer = peer
        self._parts = parts
        self._user_id = user_id
        self._rooms: dict[str, None] = {}
        self._standing = Standing(parts.presence, user_id)
        self._moves: Subscription | None = None
        self._is_over = False

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms it is in."""
        return frozenset(self._rooms)

    async def go_in(self, user: User) -> None:
        """Join the rooms of all places where the user belongs; what moves it meanwhile is not missed."""
        moves = self._moves = self._parts.hub.follow(self._user_id, self._moved)
        await moves.active
        places = await self._parts.membership.places(user)
        if not self._is_over:
            self._join(room_of_user(self._user_id))
            for workspace in places.workspaces:
                self._join(room_of_workspace(workspace))
            for channel_id in places.channels:
                self._join(room_of_private(channel_id))

    async def look(self, status: OnlineStatus) -> None:
        """Look as the client wants to, and tell the workspaces if that changes how its user looks."""
        if not self._is_over:
            await self._look(status, tuple(self._rooms))

    async def go_out(self) -> None:
        """Leave all rooms, and look offline."""
        self._is_over = True
        if self._moves is not None:
            self._moves.cancel()
        rooms = tuple(self._rooms)
        for room in rooms:
            self._leave(room)
        await self._look(OnlineStatus.OFFLINE, rooms)

    async def _look(self, status: OnlineStatus, rooms: tuple[str, ...]) -> None:
        shown = await self._standing.change(status)
        if shown is not None:
            update = StatusUpdated(str(self._user_id), shown)
            for room in rooms:
                if room.startswith(room_of_workspace("")):
                    self._parts.hub.tell(room, "online-status-updated", update)

    def _moved(self, moved: Moved) -> None:
        for room in moved.joins:
            self._join(room)
        for room in moved.leaves:
            self._leave(room)

    def _join(self, room: str) -> None:
        if room not in self._rooms:
            self._rooms[room] = None
            self._parts.hub.entered([room])
            self._peer.join(room)

    def _leave(self, room: str) -> None:
        if room in self._rooms:
            del self._rooms[room]
            self._peer.leave(room)
            self._parts.hub.left([room])
