"""Those who look for somebody to talk to, until the pool has somebody for them.

`matching` decides who fits; a pool adds the time, and the memory of who has just talked to whom.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from msgspec import Struct
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from realtime.talk.matching import Matcher, Ticket, TicketId
from realtime.talk.messages import Question

_MOST_PARTNERS: Final = 8
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


Paired = Callable[[Seeker, Seeker], None]
Unmatched = Callable[[Seeker], None]


class Pool(Protocol):
    """Finds partners for seekers, whichever process they have entered it in.

    - Who enters leaves in exactly one way: as one of a pair, unmatched when its time is up, or because
      it is taken back.
    - A pair is told to one process alone, that of the seeker who waited longer; who is unmatched is told
      to the process where it entered. Either may be told before ``enter`` returns.
    - A user is never paired with itself, nor, while its time is not up, with one of its last partners.
    """

    def listen(self, paired: Paired, unmatched: Unmatched) -> None:
        """Tell these two from now on. To be called once, before anybody enters."""

    def enter(self, seeker: Seeker) -> None:
        """Look for a partner from now on."""

    def leave(self, seeker_id: str) -> None:
        """Look no longer. Does nothing if the seeker is not here (any more)."""

    def parted(self, user_id: int, other_id: int) -> None:
        """Remember that these two have just been together; a pair is remembered without this."""


class MemoryPool:
    """The pool of a single process. It keeps one timer, for the next moment at which something happens."""

    def __init__(self, matcher: Matcher, *, clock: IReactorTime, rematch_after: float) -> None:
        self._matcher = matcher
        self._clock = clock
        self._partners = LastPartners(rematch_after)
        self._seekers: dict[TicketId, Seeker] = {}
        self._paired: Paired
        self._unmatched: Unmatched
        self._moment: float | None = None
        self._call: IDelayedCall | None = None

    def listen(self, paired: Paired, unmatched: Unmatched) -> None:
        """See :meth:`Pool.listen`."""
        self._paired = paired
        self._unmatched = unmatched

    def enter(self, seeker: Seeker) -> None:
        """See :meth:`Pool.enter`."""
        now = self._clock.seconds()
        recent = self._partners.of(seeker.user_id, now)
        self._seekers[seeker.id] = seeker
        self._matcher.insert(Ticket(seeker.id, seeker.user_id, seeker.score, now, recent))
        self._match(now)

    def leave(self, seeker_id: str) -> None:
        """See :meth:`Pool.leave`."""
        if self._seekers.pop(seeker_id, None) is not None:
            self._matcher.leave(seeker_id)
            self._schedule()

    def parted(self, user_id: int, other_id: int) -> None:
        """See :meth:`Pool.parted`."""
        self._partners.add(user_id, other_id, self._clock.seconds())

    def __len__(self) -> int:
        """Return how many are waiting."""
        return len(self._seekers)

    def _match(self, now: float) -> None:
        outcomes = [
            tuple(self._seekers.pop(ticket.id) for ticket in outcome) for outcome in self._matcher.match(now)
        ]
        self._schedule()
        for outcome in outcomes:
            match outcome:
                case (first, second):
                    self._partners.add(first.user_id, second.user_id, now)
                    self._paired(first, second)
                case (alone,):
                    self._unmatched(alone)

    def _schedule(self) -> None:
        moment = self._matcher.next_moment()
        if moment == self._moment:
            return
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._moment = moment
        if moment is not None:
            self._call = self._clock.callLater(max(0.0, moment - self._clock.seconds()), self._act, moment)

    def _act(self, moment: float) -> None:
        self._call = None
        self._moment = None
        # The clock may be a rounding short of the moment; the moment itself is never too early.
        self._match(max(moment, self._clock.seconds()))


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
            if len(partners) > _MOST_PARTNERS:
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
