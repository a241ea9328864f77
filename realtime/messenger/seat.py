"""One connection for each user, in the whole cluster: who has the seat, who asks for it, who takes it over.

A newcomer claims the user's seat. If an older connection has it, that one is asked, with a WebSocket ping,
whether its client is still there::

    newcomer -- ASK ----> older        ping
    newcomer <-- LIVES -- older        it has answered: the newcomer is one too many
    newcomer <-- LEFT --- older        it went by itself: the seat is free
    newcomer -- REPLACE -> older       silence for ``takeover_timeout``: the older goes

The seat itself is a lease, so that of several newcomers one gets it; the others ask that one. REPLACE is said
once the newcomer is there, so that its user is never seen to go.

What the bus loses is asked again after the gap: the question, and by who has a seat whether it still does.
That is asked as well, and the seat claimed if it is free, by a process that was cut off so long that its leases
were given up; whoever has sat down elsewhere meanwhile stays, and the one here is replaced.

Decided: a process that can't reach the others keeps its connections, for it can't know which side of the cut it
is on. So until it is back a user may have one on each side. A dialog may reach both then, with the same
``messageId``; its sender is told once, as the database says.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.cluster.bus import Bus, Subscription, Topic
from realtime.cluster.catching_up import CatchingUp
from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.leases import Leases

LEASES: Final = "messenger.seat."
"""What the names of the leases begin with, before a user's id."""

_PING: Final = b"seat"


class Word(Enum):
    """What connections of one user tell each other of a seat's holder."""

    ASK = "ask"
    LIVES = "lives"
    LEFT = "left"
    REPLACE = "replace"


class _News(Struct, frozen=True):
    word: Word
    holder: str


class Occupant(Protocol):
    """A connection that has a seat."""

    def ping(self, name: bytes) -> None:
        """Send a WebSocket ping with this payload."""

    def replaced(self) -> None:
        """Another connection has taken the seat: go."""


class Seats:
    """What all seats of a process share. ``takeover_timeout`` is in seconds."""

    _log = Logger()

    def __init__(self, *, leases: Leases, bus: Bus, clock: IReactorTime, takeover_timeout: float) -> None:
        self.leases = leases
        self.bus = bus
        self.clock = clock
        self.takeover_timeout = takeover_timeout
        self._taken: dict[Seat, None] = {}
        self._catching_up = CatchingUp(clock)

    def lost(self) -> None:
        """Claim all seats again: this process was cut off, and its leases are another's or nobody's."""
        for seat in list(self._taken):
            self.doubt(seat)

    def add(self, seat: Seat) -> None:
        """Know that somebody has taken a seat here."""
        self._taken[seat] = None

    def remove(self, seat: Seat) -> None:
        """Know that it is left, or another's."""
        self._taken.pop(seat, None)

    def doubt(self, seat: Seat) -> None:
        """Find out whether who has taken a seat here still has it, when not too many others do."""
        self._catching_up.run(seat.claim_again)

    def failed(self, failure: Failure, lease: str) -> None:
        """Log a fault that is ours."""
        if not failure.check(ClusterUnavailable):
            self._log.failure("messenger: {lease} is not known to be right", failure, lease=lease)


class Seat:
    """The seat of ``user_id`` as ``occupant`` sees it; ``name`` is the connection's own in the cluster."""

    __slots__ = (
        *(
            "_asked",
            "_gone",
            "_has_it",
            "_is_over",
            "_is_replaced",
            "_occupant",
            "_replaces",
        ),
        *("_seats", "_subscription", "_timer", "_topic", "_waiting", "lease", "name"),
    )

    def __init__(self, seats: Seats, user_id: int, name: str, occupant: Occupant) -> None:
        self._seats = seats
        self._occupant = occupant
        self.name = name
        self.lease = f"{LEASES}{user_id}"
        self._topic = Topic(self.lease, _News)
        self._has_it = False
        self._is_replaced = False
        self._is_over = False
        self._replaces: str | None = None
        self._asked: str | None = None
        self._gone: str | None = None
        self._waiting: Deferred[Word | None] | None = None
        self._timer: IDelayedCall | None = None
        self._subscription: Subscription | None = None

    def take(self) -> Deferred[bool]:
        """Fires with whether this connection has the seat; ``False``: another's lives, or this one has left.

        Fails with `ClusterUnavailable`.
        """
        return Deferred.fromCoroutine(self._take())

    async def _take(self) -> bool:
        leases = self._seats.leases
        self._subscription = self._seats.bus.subscribe(self._topic, self._heard, self._missed)
        await self._subscription.active
        while not self._is_over:
            try:
                holder = await leases.claim(self.lease, self.name)
                if holder != self.name:
                    word = await self._ask(holder)
                    if word is Word.LIVES or self._is_over:
                        break
                    if await leases.claim(self.lease, self.name, instead_of=holder) != self.name:
                        continue
                    self._replaces = holder
            except ClusterUnavailable:
                self._give_back()  # for it may have been done all the same
                raise
            if self._is_over:
                self._give_back()
                break
            self._has_it = not self._is_replaced
            if self._has_it:
                self._seats.add(self)
            return self._has_it
        return False

    def settle(self) -> None:
        """The user is there by this connection: the one whose seat was taken may go."""
        if self._replaces is not None:
            self._tell(Word.REPLACE, self._replaces)
            self._replaces = None

    def pong(self, payload: bytes) -> bool:
        """Take a pong; return whether it is of a ping of this room."""
        if payload != _PING:
            return False
        if not self._is_over:
            self._tell(Word.LIVES, self.name)
        return True

    def leave(self) -> None:
        """The connection is over."""
        self._is_over = True
        self._seats.remove(self)
        self._answer(None)
        if self._subscription is not None:
            self._subscription.cancel()
        if self._has_it:
            self._give_back()
        else:
            self.settle()  # also who was replaced in turn lets nobody be left over

    def _give_back(self) -> None:
        self._has_it = False
        self.settle()
        released = self._seats.leases.release(self.lease, self.name)
        released.addCallback(self._released).addErrback(self._seats.failed, self.lease)

    def _released(self, had_it: bool) -> None:
        if had_it:
            self._tell(Word.LEFT, self.name)

    # -- asking --------------------------------------------------------------------------------

    def _ask(self, holder: str) -> Deferred[Word | None]:
        """Fires with what the holder says of itself, or ``None`` after the timeout."""
        if holder == self._gone:
            return succeed(Word.LEFT)  # it said so before it could be asked
        waiting: Deferred[Word | None] = Deferred()
        self._waiting, self._asked = waiting, holder
        self._timer = self._seats.clock.callLater(self._seats.takeover_timeout, self._answer, None)
        self._tell(Word.ASK, holder)
        return waiting

    def _answer(self, word: Word | None) -> None:
        waiting, self._waiting = self._waiting, None
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        if waiting is not None:
            waiting.callback(word)

    def _tell(self, word: Word, holder: str) -> None:
        self._seats.bus.publish(self._topic, _News(word, holder))

    def _heard(self, news: _News) -> None:
        if news.holder == self.name:
            if news.word is Word.ASK:
                self._occupant.ping(_PING)
            elif news.word is Word.REPLACE:
                self._lose()
        elif news.word is Word.LIVES:
            if news.holder == self._asked:
                self._answer(Word.LIVES)
        elif news.word is not Word.ASK:
            self._gone = news.holder
            if news.holder == self._asked:
                self._answer(Word.LEFT)
            elif self._has_it:
                self._seats.doubt(self)  # it had this one's seat, and could not learn that it had

    def _missed(self) -> None:
        """The bus had a gap: perhaps a question or an answer is lost, perhaps that the seat is another's."""
        if self._waiting is not None and self._asked is not None:
            self._tell(Word.ASK, self._asked)
        if self._has_it:
            self._seats.doubt(self)

    async def claim_again(self) -> bool:
        """Have the seat again if it is free, and go if it is another's; once that is known, ``True``."""
        if self._has_it:
            if await self._seats.leases.claim(self.lease, self.name) != self.name:
                self._lose()
            elif not self._has_it:
                self._give_back()  # it was claimed for one who has left since
        return True

    def _lose(self) -> None:
        """Another connection has the seat."""
        if not (self._is_over or self._is_replaced):
            self._is_replaced = True
            self._has_it = False
            self._occupant.replaced()
