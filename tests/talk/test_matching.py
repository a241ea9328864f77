"""Who meets whom, and when: the rules one by one, then against all pairs looked at one by one."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sized
from fractions import Fraction
from functools import partial
from itertools import combinations
from random import Random
from statistics import median
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.talk import matching
from realtime.talk.matching import Matcher, Outcome, Pair, Ticket, Unmatched

TICK = Fraction(1, 2**20)
"""Times are counted in these, seconds."""

NOW = 1_790_000_000.0
"""A Unix time of today: far enough from zero for a float to be coarse."""


def ticket(name: str, score: float, since: float = 0.0, *, recent: str = "", user: str = "") -> Ticket:
    """Return a ticket of the user with the same name, a letter, if no other is given."""
    return Ticket(name, ord(user or name), score, since, frozenset(map(ord, recent)))


def told(outcomes: list[Outcome]) -> list[str]:
    """Return the ids of those to whom something happened: two for a pair."""
    return ["".join(str(each.id) for each in outcome) for outcome in outcomes]


class MatcherTestCase(SynchronousTestCase):
    """A tolerance of 0.1 that grows to 1 in 60 seconds."""

    def setUp(self) -> None:
        """Make it."""
        self.matcher = Matcher()

    def insert(self, *tickets: Ticket) -> None:
        """Let tickets wait."""
        for each in tickets:
            self.matcher.insert(each)

    def at(self, now: float) -> list[str]:
        """Return what happens up to a moment."""
        return told(self.matcher.match(now))

    def next(self) -> float:
        """Return the next moment, which is to be one at which something happens, and no tick too late."""
        moment = self.matcher.next_moment()
        assert moment is not None
        self.assertEqual(self.at(moment - float(TICK)), [])
        return moment


class ToleranceTests(MatcherTestCase):
    """How close is close enough."""

    def test_close_scores_meet_at_once(self) -> None:
        """Two within the tolerance are a pair when the second comes; the first is the one who waited."""
        self.insert(ticket("a", 0.5))
        self.assertEqual(self.at(5), [])
        self.insert(ticket("b", 0.45, 5))
        self.assertEqual(self.matcher.next_moment(), 5)
        self.assertEqual(self.at(5), ["ab"])
        self.assertEqual(len(self.matcher), 0)
        self.assertIsNone(self.matcher.next_moment())

    def test_the_tolerance_itself_is_within(self) -> None:
        """As on paper: 0.4 is 0.1 from 0.3, although as floats it is a little more."""
        self.assertGreater(0.4 - 0.3, 0.1)
        self.insert(ticket("a", 0.3), ticket("b", 0.4))
        self.assertEqual(self.at(0), ["ab"])

    def test_distant_scores_meet_later(self) -> None:
        """The tolerance of two who came together grows from 0.1 to 1 in 60 s: it is 0.4 after 20 s."""
        self.insert(ticket("a", 0.2), ticket("b", 0.6))
        self.assertAlmostEqual(self.next(), 20, places=5)
        self.assertEqual(self.at(20.001), ["ab"])

    def test_the_waiting_times_of_both_count(self) -> None:
        """One has waited 30 s longer: their mean is 20 s when the second has waited 5."""
        self.insert(ticket("a", 0.2), ticket("b", 0.6, 30))
        self.assertAlmostEqual(self.next(), 35, places=5)

    def test_one_who_waited_long_takes_a_newcomer_at_once(self) -> None:
        """What counts is the mean, so a newcomer has half of the other's patience."""
        self.insert(ticket("a", 0.2))
        self.assertEqual(self.at(40), [])
        self.insert(ticket("b", 0.6, 40))
        self.assertEqual(self.at(40), ["ab"])

    def test_the_whole_span_is_reached_at_the_deadline(self) -> None:
        """The two ends of the scale, come at the same time, meet when both their times are up."""
        self.insert(ticket("a", 0), ticket("b", 1))
        self.assertEqual(self.next(), 60)
        self.assertEqual(self.at(60), ["ab"])

    def test_a_tolerance_that_does_not_grow(self) -> None:
        """With a tolerance as wide as the span, time makes no difference."""
        self.matcher = Matcher(0.1, 0.1, anyone_at_deadline=False)
        self.insert(ticket("a", 0.1), ticket("b", 0.3), ticket("c", 0.2, 30))
        self.assertEqual(self.at(30), ["ac"])
        self.assertEqual(self.next(), 60)
        self.assertEqual(self.at(60), ["b"])

    def test_other_scales(self) -> None:
        """The span is the width of the scale: points from 0 to 100, 5 apart at first."""
        self.matcher = Matcher(5, 100, 95)
        self.insert(ticket("a", 20), ticket("b", 30))
        self.assertAlmostEqual(self.next(), 5, places=5)

    def test_huge_scores(self) -> None:
        """Scores at the ends of what a float can be are far apart, and close to their like."""
        largest = sys.float_info.max
        self.insert(ticket("a", largest), ticket("b", -largest), ticket("c", 1e300), ticket("d", 0.5))
        self.assertEqual(self.at(59), [])
        self.insert(ticket("e", largest, 59))
        self.assertEqual(self.at(59), ["ae"])
        self.assertEqual(self.at(60), ["bd", "c"])

    def test_settings_that_make_no_sense(self) -> None:
        """A tolerance beyond the span, a scale or a timeout of nothing, and what is no number."""
        for wrong in ((0.2, 0.1), (-0.1,), (0, 0), (0.1, math.inf), (math.nan,), (0.1, math.nan)):
            self.assertRaises(ValueError, Matcher, *wrong)
        for wrong_timeout in (0, -1, math.inf, math.nan):
            self.assertRaises(ValueError, Matcher, find_timeout=wrong_timeout)


class PreferenceTests(MatcherTestCase):
    """Who meets whom, of those who may."""

    def test_the_closest(self) -> None:
        """A newcomer gets the closest of those possible, whoever waited longest."""
        self.insert(ticket("a", 0.1), ticket("b", 0.9), ticket("c", 0.55, 20), ticket("d", 0.5, 20))
        self.assertEqual(self.at(20), ["cd"])

    def test_equally_close(self) -> None:
        """Of 0.2 and 0.4, seen from 0.3, the one that waited longer."""
        for first, second in ((0.2, 0.4), (0.4, 0.2)):
            self.matcher = Matcher()
            self.insert(ticket("a", first), ticket("b", second, 1), ticket("c", 0.3, 2))
            self.assertEqual(self.at(2), ["ac"])

    def test_the_same_score(self) -> None:
        """Of three with the same score the two that waited longest."""
        self.insert(ticket("c", 0.5, 3), ticket("a", 0.5, 1), ticket("b", 0.5, 2))
        self.assertEqual(self.at(3), ["ab"])

    def test_who_came_first_at_one_moment(self) -> None:
        """With the same waiting time, who was inserted first has waited longer."""
        self.insert(ticket("b", 0.5), ticket("a", 0.5))
        self.assertEqual(self.at(0), ["ba"])

    def test_equally_close_pairs(self) -> None:
        """The pair of the one that waited longest is told first, however short its partner waited."""
        self.insert(ticket("a", 0.0), ticket("b", 0.5), ticket("c", 0.55), ticket("d", 0.05))
        self.assertEqual(self.at(0), ["ad", "bc"])

    def test_in_the_order_of_time(self) -> None:
        """One who looks late is told what would have happened by then, not what is closest now."""
        self.insert(ticket("a", 0.0), ticket("b", 0.4), ticket("c", 0.7, 15))
        self.assertEqual(self.at(15), [])
        # 0 and 0.4 are a pair after 20 s; 0.4 and 0.7, which are closer, after 20.8 s.
        self.assertEqual(self.at(100), ["ab", "c"])

    def test_late_insertions(self) -> None:
        """A ticket whose waiting began before that of others is older than they."""
        self.insert(ticket("b", 0.1, 2))
        self.assertEqual(self.at(2), [])
        self.insert(ticket("a", 0.15, 1))
        self.assertEqual(self.at(2), ["ab"])


class StrangersTests(MatcherTestCase):
    """Who must not meet."""

    def test_a_user_never_meets_itself(self) -> None:
        """Not even at the deadline, with nobody else there."""
        self.insert(ticket("a", 0.5), ticket("b", 0.5, user="a"))
        self.assertEqual(self.at(59), [])
        self.assertEqual(self.at(60), ["a", "b"])

    def test_a_recent_partner_waits_for_the_deadline(self) -> None:
        """Whichever of the two remembers the other."""
        for first, second in (("b", ""), ("", "a"), ("b", "a")):
            self.matcher = Matcher()
            self.insert(ticket("a", 0.5, recent=first), ticket("b", 0.5, 10, recent=second))
            self.assertEqual(self.next(), 60)
            self.assertEqual(self.at(60), ["ab"])

    def test_others_are_found_behind_a_recent_partner(self) -> None:
        """The closest is out of the question: the next one is taken, on either side."""
        self.insert(ticket("a", 0.5, recent="b"), ticket("b", 0.52), ticket("c", 0.58, 1))
        self.assertEqual(self.at(1), ["bc"])
        self.insert(ticket("d", 0.47, 2, recent="a"), ticket("e", 0.43, 3))
        self.assertEqual(self.at(3), ["de"])
        self.assertEqual(self.at(60), ["a"])

    def test_one_who_waits_within_reach_of_another(self) -> None:
        """A newcomer that two others may not meet each other around meets the one that can reach it."""
        self.insert(ticket("a", 0.3))
        self.assertEqual(self.at(40), [])
        self.insert(ticket("b", 0.5, 40, recent="a"), ticket("c", 0.65, 40))
        self.assertEqual(self.at(40), ["ac"])

    def test_one_who_leaves_uncovers_others(self) -> None:
        """Two who stood on either side of one are each other's next when it goes."""
        self.insert(ticket("a", 0.1), ticket("b", 0.3), ticket("c", 0.6))
        self.assertTrue(self.matcher.leave("b"))
        self.assertAlmostEqual(self.next(), 26.666667, places=5)
        self.assertEqual(self.at(27), ["ac"])

    def test_one_who_leaves_uncovers_others_beyond_a_recent_partner(self) -> None:
        """So are two who stood farther off, if whoever is left between may meet neither."""
        self.insert(ticket("a", 0.2, recent="cd"), ticket("b", 0.4, recent="a"))
        self.insert(ticket("c", 0.1), ticket("d", 0.6))
        self.assertTrue(self.matcher.leave("b"))
        self.assertAlmostEqual(self.next(), 26.666667, places=5)
        self.assertEqual(self.at(27), ["cd"])

    def test_as_far_as_one_reaches(self) -> None:
        """One who has waited long reaches far past one whom it may not meet."""
        self.insert(ticket("a", 0.9))
        self.assertEqual(self.at(50), [])
        self.insert(ticket("b", 0.55, 50, recent="a"), ticket("c", 0.43, 50))
        self.assertEqual(self.at(50), ["ac"])


class DeadlineTests(MatcherTestCase):
    """When time is up."""

    def test_nobody_there(self) -> None:
        """One alone is told so, and waits no longer."""
        self.insert(ticket("a", 0.5, NOW))
        self.assertEqual(self.matcher.next_moment(), NOW + 60)
        self.assertEqual(self.at(NOW + 59.999), [])
        self.assertEqual(self.matcher.match(NOW + 60), [Unmatched(ticket("a", 0.5, NOW))])
        self.assertNotIn("a", self.matcher)

    def test_anyone(self) -> None:
        """The closest, however far, and the one that waited longer comes first."""
        self.insert(ticket("a", 100), ticket("b", 30, 50), ticket("c", 40, 59), ticket("d", -999, 1))
        self.assertEqual(
            self.matcher.match(60), [Pair(ticket("a", 100), ticket("c", 40, 59))], "the closest of all"
        )
        self.assertEqual(self.at(61), ["db"])

    def test_equally_close_at_the_deadline(self) -> None:
        """Of those on either side, and of several with one score, the one that waited longest."""
        for low, high, third in ((3, 7, 3), (7, 3, 3), (3, 7, 7), (7, 3, 7)):
            self.matcher = Matcher()
            self.insert(ticket("a", 5), ticket("b", low, 1), ticket("c", high, 2, user="b"))
            self.insert(ticket("d", third, 3, user="b"))
            self.assertEqual(self.at(60), ["ab"])

    def test_strangers_before_recent_partners(self) -> None:
        """One met lately is taken only if there is nobody else, however far."""
        self.insert(ticket("a", 5, recent="bc"), ticket("b", 5.1, 1), ticket("c", 5.2, 2, recent="b"))
        self.insert(ticket("d", 99, 3))
        self.assertEqual(self.at(60), ["ad"])
        self.assertEqual(self.at(61), ["bc"])

    def test_nobody_but_a_match(self) -> None:
        """A matcher may be told not to take anyone."""
        self.matcher = Matcher(anyone_at_deadline=False)
        self.insert(ticket("a", 0), ticket("b", 5), ticket("c", 0, 1, recent="a"))
        self.assertEqual(self.at(60), ["a", "b"])
        self.assertEqual(self.at(61), ["c"])

    def test_what_is_possible_at_the_deadline_goes_first(self) -> None:
        """A pair that becomes possible at that moment is a pair, rather than one with anyone."""
        self.insert(ticket("a", 0), ticket("b", 1), ticket("c", -3, 0), ticket("d", 1.5, 30))
        self.assertEqual(self.at(60), ["bd", "ac"])

    def test_deadlines_that_have_passed_come_first(self) -> None:
        """One whose time was up before others came takes the closest of them before they meet."""
        self.insert(ticket("a", 0), ticket("b", 9, 100), ticket("c", 9, 100), ticket("d", 9.01, 100))
        self.assertEqual(self.matcher.next_moment(), 100)
        self.assertEqual(self.at(100), ["ab", "cd"])


class ComingAndGoingTests(MatcherTestCase):
    """Tickets in and out."""

    def test_who_is_there(self) -> None:
        """A ticket is there until it leaves, which it can do once."""
        self.insert(ticket("a", 0.5))
        self.assertIn("a", self.matcher)
        self.assertEqual(len(self.matcher), 1)
        self.assertTrue(self.matcher.leave("a"))
        self.assertFalse(self.matcher.leave("a"))
        self.assertNotIn("a", self.matcher)
        self.assertIsNone(self.matcher.next_moment())
        self.assertEqual(self.at(100), [])

    def test_one_who_leaves_meets_nobody(self) -> None:
        """What was noted of it is void, if the same id comes again too."""
        self.insert(ticket("a", 0.5), ticket("b", 0.5))
        self.matcher.leave("a")
        self.insert(ticket("a", 0.9))
        self.assertAlmostEqual(self.next(), 20, places=5)

    def test_what_cannot_be_inserted(self) -> None:
        """An id that waits already, and a score that is no finite number."""
        self.insert(ticket("a", 0.5))
        for wrong in (ticket("a", 0.1), ticket("b", math.nan), ticket("c", math.inf), ticket("d", -math.inf)):
            self.assertRaises(ValueError, self.matcher.insert, wrong)
        self.assertEqual(len(self.matcher), 1)

    def test_the_moment_survives_the_way_out_and_in(self) -> None:
        """At whatever time of today, there is something to tell at the very moment that was told."""
        random = Random(1)
        for number in range(300):
            matcher = Matcher(find_timeout=random.uniform(0.5, 500))
            for user in range(5):
                since = NOW + number * math.pi + random.random()
                matcher.insert(Ticket(user, user, random.random(), since))
            while (moment := matcher.next_moment()) is not None:
                self.assertTrue(matcher.match(moment))
            self.assertEqual(len(matcher), 0)


class Plain:
    """The rules as one would write them down, looking at all pairs each time."""

    def __init__(self, tolerance: float, span: float, find_timeout: float, anyone: bool) -> None:
        self.tolerance, self.span, self.timeout = map(billionths, (tolerance, span, find_timeout))
        self.anyone = anyone
        self.clock = Fraction(0)
        self.waiting: list[Ticket] = []

    def insert(self, ticket: Ticket) -> None:
        """Let a ticket wait; the list is in the order of insertion."""
        self.waiting.append(ticket)
        self.clock = max(self.clock, Fraction(ticket.since))

    def leave(self, ticket_id: Any) -> bool:
        """Let a ticket go."""
        there = [each for each in self.waiting if each.id == ticket_id]
        self.waiting = [each for each in self.waiting if each.id != ticket_id]
        return bool(there)

    def age(self, ticket: Ticket) -> tuple[float, int]:
        """Who waits longest comes first."""
        return ticket.since, self.waiting.index(ticket)

    def distance(self, one: Ticket, other: Ticket) -> Fraction:
        """Return how far apart two scores are."""
        return abs(self.steps(one) - self.steps(other)) * self.span

    def steps(self, ticket: Ticket) -> Fraction:
        """Return a score as a share of the span, in billionths."""
        return Fraction(round(Fraction(ticket.score) / self.span * 10**9), 10**9)

    def possible(self, one: Ticket, other: Ticket, moment: Fraction) -> bool:
        """Whether two are a pair by the tolerance of a moment."""
        mean = ((moment - Fraction(one.since)) + (moment - Fraction(other.since))) / 2
        tolerance = self.tolerance + (self.span - self.tolerance) * mean / self.timeout
        return strangers(one, other) and self.distance(one, other) <= tolerance

    def moment(self, one: Ticket, other: Ticket) -> Fraction | None:
        """Return the first moment at which two are a pair, never before the matcher's time."""
        if not strangers(one, other):
            return None
        beyond = self.distance(one, other) - self.tolerance
        if beyond <= 0:
            return self.clock
        if self.span == self.tolerance:
            return None
        mean = beyond * self.timeout / (self.span - self.tolerance)
        exact = mean + (Fraction(one.since) + Fraction(other.since)) / 2
        return max(self.clock, math.ceil(exact / TICK) * TICK)

    def deadlines(self) -> list[tuple[Fraction, tuple[float, int], Ticket]]:
        """Return whose time is up when, in order."""
        return sorted((Fraction(each.since) + self.timeout, self.age(each), each) for each in self.waiting)

    def next_moment(self) -> float | None:
        """Return when something happens next."""
        if not self.waiting:
            return None
        moments = [self.moment(one, other) for one, other in combinations(self.waiting, 2)]
        pairs = [moment for moment in moments if moment is not None]
        return float(max(self.clock, min([*pairs, self.deadlines()[0][0]])))

    def match(self, now: float) -> list[Outcome]:
        """Return what happens up to ``now``."""
        outcomes: list[Outcome] = []
        while (moment := self.next_moment()) is not None and moment <= now:
            deadline, _, oldest = self.deadlines()[0]
            overdue = deadline < self.clock
            self.clock = Fraction(moment)
            pairs = [pair for pair in combinations(self.waiting, 2) if self.possible(*pair, self.clock)]
            outcomes.append(self.closest(pairs) if pairs and not overdue else self.at_deadline(oldest))
        self.clock = max(self.clock, Fraction(now))
        return outcomes

    def closest(self, pairs: list[tuple[Ticket, Ticket]]) -> Pair:
        """Take the best of some pairs: the closest, then the one whose older has waited longest."""
        ordered = [sorted(pair, key=self.age) for pair in pairs]
        first, second = min(ordered, key=lambda pair: (self.distance(*pair), *map(self.age, pair)))
        self.waiting = [each for each in self.waiting if each not in (first, second)]
        return Pair(first, second)

    def at_deadline(self, oldest: Ticket) -> Outcome:
        """Take anyone for one whose time is up."""
        if self.anyone:
            others = [each for each in self.waiting if each.user != oldest.user]
            better = [each for each in others if strangers(each, oldest)]
            if others:
                return self.closest([(oldest, each) for each in better or others])
        self.waiting.remove(oldest)
        return Unmatched(oldest)


def billionths(number: float) -> Fraction:
    """Return a number as it is written."""
    return Fraction(repr(number))


def strangers(one: Ticket, other: Ticket) -> bool:
    """Whether two may meet before the deadline."""
    return one.user != other.user and one.user not in other.recent and other.user not in one.recent


times = st.integers(0, 80).map(lambda eighths: eighths / 8)
scores = st.one_of(
    st.sampled_from([0.0, 0.2, 0.3, 0.4, 0.5, 1.0]),
    st.integers(-10, 20).map(lambda number: number / 10),
    st.floats(-1, 2),
    st.sampled_from([1e308, -1e308, 1e300, 7.0, -7.0]),
)
inserts = st.tuples(
    st.just("insert"),
    st.tuples(scores, st.integers(0, 9), st.frozensets(st.integers(0, 9), max_size=6), times),
)
steps = st.lists(
    st.one_of(
        inserts,
        inserts,
        st.tuples(st.just("leave"), st.integers(0, 50)),
        st.tuples(st.just("advance"), times),
        st.tuples(st.just("next"), st.none()),
        st.tuples(st.just("look"), st.none()),
    ),
    min_size=15,  # or most would be too short for anything to happen
    max_size=50,
)
shapes = st.tuples(
    st.sampled_from([(0.1, 1.0), (0.0, 1.0), (0.5, 0.5), (0.05, 2.0), (0.03, 0.3)]),
    st.sampled_from([1.0, 4.0, 10.0]),
    st.booleans(),
)


class AgainstAllPairsTests(SynchronousTestCase):
    """`Matcher` against `Plain`."""

    def setUp(self) -> None:
        """Let stale entries be swept out as soon as there are a few."""
        self.patch(matching, "_SMALLEST_SWEEP", 4)

    @settings(max_examples=400, deadline=None)
    @given(shape=shapes, start=st.sampled_from([0.0, NOW]), steps=steps)
    def test_whatever_happens(self, shape: Any, start: float, steps: list[tuple[str, Any]]) -> None:
        """The same things happen at the same moments, whoever comes, goes and waits."""
        (tolerance, span), timeout, anyone = shape
        matcher = Matcher(tolerance, span, timeout, anyone_at_deadline=anyone)
        plain = Plain(tolerance, span, timeout, anyone)
        now = start
        for number, (what, how) in enumerate(steps):
            if what == "insert":
                score, user, recent, lag = how
                # Now and then one comes in late: it has waited already.
                new = Ticket(number, user, score, max(0.0, now - max(0.0, lag - 8)), recent)
                matcher.insert(new)
                plain.insert(new)
            elif what == "leave":
                self.assertEqual(matcher.leave(how), plain.leave(how))
            else:
                now = self.later(what, how, now, plain)
                if what != "look":
                    self.assertEqual(matcher.match(now), plain.match(now))
            self.assertEqual(matcher.next_moment(), plain.next_moment())
            self.assertEqual(len(matcher), len(plain.waiting))
        end = now + 2 * timeout
        self.assertEqual(matcher.match(end), plain.match(end))
        self.assertEqual(len(matcher), 0)

    def later(self, what: str, how: float | None, now: float, plain: Plain) -> float:
        """Return the time after a step; one who looks late lets time pass without a match."""
        if what == "next":
            return max(now, plain.next_moment() or 0)
        return now + (how if how is not None else 1.0)


class CostTests(SynchronousTestCase):
    """What an operation costs as tickets grow in number: in calls of functions, counted, not timed."""

    def calls(self, deed: Callable[[], object]) -> int:
        """Return how many functions, Python's own among them, are called."""
        made = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal made
            made += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            deed()
        finally:
            sys.setprofile(before)
        return made

    def cost(self, waiting: int) -> list[float]:
        """Return the median number of calls for coming, for leaving, and for a meeting."""
        random = Random(waiting)
        matcher = Matcher(tolerance=0)
        for number in range(waiting):
            recent = frozenset([random.randrange(waiting)])
            matcher.insert(Ticket(number, number, random.uniform(0, waiting), number / waiting, recent))
        matcher.match(1.0)
        self.assertGreater(len(matcher), waiting * 0.9)
        there = random.sample([number for number in range(waiting) if number in matcher], 200)
        new = [Ticket(-number, -number, random.uniform(0, waiting), 1.0) for number in range(1, 201)]

        def meet() -> None:
            moment = matcher.next_moment()
            assert moment is not None
            self.assertTrue(matcher.match(moment))

        return [
            median(self.calls(partial(matcher.insert, each)) for each in new),
            median(self.calls(partial(matcher.leave, each)) for each in there),
            median(self.calls(meet) for _ in range(200)),
        ]

    def test_a_hundred_times_as_many(self) -> None:
        """With a hundred times as many waiting, no operation makes half as many calls again."""
        for few, many in zip(self.cost(1_000), self.cost(100_000), strict=True):
            self.assertLess(many, 1.5 * few)

    def test_nothing_is_kept_of_those_who_went(self) -> None:
        """Many who come and go beside a few who stay take no memory after all."""
        matcher = Matcher()
        for number in range(10):
            matcher.insert(Ticket(number, number, number, 0.0))
        sizes = []
        for number in range(10, 20_000):
            matcher.insert(Ticket(number, number, 0.15 + number % 9, 0.0, frozenset([number - 1])))
            matcher.leave(number)
            sizes.append(sum(len(each) for each in vars(matcher).values() if isinstance(each, Sized)))
        self.assertLess(max(sizes), 2000)
