"""One timer that finds the dead among many connections."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.websocket.keepalive import Keepalive


class Watchee:
    """A connection: what it was asked and when."""

    keepalive_slot = 0

    def __init__(self, clock: Clock, keepalive: Keepalive, *, answers: bool = False) -> None:
        self._clock = clock
        self._keepalive = keepalive
        self._answers = answers
        self.heard = clock.seconds()
        self.asked: list[float] = []
        self.dead: list[float] = []
        keepalive.watch(self)

    def ask_alive(self) -> None:
        """Note the time; answer at once, or never."""
        self.asked.append(self._clock.seconds())
        if self._answers:
            self.heard = self._clock.seconds()

    def presumed_dead(self) -> None:
        """Note the time and leave, as a connection does when it is closed."""
        self.dead.append(self._clock.seconds())
        self._keepalive.forget(self)


class KeepaliveTests(SynchronousTestCase):
    """The times, and the cost."""

    def setUp(self) -> None:
        """Make a clock that does not begin at a round moment."""
        self.clock = Clock()
        self.clock.advance(1_790_000_000.37)

    def run_for(self, seconds: float, step: float = 0.05) -> None:
        """Let time pass, in steps."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)

    @given(
        interval=st.sampled_from([0.5, 1.0, 4.0, 30.0]),
        timeout=st.sampled_from([0.5, 2.0, 4.0, 20.0]),
        offset=st.floats(min_value=0, max_value=5),
    )
    def test_the_silent(self, interval: float, timeout: float, offset: float) -> None:
        """A silent one is asked not before the interval, and is dead within both bounds and 25 %."""
        self.setUp()
        keepalive = Keepalive(self.clock, interval, timeout)
        other = Watchee(self.clock, keepalive, answers=True)
        self.run_for(offset, 0.07)
        silent, start = Watchee(self.clock, keepalive), self.clock.seconds()
        step = min(interval, timeout) / 100
        self.run_for(1.3 * (interval + timeout), step)
        self.assertEqual((len(silent.asked), len(silent.dead)), (1, 1))
        self.assertGreaterEqual(silent.asked[0], start + interval - 1e-6)
        self.assertGreaterEqual(silent.dead[0], silent.asked[0] + timeout - 1e-6)
        self.assertLessEqual(silent.asked[0] - start, interval * 1.25 + step)
        self.assertLessEqual(silent.dead[0] - start, (interval + timeout) * 1.25 + step)
        self.assertEqual(other.dead, [])

    def test_traffic_counts(self) -> None:
        """Who says something within each interval is never asked."""
        keepalive = Keepalive(self.clock, 30, 20)
        busy = Watchee(self.clock, keepalive)
        for _ in range(20):
            self.run_for(28, 0.5)
            busy.heard = self.clock.seconds()
        self.assertEqual((busy.asked, busy.dead), ([], []))

    def test_answers_count(self) -> None:
        """Who answers lives, and is asked once in each interval."""
        keepalive = Keepalive(self.clock, 30, 20)
        quiet = Watchee(self.clock, keepalive, answers=True)
        self.run_for(1000, 0.5)
        self.assertEqual(quiet.dead, [])
        gaps = [later - earlier for earlier, later in zip(quiet.asked, quiet.asked[1:], strict=False)]
        self.assertGreater(len(gaps), 20)
        self.assertGreaterEqual(min(gaps), 30)

    def test_a_late_answer(self) -> None:
        """An answer just before the end of the timeout is in time."""
        keepalive = Keepalive(self.clock, 30, 20)
        late = Watchee(self.clock, keepalive)
        while not late.asked:
            self.run_for(0.5)
        self.run_for(19.5)
        late.heard = self.clock.seconds()
        self.run_for(20)
        self.assertEqual(late.dead, [])

    def test_timer_stops_with_the_last(self) -> None:
        """While nobody is watched nothing runs, and it begins again with the next."""
        keepalive = Keepalive(self.clock, 30, 20)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for _ in range(3):
            both = [Watchee(self.clock, keepalive) for _ in range(2)]
            self.run_for(10)
            keepalive.forget(both[0])
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            keepalive.forget(both[1])
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.run_for(100, 1)
        last = Watchee(self.clock, keepalive)
        self.run_for(60, 1)
        self.assertEqual(len(last.dead), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many_cost_one_timer(self) -> None:
        """Ten thousand connections have one timer between them, and all of them are looked after."""
        keepalive = Keepalive(self.clock, 30, 20)
        crowd = [Watchee(self.clock, keepalive, answers=number % 2 == 0) for number in range(10_000)]
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for _ in range(70):
            self.clock.advance(1)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.assertEqual([len(each.dead) for each in crowd], [0, 1] * 5_000)

    def test_forgotten_by_another(self) -> None:
        """One that is forgotten by what another did in the same moment is left alone."""
        keepalive = Keepalive(self.clock, 30, 20)

        class Partner(Watchee):
            """Takes its partner along."""

            partner: Watchee

            def ask_alive(self) -> None:
                """Forget the other one."""
                super().ask_alive()
                if not self.partner.asked:
                    keepalive.forget(self.partner)

        one, two = Partner(self.clock, keepalive), Partner(self.clock, keepalive)
        one.partner, two.partner = two, one
        self.run_for(35)
        self.assertEqual(len(one.asked) + len(two.asked), 1)

    def test_a_jump_of_the_clock(self) -> None:
        """After the machine has slept, everybody is asked before anybody is cut."""
        keepalive = Keepalive(self.clock, 30, 20)
        crowd = [Watchee(self.clock, keepalive, answers=True) for _ in range(5)]
        self.run_for(3)
        self.clock.advance(86_400)
        self.run_for(60, 1)
        self.assertEqual([each.dead for each in crowd], [[]] * 5)
        self.assertTrue(all(each.asked for each in crowd))
