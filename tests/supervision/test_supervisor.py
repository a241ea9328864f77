from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.supervision.supervisor import (
    AFTER_DRAIN,
    LONG_ENOUGH,
    SILENCE,
    START,
    TURN,
    Start,
    State,
    Supervisor,
    Told,
    WorkerFailed,
)
from tests.logged import Logged

DRAIN = 5


class FakeProcess:
    """A worker that does what the test says. ``plan`` names what it was started with."""

    def __init__(self, slot: int, told: Told, plan: str) -> None:
        self.slot = slot
        self.told = told
        self.plan = plan
        self.asked: list[str] = []

    def drain(self) -> None:
        """Note it."""
        self.asked.append("drain")

    def kill(self) -> None:
        """Note it, and end."""
        self.asked.append("kill")
        self.end("killed")

    def end(self, reason: str = "exit code 0") -> None:
        """Be gone."""
        self.told.ended(reason)

    def __repr__(self) -> str:
        return f"{self.plan}{self.slot}"


class SupervisorTests(SynchronousTestCase):
    """Which workers run."""

    def setUp(self) -> None:
        """Have a supervisor that starts fakes."""
        self.clock = Clock()
        self.started: list[FakeProcess] = []
        self.reloads: list[Deferred[None]] = []
        self.restarted: list[int] = []
        self.supervisor: Supervisor[FakeProcess] = Supervisor(self.clock, self.restarted.append)
        self.logged = Logged(self)
        self.addCleanup(self.nothing_is_left)

    def nothing_is_left(self) -> None:
        """After a stop no timer runs."""
        stopped = self.supervisor.stop()
        self.supervisor.kill()
        self.successResultOf(stopped)
        for reloading in self.reloads:
            reloading.addErrback(lambda failure: failure.trap(WorkerFailed))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def start_of(self, plan: str) -> Start[FakeProcess]:
        """What starts processes by a plan."""

        def start(slot: int, told: Told) -> FakeProcess:
            process = FakeProcess(slot, told, plan)
            self.started.append(process)
            return process

        return start

    def start(self, count: int = 2) -> Deferred[None]:
        """Start the first workers, by plan a."""
        return self.supervisor.start(count, self.start_of("a"), DRAIN)

    def running(self, count: int = 2) -> list[FakeProcess]:
        """Workers that are all ready."""
        starting = self.start(count)
        for process in self.started:
            process.told.ready()
        self.successResultOf(starting)
        return list(self.started)

    def reload(self, count: int = 2, plan: str = "b") -> Deferred[None]:
        """Begin to replace them."""
        reloading = Deferred.fromCoroutine(self.supervisor.reload(count, self.start_of(plan), DRAIN))
        self.reloads.append(reloading)
        return reloading

    def standing(self) -> str:
        """Who is ready, by plan and slot; a dash for who is not."""
        return " ".join(str(process or "-") for _, process in self.supervisor.standing())

    def turns(self, count: int, *living: FakeProcess) -> None:
        """Let time pass in which some give signs of life."""
        for _ in range(count):
            for process in living:
                process.told.alive()
            self.clock.advance(TURN)

    # -- starting -----------------------------------------------------------------------

    def test_start(self) -> None:
        """Each slot gets a worker at once; the start is complete when all are ready."""
        starting = self.start(3)
        self.assertEqual(str(self.started), "[a0, a1, a2]")
        for process in self.started[1:]:
            process.told.ready()
        self.assertNoResult(starting)
        self.assertEqual(self.standing(), "- a1 a2")
        self.assertEqual(self.supervisor.count(State.STARTING), 1)
        self.started[0].told.ready()
        self.successResultOf(starting)
        self.assertEqual(self.standing(), "a0 a1 a2")
        self.assertEqual(self.supervisor.count(State.READY), 3)

    def test_first_ones_fail(self) -> None:
        """If one of the first ends before all are ready, the start fails with its words; nothing is retried."""
        starting = self.start()
        self.started[1].told.ready()
        self.started[0].end("can't use the database")
        failure = self.failureResultOf(starting, WorkerFailed)
        self.assertEqual(failure.getErrorMessage(), "worker 0: can't use the database")
        self.turns(5, self.started[1])
        self.assertEqual(len(self.started), 2)

    def test_stopped_while_it_starts(self) -> None:
        """Who isn't ready is killed: it serves nobody."""
        starting = self.start()
        self.started[1].told.ready()
        stopping = self.supervisor.stop()
        self.assertEqual([process.asked for process in self.started], [["kill"], ["drain"]])
        self.failureResultOf(starting, WorkerFailed)
        self.started[1].end()
        self.successResultOf(stopping)

    # -- dying --------------------------------------------------------------------------

    def test_restart_at_once(self) -> None:
        """One that dies has a successor at once, in its slot; the others are left alone."""
        one, two = self.running()
        one.end("killed by SIGSEGV")
        self.clock.advance(0)
        self.assertEqual(str(self.started[2:]), "[a0]")
        self.assertEqual((self.standing(), self.restarted, two.asked), ("- a1", [0], []))
        self.started[2].told.ready()
        self.assertEqual(self.standing(), "a0 a1")
        self.assertEqual(len(self.logged.holding("killed by SIGSEGV")), 1)

    def test_growing_delays(self) -> None:
        """One that keeps dying soon after its start waits longer each time, up to half a minute."""
        (process,) = self.running(1)
        for delay in (0, 1, 2, 4, 8, 16, 30, 30):
            before = len(self.started)
            process.end("exit code 1")
            if delay:
                self.clock.advance(delay - 0.5)
                self.assertEqual(len(self.started), before, delay)
            self.clock.advance(0.5)
            self.assertEqual(len(self.started), before + 1, delay)
            process = self.started[-1]
            process.told.ready()

    def test_a_long_life_ends_the_delays(self) -> None:
        """One that has run for a while is started again at once, whatever was before."""
        (process,) = self.running(1)
        for _ in range(4):
            process.end("exit code 1")
            self.clock.advance(30)
            process = self.started[-1]
            process.told.ready()
        self.turns(LONG_ENOUGH, process)
        before = len(self.started)
        process.end("exit code 1")
        self.clock.advance(0)
        self.assertEqual(len(self.started), before + 1)

    def test_no_restart_while_stopping(self) -> None:
        """What waits to be started again is forgotten, and who dies has no successor."""
        one, two = self.running()
        one.end("killed")
        stopping = self.supervisor.stop()
        self.turns(40, two)
        self.assertEqual(len(self.started), 2)

        self.successResultOf(stopping)

    # -- hanging ------------------------------------------------------------------------

    def test_silence(self) -> None:
        """One that gives no sign of life is killed and started again; one that does, lives."""
        one, two = self.running()
        self.turns(SILENCE, two)
        self.assertEqual(one.asked, [])
        self.turns(1, two)
        self.assertEqual((one.asked, two.asked), (["kill"], []))
        self.clock.advance(0)
        self.assertEqual(str(self.started[2:]), "[a0]")

    def test_a_clock_that_jumps_blames_nobody(self) -> None:
        """A machine that slept for an hour, or a parent that stood still, has looked once only."""
        one, two = self.running()
        self.clock.advance(3600)
        self.assertEqual(one.asked + two.asked, [])
        self.turns(30, one, two)
        self.assertEqual(one.asked + two.asked, [])

    def test_never_ready(self) -> None:
        """A start that takes too long is ended, though it gives signs of life."""
        starting = self.start(1)
        self.turns(START, self.started[0])
        self.assertEqual(self.started[0].asked, [])
        self.turns(1, self.started[0])
        self.assertEqual(self.started[0].asked, ["kill"])
        self.failureResultOf(starting, WorkerFailed)

    # -- stopping -----------------------------------------------------------------------

    def test_stop(self) -> None:
        """All are asked at once; it is over when the last has ended."""
        one, two = self.running()
        stopping = self.supervisor.stop()
        self.assertEqual((one.asked, two.asked), (["drain"], ["drain"]))
        self.assertEqual(self.standing(), "- -")
        one.end()
        self.assertNoResult(stopping)
        two.end()
        self.successResultOf(stopping)
        self.assertEqual(self.restarted, [])

    def test_stop_takes_too_long(self) -> None:
        """Who still drains a while after the drain time is killed."""
        one, two = self.running()
        stopping = self.supervisor.stop()
        two.end()
        self.turns(DRAIN + AFTER_DRAIN, one)
        self.assertEqual(one.asked, ["drain"])
        self.turns(1, one)
        self.assertEqual(one.asked, ["drain", "kill"])
        self.successResultOf(stopping)

    def test_kill(self) -> None:
        """A second request to stop ends all at once, who drain as well."""
        one, two = self.running()
        stopping = self.supervisor.stop()
        self.supervisor.kill()
        self.assertEqual((one.asked, two.asked), (["drain", "kill"], ["drain", "kill"]))
        self.successResultOf(stopping)

    # -- reloading ----------------------------------------------------------------------

    def test_one_after_the_other(self) -> None:
        """A new one is started; when it is ready the old drains; then comes the next slot."""
        one, two = self.running()
        reloading = self.reload()
        self.assertEqual(str(self.started[2:]), "[b0]")
        self.assertEqual((one.asked, self.standing()), ([], "a0 a1"))
        self.started[2].told.ready()
        self.assertEqual((one.asked, two.asked, self.standing()), (["drain"], [], "b0 a1"))
        self.assertEqual(len(self.started), 3)
        one.end()
        self.assertEqual(str(self.started[3:]), "[b1]")
        self.started[3].told.ready()
        self.assertNoResult(reloading)
        two.end()
        self.successResultOf(reloading)
        self.assertEqual((self.standing(), self.restarted), ("b0 b1", []))

    def test_restarted_as_reloaded(self) -> None:
        """Who dies after a reload is started as those that were reloaded."""
        (one,) = self.running(1)
        reloading = self.reload(1)
        self.started[1].told.ready()
        one.end()
        self.successResultOf(reloading)
        self.started[1].end("killed")
        self.clock.advance(0)
        self.assertEqual(str(self.started[2]), "b0")

    def test_a_reload_that_fails(self) -> None:
        """If the first new one can't start, all stay as they are, and so do those that are started later."""
        one, two = self.running()
        reloading = self.reload()
        self.started[2].end("no such secret")
        failure = self.failureResultOf(reloading, WorkerFailed)
        self.assertEqual((str(failure.value), failure.value.replaced), ("worker 0: no such secret", 0))
        self.assertEqual((self.standing(), one.asked, two.asked), ("a0 a1", [], []))
        one.end("killed")
        self.clock.advance(0)
        self.assertEqual(str(self.started[3:]), "[a0]")

    def test_a_reload_that_fails_halfway(self) -> None:
        """Those that were replaced stay, the rest too; who is started later is started anew."""
        one, two = self.running()
        reloading = self.reload()
        self.started[2].told.ready()
        one.end()
        self.started[3].end("no memory")
        self.assertEqual(self.failureResultOf(reloading, WorkerFailed).value.replaced, 1)
        self.assertEqual((self.standing(), two.asked), ("b0 a1", []))
        two.end("killed")
        self.clock.advance(0)
        self.assertEqual(str(self.started[4:]), "[b1]")

    def test_a_successor_that_hangs(self) -> None:
        """A new one that does not become ready in time is ended, and with it the reload."""
        one, two = self.running()
        reloading = self.reload()
        self.turns(START + 1, one, two, self.started[2])
        self.assertEqual(self.started[2].asked, ["kill"])
        self.failureResultOf(reloading, WorkerFailed)
        self.assertEqual(self.standing(), "a0 a1")

    def test_the_old_one_does_not_end(self) -> None:
        """In a reload, too, who drains for too long is killed."""
        one, two = self.running()
        self.reload()
        new = self.started[2]
        new.told.ready()
        self.turns(DRAIN + AFTER_DRAIN + 1, one, two, new)
        self.assertEqual(one.asked, ["drain", "kill"])
        self.assertEqual(str(self.started[3:]), "[b1]")

    def test_the_old_one_dies_meanwhile(self) -> None:
        """The successor takes the place of whoever stands there; what was to be started again is not."""
        one, _ = self.running()
        self.reload()
        successor = self.started[2]
        one.end("killed")
        successor.told.ready()
        self.turns(2, successor)
        self.assertEqual(self.standing(), "b0 a1")
        self.assertEqual(str(self.started[3:]), "[b1]")

    def test_more_workers(self) -> None:
        """A reload may bring new slots."""
        (one,) = self.running(1)
        reloading = self.reload(2)
        self.started[1].told.ready()
        one.end()
        self.started[2].told.ready()
        self.successResultOf(reloading)
        self.assertEqual(self.standing(), "b0 b1")

    def test_more_workers_that_fail(self) -> None:
        """A new slot whose worker can't start is none."""
        (one,) = self.running(1)
        reloading = self.reload(2)
        self.started[1].told.ready()
        one.end()
        self.started[2].end("no memory")
        self.failureResultOf(reloading, WorkerFailed)
        self.assertEqual(self.standing(), "b0")

    def test_fewer_workers(self) -> None:
        """Or take some away: they drain when the others have been replaced, and have no successor."""
        one, two, three = self.running(3)
        reloading = self.reload(1)
        self.started[3].told.ready()
        one.end()
        self.assertEqual((two.asked, three.asked), (["drain"], []))
        two.end()
        self.assertEqual(three.asked, ["drain"])
        three.end()
        self.successResultOf(reloading)
        self.turns(40, self.started[3])
        self.assertEqual((self.standing(), len(self.started)), ("b0", 4))

    def test_stopped_while_it_reloads(self) -> None:
        """A stop ends all of them, and the reload."""
        one, two = self.running()
        reloading = self.reload()
        stopping = self.supervisor.stop()
        self.assertEqual(self.started[2].asked, ["kill"])
        self.failureResultOf(reloading, WorkerFailed)
        one.end()
        two.end()
        self.successResultOf(stopping)
        self.assertEqual(len(self.started), 3)

    def test_stopped_while_the_old_one_drains(self) -> None:
        """No further slot is begun when the old one has ended."""
        one, two = self.running()
        reloading = self.reload()
        self.started[2].told.ready()
        stopping = self.supervisor.stop()
        for process in (one, two, self.started[2]):
            process.end()
        self.successResultOf(stopping)
        self.successResultOf(reloading)
        self.assertEqual(len(self.started), 3)
