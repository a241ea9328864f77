"""The pool: its one timer, and whom it remembers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.talk.matching import Matcher
from realtime.talk.pool import LastPartners, MemoryPool, Pool, Seeker
from tests.cluster.kinds import InMemory, Kind
from tests.talk.pools import ADDRESSES, START, OverPools


class Recorder:
    """Pools of one server, which write down what they tell, each with the seconds since the start.

    Seekers are entered in one after the other. A pair is written down where the first was entered; the process
    of the second, if that is another, is told the same.
    """

    def __init__(self, clock: Clock, pools: list[Pool], settle: Callable[[], None]) -> None:
        self.clock = clock
        self.pools = pools
        self.settle = settle
        self.told: list[tuple[Any, ...]] = []
        self.told_to_second: list[str] = []
        self._where: dict[str, int] = {}
        for number, pool in enumerate(pools):
            pool.listen(partial(self._paired, number), partial(self._alone, number), self._unavailable)

    def _paired(self, process: int, match_id: str, first: Seeker, second: Seeker) -> None:
        assert process in (self._where[first.id], self._where[second.id])
        if process == self._where[first.id]:
            self.told.append((self.now, self.name(first), self.name(second)))
        if process != self._where[first.id]:
            self.told_to_second.append(match_id)

    def _alone(self, process: int, seeker: Seeker) -> None:
        assert process == self._where[seeker.id]
        self.told.append((self.now, self.name(seeker)))

    def _unavailable(self, seeker: Seeker) -> None:
        self.told.append((self.now, self.name(seeker), "unavailable"))

    @staticmethod
    def name(seeker: Seeker) -> str:
        """What the test calls it."""
        return seeker.id.partition(".")[2]

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return round(self.clock.seconds() - START, 2)

    def enter(self, name: str, user: int, score: float = 0.5, waited: float = 0.0) -> None:
        """Somebody comes."""
        number = len(self._where) % len(self.pools)
        self.pools[number].enter(self.seeker(name, user, score, process=number), waited)
        self.settle()

    def seeker(self, name: str, user: int, score: float = 0.5, process: int = 1) -> Seeker:
        """Somebody who may come to a process."""
        seeker = Seeker(f"{ADDRESSES[process]}.{name}", user, f"user {user}", score, ())
        self._where[seeker.id] = process
        return seeker

    def leave(self, name: str) -> None:
        """Somebody leaves, perhaps who has not come."""
        for address, pool in zip(ADDRESSES, self.pools, strict=False):
            pool.leave(f"{address}.{name}")
        self.settle()

    def parted(self, one: int, other: int) -> None:
        """Two were together until now."""
        self.pools[0].parted(one, other)
        self.settle()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, at once."""
        self.clock.advance(seconds)
        self.settle()

    def advance(self, seconds: float) -> None:
        """Let time pass, a second at a time."""
        for _ in range(int(seconds)):
            self.pass_time(1.0)


class PoolTests(Kind):
    """Who is found, and when: the same in any pool."""

    def setUp(self) -> None:
        """Make a pool."""
        super().setUp()
        self.clock = Clock()
        self.clock.advance(START)
        self.made = self.make()

    def make(self, *, anyone: bool = True) -> Recorder:
        """Make the pools of a server."""
        raise NotImplementedError

    def matcher(self, *, anyone: bool) -> Matcher:
        """Make a matcher."""
        return Matcher(tolerance=0.1, span=1.0, find_timeout=60.0, anyone_at_deadline=anyone)

    def assert_nothing_left(self) -> None:
        """Nobody waits, and no call is scheduled."""
        raise NotImplementedError

    def test_at_once(self) -> None:
        """Two who are close are a pair as soon as the second one has come."""
        self.made.enter("a", 1)
        self.made.enter("b", 2)
        assert self.made.told == [(0, "a", "b")]
        self.assert_nothing_left()

    def test_once_the_tolerance_is_wide_enough(self) -> None:
        """Two who are farther apart meet at the moment at which they may: nothing is asked before."""
        self.made.enter("a", 1, 0.2)
        self.made.enter("b", 2, 0.75)
        self.made.pass_time(29.99)  # 0.1 + 0.9 * 30 / 60 = 0.55
        assert self.made.told == []
        self.made.pass_time(0.02)
        assert self.made.told == [(30.01, "a", "b")]
        self.assert_nothing_left()

    def test_time_is_up(self) -> None:
        """Who waits alone is told so after the timeout."""
        self.made.enter("a", 1)
        self.made.pass_time(59.99)
        assert self.made.told == []
        self.made.pass_time(0.01)
        assert self.made.told == [(60, "a")]
        self.assert_nothing_left()

    def test_who_has_waited_already(self) -> None:
        """Its time counts from when it began to wait, and so do its place before others and its tolerance."""
        self.made.enter("b", 2, 0.2)
        self.made.enter("a", 1, 0.75, waited=59.9)
        assert self.made.told == []
        self.made.pass_time(0.06)  # together they have waited as long as 0.55 takes
        assert self.made.told == [(0.06, "a", "b")]
        self.made.enter("c", 3, waited=59)
        self.made.pass_time(1)
        assert self.made.told[1:] == [(1.06, "c")]
        self.assert_nothing_left()

    def test_leaving(self) -> None:
        """Who leaves is not found; leaving again does nothing."""
        self.made.enter("a", 1)
        self.made.leave("a")
        self.assert_nothing_left()
        self.made.leave("a")
        self.made.leave("never came")
        self.made.enter("b", 2)
        self.made.advance(59)
        assert self.made.told == []
        self.made.leave("b")

    def test_never_with_itself(self) -> None:
        """A user who waits twice is not a pair."""
        self.made.enter("a", 1)
        self.made.enter("b", 1)
        self.made.advance(61)
        assert sorted(self.made.told) == [(60, "a"), (60, "b")]

    def test_the_last_partner(self) -> None:
        """Two who were a pair wait for somebody else until their time is up."""
        self.made.enter("a", 1)
        self.made.enter("b", 2)
        self.made.enter("c", 1)
        self.made.enter("d", 2)
        assert self.made.told == [(0, "a", "b")]
        self.made.enter("e", 3)
        assert self.made.told[1:] == [(0, "c", "e")]
        self.made.advance(60)
        assert self.made.told[2:] == [(60, "d")]

    def test_the_last_partner_if_nobody_else_comes(self) -> None:
        """At the deadline the last partner will do."""
        for name, user in (("a", 1), ("b", 2), ("c", 1), ("d", 2)):
            self.made.enter(name, user)
        self.made.advance(61)
        assert self.made.told[1:] == [(60, "c", "d")]

    def test_how_long_a_partner_is_remembered(self) -> None:
        """From the match, and again from the parting, for as long as the setting says."""
        self.made.enter("a", 1)
        self.made.enter("b", 2)
        self.made.pass_time(299)
        self.made.parted(2, 1)
        self.made.pass_time(299)
        self.made.enter("c", 1)
        self.made.enter("d", 2)
        assert len(self.made.told) == 1
        self.made.leave("c")
        self.made.leave("d")
        self.made.pass_time(1)
        self.made.enter("e", 1)
        self.made.enter("f", 2)
        assert self.made.told[1:] == [(599, "e", "f")]

    def test_the_last_eight_partners(self) -> None:
        """Of one user eight partners count, those of the last time."""
        self.made.parted(1, 2)
        for number in range(8):
            self.clock.advance(0.01)
            self.made.enter(f"a{number}", 1)
            self.made.enter(f"b{number}", 2)
            self.made.leave(f"a{number}")
            self.made.leave(f"b{number}")
            self.made.parted(1, 10 + number)
            self.made.parted(2, 20 + number)
        assert self.made.told == []
        self.made.enter("a", 1)
        self.made.enter("b", 2)
        assert self.made.told == [(0.08, "a", "b")]

    def test_everything_ends(self) -> None:
        """Of any number who come, at any times, all are told once, and nothing is left."""
        for number in range(self.many):
            self.made.enter(f"seeker {number}", number % 120, (number * 37 % 100) / 10)
            self.made.pass_time(number * 7919 % 13 / 10)
        self.made.advance(61)
        told = [name for _, *names in self.made.told for name in names]
        assert sorted(told) == sorted(f"seeker {number}" for number in range(self.many))
        self.assert_nothing_left()

    many = 300


class MemoryPoolTests(PoolTests, InMemory):
    """In one process. It keeps one timer."""

    def make(self, *, anyone: bool = True) -> Recorder:
        """Make a pool."""
        pool = MemoryPool(self.matcher(anyone=anyone), clock=self.clock, rematch_after=300.0)
        return Recorder(self.clock, [pool], lambda: None)

    def assert_nothing_left(self) -> None:
        """Nobody waits, and no call is scheduled."""
        pool: Any
        (pool,) = self.made.pools
        self.assertEqual((len(pool), self.clock.getDelayedCalls()), (0, []))

    def test_a_timer_that_is_a_rounding_early(self) -> None:
        """Is on time: what was scheduled for a moment happens, whatever the clock reads."""
        self.made.enter("a", 1)
        self.clock.advance(59.999999)
        call: Any
        (call,) = self.clock.getDelayedCalls()
        function, arguments = call.func, call.args
        call.cancel()
        function(*arguments)
        self.assertEqual((self.made.told, self.clock.getDelayedCalls()), ([(60, "a")], []))

    def test_one_timer(self) -> None:
        """However many wait, one call is scheduled, for the first moment of all."""
        for number in range(20):
            self.made.enter(f"seeker {number}", number, number * 1000.0)
            self.clock.advance(1)
        (call,) = self.clock.getDelayedCalls()
        self.assertAlmostEqual(call.getTime() - START, 60, places=4)
        self.made.leave("seeker 0")
        (call,) = self.clock.getDelayedCalls()
        self.assertAlmostEqual(call.getTime() - START, 61, places=4)

    def test_nobody_else_at_the_deadline(self) -> None:
        """With at_deadline = fail the last partner won't do."""
        self.made = self.make(anyone=False)
        for name, user in (("a", 1), ("b", 2), ("c", 1), ("d", 2)):
            self.made.enter(name, user)
        self.made.advance(61)
        self.assertEqual(self.made.told[1:], [(60, "c"), (60, "d")])


class ClusterPoolTests(PoolTests, OverPools):
    """In several processes, over Redis: seekers come to one and the other."""

    many = 120

    def make(self, *, anyone: bool = True) -> Recorder:
        """Make the pools of two processes."""
        pools: list[Pool] = [self.make_pool(address) for address in ADDRESSES]
        return Recorder(self.clock, pools, self.settle)

    def assert_nothing_left(self) -> None:
        """Nobody waits, nor is anything left in Redis; when a beat has passed, no call is scheduled."""
        self.made.pass_time(2)
        self.clock.rightNow -= 2
        self.assertEqual([len(pool) for pool in self.pools], [0, 0])
        self.assertEqual([len(pool.matchmaker) for pool in self.pools], [0, 0])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.tickets_left(), [])


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
