"""The presence of several processes, in Redis.

A process counts its own connections; Redis counts the processes that have a member. So a second connection of a
member here costs Redis nothing. The change itself publishes what watchers hear, with its number; a process
that watches a group keeps who is in it, as its watchers were told (`redis_roster`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from realtime.cluster.presence import Watcher
from realtime.cluster.redis_channels import Channels
from realtime.cluster.redis_operations import Arguments
from realtime.cluster.redis_process import RedisProcess
from realtime.cluster.redis_roster import Roster
from realtime.cluster.redis_scripts import (
    CHUNK,
    ENTER,
    ENTER_AGAIN,
    IS_PRESENT,
    LEAVE,
    MEMBERS,
    Names,
    Script,
)

_Key = tuple[str, str]


class _Here:
    """The connections of a member here. ``waiting``: those that wait for the first to be entered, if any."""

    __slots__ = ("count", "waiting")

    def __init__(self) -> None:
        self.count = 0
        self.waiting: list[Deferred[bool]] | None = []


class RedisPresence:
    """Presence in all processes.

    While Redis is away nobody can enter (see `RedisProcess.perform`); who leaves has left, and is told so
    when it is back. Who cancels an `enter` under way has left.
    """

    def __init__(self, names: Names, channels: Channels, process: RedisProcess) -> None:
        self._names = names
        self._channels = channels
        self._process = process
        self._here: dict[_Key, _Here] = {}
        # What Redis has of this process, as far as its answers say.
        self._entered: set[_Key] = set()

    def enter(self, group: str, member: str) -> Deferred[bool]:
        """See :meth:`Presence.enter`."""
        key = (group, member)
        here = self._here.get(key)
        if here is not None and here.waiting is None:
            here.count += 1
            return succeed(False)
        is_new = here is None
        if here is None:
            here = self._here[key] = _Here()
        here.count += 1
        answer: Deferred[bool] = Deferred(lambda _: self._withdraw(key))
        assert here.waiting is not None
        here.waiting.append(answer)
        if is_new:
            entered = self._process.perform(ENTER, group, member, undo=LEAVE)
            entered.addCallbacks(self._has_entered, self._has_not_entered, (key, here), {}, (key, here))
        return answer

    def _has_entered(self, was_first: int, key: _Key, here: _Here) -> None:
        self._entered.add(key)
        waiting, here.waiting = here.waiting, None
        for answer in waiting or ():
            if not answer.called:
                answer.callback(bool(was_first))
            was_first = 0

    def _has_not_entered(self, failure: Failure, key: _Key, here: _Here) -> None:
        if self._here.get(key) is here:
            del self._here[key]
        waiting, here.waiting = here.waiting, None
        for answer in waiting or ():
            if not answer.called:
                answer.errback(failure.value)

    def _withdraw(self, key: _Key) -> None:
        if key in self._here:
            self.leave(*key).addErrback(lambda _: None)

    def leave(self, group: str, member: str) -> Deferred[bool]:
        """See :meth:`Presence.leave`. It waits for a Redis that is away as long as it takes."""
        key = (group, member)
        here = self._here[key]
        here.count -= 1
        if here.count:
            return succeed(False)
        del self._here[key]

        def left(was_last: int) -> bool:
            self._entered.discard(key)
            return bool(was_last)

        return self._process.perform(LEAVE, group, member, patient=True).addCallback(left)

    def members(self, group: str) -> Deferred[frozenset[str]]:
        """See :meth:`Presence.members`."""
        asked = self._process.ask(MEMBERS, group)
        return asked.addCallback(lambda found: frozenset(each.decode() for each in found))

    def is_present(self, group: str, member: str) -> Deferred[bool]:
        """See :meth:`Presence.is_present`."""
        return self._process.ask(IS_PRESENT, group, member).addCallback(bool)

    def watch(self, group: str, watcher: Watcher) -> Callable[[], None]:
        """See :meth:`Presence.watch`. After a gap the watcher is told what has changed meanwhile."""
        name = self._names.presence(group)
        roster = self._channels.get(name)
        if not isinstance(roster, Roster) or not roster.is_wanted:
            roster = Roster(name, group, self._process)
            roster.begin()
            self._channels.replace(roster)
        kept = roster
        place = kept.add(watcher)

        def unwatch() -> None:
            if kept.remove(place):
                self._channels.unwant(kept)

        return unwatch

    def compare(self) -> None:
        """Have all watchers told of what has changed: what Redis had was perhaps lost."""
        for channel in self._channels.wanted():
            if isinstance(channel, Roster) and channel.is_carried:
                channel.carried(after_gap=True)

    def restored(self) -> Iterable[tuple[Script, Arguments]]:
        """Return the operations that enter again what Redis had."""
        keys = list(self._entered)
        for start in range(0, len(keys), CHUNK):
            yield ENTER_AGAIN, tuple(text for key in keys[start : start + CHUNK] for text in key)
