"""How present a user looks: whatever its connections say, each change is told once, and leads to the truth."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.presence import MemoryPresence
from realtime.workspace.messages import OnlineStatus
from realtime.workspace.standing import Standing, statuses_of

OFFLINE, IDLE, ONLINE = OnlineStatus.OFFLINE, OnlineStatus.IDLE, OnlineStatus.ONLINE
RANK = [OFFLINE, IDLE, ONLINE]
CONNECTIONS, PROCESSES = 3, 3

statuses = st.sampled_from(OnlineStatus)
said = st.tuples(st.integers(0, CONNECTIONS - 1), statuses)
passing = st.tuples(st.none(), st.integers(0, 2 * PROCESSES - 1))


class Server:
    """What the processes share: it carries out one request after the other."""

    def __init__(self) -> None:
        self.presence = MemoryPresence()
        self.processes = [Process(self) for _ in range(PROCESSES)]

    def under_way(self, *processes: Process) -> list[deque[Callable[[], None]]]:
        """All that waits, of some or of all: for the server, or to be delivered by it."""
        return [waits for each in processes or self.processes for waits in (each.asked, each.came) if waits]

    def settle(self, *processes: Process) -> None:
        """Let time pass until nothing is under way, or nothing of some processes."""
        while waiting := self.under_way(*processes):
            for each in waiting:
                each.popleft()()


class Process:
    """A process of the cluster, which reaches the others through the server.

    What it asks for, and what comes back, takes as long as the test wants, but keeps its order.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.asked: deque[Callable[[], None]] = deque()
        self.came: deque[Callable[[], None]] = deque()
        self.heard: list[OnlineStatus] = []
        self.away = False

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

    def _ask(self, question: Callable[[], Deferred[bool]], *, always: bool = False) -> Deferred[bool]:
        answer: Deferred[bool] = Deferred()

        def serve() -> None:
            if self.away and not always:
                self.came.append(lambda: answer.errback(ClusterUnavailable()))
            else:
                question().addCallback(lambda result: self.came.append(lambda: answer.callback(result)))

        self.asked.append(serve)
        return answer

    # -- telling -------------------------------------------------------------------------------

    def tell(self, status: OnlineStatus) -> None:
        """Tell all processes; those who listen here hear it at once."""
        self.heard.append(status)
        others = [process for process in self.server.processes if process is not self]

        def serve() -> None:
            for process in others:
                process.came.append(lambda process=process: process.heard.append(status))  # type: ignore[misc]

        self.asked.append(serve)


class StandingTests(SynchronousTestCase):
    """One user with some connections."""

    def change(self, connection: Standing, status: OnlineStatus) -> Deferred[None]:
        """Have a connection say something."""
        return Deferred.fromCoroutine(connection.change(status))

    @given(st.lists(said, max_size=40))
    def test_one_after_the_other(self, changes: list[tuple[int, OnlineStatus]]) -> None:
        """What is told is how all of them together look, and only when that has changed."""
        presence = MemoryPresence()
        told: list[OnlineStatus] = []
        connections = [Standing(presence, 7, told.append) for _ in range(CONNECTIONS)]
        says = [OFFLINE] * CONNECTIONS
        shown = OFFLINE
        for number, status in [*changes, *((number, OFFLINE) for number in range(CONNECTIONS))]:
            self.successResultOf(self.change(connections[number], status))
            says[number] = status
            true = max(says, key=RANK.index)
            self.assertEqual(told, [] if true is shown else [true])
            told.clear()
            shown = true
            found = self.successResultOf(Deferred.fromCoroutine(statuses_of(presence, ["7", "8"])))
            self.assertEqual(found, [shown, OFFLINE])
        self.assertEqual(presence._groups, {})

    @given(st.lists(said | passing, max_size=60), st.booleans())
    @settings(max_examples=500)
    def test_all_at_once(self, steps: list[tuple[Any, Any]], at_the_end: bool) -> None:
        """Whatever they say on whatever processes, whenever it is carried out: the last told is true."""
        server = Server()
        homes = [server.processes[number % 2] for number in range(CONNECTIONS)]
        connections = [Standing(home, 7, home.tell) for home in homes]  # type: ignore[arg-type]
        says = [OFFLINE] * CONNECTIONS
        changing = []
        for first, second in steps:
            if first is None:
                waiting = server.under_way()
                if waiting:
                    waiting[second % len(waiting)].popleft()()
            else:
                says[first] = second
                changing.append(self.change(connections[first], second))
        server.settle()
        if at_the_end:
            for number in range(CONNECTIONS):
                says[number] = OFFLINE
                changing.append(self.change(connections[number], OFFLINE))
            server.settle()
            self.assertEqual(server.presence._groups, {})
        for each in changing:
            self.successResultOf(each)
        true = max(says, key=RANK.index)
        for process in server.processes:
            self.assertEqual([OFFLINE, *process.heard][-1], true)

    def test_overtaken(self) -> None:
        """Who tells what is true no more finds that out, and tells what is."""
        server = Server()
        first, second, third = server.processes
        connections = [Standing(home, 7, home.tell) for home in (first, second)]  # type: ignore[arg-type]
        self.change(connections[0], ONLINE)
        server.settle()
        self.change(connections[0], OFFLINE)
        for _ in range(2):  # it is the last, and nobody else is online
            first.asked.popleft()()
            first.came.popleft()()
        first.asked.popleft()()  # nor idle, as it will hear
        self.change(connections[1], ONLINE)
        server.settle(second)
        server.settle()
        for process in server.processes:
            self.assertIn(OFFLINE, process.heard)
            self.assertEqual(process.heard[-1], ONLINE)
        self.assertEqual(third.heard, [ONLINE, ONLINE, OFFLINE, ONLINE])

    def test_what_is_wanted_last(self) -> None:
        """While something is under way only what is wanted last comes next."""
        server = Server()
        home = server.processes[0]
        connection = Standing(home, 7, home.tell)  # type: ignore[arg-type]
        for status in (IDLE, ONLINE, OFFLINE, ONLINE):
            self.change(connection, status)
        server.settle()
        self.assertEqual(home.heard, [IDLE, ONLINE])

    def test_out_of_reach(self) -> None:
        """Who can't be counted says what it said before, and may try again; who goes is counted no more."""
        server = Server()
        home = server.processes[0]
        connection = Standing(home, 7, home.tell)  # type: ignore[arg-type]
        home.away = True
        refused = self.change(connection, ONLINE)
        server.settle()
        self.failureResultOf(refused, ClusterUnavailable)
        home.away = False
        again = self.change(connection, ONLINE)
        server.settle()
        self.successResultOf(again)
        self.assertEqual(home.heard, [ONLINE])
        home.away = True
        changing, going = self.change(connection, IDLE), self.change(connection, OFFLINE)
        server.settle()
        self.successResultOf(going)
        self.failureResultOf(changing, ClusterUnavailable)  # nobody could be asked how it looks now
        self.assertEqual(server.presence._groups, {})
        asked = Deferred.fromCoroutine(statuses_of(home, ["7"]))  # type: ignore[arg-type]
        server.settle()
        self.failureResultOf(asked, ClusterUnavailable)
