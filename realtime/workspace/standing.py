"""How present a user looks in a workspace: the most present of what its connections say.

Each workspace is a group of presence. Its members are what is said there, ``online.7`` or ``idle.7``; who says
``offline`` is not counted. `Standing` is what one connection says in all workspaces of its user. `Lookout` is
how everybody looks in one workspace, as this process sees it: what it follows there is all it tells from. So
each change is told once, whoever made it: a connection, on whatever process, or the death of a process. And
after a gap what is told is the difference.

Who no longer belongs to a workspace is no longer counted there, but is not offline for that. It is ``moved.7``
for as long as it takes to say nothing any more, and that is told to nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.following import Following
from realtime.cluster.presence import Presence
from realtime.workspace.messages import OnlineStatus

_SHOWN: Final = {OnlineStatus.ONLINE: 1, OnlineStatus.IDLE: 2}
"""What is counted, the most present first; each has a bit in what is known of a user."""

_RETRY: Final = 2.0
"""Seconds until it is said again what could not be said, as other processes could not be reached."""


_MOVED: Final = "moved"
_MOVED_BIT: Final = 4


def _group(workspace: str) -> str:
    return f"workspace.{workspace}"


def _member(said: str, user_id: object) -> str:
    return f"{said}.{user_id}"


class Standing:
    """What one connection of ``user_id`` says of itself: `OFFLINE`, and nowhere, until it says something.

    What can't be said is said again until it can, or something else is to be said.
    """

    __slots__ = (
        *("_clock", "_groups", "_is_changing", "_is_over", "_presence", "_retry"),
        *("_said", "_status", "_user_id"),
    )
    _log = Logger()

    def __init__(self, presence: Presence, clock: IReactorTime, user_id: int) -> None:
        self._presence = presence
        self._clock = clock
        self._user_id = user_id
        self._status = OnlineStatus.OFFLINE
        self._groups: tuple[str, ...] = ()
        self._said: dict[tuple[str, str], None] = {}
        self._is_changing = False
        self._is_over = False
        self._retry: IDelayedCall | None = None

    async def look(self, status: OnlineStatus) -> None:
        """Say something else. While that is under way what is said last comes next; the rest is left out.

        Raises `ClusterUnavailable`: nobody has been told yet.
        """
        self._status = status
        await self._change()

    def belong(self, workspaces: Iterable[str]) -> None:
        """Say it in these workspaces, and in no other."""
        self._groups = tuple(map(_group, workspaces))
        self._try()

    def end(self) -> None:
        """Say nothing any more."""
        self._is_over = True
        self._try()

    def _try(self) -> None:
        Deferred.fromCoroutine(self._change()).addErrback(self._failed)

    def _try_again(self) -> None:
        self._retry = None
        self._try()

    def _wanted(self) -> dict[tuple[str, str], None]:
        if self._is_over or self._status is OnlineStatus.OFFLINE:
            return {}
        return {(group, _member(self._status, self._user_id)): None for group in self._groups}

    async def _change(self) -> None:
        retry, self._retry = self._retry, None
        if retry is not None:
            retry.cancel()
        if self._is_changing:
            return
        self._is_changing = True
        try:
            while (wanted := self._wanted()) != self._said:
                missing = next((each for each in wanted if each not in self._said), None)
                if missing is not None:
                    await self._presence.enter(*missing)
                    self._said[missing] = None
                else:
                    await self._take_back(next(each for each in self._said if each not in wanted))
        except ClusterUnavailable:
            if self._wanted() != self._said:
                self._retry = self._clock.callLater(_RETRY, self._try_again)
            raise
        finally:
            self._is_changing = False

    async def _take_back(self, said: tuple[str, str]) -> None:
        group, _ = said
        moved = (group, _member(_MOVED, self._user_id))
        is_moved = group not in self._groups
        if is_moved:
            await self._presence.enter(*moved)
        del self._said[said]
        for each in (said, moved) if is_moved else (said,):
            self._presence.leave(*each).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(ClusterUnavailable):
            self._log.failure(
                "workspace: how user {user_id} looks is not known", failure, user_id=self._user_id
            )


class Lookout:
    """How the users of a workspace look, as far as that has changed since this began.

    ``tell`` is called with the id of each user that looks different now, at the end of a turn.
    """

    __slots__ = ("_clock", "_following", "_looked", "_says", "_tell", "_telling")

    def __init__(
        self,
        presence: Presence,
        clock: IReactorTime,
        workspace: str,
        tell: Callable[[str, OnlineStatus], None],
    ) -> None:
        self._clock = clock
        self._tell = tell
        self._says: dict[str, int] = {}
        # How those looked whose connections have said something since the last turn.
        self._looked: dict[str, OnlineStatus] = {}
        self._telling: IDelayedCall | None = None
        self._following = Following(
            presence=presence,
            group=_group(workspace),
            changed=self._changed,
            found=lambda member: self._note(member, is_said=True),
            clock=clock,
        )

    def unsettle(self) -> None:
        """Tell of nobody's going for a while: see `Following.unsettle`."""
        self._following.unsettle()

    def stop(self) -> None:
        """Look no more."""
        self._following.stop()
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None

    def _changed(self, member: str, is_said: bool) -> None:
        user_id, before = self._note(member, is_said=is_said)
        says = self._says.get(user_id, 0)
        if says & _MOVED_BIT:
            self._looked[user_id] = _most_present(says)  # which is nobody's concern here
        else:
            self._looked.setdefault(user_id, before)
        if self._telling is None:
            self._telling = self._clock.callLater(0, self._tell_all)

    def _note(self, member: str, *, is_said: bool) -> tuple[str, OnlineStatus]:
        """Note what somebody says, or says no more; return who that is, and how it looked before."""
        said, _, user_id = member.partition(".")
        before = self._says.get(user_id, 0)
        bit = _MOVED_BIT if said == _MOVED else _SHOWN[OnlineStatus(said)]
        now = before | bit if is_said else before & ~bit
        if now:
            self._says[user_id] = now
        else:
            self._says.pop(user_id, None)
        return user_id, _most_present(before)

    def _tell_all(self) -> None:
        self._telling = None
        looked, self._looked = self._looked, {}
        for user_id, before in looked.items():
            now = _most_present(self._says.get(user_id, 0))
            if now is not before:
                self._tell(user_id, now)


async def statuses_of(presence: Presence, workspace: str, user_ids: Iterable[str]) -> list[OnlineStatus]:
    """Return how each of some users looks in a workspace. Raises `ClusterUnavailable`."""
    users, group = list(user_ids), _group(workspace)
    asked = [presence.is_present(group, _member(status, user)) for user in users for status in _SHOWN]
    try:
        answers = await gatherResults(asked, consumeErrors=True)
    except FirstError as error:
        error.subFailure.raiseException()
    return [
        OnlineStatus.ONLINE if is_online else OnlineStatus.IDLE if is_idle else OnlineStatus.OFFLINE
        for is_online, is_idle in zip(answers[::2], answers[1::2], strict=True)
    ]


def _most_present(says: int) -> OnlineStatus:
    return next((status for status, bit in _SHOWN.items() if says & bit), OnlineStatus.OFFLINE)
