"""Several processes that are one server, in memory, for tests of pure rules: each may be cut off, and may die.

What the processes share holds as with Redis: what fails while one is cut off, what waits, what is given up, who
is told. Everything happens at once, in the order of the calls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from msgspec import Struct
from twisted.internet.defer import Deferred, fail, succeed

from realtime.cluster.bus import MemoryBus, Subscription, Topic
from realtime.cluster.cluster import Freed
from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.presence import Watcher

T = TypeVar("T")
_Key = tuple[str, str]


class Shared:
    """What Redis has: who entered what, who holds what and by which process."""

    def __init__(self) -> None:
        self.processes: list[Separable] = []
        self.entered: defaultdict[_Key, set[Separable]] = defaultdict(set)
        self.held: dict[str, tuple[Separable, str]] = {}

    def process(self) -> Separable:
        """Start another process."""
        process = Separable(self)
        self.processes.append(process)
        return process

    def count(self, key: _Key, process: Separable, *, enters: bool) -> bool:
        """Let a process enter or leave a group; return whether it was the first or last; tell."""
        before = bool(self.entered[key])
        (self.entered[key].add if enters else self.entered[key].discard)(process)
        changed = before is not bool(self.entered[key])
        if changed:
            for each in self.processes:
                each.tell_watchers(key, enters)
        return changed

    def bury(self, dead: Separable) -> None:
        """Take back what a process has; another one is told of its leases."""
        for key in [key for key, processes in self.entered.items() if dead in processes]:
            self.count(key, dead, enters=False)
        freed = {name: holder for name, (process, holder) in self.held.items() if process is dead}
        for name in freed:
            del self.held[name]
        others = [each for each in self.processes if each is not dead and not each.is_cut]
        if others and freed:
            others[0].tell_freed(freed)

    def forget(self) -> None:
        """Lose everything, as a Redis that was restarted has: all processes find themselves dead."""
        self.held.clear()
        self.entered.clear()
        for each in self.processes:
            each.begin_again()


class Separable:
    """A process: a cluster as seen from it, and its bus, presence and leases. See `Cluster`."""

    def __init__(self, shared: Shared) -> None:
        self.is_cut = False
        self._shared = shared
        self._local = MemoryBus()
        self._gaps: dict[object, Callable[[], None]] = {}
        self._unsent = False
        self._counts: defaultdict[_Key, int] = defaultdict(int)
        self._watchers: list[tuple[str, Watcher]] = []
        self._freed: list[tuple[str, Freed]] = []
        self._lost: list[Callable[[], None]] = []
        self._patient: list[Callable[[], None]] = []
        self._was_buried = False

    @property
    def bus(self) -> Any:
        """Itself."""
        return self

    presence = leases = bus

    # -- what happens to it --------------------------------------------------------------------

    def cut(self) -> None:
        """Lose the connection to Redis."""
        self.is_cut = True

    def give_up(self) -> None:
        """While it is cut off: the others take it for dead."""
        self._was_buried = True
        self._shared.bury(self)

    def heal(self) -> None:
        """Have the connection again; then what waited is done, and gaps are told."""
        self.is_cut = False
        if self._was_buried:
            self._was_buried = False
            self.begin_again()
        patient, self._patient = self._patient, []
        for do in patient:
            do()
        unsent, self._unsent = self._unsent, False
        for each in self._shared.processes if unsent else [self]:
            each.tell_gap()

    def die(self) -> None:
        """Say no more."""
        self.cut()
        self._shared.processes.remove(self)
        self._shared.bury(self)

    def begin_again(self) -> None:
        """Enter again what was entered, and tell what was lost."""
        for key, count in list(self._counts.items()):
            if count:
                self._shared.count(key, self, enters=True)
        for lost in self._lost:
            lost()

    def tell_gap(self) -> None:
        """Call every gap."""
        for gap in list(self._gaps.values()):
            gap()

    def tell_freed(self, leases: Mapping[str, str]) -> None:
        """Tell of a dead process's leases."""
        for begins, freed in self._freed:
            freed({name: holder for name, holder in leases.items() if name.startswith(begins)})

    def tell_watchers(self, key: _Key, is_present: bool) -> None:
        """Tell of a change of presence, unless it can't be heard."""
        for group, watcher in self._watchers:
            if group == key[0] and not self.is_cut:
                watcher(key[1], is_present)

    # -- the cluster ---------------------------------------------------------------------------

    def when_freed(self, begins: str, freed: Freed) -> None:
        """See `Cluster`."""
        self._freed.append((begins, freed))

    def when_lost(self, lost: Callable[[], None]) -> None:
        """See `Cluster`."""
        self._lost.append(lost)

    def start(self) -> None:
        """See `Cluster`."""

    def stop(self) -> Deferred[None]:
        """See `Cluster`."""
        return succeed(None)

    def check(self) -> Deferred[None]:
        """See `Cluster`."""
        return self._do(lambda: None)

    def _do(self, work: Callable[[], T], *, patient: bool = False) -> Deferred[T]:
        if not self.is_cut:
            return succeed(work())
        if not patient:
            return fail(ClusterUnavailable("cut off"))
        waits: Deferred[T] = Deferred()

        def do() -> None:
            result = work()
            if not waits.called:
                waits.callback(result)

        self._patient.append(do)
        return waits

    # -- the bus -------------------------------------------------------------------------------

    def publish(self, topic: Topic[Any], message: Struct) -> None:
        """See `Bus`."""
        self._local.publish(topic, message)
        self._unsent = self._unsent or self.is_cut
        for each in self._shared.processes:
            if each is not self and not self.is_cut and not each.is_cut:
                each._local.publish(topic, message)

    def subscribe(
        self, topic: Topic[Any], listener: Callable[[Any], None], gap: Callable[[], None] | None = None
    ) -> Subscription:
        """See `Bus`."""
        subscription = _Subscription(self._gaps, self._local.subscribe(topic, listener))
        if gap is not None:
            self._gaps[subscription] = gap
        return subscription

    def __len__(self) -> int:
        """The number of topics that somebody listens to."""
        return len(self._local)

    # -- presence ------------------------------------------------------------------------------

    def enter(self, group: str, member: str) -> Deferred[bool]:
        """See `Presence`."""
        key = (group, member)

        def enter() -> bool:
            self._counts[key] += 1
            return self._counts[key] == 1 and self._shared.count(key, self, enters=True)

        return self._do(enter)

    def leave(self, group: str, member: str) -> Deferred[bool]:
        """See `Presence`."""
        key = (group, member)
        self._counts[key] -= 1
        if self._counts[key]:
            return succeed(False)
        del self._counts[key]
        return self._do(lambda: self._shared.count(key, self, enters=False), patient=True)

    def members(self, group: str) -> Deferred[frozenset[str]]:
        """See `Presence`."""
        return self._do(lambda: frozenset(key[1] for key, here in self._shared.entered.items() if here))

    def is_present(self, group: str, member: str) -> Deferred[bool]:
        """See `Presence`."""
        return self._do(lambda: bool(self._shared.entered[group, member]))

    def watch(self, group: str, watcher: Watcher) -> Callable[[], None]:
        """See `Presence`."""
        watching = (group, watcher)
        self._watchers.append(watching)
        return lambda: self._watchers.remove(watching)

    # -- leases --------------------------------------------------------------------------------

    def take(self, name: str, holder: str) -> Deferred[str | None]:
        """See `Leases`."""

        def take() -> str | None:
            before = self._shared.held.get(name)
            self._shared.held[name] = self, holder
            return before and before[1]

        return self._do(take)

    def claim(self, name: str, holder: str, instead_of: str | None = None) -> Deferred[str]:
        """See `Leases`."""

        def claim() -> str:
            before = self._shared.held.get(name)
            if before is None or before[1] in (holder, instead_of):
                self._shared.held[name] = self, holder
            return self._shared.held[name][1]

        return self._do(claim)

    def release(self, name: str, holder: str) -> Deferred[bool]:
        """See `Leases`."""

        def release() -> bool:
            held = self._shared.held.get(name)
            if held is None or held[1] != holder:
                return False
            del self._shared.held[name]
            return True

        return self._do(release, patient=True)

    def release_all(self, holder: str) -> Deferred[list[str]]:
        """See `Leases`."""

        def release() -> list[str]:
            names = [name for name, held in self._shared.held.items() if held[1] == holder]
            for name in names:
                del self._shared.held[name]
            return names

        return self._do(release, patient=True)

    def holder(self, name: str) -> Deferred[str | None]:
        """See `Leases`."""
        return self._do(lambda: self._shared.held[name][1] if name in self._shared.held else None)

    def holders(self, names: Iterable[str]) -> Deferred[Mapping[str, str]]:
        """See `Leases`."""
        asked = list(names)
        return self._do(
            lambda: {name: self._shared.held[name][1] for name in asked if name in self._shared.held}
        )


class _Subscription:
    def __init__(self, gaps: dict[object, Callable[[], None]], local: Subscription) -> None:
        self._gaps = gaps
        self._local = local

    @property
    def active(self) -> Deferred[None]:
        return succeed(None)

    def cancel(self) -> None:
        self._gaps.pop(self, None)
        self._local.cancel()
