"""Who meets whom, and when: waiting tickets, paired by the closest score within a widening tolerance.

A pair of tickets is *possible* once their scores are no farther apart than its tolerance. That grows
evenly with the mean of their waiting times, from ``tolerance`` when both have just come to ``span``
when both have waited ``find_timeout``. So the moment at which a pair becomes possible is known as
soon as both are there, and nothing is polled: :meth:`Matcher.next_moment` says when to come back.
Of the pairs possible at one moment the closest goes first, among equally close ones the one whose
older ticket has waited longest. Two tickets of one user are never a pair. Two users who met lately are
none before a deadline: then a ticket takes whoever is there, strangers first.

**Why neighbours are enough.** Think of a ticket as an interval around its score that grows with its
waiting time; a pair is possible when its two intervals touch. If two touch and a third ticket stands
between them, one of the two covers it: the third makes a possible pair with that one, no farther
apart. So the next pair stands side by side in the order of scores, but for tickets between that may
not meet one of the two. Each ticket is therefore considered with the first on either side that it may
meet, and with those *hidden* behind that one: who may not meet it, as they alone can reach past it.
Considered pairs wait in a heap by moment. When a ticket goes, its neighbour and those hidden behind
that one are considered anew.

**Cost.** Inserting, leaving and pairing take a few steps in ordered lists and heaps, which grow with
the logarithm of the number of tickets at the sizes that matter (sortedcontainers' lists of lists). Where
some of those who wait within reach may not meet each other, inserting takes as many steps more, and
leaving and pairing up to their square; they are few where a user waits once and remembers few partners.
Entries of tickets that went stay in the heap until they come up or outnumber the others.

**Numbers.** Times are counted in whole ticks of 2⁻²⁰ s, scores in billionths of ``span``, both as
integers of any size: what is possible is decided exactly, a moment survives the way out and back in,
and scores that are equally close on paper (0.2 and 0.4, seen from 0.3) are equally close here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from fractions import Fraction
from heapq import heapify, heappop, heappush
from typing import Any, Final, NamedTuple, TypeAlias

from msgspec import Struct
from sortedcontainers import SortedList  # type: ignore[import-untyped]

_TICKS: Final = 2**20
"""In a second: times below 2³³ s (those of a clock that begins in 1970 too) are exact as floats."""

_STEPS: Final = 10**9
"""In the span of scores."""

_REACH: Final = _STEPS // 2
"""How far one ticket's interval extends to either side when its time is up."""

_SMALLEST_SWEEP: Final = 1024

TicketId: TypeAlias = str | int


class Ticket(Struct, frozen=True):
    """Somebody who waits.

    ``since`` is when the waiting began, in the caller's seconds, which are not negative; ``recent``
    are the users whom this one met lately.
    """

    id: TicketId
    user: int
    score: float
    since: float
    recent: frozenset[int] = frozenset()


class Pair(NamedTuple):
    """Two who meet; the first has waited longer."""

    first: Ticket
    second: Ticket


class Unmatched(NamedTuple):
    """One whose time is up without anybody to meet."""

    ticket: Ticket


Outcome: TypeAlias = Pair | Unmatched


class _Place(NamedTuple):
    """A ticket's place in the order of scores; no two have the same age, so tickets are not compared."""

    position: int
    """The score, in steps."""

    age: tuple[int, int]
    """Since when, in ticks, then which insertion it was: the smaller, the longer it has waited."""

    ticket: Ticket


_Closeness: TypeAlias = tuple[int, tuple[int, int], tuple[int, int], _Place, _Place]
"""The steps between two tickets, the ages of the older and the newer, and both: in order of preference."""


class Matcher:
    """Tickets that wait, and the moments at which something happens to them.

    ``tolerance`` and ``span`` are in units of the score: how far apart two may be who have just come,
    and the width of the scale. ``find_timeout`` is in seconds. At the deadline a ticket takes anyone
    who waits, the closest score first, unless ``anyone_at_deadline`` is false.

    Time is what the caller says, and does not go back: what should have happened before the latest
    ``since`` or ``now`` happens at that one. Raises ``ValueError`` for settings that make no sense.
    """

    def __init__(
        self,
        tolerance: float = 0.1,
        span: float = 1.0,
        find_timeout: float = 60.0,
        *,
        anyone_at_deadline: bool = True,
    ) -> None:
        if not 0 <= tolerance <= span < math.inf or not span:
            raise ValueError("a tolerance lies between 0 and the span, which is positive")
        if not 1 / _TICKS <= find_timeout < math.inf:
            raise ValueError("a timeout is positive")
        self._anyone_at_deadline = anyone_at_deadline
        self._step: Final = Fraction(span) / _STEPS
        self._steps_per_unit: Final = _STEPS / span
        self._tolerance: Final = round(_STEPS * (tolerance / span))
        self._growth: Final = _STEPS - self._tolerance
        self._timeout: Final = _ticks(find_timeout)
        self._clock = 0
        self._inserted = 0
        self._places: dict[TicketId, _Place] = {}
        self._by_score: Any = SortedList()
        self._by_age: Any = SortedList()
        # By user: who is that user or met it lately.
        self._acquainted: defaultdict[int, dict[TicketId, _Place]] = defaultdict(dict)
        self._considered: list[tuple[int, _Closeness]] = []
        self._possible: list[_Closeness] = []
        self._sweep_at = _SMALLEST_SWEEP

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, ticket_id: TicketId) -> bool:
        return ticket_id in self._places

    def insert(self, ticket: Ticket) -> None:
        """Let a ticket wait; :meth:`match` says whether it must.

        Raises ``ValueError`` if its id waits already or its score is not finite.
        """
        if ticket.id in self._places:
            raise ValueError("this ticket waits already")
        if not math.isfinite(ticket.score):
            raise ValueError("a score is finite")
        self._inserted += 1
        since = _ticks(ticket.since)
        self._clock = max(self._clock, since)
        place = _Place(self._position(ticket.score), (since, self._inserted), ticket)
        self._places[ticket.id] = place
        self._by_score.add(place)
        self._by_age.add((place.age, place))
        for user in (ticket.user, *ticket.recent):
            self._acquainted[user][ticket.id] = place
        self._consider(place)

    def leave(self, ticket_id: TicketId) -> bool:
        """Let a ticket go; return whether it was waiting."""
        place = self._places.get(ticket_id)
        if place is None:
            return False
        self._remove(place)
        return True

    def next_moment(self) -> float | None:
        """Return when something happens next, in seconds, if nobody comes or goes; ``None``: never.

        A moment that has passed means now. :meth:`match` at this moment has something to tell.
        """
        moment = self._next_moment()
        return None if moment is None else moment / _TICKS

    def match(self, now: float) -> list[Outcome]:
        """Return what happens up to ``now``, in order; whoever it happens to waits no longer."""
        until = _ticks(now)
        outcomes: list[Outcome] = []
        while (moment := self._next_moment()) is not None and moment <= until:
            outcomes.append(self._happen(moment))
        self._clock = max(self._clock, until)
        return outcomes

    # -- what happens --------------------------------------------------------------------------

    def _next_moment(self) -> int | None:
        if not self._places:
            return None
        while self._considered and not self._both_wait(self._considered[0][1]):
            heappop(self._considered)
        while self._possible and not self._both_wait(self._possible[0]):
            heappop(self._possible)
        if self._possible:
            return self._clock
        moment: int = self._by_age[0][0][0] + self._timeout
        if self._considered:
            moment = min(moment, self._considered[0][0])
        return max(moment, self._clock)

    def _happen(self, moment: int) -> Outcome:
        """Do what is next: deadlines that have passed, then what is possible, then deadlines of now."""
        oldest: _Place = self._by_age[0][1]
        if oldest.age[0] + self._timeout < moment:
            return self._at_deadline(oldest)
        self._clock = moment
        while self._considered and self._considered[0][0] <= moment:
            closeness = heappop(self._considered)[1]
            if self._both_wait(closeness):
                heappush(self._possible, closeness)
        if not self._possible:
            return self._at_deadline(oldest)
        return self._pair(*heappop(self._possible)[3:])

    def _at_deadline(self, place: _Place) -> Outcome:
        if self._anyone_at_deadline:
            other = self._closest(place, _may_meet) or self._closest(place, _are_two)
            if other is not None:
                return self._pair(*sorted((place, other), key=_age))
        self._remove(place)
        return Unmatched(place.ticket)

    def _pair(self, older: _Place, newer: _Place) -> Pair:
        self._remove(older, newer)
        return Pair(older.ticket, newer.ticket)

    def _remove(self, *places: _Place) -> None:
        for place in places:
            ticket = place.ticket
            del self._places[ticket.id]
            self._by_score.remove(place)
            self._by_age.remove((place.age, place))
            for user in {ticket.user, *ticket.recent}:
                del self._acquainted[user][ticket.id]
                if not self._acquainted[user]:
                    del self._acquainted[user]
        for place in places:
            # Whoever now meets across the gap: the neighbour, or one of two who may not meet it.
            neighbour = next(self._below(place), None)
            if neighbour is not None:
                self._consider(neighbour)
                for hidden in self._kept_from(neighbour):
                    self._consider(hidden)

    # -- who may be next -----------------------------------------------------------------------

    def _consider(self, place: _Place) -> None:
        """Note the pairs in which a ticket may be the next to meet."""
        for side in (self._below(place), self._above(place)):
            first = next((other for other in side if _may_meet(place, other)), None)
            if first is not None:
                self._note(place, first)
                for hidden in self._kept_from(first):
                    if _may_meet(place, hidden):
                        self._note(place, hidden)

    def _note(self, one: _Place, other: _Place) -> None:
        older, newer = (one, other) if one.age < other.age else (other, one)
        distance = abs(one.position - other.position)
        moment = self._moment(distance, older.age[0], newer.age[0])
        if moment is not None:
            heappush(self._considered, (moment, (distance, older.age, newer.age, older, newer)))
            if len(self._considered) >= self._sweep_at:
                self._sweep()

    def _moment(self, distance: int, older: int, newer: int) -> int | None:
        """Return the first tick at which two are possible; ``None``: one's deadline comes before."""
        beyond = distance - self._tolerance
        if beyond <= 0:
            return newer
        if beyond > self._growth:
            return None
        # beyond <= growth * (2 * moment - older - newer) / (2 * timeout), solved and rounded up.
        mean = self._growth * (older + newer)
        moment = -((mean + 2 * self._timeout * beyond) // (-2 * self._growth))
        return max(moment, newer) if moment <= older + self._timeout else None

    def _kept_from(self, place: _Place) -> list[_Place]:
        """Return who may not meet a ticket and can reach past it to meet another."""
        acquainted = self._acquainted
        if not place.ticket.recent and len(acquainted[place.ticket.user]) == 1:
            return []  # nearly everybody
        found = {
            other.age: other
            for user in (place.ticket.user, *place.ticket.recent)
            if user in acquainted
            for other in acquainted[user].values()
            if abs(other.position - place.position) <= _REACH and not _may_meet(place, other)
        }
        del found[place.age]
        return list(found.values())

    def _closest(self, place: _Place, suits: Callable[[_Place, _Place], bool]) -> _Place | None:
        """Return the closest who suits, among equally close ones the one that waited longest."""
        found = []
        below = next((other for other in self._below(place) if suits(place, other)), None)
        if below is not None:
            # The nearest below is the newest of its score: the first of that score is the oldest.
            equals = self._by_score.irange((below.position,), below)
            found.append(next(other for other in equals if suits(place, other)))
        above = next((other for other in self._above(place) if suits(place, other)), None)
        if above is not None:
            found.append(above)
        return min(found, key=lambda other: (abs(other.position - place.position), other.age), default=None)

    # -- order ---------------------------------------------------------------------------------

    def _below(self, place: _Place) -> Iterator[_Place]:
        """Those before a ticket in the order of scores, from it downwards."""
        below: Iterator[_Place] = self._by_score.irange(None, place, (True, False), reverse=True)
        return below

    def _above(self, place: _Place) -> Iterator[_Place]:
        above: Iterator[_Place] = self._by_score.irange(place, None, (False, True))
        return above

    def _position(self, score: float) -> int:
        steps = score * self._steps_per_unit
        return round(steps) if math.isfinite(steps) else round(Fraction(score) / self._step)

    def _both_wait(self, closeness: _Closeness) -> bool:
        *_, older, newer = closeness
        return self._places.get(older.ticket.id) is older and self._places.get(newer.ticket.id) is newer

    def _sweep(self) -> None:
        """Drop the pairs that can't be any more, and what was noted twice."""
        pairs = {each[1][1:3]: each for each in self._considered if self._both_wait(each[1])}
        self._considered = list(pairs.values())
        heapify(self._considered)
        self._sweep_at = max(_SMALLEST_SWEEP, 2 * len(self._considered))


def _ticks(seconds: float) -> int:
    return math.floor(seconds * _TICKS)


def _age(place: _Place) -> tuple[int, int]:
    return place.age


def _are_two(one: _Place, other: _Place) -> bool:
    return one.ticket.user != other.ticket.user


def _may_meet(one: _Place, other: _Place) -> bool:
    mine, theirs = one.ticket, other.ticket
    return mine.user != theirs.user and mine.user not in theirs.recent and theirs.user not in mine.recent
