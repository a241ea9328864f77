"""One connection for each user, in the whole cluster: who has the seat, who asks for it, who takes it over.

A newcomer claims the user's seat. If an older connection has it, that one is asked, with a WebSocket ping,
whether its client is still there::

    newcomer -- ASK ----> older        ping
    newcomer <-- LIVES -- older        it has answered: the newcomer is one too many
    newcomer <-- LEFT --- older        it went by itself: the seat is free
    newcomer -- REPLACE -> older       silence for ``takeover_timeout``: the older goes

The seat itself is a lease, so that of several newcomers one gets it; the others ask that one. REPLACE is said
once the newcomer is there, so that its user is never seen to go.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

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
        *("_asked", "_has_it", "_is_over", "_lease", "_name", "_occupant", "_replaces", "_seats"),
        *("_subscription", "_timer", "_topic", "_waiting"),
    )

    def __init__(self, seats: Seats, user_id: int, name: str, occupant: Occupant) -> None:
        self._seats = seats
        self._occupant = occupant
        self._name = name
        self._lease = f"messenger.seat.{user_id}"
        self._topic = Topic(self._lease, _News)
        self._has_it = False
        self._is_over = False
        self._replaces: str | None = None
        self._asked: str | None = None
        self._waiting: Deferred[Word | None] | None = None
        self._timer: IDelayedCall | None = None
        self._subscription: Subscription | None = None

    def take(self) -> Deferred[bool]:
        """Fires with whether this connection has the seat; ``False``: another's lives, or this one has left."""
        return Deferred.fromCoroutine(self._take())

    async def _take(self) -> bool:
        leases = self._seats.leases
        self._subscription = self._seats.bus.subscribe(self._topic, self._heard)
        await self._subscription.active
        while not self._is_over:
            holder = await leases.claim(self._lease, self._name)
            if holder != self._name:
                word = await self._ask(holder)
                if word is Word.LIVES or self._is_over:
                    break
                if word is Word.LEFT:
                    continue
                if await leases.claim(self._lease, self._name, instead_of=holder) != self._name:
                    continue
                self._replaces = holder
            self._has_it = True
            if self._is_over:
                self._give_back()
                break
            return True
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
        if self._has_it:
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

    def _give_back(self) -> None:
        self._has_it = False
        self.settle()
        released = self._seats.leases.release(self._lease, self._name)
        released.addCallback(lambda had_it: self._tell(Word.LEFT, self._name) if had_it else None)

    # -- asking --------------------------------------------------------------------------------

    def _ask(self, holder: str) -> Deferred[Word | None]:
        """Fires with what the holder says of itself, or ``None`` after the timeout."""
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
        if news.word in (Word.LIVES, Word.LEFT):
            if news.holder == self._asked:
                self._answer(news.word)
        elif news.holder == self._name and self._has_it:
            if news.word is Word.ASK:
                self._occupant.ping(_PING)
            else:
                self._has_it = False
                self._occupant.replaced()
