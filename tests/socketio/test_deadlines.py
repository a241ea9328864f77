"""Time limits of one length for many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.socketio.deadlines import Deadlines


class DeadlinesTests(SynchronousTestCase):
    """A limit of ten seconds."""

    def setUp(self) -> None:
        """Write down who is told, and when."""
        self.clock = Clock()
        self.told: list[tuple[str, float]] = []
        self.deadlines = Deadlines[str](self.clock, 10, self.passed)

    def passed(self, item: str, moment: float) -> None:
        """Note it."""
        self.told.append((item, moment))

    def names(self) -> list[str]:
        """Who was told."""
        return [item for item, _ in self.told]

    def test_passed(self) -> None:
        """Each is told once, when its time is up, and nothing is left."""
        for item in "abc":
            self.deadlines.start(item)
            self.clock.advance(1)
        self.clock.advance(6.9)
        self.assertEqual(self.names(), [])
        self.clock.advance(0.1)
        self.assertEqual(self.told, [("a", 10)])
        self.clock.advance(1)
        self.clock.advance(1)
        self.assertEqual(self.told, [("a", 10), ("b", 11), ("c", 12)])
        self.assertEqual((len(self.deadlines), self.clock.getDelayedCalls()), (0, []))

    def test_stopped(self) -> None:
        """One that is stopped is not told, and the last leaves no timer."""
        self.deadlines.start("a")
        self.deadlines.start("b")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.deadlines.stop("a")
        self.assertNotIn("a", self.deadlines)
        self.assertIn("b", self.deadlines)
        self.deadlines.stop("b")
        self.deadlines.stop("b")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(20)
        self.assertEqual(self.told, [])

    def test_anew(self) -> None:
        """One that begins anew has all its time again."""
        self.deadlines.start("a")
        self.clock.advance(9)
        self.deadlines.start("a")
        self.clock.advance(9.9)
        self.assertEqual(self.told, [])
        self.clock.advance(0.1)
        self.assertEqual(self.told, [("a", 19)])

    def test_since(self) -> None:
        """Its time may have begun before."""
        self.clock.advance(100)
        self.deadlines.start("a", since=95)
        self.clock.advance(5)
        self.assertEqual(self.told, [("a", 105)])

    def test_from_within(self) -> None:
        """Who is told may stop others that are due, and begin anew."""

        def passed(item: str, moment: float) -> None:
            self.told.append((item, moment))
            self.deadlines.stop("b")
            if moment == 10:
                self.deadlines.start("a")

        self.deadlines = Deadlines(self.clock, 10, passed)
        for item in "abc":
            self.deadlines.start(item)
        self.clock.advance(10)
        self.assertEqual(self.names(), ["a", "c"])
        self.clock.advance(10)
        self.assertEqual(self.told[2:], [("a", 20)])

    def test_together(self) -> None:
        """Those that end close to each other end together: the timer is not set for each."""
        calls = 0
        call_later = self.clock.callLater

        def counting(*arguments: object) -> object:
            nonlocal calls
            calls += 1
            return call_later(*arguments)  # type: ignore[arg-type]

        self.patch(self.clock, "callLater", counting)
        for number in range(1000):
            self.deadlines.start(str(number), since=number / 1000)
        for _ in range(1200):
            self.clock.advance(0.01)
        self.assertEqual(len(self.told), 1000)
        self.assertLess(calls, 50)

    def test_stood_still(self) -> None:
        """If the process stood still, what has arrived meanwhile is read first."""
        order: list[object] = []

        def passed(item: str, moment: float) -> None:
            order.append((item, moment))

        self.deadlines = Deadlines(self.clock, 10, passed)
        self.deadlines.start("a")
        self.deadlines.start("b")
        self.clock.callLater(11.5, self.deadlines.stop, "a")  # its answer, read when the process goes on
        self.clock.advance(12)
        self.assertEqual(order, [("b", 10)])

    @given(st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 4), st.booleans())))
    def test_never_early(self, steps: list[tuple[str, float, bool]]) -> None:
        """Whatever is started and stopped, everybody is told in time, nobody early and nobody twice."""
        self.setUp()
        due: dict[str, float] = {}
        for item, seconds, starts in steps:
            if starts:
                self.deadlines.start(item)
                due[item] = self.clock.seconds() + 10
            else:
                self.deadlines.stop(item)
                due.pop(item, None)
            for _ in range(int(seconds / 0.05)):
                self.clock.advance(0.05)
                for told, _ in self.told:
                    self.assertLessEqual(due.pop(told), self.clock.seconds())
                self.told.clear()
                self.assertFalse([each for each in due.values() if each < self.clock.seconds() - 0.1])
        self.assertEqual(len(self.deadlines), len(due))
