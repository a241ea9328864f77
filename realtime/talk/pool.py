"""Those who look for somebody to talk to, until the pool has somebody for them.

`matching` decides who fits; a pool adds the time, and the memory of who has just talked to whom.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol
from uuid import uuid4

from msgspec import Struct
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from realtime.talk.matching import Matcher, Outcome, Ticket, TicketId
from realtime.talk.messages import Question

MOST_PARTNERS: Final = 8
"""Of one user that are remembered: matching looks past each of them."""


class Seeker(Struct, frozen=True):
    """Somebody who looks for a partner, and all that the partner's side has to know of them.

    ``id`` names the connection; no other in the cluster has it.
    """

    id: str
    user_id: int
    user_name: str
    score: float
    questions: tuple[Question, ...]


Paired = Callable[[str, Seeker, Seeker], None]
"""Called with what the pair is called, and the two; the first has waited longer."""

Unmatched = Callable[[Seeker], None]


class Pool(Protocol):
    """Finds partners for seekers, whichever process they have entered it in.

    - Who enters leaves in exactly one way: as one of a pair, unmatched when its time is up, as the pool is not
      available, or because it is taken back.
    - A pair is told to the process of each of the two, once if that is the same; the rest to the process that
      entered it. Any of that may be told before ``enter`` returns.
    - With several processes a pair may be told of which one was taken back at that moment: the other is to
      enter again.
    - A user is never paired with itself, nor, while its time is not up, with one of its last partners.
    """

    def listen(self, paired: Paired, unmatched: Unmatched, unavailable: Unmatched) -> None:
        """Tell these from now on. To be called once, before anybody enters."""

    def enter(self, seeker: Seeker, waited: float = 0.0) -> None:
        """Look for a partner from now on, as if that had begun so many seconds ago."""

    def leave(self, seeker_id: str) -> None:
        """Look no longer. Does nothing if the seeker is not here (any more)."""

    def parted(self, user_id: int, other_id: int) -> None:
        """Remember that these two have just been together; a pair is remembered without this."""


class Timetable:
    """A matcher, and the one timer that it needs: for the next moment at which something happens."""

    def __init__(
        self, matcher: Matcher, clock: IReactorTime, happened: Callable[[list[Outcome]], None]
    ) -> None:
        self.matcher = matcher
        self._clock = clock
        self._happened = happened
        self._moment: float | None = None
        self._call: IDelayedCall | None = None

    def match(self) -> None:
        """Do what is due."""
        self._match(self._clock.seconds())

    def schedule(self) -> None:
        """Come back when something is due next."""
        moment = self.matcher.next_moment()
        if moment == self._moment:
            return
        self.stop()
        self._moment = moment
        if moment is not None:
            self._call = self._clock.callLater(max(0.0, moment - self._clock.seconds()), self._act, moment)

    def stop(self) -> None:
        """Do nothing any more, until `schedule` or `match` is called."""
        self._moment = None
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _match(self, now: float) -> None:
        outcomes = self.matcher.match(now)
        self.schedule()
        self._happened(outcomes)

    def _act(self, moment: float) -> None:
        self._call = None
        self._moment = None
        # The clock may be a rounding short of the moment; the moment itself is never too early.
        self._match(max(moment, self._clock.seconds()))


class MemoryPool:
    """The pool of a single process."""

    def __init__(self, matcher: Matcher, *, clock: IReactorTime, rematch_after: float) -> None:
        self._matcher = matcher
        self._timetable = Timetable(matcher, clock, self._happened)
        self._clock = clock
        self._partners = LastPartners(rematch_after)
        self._seekers: dict[TicketId, Seeker] = {}
        self._paired: Paired
        self._unmatched: Unmatched

    def listen(self, paired: Paired, unmatched: Unmatched, unavailable: Unmatched) -> None:
        """See :meth:`Pool.listen`. It is always available."""
        self._paired = paired
        self._unmatched = unmatched

    def enter(self, seeker: Seeker, waited: float = 0.0) -> None:
        """See :meth:`Pool.enter`."""
        now = self._clock.seconds()
        recent = self._partners.of(seeker.user_id, now)
        self._seekers[seeker.id] = seeker
        self._matcher.insert(Ticket(seeker.id, seeker.user_id, seeker.score, now - waited, recent))
        self._timetable.match()

    def leave(self, seeker_id: str) -> None:
        """See :meth:`Pool.leave`."""
        if self._seekers.pop(seeker_id, None) is not None:
            self._matcher.leave(seeker_id)
            self._timetable.schedule()

    def parted(self, user_id: int, other_id: int) -> None:
        """See :meth:`Pool.parted`."""
        self._partners.add(user_id, other_id, self._clock.seconds())

    def __len__(self) -> int:
        """Return how many are waiting."""
        return len(self._seekers)

    def _happened(self, outcomes: list[Outcome]) -> None:
        now = self._clock.seconds()
        # Nobody is told before all of them are out: who is told may take others back.
        told = [tuple(self._seekers.pop(ticket.id) for ticket in outcome) for outcome in outcomes]
        for each in told:
            match each:
                case (first, second):
                    self._partners.add(first.user_id, second.user_id, now)
                    self._paired(str(uuid4()), first, second)
                case (alone,):
                    self._unmatched(alone)


class LastPartners:
    """Whom each user was with last: for ``seconds``, and no more than eight of them for each user.

    What is over is forgotten whenever this is used, oldest first, so that it takes no timer, and no
    more memory than there were meetings within that time.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._moments: OrderedDict[tuple[int, int], float] = OrderedDict()  # in order of time
        self._partners: dict[int, dict[int, None]] = {}  # each user's in order of time

    def add(self, one: int, other: int, now: float) -> None:
        """Remember that the two were together until ``now``."""
        self._forget(now)
        for user, partner in ((one, other), (other, one)):
            if (user, partner) in self._moments:
                self._remove(user, partner)
            self._moments[user, partner] = now
            partners = self._partners.setdefault(user, {})
            partners[partner] = None
            if len(partners) > MOST_PARTNERS:
                self._remove(user, next(iter(partners)))

    def of(self, user: int, now: float) -> frozenset[int]:
        """Return a user's last partners."""
        self._forget(now)
        return frozenset(self._partners.get(user, ()))

    def __len__(self) -> int:
        """Return how many users have any."""
        return len(self._partners)

    def _forget(self, now: float) -> None:
        while self._moments:
            oldest = next(iter(self._moments))
            if now - self._moments[oldest] < self._seconds:
                break
            self._remove(*oldest)

    def _remove(self, user: int, partner: int) -> None:
        del self._moments[user, partner]
        partners = self._partners[user]
        del partners[partner]
        if not partners:
            del self._partners[user]
