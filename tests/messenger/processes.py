"""Several processes on one cluster: what one does reaches another when the test says so, in any order allowed.

Bus, presence and leases are connections of their own: what comes by one may overtake what comes by another.
Of each, everything arrives in order. A bus carries to its own process at once, as `Bus` promises.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred, succeed

from realtime.cluster.bus import MemoryBus, Message, Subscription, Topic
from realtime.cluster.leases import MemoryLeases
from realtime.cluster.presence import Watcher

T = TypeVar("T")
Queue = deque[Callable[[], None]]


class Cluster:
    """What all processes share."""

    def __init__(self, number: int) -> None:
        self.present: Counter[tuple[str, str]] = Counter()
        self.leases = MemoryLeases()
        self.processes: list[Process] = []
        for _ in range(number):
            self.add()

    def add(self) -> Process:
        """Start another process."""
        process = Process(self)
        self.processes.append(process)
        return process

    def forget_leases(self) -> None:
        """Lose who holds what, as a Redis does that is restarted; what it has not answered is asked again."""
        while any(process.carry_one("leases") for process in self.processes):
            pass
        for name, holder in list(self.leases._holders.items()):
            self.leases.release(name, holder)

    def carry(self) -> None:
        """Have everything arrive, and what follows from that."""
        while any(process.carry_one(kind) for process in self.processes for kind in process.queues):
            pass


class Process:
    """One process; what is on its way to it stands in its queues."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.queues: dict[str, Queue] = {kind: deque() for kind in ("bus", "events", "presence", "leases")}
        self.bus = _ProcessBus(self)
        self.presence = _ProcessPresence(self)
        self.leases = _ProcessLeases(self)

    def carry_one(self, kind: str) -> bool:
        """Have the next thing of a kind arrive; return whether there was one."""
        if not self.queues[kind]:
            return False
        self.queues[kind].popleft()()
        return True

    def lose(self) -> None:
        """Lose what the bus has for this process, and learn that."""
        self.queues["bus"].clear()
        for gap in list(self.bus.gaps.values()):
            gap()

    def answer(self, kind: str, result: T) -> Deferred[T]:
        """Return what fires later."""
        answer: Deferred[T] = Deferred()

        def fire() -> None:
            if not answer.called:
                answer.callback(result)

        self.queues[kind].append(fire)
        return answer


class _ProcessBus:
    def __init__(self, process: Process) -> None:
        self._process = process
        self.local = MemoryBus()
        self.gaps: dict[object, Callable[[], None]] = {}

    def publish(self, topic: Topic[Message], message: Message) -> None:
        """See `Bus.publish`."""
        for other in self._process.cluster.processes:
            if other is not self._process:
                # As it comes out of a network: of the topic's type, by its form alone.
                copy = msgspec.json.decode(msgspec.json.encode(message), type=topic.message)
                other.queues["bus"].append(partial(other.bus.local.publish, topic, copy))
        self.local.publish(topic, message)

    def subscribe(
        self,
        topic: Topic[Message],
        listener: Callable[[Message], None],
        gap: Callable[[], None] | None = None,
    ) -> Subscription:
        """See `Bus.subscribe`."""
        subscription = _ProcessSubscription(self, self.local.subscribe(topic, listener))
        if gap is not None:
            self.gaps[subscription] = gap
        return subscription


class _ProcessSubscription:
    def __init__(self, bus: _ProcessBus, local: Subscription) -> None:
        self._bus = bus
        self._local = local

    @property
    def active(self) -> Deferred[None]:
        return succeed(None)

    def cancel(self) -> None:
        self._bus.gaps.pop(self, None)
        self._local.cancel()


class _ProcessPresence:
    def __init__(self, process: Process) -> None:
        self._process = process
        self._watchers: dict[object, tuple[str, Watcher]] = {}

    def enter(self, group: str, member: str) -> Deferred[bool]:
        """See `Presence.enter`."""
        present = self._process.cluster.present
        present[group, member] += 1
        first = present[group, member] == 1
        if first:
            self._tell(group, member, present=True)
        return self._process.answer("presence", first)

    def leave(self, group: str, member: str) -> Deferred[bool]:
        """See `Presence.leave`."""
        present = self._process.cluster.present
        assert present[group, member], "who has not entered leaves"
        present[group, member] -= 1
        last = not present[group, member]
        if last:
            self._tell(group, member, present=False)
        return self._process.answer("presence", last)

    def members(self, group: str) -> Deferred[frozenset[str]]:
        """See `Presence.members`."""
        present = self._process.cluster.present
        found = frozenset(member for (where, member), count in present.items() if where == group and count)
        return self._process.answer("presence", found)

    def is_present(self, group: str, member: str) -> Deferred[bool]:
        """See `Presence.is_present`."""
        return self._process.answer("presence", self._process.cluster.present[group, member] > 0)

    def watch(self, group: str, watcher: Watcher) -> Callable[[], None]:
        """See `Presence.watch`."""
        place = object()
        self._watchers[place] = (group, watcher)

        def unwatch() -> None:
            self._watchers.pop(place, None)

        return unwatch

    def _tell(self, group: str, member: str, *, present: bool) -> None:
        for process in self._process.cluster.processes:
            for where, watcher in list(process.presence._watchers.values()):
                if where == group:
                    process.queues["events"].append(partial(watcher, member, present))


class _ProcessLeases:
    def __init__(self, process: Process) -> None:
        self._process = process

    def _later(self, done: Deferred[T]) -> Deferred[T]:
        results: list[Any] = []
        done.addCallback(results.append)
        return self._process.answer("leases", results[0])

    def take(self, name: str, holder: str) -> Deferred[str | None]:
        """See `Leases.take`."""
        return self._later(self._process.cluster.leases.take(name, holder))

    def claim(self, name: str, holder: str, instead_of: str | None = None) -> Deferred[str]:
        """See `Leases.claim`."""
        return self._later(self._process.cluster.leases.claim(name, holder, instead_of))

    def release(self, name: str, holder: str) -> Deferred[bool]:
        """See `Leases.release`."""
        return self._later(self._process.cluster.leases.release(name, holder))

    def release_all(self, holder: str) -> Deferred[list[str]]:
        """See `Leases.release_all`."""
        return self._later(self._process.cluster.leases.release_all(holder))

    def holder(self, name: str) -> Deferred[str | None]:
        """See `Leases.holder`."""
        return self._later(self._process.cluster.leases.holder(name))

    def holders(self, names: Iterable[str]) -> Deferred[Mapping[str, str]]:
        """See `Leases.holders`."""
        return self._later(self._process.cluster.leases.holders(names))
