"""The pool of several processes: seekers wait in Redis, and the matchmaker of one process decides on all.

A seeker is here for as long as its connection looks for somebody, and in Redis as a ticket. Its outcome is
decided and kept there at once, and told on a channel that may lose it; so whenever something may have been
missed, or Redis has lost what it had, all who wait here are asked for: those whose outcome was missed have it
then, those that Redis doesn't know are entered again, since when they have waited.

Every two seconds, as long as anybody waits here, Redis is asked for its time, and whether there is a
matchmaker: otherwise it is this process. With the lease of a dead one freed within nine seconds, and claimed by
who frees it, matching goes on before ten have passed.

While Redis is away nobody is found: two processes that each went on by themselves could match one twice. Who
waits goes on waiting, who comes is told after some seconds that the pool is unavailable; and so is who has
waited ten seconds longer than it should.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.redis_cluster import RedisCluster
from realtime.cluster.redis_tickets import Outcome, Waiting
from realtime.talk.matching import Matcher
from realtime.talk.matchmaker import Matchmaker, SharedClock
from realtime.talk.pool import MOST_PARTNERS, Paired, Seeker, Unmatched

BEAT_SECONDS: Final = 2.0
LATE_SECONDS: Final = 10.0
"""After its time was up, nobody waits longer: whatever is wrong, a client is answered."""

_LEASE: Final = "talk.matchmaker"
_AT_ONCE: Final = 200
"""Tickets of one question."""

_read_seeker = msgspec.json.Decoder(Seeker).decode
_write = msgspec.json.Encoder().encode


class _Place:
    """A seeker here. ``since`` is by this machine's clock; ``is_in``: Redis has said that it has its ticket."""

    __slots__ = ("is_in", "seeker", "since")

    def __init__(self, seeker: Seeker, since: float) -> None:
        self.seeker = seeker
        self.since = since
        self.is_in = False


class ClusterPool:
    """The pool, seen from one process.

    Arguments:
        cluster: the processes.
        address: this process's, which the ids of all its seekers begin with, and a dot.
        make_matcher: makes an empty matcher.
        clock: this machine's.
        shared_clock: that of all; made from ``clock`` unless given.
        find_timeout: how long a seeker waits.
        rematch_after: for how many seconds a partner is not met again.
    """

    _log = Logger()

    def __init__(
        self,
        cluster: RedisCluster,
        address: str,
        make_matcher: Callable[[], Matcher],
        *,
        clock: IReactorTime,
        find_timeout: float,
        rematch_after: float,
        shared_clock: SharedClock | None = None,
    ) -> None:
        self._tickets = cluster.tickets
        self._leases = cluster.leases
        self._address = address
        self._clock = clock
        self._shared = shared_clock or SharedClock(clock)
        self._latest = find_timeout + LATE_SECONDS
        self._rematch_after = rematch_after
        self._places: dict[str, _Place] = {}
        self._seen: list[str] = []
        self._is_in_step = False
        self._is_catching_up = False
        self._must_ask_again = False
        self._hears = False
        self._beat_call: IDelayedCall | None = None
        self._paired: Paired
        self._unmatched: Unmatched
        self._unavailable: Unmatched
        self.matchmaker = Matchmaker(
            self._tickets, make_matcher, clock=self._shared, rematch_after=rematch_after
        )
        cluster.when_lost(self._lost)
        cluster.when_freed(_LEASE, lambda _: self._claim())

    def listen(self, paired: Paired, unmatched: Unmatched, unavailable: Unmatched) -> None:
        """See :meth:`Pool.listen`."""
        self._paired = paired
        self._unmatched = unmatched
        self._unavailable = unavailable

    def enter(self, seeker: Seeker, waited: float = 0.0) -> None:
        """See :meth:`Pool.enter`."""
        if seeker.id in self._seen:
            self._forget_seen()  # or what became of it before would be its outcome now
        place = self._places[seeker.id] = _Place(seeker, self._clock.seconds() - waited)
        if self._is_in_step:
            self._wait(place)
        else:
            self._catch_up()
        if self._beat_call is None:
            self._beat_call = self._clock.callLater(BEAT_SECONDS, self._beat)

    def leave(self, seeker_id: str) -> None:
        """See :meth:`Pool.leave`."""
        if self._places.pop(seeker_id, None) is not None:
            self._withdraw(seeker_id)

    def parted(self, user_id: int, other_id: int) -> None:
        """See :meth:`Pool.parted`."""
        now = self._shared.seconds()
        met = self._tickets.met(user_id, other_id, now, self._rematch_after, MOST_PARTNERS)
        met.addErrback(self._failed)

    def __len__(self) -> int:
        """Return how many are waiting here."""
        return len(self._places)

    # -- entering and leaving ------------------------------------------------------------------

    def _wait(self, place: _Place) -> None:
        seeker, shared = place.seeker, self._shared.seconds()
        since = shared - (self._clock.seconds() - place.since)
        ticket = Waiting(seeker.id, seeker.user_id, seeker.score, since, frozenset())
        waits = self._tickets.wait(ticket, self._address, _write(seeker), shared, self._rematch_after)
        waits.addCallbacks(self._waits, self._does_not_wait, (place,), {}, (place,))
        waits.addErrback(self._failed)

    def _waits(self, outcome: Outcome | None, place: _Place) -> None:
        place.is_in = True
        if outcome is not None:
            self._told(outcome)

    def _does_not_wait(self, failure: Failure, place: _Place) -> None:
        self._failed(failure)
        if self._is_here(place):
            self._give_up(place)

    def _give_up(self, place: _Place) -> None:
        """Tell a seeker that it can't wait here any longer."""
        del self._places[place.seeker.id]
        self._withdraw(place.seeker.id)
        self._unavailable(place.seeker)

    def _withdraw(self, seeker_id: str) -> None:
        """Take a ticket back; one that was in a pair already is told as one."""
        withdrawn = self._tickets.withdraw(seeker_id)
        withdrawn.addCallback(self._withdrawn).addErrback(self._failed)

    def _withdrawn(self, outcomes: list[Outcome | None]) -> None:
        for outcome in outcomes:
            if outcome is not None and outcome.pair is not None:
                first, second = map(_read_seeker, outcome.contents)
                if not (self._is_ours(first) and self._is_ours(second)):
                    self._paired(outcome.pair, first, second)

    def _forget_seen(self) -> None:
        """Let Redis forget outcomes that were told here."""
        seen, self._seen = self._seen, []
        if seen:
            self._tickets.withdraw(*seen).addErrback(self._failed)

    # -- what becomes of them ------------------------------------------------------------------

    def _told(self, outcome: Outcome) -> None:
        """Learn an outcome; what was known is passed over."""
        seekers = [_read_seeker(each) for each in outcome.contents]
        known = [seeker.id for seeker in seekers if self._places.pop(seeker.id, None) is not None]
        if not known:
            return
        self._seen += known
        if len(self._seen) >= _AT_ONCE:
            self._forget_seen()
        if outcome.pair is None:
            self._unmatched(*seekers)
        else:
            self._paired(outcome.pair, *seekers)

    # -- keeping in step -----------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Ask what has become of all who wait here, now or once more after the question that is under way."""
        self._must_ask_again = True
        if not self._is_catching_up:
            self._is_catching_up = True
            asked = Deferred.fromCoroutine(self._ask())
            asked.addErrback(self._out_of_step)

    async def _ask(self) -> None:
        while self._must_ask_again:
            self._must_ask_again = False
            if not self._hears:
                self._hears = True
                await self._tickets.hear_outcomes(self._address, self._told, self._missed)
            await self._look()
            for places in _groups(self._places.values()):
                standing = await self._tickets.standing([place.seeker.id for place in places])
                for place, stands in zip(places, standing, strict=True):
                    if isinstance(stands, Outcome):
                        self._told(stands)
                    elif self._is_here(place):
                        place.is_in = stands
                        if not stands:
                            self._wait(place)
        self._is_catching_up = False
        self._is_in_step = True

    def _out_of_step(self, failure: Failure) -> None:
        self._failed(failure)
        self._is_catching_up = self._is_in_step = False
        for place in list(self._places.values()):
            if not place.is_in and self._is_here(place):
                self._give_up(place)

    def _is_here(self, place: _Place) -> bool:
        return self._places.get(place.seeker.id) is place

    def _is_ours(self, seeker: Seeker) -> bool:
        return seeker.id.startswith(f"{self._address}.")

    def _missed(self) -> None:
        if self._places:
            self._catch_up()

    def _lost(self) -> None:
        """Enter all again: this process was taken for dead, its tickets withdrawn, its lease given away."""
        self.matchmaker.resign()
        self._missed()

    async def _look(self) -> None:
        """Ask for the time, and see that there is a matchmaker."""
        self._shared.hear(await self._tickets.now())
        holder = await self._leases.claim(_LEASE, self._address)
        if holder == self._address:
            self.matchmaker.lead()
        else:
            self.matchmaker.resign()

    def _claim(self) -> None:
        Deferred.fromCoroutine(self._look()).addErrback(self._failed)

    def _beat(self) -> None:
        self._beat_call = None
        self._forget_seen()
        # In the order in which they came: who has entered again may be given up a little later than it should.
        while self._places:
            oldest = next(iter(self._places.values()))
            if self._clock.seconds() - oldest.since < self._latest:
                break
            self._give_up(oldest)
        if self._places:
            self._beat_call = self._clock.callLater(BEAT_SECONDS, self._beat)
            if self._is_in_step:
                self._claim()
            else:
                self._catch_up()

    def _failed(self, failure: Failure) -> None:
        if not failure.check(ClusterUnavailable):
            self._log.failure("talk: the pool failed", failure)


def _groups(places: Iterable[_Place]) -> Iterable[list[_Place]]:
    waiting = list(places)
    return (waiting[start : start + _AT_ONCE] for start in range(0, len(waiting), _AT_ONCE))
