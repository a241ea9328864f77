"""Where one authenticated connection is: in which rooms, and how present it looks there.

What its user is told to join or to leave it does at once; then, and when some of that may have been lost, it
looks up where it belongs, for what was told may have come in another order than it was done.
"""

from __future__ import annotations

from collections.abc import Iterable

from realtime.accounts.store import User
from realtime.cluster.bus import Subscription
from realtime.workspace.hub import Moved, room_of_private, room_of_user, room_of_workspace, workspaces_of
from realtime.workspace.membership import Places
from realtime.workspace.messages import OnlineStatus
from realtime.workspace.parts import Parts, Peer
from realtime.workspace.standing import Standing


class Attendance:
    """The attendance of ``peer``, a connection of ``user``."""

    __slots__ = (
        *("_is_in", "_is_looking", "_is_over", "_moves", "_parts", "_peer"),
        *("_rooms", "_standing", "_user", "_was_moved"),
    )

    def __init__(self, peer: Peer, parts: Parts, user: User) -> None:
        self._peer = peer
        self._parts = parts
        self._user = user
        self._rooms: dict[str, None] = {}
        self._standing = Standing(parts.presence, parts.clock, user.id)
        self._moves: Subscription | None = None
        self._is_in = False
        self._is_looking = True
        self._was_moved = False
        self._is_over = False

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms it is in."""
        return frozenset(self._rooms)

    async def go_in(self) -> None:
        """Join the rooms of all places where the user belongs.

        Nothing that is told there is heard before, and nothing is missed once this returns. May fail with
        `StorageUnavailable`; then `go_out` is still to be called.
        """
        moves = self._moves = self._parts.hub.follow(self._user.id, self._moved)
        await moves.active
        await self._look_up()
        if not self._is_over:
            await self._parts.hub.carried(self._rooms)
        if not self._is_over:
            self._is_in = True
            for room in self._rooms:
                self._peer.join(room)

    async def look(self, status: OnlineStatus) -> None:
        """Look as the client wants to. Raises `ClusterUnavailable`."""
        if not self._is_over:
            await self._standing.look(status)

    def go_out(self) -> None:
        """Leave all rooms, and look offline."""
        self._is_over = True
        if self._moves is not None:
            self._moves.cancel()
        for room in self._rooms:
            self._leave(room)
        self._rooms = {}
        self._standing.end()

    # -- rooms ---------------------------------------------------------------------------------

    def _moved(self, moved: Moved) -> None:
        if self._rooms:  # else it is about to be told where it belongs
            if moved.told is not None and self._is_in and not self._rooms.keys() >= set(moved.joins):
                self._peer.emit(moved.told.event, moved.told.payload)
            self._change(moved.joins, moved.leaves)
        self._was_moved = True
        if not self._is_looking:
            self._is_looking = True
            self._parts.hub.in_turn(self._look_up_again)

    async def _look_up_again(self) -> bool:
        # Until it can be known it is where it was told to be.
        self._is_looking = True
        await self._look_up()
        return True

    async def _look_up(self) -> None:
        """Be in all rooms where the user belongs, and in no other; again if it is moved meanwhile."""
        try:
            while not self._is_over:
                self._was_moved = False
                places = await self._parts.membership.places(self._user)
                if not self._was_moved:
                    self._be_in(places)
                    break
        finally:
            self._is_looking = False

    def _be_in(self, places: Places) -> None:
        if self._is_over:
            return
        belongs = {
            room_of_user(self._user.id): None,
            **{room_of_workspace(workspace): None for workspace in places.workspaces},
            **{room_of_private(channel_id): None for channel_id in places.channels},
        }
        self._change(belongs, [room for room in self._rooms if room not in belongs])

    def _change(self, joins: Iterable[str], leaves: Iterable[str]) -> None:
        is_moved = bool(self._rooms)
        for room in joins:
            if room not in self._rooms:
                self._rooms[room] = None
                self._parts.hub.entered([room], is_moved=is_moved)
                if self._is_in:
                    self._peer.join(room)
        for room in leaves:
            if room in self._rooms:
                self._leave(room)
                del self._rooms[room]
        self._standing.belong(workspaces_of(self._rooms))

    def _leave(self, room: str) -> None:
        if self._is_in:
            self._peer.leave(room)
        self._parts.hub.left([room])
