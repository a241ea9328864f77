"""How present a user looks: whatever its connections say, each change is told once, and leads to the truth."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.following import SETTLE_SECONDS
from realtime.cluster.presence import MemoryPresence, Watcher
from realtime.workspace.messages import OnlineStatus
from realtime.workspace.standing import Lookout, Standing, statuses_of

T = TypeVar("T")

OFFLINE, IDLE, ONLINE = OnlineStatus.OFFLINE, OnlineStatus.IDLE, OnlineStatus.ONLINE
RANK = [OFFLINE, IDLE, ONLINE]
CONNECTIONS, PROCESSES = 3, 3

statuses = st.sampled_from(OnlineStatus)
said = st.tuples(st.integers(0, CONNECTIONS - 1), statuses)
passing = st.tuples(st.none(), st.integers(0, 3 * PROCESSES - 1))


class Server:
    """What the processes share: it carries out one request after the other."""

    def __init__(self) -> None:
        self.presence = MemoryPresence()
        self.processes = [Process(self) for _ in range(PROCESSES)]

    def under_way(self) -> list[deque[Callable[[], None]]]:
        """All that waits: for the server, or to be delivered by it."""
        return [waits for each in self.processes for waits in (each.asked, each.came, each.events) if waits]

    def settle(self) -> None:
        """Let things happen until nothing is under way."""
        while waiting := self.under_way():
            for each in waiting:
                each.popleft()()
        for each_process in self.processes:
            each_process.clock.advance(0)


class Process:
    """A process of the cluster, which reaches the others through the server; it looks at workspace ``w``.

    What it asks for, and what comes back, takes as long as the test wants, but keeps its order. So do changes,
    which come by a way of their own.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.asked: deque[Callable[[], None]] = deque()
        self.came: deque[Callable[[], None]] = deque()
        self.events: deque[Callable[[], None]] = deque()
        self.told: list[OnlineStatus] = []
        self.away = False
        self.clock = Clock()
        self.lookout = Lookout(self, self.clock, "w", self.tell)

    def tell(self, user_id: str, status: OnlineStatus) -> None:
        """Tell those who are here."""
        assert user_id == "7"
        self.told.append(status)

    def standing(self) -> Standing:
        """What a connection here says, in workspace ``w``."""
        standing = Standing(self, self.clock, 7)
        standing.belong(["w"])
        return standing

    # -- presence, as this process sees it -----------------------------------------------------

    def enter(self, group: str, member: str) -> Deferred[bool]:
        """See `Presence.enter`."""
        return self._ask(lambda: self.server.presence.enter(group, member))

    def leave(self, group: str, member: str) -> Deferred[bool]:
        """See `Presence.leave`."""
        return self._ask(lambda: self.server.presence.leave(group, member), always=True)

    def is_present(self, group: str, member: str) -> Deferred[bool]:
        """See `Presence.is_present`."""
        return self._ask(lambda: self.server.presence.is_present(group, member))

    def members(self, group: str) -> Deferred[frozenset[str]]:
        """See `Presence.members`."""
        return self._ask(lambda: self.server.presence.members(group))

    def watch(self, group: str, watcher: Watcher) -> Callable[[], None]:
        """See `Presence.watch`."""

        def later(member: str, present: bool) -> None:
            self.events.append(lambda: watcher(member, present))

        return self.server.presence.watch(group, later)

    def _ask(self, question: Callable[[], Deferred[T]], *, always: bool = False) -> Deferred[T]:
        answer: Deferred[T] = Deferred()

        def serve() -> None:
            if self.away and not always:
                self.came.append(lambda: answer.errback(ClusterUnavailable()))
            else:
                question().addCallback(lambda result: self.came.append(lambda: answer.callback(result)))

        self.asked.append(serve)
        return answer


class StandingTests(SynchronousTestCase):
    """One user with some connections."""

    def look(self, connection: Standing, status: OnlineStatus) -> Deferred[None]:
        """Have a connection say something."""
        return Deferred.fromCoroutine(connection.look(status))

    @given(st.lists(said, max_size=40))
    def test_one_after_the_other(self, changes: list[tuple[int, OnlineStatus]]) -> None:
        """What is told is how all of them together look, and only when that has changed."""
        presence, clock = MemoryPresence(), Clock()
        told: list[tuple[str, OnlineStatus]] = []
        lookout = Lookout(presence, clock, "w", lambda *each: told.append(each))
        connections = [Standing(presence, clock, 7) for _ in range(CONNECTIONS)]
        says = [OFFLINE] * CONNECTIONS
        shown = OFFLINE
        for connection in connections:
            connection.belong(["w", "v"])
        for number, status in [*changes, *((number, OFFLINE) for number in range(CONNECTIONS))]:
            self.successResultOf(self.look(connections[number], status))
            clock.advance(0)
            says[number] = status
            true = max(says, key=RANK.index)
            self.assertEqual(told, [] if true is shown else [("7", true)])
            told.clear()
            shown = true
            for workspace in "wv":
                found = self.successResultOf(
                    Deferred.fromCoroutine(statuses_of(presence, workspace, ["7", "8"]))
                )
                self.assertEqual(found, [shown, OFFLINE])
        self.assertEqual(presence._groups, {})
        lookout.stop()
        self.assertEqual((presence._watchers, clock.getDelayedCalls()), ({}, []))

    @given(st.lists(said | passing, max_size=60), st.booleans())
    @settings(max_examples=300)
    def test_all_at_once(self, steps: list[tuple[Any, Any]], at_the_end: bool) -> None:
        """Whatever they say on whatever processes, whenever it is carried out: the last told is true."""
        server = Server()
        server.settle()
        homes = [server.processes[number % 2] for number in range(CONNECTIONS)]
        connections = [home.standing() for home in homes]
        says = [OFFLINE] * CONNECTIONS
        changing = []
        for first, second in steps:
            if first is None:
                waiting = server.under_way()
                if waiting:
                    waiting[second % len(waiting)].popleft()()
                    server.processes[second % PROCESSES].clock.advance(0)
            else:
                says[first] = second
                changing.append(self.look(connections[first], second))
        server.settle()
        if at_the_end:
            for number, connection in enumerate(connections):
                says[number] = OFFLINE
                connection.end()
            server.settle()
            self.assertEqual(server.presence._groups, {})
        for each in changing:
            self.successResultOf(each)
        true = max(says, key=RANK.index)
        for process in server.processes:
            told = [OFFLINE, *process.told]
            self.assertEqual(told[-1], true)
            self.assertFalse(any(one is other for one, other in pairwise(told)), told)

    def test_what_is_said_last(self) -> None:
        """While something is under way only what is said last comes next."""
        server = Server()
        server.settle()
        home = server.processes[0]
        connection = home.standing()
        for status in (IDLE, ONLINE, OFFLINE, ONLINE):
            self.look(connection, status)
        self.assertEqual(len(home.asked), 1)
        server.settle()
        self.assertEqual(home.told, [ONLINE])

    def test_out_of_reach(self) -> None:
        """Who can't be counted is told so, and is counted when it can be; who has gone by then is not."""
        server = Server()
        server.settle()
        home, other = server.processes[:2]
        stays, goes = home.standing(), home.standing()
        home.away = True
        refused = [self.look(each, ONLINE) for each in (stays, goes)]
        server.settle()
        for each in refused:
            self.failureResultOf(each, ClusterUnavailable)
        home.clock.advance(2)
        server.settle()
        asked = Deferred.fromCoroutine(statuses_of(home, "w", ["7"]))
        server.settle()
        self.failureResultOf(asked, ClusterUnavailable)
        goes.end()
        home.away = False
        home.clock.advance(2)
        server.settle()
        self.assertEqual((home.told, other.told), ([ONLINE], [ONLINE]))
        home.away = True
        stays.end()
        server.settle()
        self.assertEqual((home.told, other.told), ([ONLINE, OFFLINE], [ONLINE, OFFLINE]))
        self.assertEqual((server.presence._groups, home.clock.getDelayedCalls()), ({}, []))

    def test_a_fault_of_ours(self) -> None:
        """It is logged, and the connection may say something else."""
        presence, clock = MemoryPresence(), Clock()
        standing = Standing(presence, clock, 7)
        self.successResultOf(self.look(standing, ONLINE))
        patch = self.patch(presence, "enter", lambda *_: fail(ZeroDivisionError()))
        standing.belong(["w"])
        patch.restore()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.successResultOf(self.look(standing, IDLE))
        self.assertEqual(set(presence._groups["workspace.w"]), {"idle.7"})


class LookoutTests(SynchronousTestCase):
    """What is told in one workspace."""

    def setUp(self) -> None:
        """A workspace that somebody looks at, and a connection."""
        self.presence = MemoryPresence()
        self.clock = Clock()
        self.told: list[OnlineStatus] = []
        self.standing = Standing(self.presence, self.clock, 7)
        self.standing.belong(["v", "w"])

    def begin(self) -> Lookout:
        """Look."""
        return Lookout(self.presence, self.clock, "w", lambda _, status: self.told.append(status))

    def look(self, status: OnlineStatus) -> None:
        """Have the connection say something."""
        self.successResultOf(Deferred.fromCoroutine(self.standing.look(status)))

    def heard(self) -> list[OnlineStatus]:
        """What was told since the last time."""
        self.clock.advance(0)
        told, self.told = self.told, []
        return told

    def test_who_was_there(self) -> None:
        """How somebody has looked before is told to nobody; how it looks then is told if it differs."""
        self.look(IDLE)
        self.begin()
        self.assertEqual(self.heard(), [])
        self.look(ONLINE)
        self.look(IDLE)
        self.assertEqual(self.heard(), [])
        self.look(ONLINE)
        self.assertEqual(self.heard(), [ONLINE])
        self.standing.end()
        self.assertEqual(self.heard(), [OFFLINE])

    def test_moved(self) -> None:
        """Who belongs there no more is not said to be offline; who comes to belong there is shown as it is."""
        other = Standing(self.presence, self.clock, 7)
        other.belong(["w"])
        for connection, status in ((self.standing, ONLINE), (other, IDLE)):
            self.successResultOf(Deferred.fromCoroutine(connection.look(status)))
        self.begin()
        self.standing.belong(["v"])
        other.belong([])
        self.assertEqual(self.heard(), [])
        self.assertEqual(set(self.presence._groups), {"workspace.v"})
        self.standing.belong(["w"])
        self.assertEqual(self.heard(), [ONLINE])
        self.standing.end()
        self.assertEqual((self.heard(), self.presence._groups), ([OFFLINE], {}))

    def test_moved_step_by_step(self) -> None:
        """The same, whatever is seen of it in which turn."""
        server = Server()
        server.settle()
        home, other = server.processes[:2]
        connection = home.standing()
        Deferred.fromCoroutine(connection.look(ONLINE))
        server.settle()
        connection.belong([])
        while server.under_way():
            for waits in server.under_way():
                waits.popleft()()
                for process in server.processes:
                    process.clock.advance(0)
        self.assertEqual((home.told, other.told), ([ONLINE], [ONLINE]))
        self.assertEqual(server.presence._groups, {})

    def test_unsettled(self) -> None:
        """After a gap nobody is told to have gone who is there again soon, and who is not, only then."""
        self.look(ONLINE)
        lookout = self.begin()
        lookout.unsettle()
        self.presence.leave("workspace.w", "online.7")
        self.assertEqual(self.heard(), [])
        self.presence.enter("workspace.w", "online.7")
        self.clock.advance(SETTLE_SECONDS)
        self.assertEqual(self.heard(), [])
        lookout.unsettle()
        self.standing.end()
        self.clock.advance(SETTLE_SECONDS - 0.1)
        self.assertEqual(self.heard(), [])
        self.clock.advance(0.1)
        self.assertEqual(self.heard(), [OFFLINE])

    def test_stopped(self) -> None:
        """Nothing is left of one that was stopped, whatever was about to be told."""
        lookout = self.begin()
        lookout.unsettle()
        self.look(ONLINE)
        lookout.stop()
        self.assertEqual((self.heard(), self.clock.getDelayedCalls()), ([], []))
        self.assertEqual(self.presence._watchers, {})
