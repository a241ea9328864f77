"""What is on its way to one client: written, proved by a pong, settled in the database. Pure.

A connection has two of these: one for the dialogs addressed to its user, one for the outcomes
(``DELIVERY_MESSAGE``) of those that its user sent. A `Parcel` is one or the other. Its way::

    stored      committed; this room is told by `posted`, or finds it with a load
    written     on the wire, and behind it a ping: frames arrive in order, so the pong proves that it is there
    confirmed   the pong has come; the database is asked to settle it
    settled     committed: only now may anybody be told. It is forgotten here

The database holds everything that is not settled; here are only the ids of what was written on this
connection and is not settled yet. What the `Window` has no room for is not kept: it is enough to know that
there is more in the database, and to have it loaded when there is room. What is not settled when the
connection ends goes out again on the next one.

**Order.** The ids of one sender increase, and its parcels are committed in that order. Loads come in the
order of ids; what is posted while there is more in the database waits for the load that finds it. The ids of
two senders may be committed in any order, so that "later than the last" would lose some: what was written is
known by its id.

**Never twice on one connection.** A load shows the database as it was some time after it was asked for. It may
return what is on the wire, what is confirmed but not settled yet, and what was settled meanwhile: all three are
known here. News may be late too: of what a load has found before, and even of what is settled. Whoever is
posted with an id that is not beyond those of the loads is therefore looked up.

**Pings.** A client may answer the latest ping alone (RFC 6455, section 5.5.3). The pings of both machines are
numbered by one `Pings`, so that a pong proves whatever was written before its ping, by either. After the pong
of a stranger (keepalive has its own) what is not proved is asked for again: its ping may have been passed over.

What comes from outside: an answer to each load and settle, whenever, also at once or after the end.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum, auto
from typing import Final, NamedTuple, Protocol

from msgspec import Struct


class Parcel(Struct, frozen=True):
    """A dialog or an outcome. ``id`` is its row's, ``size`` its bytes on the wire."""

    id: int
    size: int
    content: object


class Window(NamedTuple):
    """How much may be unconfirmed on the wire. One parcel alone may be larger than ``size``, in bytes.

    64 keep a fast reader busy over a slow line; 256 KiB are what a reader who has stalled may cost.
    """

    parcels: int = 64
    size: int = 262_144


WINDOW: Final = Window()

_FEW: Final = 2
"""A load looks for twice as many new parcels as fitted the last time, and at least for twice these."""


class Wire(Protocol):
    """What a `Delivery` drives. Frames of both machines of a connection leave in the order of the calls."""

    def write(self, parcel: Parcel) -> None:
        """Send a parcel. Does not call back."""

    def ping(self, name: bytes) -> None:
        """Send a WebSocket ping with this payload, behind what was written."""

    def load(self, limit: int) -> None:
        """Read, from now on, the first ``limit`` parcels that are not settled, in order of id.

        Answered by `Delivery.loaded` or `Delivery.not_loaded`.
        """

    def settle(self, ids: Sequence[int]) -> None:
        """Store that these were received. What is settled already, or expired, is none the worse for it.

        Answered by `Delivery.settled` or `Delivery.not_settled`. What follows for others (a sender is told)
        follows from the commit, also when this connection has ended meanwhile.
        """


_PREFIX: Final = b"delivery-"


class Pings:
    """The names of the pings of one connection, numbered in the order in which they are sent."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        """Return the number of a new ping."""
        self._last += 1
        return self._last

    def name(self, number: int) -> bytes:
        """Return a ping's payload."""
        return b"%s%d" % (_PREFIX, number)

    def number(self, payload: bytes) -> int | None:
        """Return which ping a pong answers; ``None`` if none of these."""
        digits = payload.removeprefix(_PREFIX)
        if len(digits) == len(payload) or not digits.isdigit():
            return None
        number = int(digits)
        return number if 0 < number <= self._last else None


class _Burst(NamedTuple):
    """What one ping proves, beside everything before it."""

    ping: int
    ids: list[int]
    size: int


class _Reading(Enum):
    """What is known of the parcels in the database."""

    WAITING = auto()
    """Nothing: not started, or the database was away. Until `Delivery.start` or `Delivery.retry`."""

    LOADING = auto()
    """A load is under way."""

    BEHIND = auto()
    """There are more. They are loaded when there is room."""

    LIVE = auto()
    """All that is not settled was written; what is posted is written at once."""

    OVER = auto()
    """The connection has ended."""


class Delivery:
    """One of the two machines of a connection. ``pings`` is shared by both."""

    __slots__ = (
        *("_again", "_bursts", "_bytes", "_held", "_loaded_to", "_page", "_parcels", "_pings", "_reading"),
        *("_settled_meanwhile", "_unsettled", "_window", "_wire"),
    )

    def __init__(self, wire: Wire, pings: Pings, window: Window = WINDOW) -> None:
        self._wire = wire
        self._pings = pings
        self._window = window
        self._reading = _Reading.WAITING
        # Whether something was posted while a load was under way, which may not have seen it.
        self._again = False
        # Written on this connection and not settled yet; dicts, as empty ones are a quarter of empty sets.
        self._held: dict[int, None] = {}
        self._settled_meanwhile: dict[int, None] = {}
        # Unconfirmed on the wire, in the order in which it was written; and how much that is.
        self._bursts: list[_Burst] = []
        self._parcels = 0
        self._bytes = 0
        # Confirmed, but the database was away.
        self._unsettled: list[int] = []
        # The highest id that a load has brought, and how many new ones the next is to bring.
        self._loaded_to = 0
        self._page = window.parcels

    # -- the connection --------------------------------------------------------------------------

    def start(self) -> None:
        """Begin with what waits: the client has logged in. Until then nothing is written."""
        if self._reading is _Reading.WAITING:
            self._reading = _Reading.BEHIND
            self._load()

    def pong(self, payload: bytes) -> bool:
        """Take any pong of the connection; return whether it answers a ping of either machine."""
        number = self._pings.number(payload)
        if number is None:
            if self._bursts:
                # By a new name: both may ask, and the pong of the later ping is to prove what either wrote.
                self._wire.ping(self._pings.name(self._pings.next()))
            return False
        proved = 0
        confirmed, self._unsettled = self._unsettled, []
        for burst in self._bursts:
            if burst.ping > number:
                break
            proved += 1
            confirmed += burst.ids
            self._parcels -= len(burst.ids)
            self._bytes -= burst.size
        del self._bursts[:proved]
        if confirmed:
            self._wire.settle(confirmed)
        self._load()
        return True

    def end(self) -> None:
        """Forget everything: the connection has ended, and the next one begins with what is not settled."""
        self._reading = _Reading.OVER
        self._bursts.clear()
        self._unsettled.clear()
        self._held.clear()
        self._settled_meanwhile.clear()
        self._parcels = self._bytes = 0

    # -- news ------------------------------------------------------------------------------------

    def posted(self, parcel: Parcel) -> None:
        """Write a parcel that was committed just now, or leave it to the next load.

        One that the database counts as settled is not for this: it would not be found there. (An outcome
        that a client asks for once more is sent without the machine; the client can ask again.)
        """
        if parcel.id in self._held:
            return
        if self._reading is not _Reading.LIVE or parcel.id <= self._loaded_to:
            self.missed()
        elif self._how_many_fit([parcel]):
            self._write([parcel])
        else:
            self._reading = _Reading.BEHIND

    def missed(self) -> None:
        """Look into the database: something may have been committed that was not posted (a gap in the bus)."""
        if self._reading is _Reading.LOADING:
            self._again = True
        elif self._reading is _Reading.LIVE:
            self._reading = _Reading.BEHIND
            self._load()

    # -- the database ----------------------------------------------------------------------------

    def loaded(self, parcels: Sequence[Parcel], complete: bool) -> None:
        """Take the answer to a load; ``complete`` if there were no more in the database than these."""
        if self._reading is not _Reading.LOADING:
            return
        settled, self._settled_meanwhile = self._settled_meanwhile, {}
        again, self._again = self._again, False
        fresh = [parcel for parcel in parcels if parcel.id not in self._held and parcel.id not in settled]
        count = self._how_many_fit(fresh)
        all_fit = count == len(fresh)
        self._reading = _Reading.LIVE if all_fit and complete and not again else _Reading.BEHIND
        # Where few fit because they are large, few are read in vain the next time.
        self._page = min(self._window.parcels, 2 * (self._page if all_fit else max(count, _FEW)))
        if count:
            self._loaded_to = max(self._loaded_to, fresh[count - 1].id)
            self._write(fresh[:count])
        if all_fit and (count or again):
            self._load()

    def not_loaded(self) -> None:
        """Wait for `retry`: the database was away."""
        if self._reading is _Reading.LOADING:
            self._reading = _Reading.WAITING
            self._again = False
            self._settled_meanwhile = {}

    def settled(self, ids: Collection[int]) -> None:
        """Forget what is stored as received."""
        for each in ids:
            if each in self._held:
                del self._held[each]
                if self._reading is _Reading.LOADING:
                    self._settled_meanwhile[each] = None
        if not self._held:
            self._held = {}  # an emptied one keeps its size
        self._load()

    def not_settled(self, ids: Collection[int]) -> None:
        """Keep what is confirmed for the next pong or `retry`: the database was away.

        Whether it was stored nonetheless may be unknown; it is asked again.
        """
        self._unsettled += [each for each in ids if each in self._held]

    def retry(self) -> None:
        """Ask again for what failed. To be called some time after `not_loaded` or `not_settled`."""
        unsettled, self._unsettled = self._unsettled, []
        if unsettled:
            self._wire.settle(unsettled)
        self.start()

    # -- the window ------------------------------------------------------------------------------

    def _load(self) -> None:
        """Load what is in the database, if there is more, and room for half of the window."""
        parcels, size = self._window
        if (
            self._reading is _Reading.BEHIND
            and self._parcels <= parcels // 2
            and self._bytes <= size // 2
            and len(self._held) <= parcels + parcels // 2
        ):
            self._reading = _Reading.LOADING
            # All that is held may be among the first; beyond that there is something new.
            self._wire.load(len(self._held) + self._page)

    def _how_many_fit(self, parcels: Sequence[Parcel]) -> int:
        """Return how many of these there is room for, from the first on.

        Not settled, and so held here, are at most twice as many as the window has: a database that
        is slow or away slows the wire.
        """
        bound, size_bound = self._window
        room = min(bound - self._parcels, 2 * bound - len(self._held))
        size = self._bytes
        for count, parcel in enumerate(parcels[: max(room, 0)]):
            size += parcel.size
            if size > size_bound and (count or self._parcels):
                return count
        return min(len(parcels), max(room, 0))

    def _write(self, parcels: Sequence[Parcel]) -> None:
        """Write parcels that fit, and behind them the ping that proves them."""
        ids = [parcel.id for parcel in parcels]
        size = sum(parcel.size for parcel in parcels)
        self._held.update(dict.fromkeys(ids))
        self._parcels += len(ids)
        self._bytes += size
        for parcel in parcels:
            self._wire.write(parcel)
        ping = self._pings.next()
        self._bursts.append(_Burst(ping, ids, size))
        self._wire.ping(self._pings.name(ping))
