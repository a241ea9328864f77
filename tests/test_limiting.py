"""Rates, throttles and the counter of faults."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.limiting import FaultCounter, Rate, Throttle

NOW = 1_790_000_000.0
"""A Unix time of today: far enough from zero for a float to be coarse."""


class Bucket:
    """A leaky bucket as one would draw it: a level, and the time at which it was that high."""

    def __init__(self, per_second: Fraction, burst: Fraction) -> None:
        self._per_second = per_second
        self._burst = max(burst, Fraction(1))
        self._level = Fraction(0)
        self._when = Fraction(0)

    def room(self, now: Fraction) -> Fraction:
        """How much would fit in, after what has leaked until ``now``."""
        self._level = max(Fraction(0), self._level - (now - self._when) * self._per_second)
        self._when = now
        return self._burst - self._level

    def fill(self) -> None:
        """Put one use in."""
        self._level += 1


class RateTests(SynchronousTestCase):
    """`Rate` against the bucket that it stands for."""

    @given(
        per_second=st.sampled_from([0.25, 0.3, 1.0, 7.0, 50.0, 1000.0]),
        burst=st.sampled_from([0.5, 1, 2, 3, 10]),
        gaps=st.lists(st.floats(min_value=0, max_value=10), max_size=60),
        start=st.sampled_from([0.0, NOW]),
    )
    def test_allows_what_a_bucket_allows(
        self, per_second: float, burst: float, gaps: list[float], start: float
    ) -> None:
        """A use is allowed if, and only if, it fits into the bucket; rounding apart."""
        rate, bucket = Rate(per_second, burst), Bucket(Fraction(per_second), Fraction(burst))
        drained, now = 0.0, start
        for gap in gaps:
            now += gap / per_second
            room = bucket.room(Fraction(now))
            allowed = rate.use(drained, now)
            if abs(room - 1) > Fraction(1, 20):
                self.assertEqual(allowed is not None, room >= 1)
            if allowed is not None:
                bucket.fill()
                drained = allowed

    def test_a_burst_is_whole(self) -> None:
        """As many uses as the burst says pass at one moment, and not one more; at any time of today."""
        for per_second, burst in ((50.0, 100), (40.0, 80), (5.0, 10), (1 / 6, 10), (3.3, 7)):
            rate, drained, passed = Rate(per_second, burst), 0.0, 0
            while (after := rate.use(drained, NOW)) is not None:
                drained, passed = after, passed + 1
            self.assertEqual(passed, burst)

    def test_less_than_one_in_a_second(self) -> None:
        """A rate so low that its burst is less than one use still allows one use at a time."""
        rate = Rate(0.25, 0.5)
        drained = rate.use(0.0, NOW)
        assert drained is not None
        self.assertIsNone(rate.use(drained, NOW + 3.9))
        self.assertIsNotNone(rate.use(drained, NOW + 4.0))

    def test_refused_uses_cost_nothing(self) -> None:
        """Who is refused again and again is not kept out any longer for it."""
        rate, drained = Rate(1.0, 1), 0.0
        drained = rate.use(drained, NOW) or 0.0
        for _ in range(1000):
            self.assertIsNone(rate.use(drained, NOW + 0.5))
        self.assertIsNotNone(rate.use(drained, NOW + 1.0))

    @given(uses=st.integers(min_value=0, max_value=30), later=st.floats(min_value=0, max_value=20))
    def test_wait_is_the_time_until_a_use_fits(self, uses: int, later: float) -> None:
        """After ``wait`` seconds a use fits, a moment earlier it does not."""
        rate, drained = Rate(2.0, 5), NOW
        for _ in range(uses):
            drained = rate.charge(drained, NOW)
        now = NOW + later
        wait = rate.wait(drained, now)
        self.assertIsNotNone(rate.use(drained, now + wait + 1e-3))
        if wait > 1e-3:
            self.assertIsNone(rate.use(drained, now + wait - 1e-3))

    def test_charge_counts_beyond_the_burst(self) -> None:
        """A use that has happened is counted although there was no room for it."""
        rate, drained = Rate(1.0, 2), NOW
        for _ in range(5):
            drained = rate.charge(drained, NOW)
        self.assertApproximates(rate.wait(drained, NOW), 4.0, 0.02)

    def test_refund_undoes_a_charge(self) -> None:
        """What is taken back might never have been."""
        rate = Rate(1.0, 2)
        once = rate.charge(NOW, NOW)
        self.assertAlmostEqual(rate.refund(rate.charge(once, NOW)), once)


class ThrottleTests(SynchronousTestCase):
    """One bucket for each key."""

    def setUp(self) -> None:
        """Ten in a minute."""
        self.throttle = Throttle(Rate(10 / 60, 10))

    def test_keys_are_apart(self) -> None:
        """One who used all that there was leaves the others theirs."""
        for _ in range(10):
            self.assertEqual(self.throttle.wait("mallory", NOW), 0)
            self.throttle.charge("mallory", NOW)
        self.assertApproximates(self.throttle.wait("mallory", NOW), 6.0, 0.1)
        self.assertEqual(self.throttle.wait("alice", NOW), 0)

    def test_a_full_minute_frees_everything(self) -> None:
        """A minute later there is as much as in the beginning."""
        for _ in range(10):
            self.throttle.charge("mallory", NOW)
        for _ in range(10):
            self.assertEqual(self.throttle.wait("mallory", NOW + 60), 0)
            self.throttle.charge("mallory", NOW + 60)
        self.assertGreater(self.throttle.wait("mallory", NOW + 60), 0)

    def test_refund(self) -> None:
        """A use that is taken back leaves room for another."""
        for _ in range(10):
            self.throttle.charge("alice", NOW)
        self.throttle.refund("alice")
        self.assertEqual(self.throttle.wait("alice", NOW), 0)

    def test_refund_of_nothing(self) -> None:
        """A use of a key that is forgotten already can be taken back, to no effect."""
        self.throttle.refund("alice")
        self.assertEqual(len(self.throttle), 0)

    def test_memory_is_bounded_by_the_keys_of_late(self) -> None:
        """A hundred thousand keys that come and go are never kept all at once."""
        largest = 0
        for number in range(100_000):
            self.throttle.charge(f"key {number}", NOW + number * 0.1)
            largest = max(largest, len(self.throttle))
        self.assertLessEqual(largest, 1024)

    def test_keys_that_still_count_are_kept(self) -> None:
        """A sweep forgets nobody whose bucket holds something, however many there are."""
        for number in range(5000):
            self.throttle.charge(f"key {number}", NOW)
        self.assertEqual(len(self.throttle), 5000)
        for _ in range(9):
            self.throttle.charge("key 0", NOW)
        self.assertGreater(self.throttle.wait("key 0", NOW), 0)


class FaultCounterTests(SynchronousTestCase):
    """So many faults within so many seconds."""

    def test_the_limit_itself(self) -> None:
        """The fiftieth fault within a minute reaches the limit, the forty-ninth does not."""
        counter = FaultCounter(50, 60)
        self.assertEqual([counter.add(NOW + n) for n in range(50)], [False] * 49 + [True])

    def test_the_stretch_itself(self) -> None:
        """A fault exactly a minute ago has ceased to count."""
        counter = FaultCounter(3, 60)
        self.assertEqual([counter.add(NOW + n * 30) for n in range(20)], [False] * 20)

    @given(
        limit=st.integers(min_value=1, max_value=6),
        gaps=st.lists(st.integers(min_value=0, max_value=40), max_size=40),
    )
    def test_counts_exactly(self, limit: int, gaps: list[int]) -> None:
        """The limit is reached when the faults of the last minute, counted one by one, are as many."""
        counter, moments = FaultCounter(limit, 60), [0]
        for gap in gaps:
            moments.append(moments[-1] + gap)
            recent = [moment for moment in moments[1:] if moments[-1] - moment < 60]
            self.assertEqual(counter.add(moments[-1]), len(recent) >= limit)
