"""The matchmaker: decides who meets whom for all processes, in the one that holds the lease.

All tickets are in Redis; what is here is a picture of them, that a `matching.Matcher` decides on. A decision
counts once Redis has taken both tickets out (`RedisTickets.pair`): if one of them had gone, the other is put
back. So neither a picture that is a moment old nor two processes that both think they hold the lease can do
harm, and who takes over has nothing to ask but Redis.

Moments are those of Redis's clock, as near as this process knows it: an answer's way here makes it late by as
much.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.redis_tickets import Hearing, RedisTickets, Waiting
from realtime.talk.matching import Matcher, Outcome, Pair, Ticket
from realtime.talk.pool import MOST_PARTNERS, Timetable


@implementer(IReactorTime)
class SharedClock:
    """A clock that reads, on all machines, what Redis's does."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._ahead = 0.0

    def hear(self, now: float) -> None:
        """Learn what Redis's clock read just now."""
        self._ahead = now - self._clock.seconds()

    def seconds(self) -> float:
        """Return what it reads."""
        return self._clock.seconds() + self._ahead

    def callLater(
        self,
        delay: float,
        callable: Callable[..., Any],  # noqa: A002 - the interface's own name
        *args: object,
        **kwargs: object,
    ) -> IDelayedCall:
        """Call something in some seconds."""
        return self._clock.callLater(delay, callable, *args, **kwargs)

    def getDelayedCalls(self) -> Any:
        """Return what is to be called."""
        return self._clock.getDelayedCalls()


class Matchmaker:
    """The matchmaker of a process: does nothing until it is told to lead.

    Arguments:
        tickets: of all processes.
        make_matcher: makes an empty matcher.
        clock: shared with the other processes.
        rematch_after: for how many seconds a meeting counts.
    """

    _log = Logger()

    def __init__(
        self,
        tickets: RedisTickets,
        make_matcher: Callable[[], Matcher],
        *,
        clock: IReactorTime,
        rematch_after: float,
    ) -> None:
        self._tickets = tickets
        self._make_matcher = make_matcher
        self._clock = clock
        self._rematch_after = rematch_after
        self._hearing: Hearing | None = None
        self._timetable = Timetable(make_matcher(), clock, self._happened)
        self._loading: Deferred[None] | None = None
        self._must_load = False

    @property
    def leads(self) -> bool:
        """Whether it does."""
        return self._hearing is not None

    def __len__(self) -> int:
        """Return how many wait, as far as this knows."""
        return len(self._timetable.matcher)

    def lead(self) -> None:
        """Decide from now on. Does nothing if it does already."""
        if self._hearing is None:
            self._hearing = self._tickets.hear_waiting(self._came, self._left, self._load)
            self._must_load = True
        if self._must_load:
            self._load()

    def resign(self) -> None:
        """Decide nothing any more: another does."""
        if self._hearing is not None:
            self._hearing.cancel()
            self._hearing = None
            self._forget()

    # -- the picture ---------------------------------------------------------------------------

    def _load(self) -> None:
        """Begin anew with what is in Redis."""
        if self._hearing is not None:
            self._forget()
            self._must_load = False
            self._loading = Deferred.fromCoroutine(self._read(self._hearing))
            self._loading.addErrback(self._not_read)

    def _forget(self) -> None:
        loading, self._loading = self._loading, None
        if loading is not None:
            loading.cancel()
        self._timetable.stop()
        self._timetable = Timetable(self._make_matcher(), self._clock, self._happened)

    async def _read(self, hearing: Hearing) -> None:
        await hearing.active  # from then on what comes is heard of
        for waiting in sorted(await self._tickets.all(), key=lambda each: each.since):
            self._insert(waiting)
        self._loading = None
        self._timetable.match()

    def _not_read(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        self._must_load = True  # when it is told to lead the next time, which is with the next beat
        if not failure.check(ClusterUnavailable):
            self._log.failure("talk: the waiting could not be read", failure)

    def _came(self, waiting: Waiting) -> None:
        if self.leads:
            self._insert(waiting)
            self._match()

    def _left(self, ticket: str) -> None:
        if self._timetable.matcher.leave(ticket):
            self._match()

    def _insert(self, waiting: Waiting) -> None:
        if waiting.id not in self._timetable.matcher:
            ticket = Ticket(waiting.id, waiting.user, waiting.score, max(0.0, waiting.since), waiting.recent)
            self._timetable.matcher.insert(ticket)

    def _match(self) -> None:
        if self._loading is None:  # with half of them here, the wrong two would meet
            self._timetable.match()

    # -- decisions -----------------------------------------------------------------------------

    def _happened(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Pair):
                self._pair(*outcome)
            else:
                self._tickets.give_up(str(outcome.ticket.id)).addErrback(self._not_decided)

    def _pair(self, first: Ticket, second: Ticket) -> None:
        now, names = self._clock.seconds(), (str(first.id), str(second.id))
        paired = self._tickets.pair(str(uuid4()), *names, now, self._rematch_after, MOST_PARTNERS)
        paired.addCallback(self._paired, first, second).addErrback(self._not_decided)

    def _paired(self, waits: tuple[bool, bool] | None, *tickets: Ticket) -> None:
        if not self.leads:
            return
        matcher = self._timetable.matcher
        for ticket, still_waits in zip(tickets, waits or (False, False), strict=True):
            if not still_waits:
                matcher.leave(ticket.id)  # it may have been read once more while it was being paired
            elif ticket.id not in matcher:
                matcher.insert(ticket)
        self._match()

    def _not_decided(self, failure: Failure) -> None:
        if failure.check(ClusterUnavailable):
            if self._loading is None:
                self._load()  # whether it was done is in Redis, when that is back
        else:
            self._log.failure("talk: a match failed", failure)
