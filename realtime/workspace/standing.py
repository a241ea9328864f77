"""How present a user looks: the most present of what its connections say.

Presence counts the connections of each user that say ``online``, and those that say ``idle``; who says
``offline`` is not counted. A connection that was the first or the last of its kind, on whatever process, may
have changed how its user looks: it asks, and tells if so. What it has told may be untrue by then, by what
others do at the same moment: so it asks once more after each time, until what it told is what is. Whoever
makes the last change is never passed over, and so the last that is told is true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from twisted.internet.defer import FirstError, gatherResults

from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.presence import Presence
from realtime.workspace.messages import OnlineStatus

_SHOWN: Final = (OnlineStatus.ONLINE, OnlineStatus.IDLE)
"""What is counted, the most present first."""


def _group(status: OnlineStatus) -> str:
    return f"workspace.{status.value}"


class Standing:
    """What one connection of ``user_id`` says of itself; `OFFLINE` until it says something.

    ``tell`` is called with how the user looks now, when that has changed by what this connection says.
    """

    __slots__ = ("_is_changing", "_member", "_presence", "_says", "_tell", "_wanted")

    def __init__(self, presence: Presence, user_id: int, tell: Callable[[OnlineStatus], None]) -> None:
        self._presence = presence
        self._member = str(user_id)
        self._tell = tell
        self._says = OnlineStatus.OFFLINE
        self._wanted = OnlineStatus.OFFLINE
        self._is_changing = False

    async def change(self, status: OnlineStatus) -> None:
        """Say something else. What is wanted last while that is under way comes next; the rest is left out.

        Raises `ClusterUnavailable`: nobody was told, and it may still say what it said before. But who says
        `OFFLINE` is not counted any more, whatever happens.
        """
        self._wanted = status
        if self._is_changing:
            return
        self._is_changing = True
        try:
            while self._says is not self._wanted:
                wanted = self._wanted
                try:
                    await self._say(wanted)
                except ClusterUnavailable:
                    if wanted is self._wanted:
                        self._wanted = self._says
                        raise
        finally:
            self._is_changing = False

    async def _say(self, status: OnlineStatus) -> None:
        before, offline = self._says, OnlineStatus.OFFLINE
        came = status is not offline and await self._presence.enter(_group(status), self._member)
        self._says = status
        went = before is not offline and await self._presence.leave(_group(before), self._member)
        if not came and not went:
            return
        now = await _those_of(self._presence, self._member)
        then = set(now) - ({status} if came else set()) | ({before} if went else set())
        told, shown = _most_present(then), _most_present(now)
        while shown is not told:
            told = shown
            self._tell(told)
            shown = _most_present(await _those_of(self._presence, self._member))


async def statuses_of(presence: Presence, user_ids: Iterable[str]) -> list[OnlineStatus]:
    """Return how each of some users looks. Raises `ClusterUnavailable`."""
    members = list(user_ids)
    asked = [presence.is_present(_group(status), member) for status in _SHOWN for member in members]
    try:
        answers = await gatherResults(asked, consumeErrors=True)
    except FirstError as error:
        error.subFailure.raiseException()
    online, idle = answers[: len(members)], answers[len(members) :]
    return [
        OnlineStatus.ONLINE if is_online else OnlineStatus.IDLE if is_idle else OnlineStatus.OFFLINE
        for is_online, is_idle in zip(online, idle, strict=True)
    ]


async def _those_of(presence: Presence, member: str) -> Sequence[OnlineStatus]:
    return [status for status in _SHOWN if await presence.is_present(_group(status), member)]


def _most_present(statuses: Iterable[OnlineStatus]) -> OnlineStatus:
    return next((status for status in _SHOWN if status in statuses), OnlineStatus.OFFLINE)
