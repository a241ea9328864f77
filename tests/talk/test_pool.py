"""The pool: its one timer, and whom it remembers."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.talk.matching import Matcher
from realtime.talk.pool import LastPartners, MemoryPool, Seeker

START = 1_790_000_000.0


class Pool:
    """A pool that writes down what it tells, each with the seconds since the start."""

    def __init__(self, *, rematch_after: float = 300.0, anyone: bool = True) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        matcher = Matcher(tolerance=0.1, span=1.0, find_timeout=60.0, anyone_at_deadline=anyone)
        self.pool = MemoryPool(matcher, clock=self.clock, rematch_after=rematch_after)
        self.told: list[tuple[Any, ...]] = []
        self.pool.listen(
            lambda first, second: self.told.append((self.now, first.id, second.id)),
            lambda alone: self.told.append((self.now, alone.id)),
        )

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return round(self.clock.seconds() - START, 2)

    def enter(self, name: str, user: int, score: float = 0.5) -> Seeker:
        """Somebody comes."""
        seeker = Seeker(name, user, f"user {user}", score, ())
        self.pool.enter(seeker)
        return seeker

    def advance(self, seconds: float) -> None:
        """Let time pass, a second at a time."""
        self.clock.pump([1.0] * int(seconds))


class MemoryPoolTests(SynchronousTestCase):
    """Who is found, and when."""

    def setUp(self) -> None:
        """Make a pool."""
        self.made = Pool()
        self.pool = self.made.pool

    def calls(self) -> int:
        """How many calls are scheduled."""
        return len(self.made.clock.getDelayedCalls())

    def test_at_once(self) -> None:
        """Two who are close are a pair before the second one's entering returns."""
        self.made.enter("a", 1)
        self.made.enter("b", 2)
        self.assertEqual(self.made.told, [(0, "a", "b")])
        self.assertEqual((len(self.pool), self.calls()), (0, 0))

    def test_once_the_tolerance_is_wide_enough(self) -> None:
        """Two who are farther apart meet at the moment at which they may: nothing is asked before."""
        self.made.enter("a", 1, 0.2)
        self.made.enter("b", 2, 0.75)
        (call,) = self.made.clock.getDelayedCalls()
        self.assertAlmostEqual(call.getTime() - START, 30, places=4)  # 0.1 + 0.9 * 30 / 60 = 0.55
        self.made.clock.advance(29.99)
        self.assertEqual(self.made.told, [])
        self.made.clock.advance(0.02)
        self.assertEqual(self.made.told, [(30.01, "a", "b")])
        self.assertEqual((len(self.pool), self.calls()), (0, 0))

    def test_time_is_up(self) -> None:
        """Who waits alone is told so after the timeout."""
        self.made.enter("a", 1)
        self.made.clock.advance(59.99)
        self.assertEqual(self.made.told, [])
        self.made.clock.advance(0.01)
        self.assertEqual(self.made.told, [(60, "a")])
        self.assertEqual((len(self.pool), self.calls()), (0, 0))

    def test_a_timer_that_is_a_rounding_early(self) -> None:
        """Is on time: what was scheduled for a moment happens, whatever the clock reads."""
        self.made.enter("a", 1)
        self.made.clock.advance(59.999999)
        call: Any
        (call,) = self.made.clock.getDelayedCalls()
        function, arguments = call.func, call.args
        call.cancel()
        function(*arguments)
        self.assertEqual((self.made.told, self.calls()), ([(60, "a")], 0))

    def test_one_timer(self) -> None:
        """However many wait, one call is scheduled, for the first moment of all."""
        for number in range(20):
            self.made.enter(f"seeker {number}", number, number * 1000.0)
            self.made.clock.advance(1)
        (call,) = self.made.clock.getDelayedCalls()
        self.assertAlmostEqual(call.getTime() - START, 60, places=4)
        self.pool.leave("seeker 0")
        (call,) = self.made.clock.getDelayedCalls()
        self.assertAlmostEqual(call.getTime() - START, 61, places=4)

    def test_leaving(self) -> None:
        """Who leaves is not found, and with the last one goes the timer; leaving again does nothing."""
        self.made.enter("a", 1)
        self.pool.leave("a")
        self.assertEqual((len(self.pool), self.calls()), (0, 0))
        self.pool.leave("a")
        self.pool.leave("never came")
        self.made.enter("b", 2)
        self.made.advance(59)
        self.assertEqual(self.made.told, [])

    def test_never_with_itself(self) -> None:
        """A user who waits twice is not a pair."""
        self.made.enter("a", 1)
        self.made.enter("b", 1)
        self.made.advance(61)
        self.assertEqual(self.made.told, [(60, "a"), (60, "b")])

    def test_the_last_partner(self) -> None:
        """Two who were a pair wait for somebody else until their time is up."""
        self.made.enter("a", 1)
        self.made.enter("b", 2)
        self.made.enter("c", 1)
        self.made.enter("d", 2)
        self.assertEqual(self.made.told, [(0, "a", "b")])
        self.made.enter("e", 3)
        self.assertEqual(self.made.told[1:], [(0, "c", "e")])
        self.made.advance(60)
        self.assertEqual(self.made.told[2:], [(60, "d")])

    def test_the_last_partner_if_nobody_else_comes(self) -> None:
        """At the deadline the last partner will do; with at_deadline = fail it won't."""
        for anyone, told in ((True, [(60, "c", "d")]), (False, [(60, "c"), (60, "d")])):
            made = Pool(anyone=anyone)
            for name, user in (("a", 1), ("b", 2), ("c", 1), ("d", 2)):
                made.enter(name, user)
            made.advance(61)
            self.assertEqual(made.told[1:], told)

    def test_how_long_a_partner_is_remembered(self) -> None:
        """From the match, and again from the parting, for as long as the setting says."""
        self.made.enter("a", 1)
        self.made.enter("b", 2)
        self.made.advance(299)
        self.pool.parted(2, 1)
        self.made.advance(299)
        self.made.enter("c", 1)
        self.made.enter("d", 2)
        self.assertEqual(len(self.made.told), 1)
        self.pool.leave("c")
        self.pool.leave("d")
        self.made.advance(1)
        self.made.enter("e", 1)
        self.made.enter("f", 2)
        self.assertEqual(self.made.told[1:], [(599, "e", "f")])

    def test_everything_ends(self) -> None:
        """Of any number who come, at any times, all are told once, and nothing is left."""
        for number in range(300):
            self.made.enter(f"seeker {number}", number % 120, (number * 37 % 100) / 10)
            self.made.clock.advance(number * 7919 % 13 / 10)
        self.made.advance(61)
        told = [name for _, *names in self.made.told for name in names]
        self.assertEqual(sorted(told), sorted(f"seeker {number}" for number in range(300)))
        self.assertEqual((len(self.pool), self.calls()), (0, 0))


class LastPartnersTests(SynchronousTestCase):
    """Whom each user was with last."""

    def test_for_a_time(self) -> None:
        """Exactly as long as it was asked to, from the last time."""
        partners = LastPartners(300)
        partners.add(1, 2, START)
        partners.add(1, 3, START + 100)
        partners.add(2, 1, START + 200)
        self.assertEqual(partners.of(1, START + 399), {2, 3})
        self.assertEqual(partners.of(1, START + 400), {2})
        self.assertEqual(partners.of(3, START + 400), frozenset())
        self.assertEqual(partners.of(2, START + 499), {1})
        self.assertEqual(partners.of(2, START + 500), frozenset())
        self.assertEqual(len(partners), 0)

    def test_the_last_eight(self) -> None:
        """Of one user eight are remembered, those of the last time."""
        partners = LastPartners(300)
        for other in range(2, 12):
            partners.add(1, other, START + other)
        self.assertEqual(partners.of(1, START + 20), frozenset(range(4, 12)))
        self.assertEqual(partners.of(2, START + 20), {1})

    def test_not_at_all(self) -> None:
        """With no time to remember, nobody is remembered."""
        partners = LastPartners(0)
        partners.add(1, 2, START)
        self.assertEqual((partners.of(1, START), len(partners)), (frozenset(), 0))

    def test_memory(self) -> None:
        """A hundred thousand meetings one after another are never all remembered."""
        partners = LastPartners(300)
        for number in range(100_000):
            partners.add(2 * number, 2 * number + 1, START + number)
        self.assertLessEqual(len(partners), 600)

    @given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(0, 9)), max_size=40))
    def test_against_a_list(self, meetings: list[tuple[int, int, int]]) -> None:
        """What is remembered is what a list of all meetings says."""
        partners, now, moments = LastPartners(20), 0, {}
        for one, other, gap in meetings:
            now += gap
            if one == other:
                continue
            partners.add(one, other, now)
            moments[one, other] = moments[other, one] = now
            for user in range(1, 5):
                recent = {b for (a, b), moment in moments.items() if a == user and now - moment < 20}
                self.assertEqual(partners.of(user, now), recent)
