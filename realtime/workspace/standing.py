"""How present a user looks: the most present of what its connections say.

Presence counts the connections of each user that say ``online``, and those that say ``idle``; who says
``offline`` is not counted. Of all the changes of a user's connections, on whatever processes, those that change
how it looks are known to the connection that made them: it was the first or the last of its kind.
"""

from __future__ import annotations

from typing import Final

from realtime.cluster.presence import Presence
from realtime.workspace.messages import OnlineStatus

_RANK: Final = {OnlineStatus.OFFLINE: 0, OnlineStatus.IDLE: 1, OnlineStatus.ONLINE: 2}


def _group(status: OnlineStatus) -> str:
    return f"workspace.{status.value}"


class Standing:
    """What one connection of ``user_id`` says of itself; `OFFLINE` until it says something."""

    __slots__ = ("_member", "_presence", "status")

    def __init__(self, presence: Presence, user_id: int) -> None:
        self._presence = presence
        self._member = str(user_id)
        self.status = OnlineStatus.OFFLINE

    async def change(self, status: OnlineStatus) -> OnlineStatus | None:
        """Say something else; returns how the user looks now, or ``None`` if it looks as before."""
        before, self.status = self.status, status
        if before is status:
            return None
        came = status is not OnlineStatus.OFFLINE and await self._presence.enter(_group(status), self._member)
        went = before is not OnlineStatus.OFFLINE and await self._presence.leave(_group(before), self._member)
        if _RANK[status] > _RANK[before]:
            if not came or (status is OnlineStatus.IDLE and await self._is(OnlineStatus.ONLINE)):
                return None
            return status
        if not went or (before is OnlineStatus.IDLE and await self._is(OnlineStatus.ONLINE)):
            return None
        if status is OnlineStatus.OFFLINE and await self._is(OnlineStatus.IDLE):
            return OnlineStatus.IDLE if before is OnlineStatus.ONLINE else None
        return status

    async def _is(self, status: OnlineStatus) -> bool:
        return await self._presence.is_present(_group(status), self._member)


async def status_of(presence: Presence, user_id: str) -> OnlineStatus:
    """Return how a user looks."""
    for status in (OnlineStatus.ONLINE, OnlineStatus.IDLE):
        if await presence.is_present(_group(status), user_id):
            return status
    return OnlineStatus.OFFLINE
