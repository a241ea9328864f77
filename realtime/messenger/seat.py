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
from realtime.cluster.leases import Leases

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

    def __init__(self, *, leases: Leases, bus: Bus, clock: IReactorTime, takeover_timeout: float) -> None:
        self.leases = leases
        self.bus = bus
        self.clock = clock
        self.takeover_timeout = takeover_timeout


class Seat:
    """The seat of ``user_id`` as ``occupant`` sees it; ``name`` is the connection's own in the cluster."""

    __slots__ = (
        *(
            "_asked",
            "_gone",
            "_has_it",
            "_is_over",
            "_is_replaced",
            "_lease",
            "_name",
            "_occupant",
            "_replaces",
        ),
        *("_seats", "_subscription", "_timer", "_topic", "_waiting"),
    )
    _log = Logger()

    def __init__(self, seats: Seats, user_id: int, name: str, occupant: Occupant) -> None:
        self._seats = seats
        self._occupant = occupant
        self._name = name
        self._lease = f"messenger.seat.{user_id}"
        self._topic = Topic(self._lease, _News)
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
        """Fires with whether this connection has the seat; ``False``: another's lives, or this one has left."""
        return Deferred.fromCoroutine(self._take())

    async def _take(self) -> bool:
        leases = self._seats.leases
        self._subscription = self._seats.bus.subscribe(self._topic, self._heard, self._missed)
        await self._subscription.active
        while not self._is_over:
            holder = await leases.claim(self._lease, self._name)
            if holder != self._name:
                word = await self._ask(holder)
                if word is Word.LIVES or self._is_over:
                    break
                if await leases.claim(self._lease, self._name, instead_of=holder) != self._name:
                    continue
                self._replaces = holder
            if self._is_over:
                self._give_back()
                break
            self._has_it = not self._is_replaced
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
            self._tell(Word.LIVES, self._name)
        return True

    def leave(self) -> None:
        """The connection is over."""
        self._is_over = True
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
        released = self._seats.leases.release(self._lease, self._name)
        released.addCallback(self._released).addErrback(self._failed)

    def _released(self, had_it: bool) -> None:
        if had_it:
            self._tell(Word.LEFT, self._name)

    def _failed(self, failure: Failure) -> None:
        self._log.failure("messenger: {lease} is not known to be right", failure, lease=self._lease)

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
        if news.holder == self._name:
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

    def _missed(self) -> None:
        """The bus had a gap: perhaps a question or an answer is lost, perhaps that the seat is another's."""
        if self._waiting is not None and self._asked is not None:
            self._tell(Word.ASK, self._asked)
        if self._has_it:
            claimed = self._seats.leases.claim(self._lease, self._name)
            claimed.addCallback(self._claimed).addErrback(self._failed)

    def _claimed(self, holder: str) -> None:
        if holder != self._name:
            self._lose()

    def _lose(self) -> None:
        """Another connection has the seat."""
        if not (self._is_over or self._is_replaced):
            self._is_replaced = True
            self._has_it = False
            self._occupant.replaced()
