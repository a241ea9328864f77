"""Connection state recovery: what was told to whom, for clients that come back. Pure.

A namespace that recovers keeps a log of its events, each with an offset that goes out as one more argument. A
client that comes back within ``seconds`` with its private id and the last offset it has seen is given back
its id, its rooms and what it has missed: the events behind that offset that were for it or for a room that it
was in when they were told, in order.

An offset is a text, opaque to clients: a number that increases, behind the name of this log. A client that
shows one of another log, from before it came here, or none, has seen nothing since it began.

The events of one room, or of one socket, are a `Strand`. It lives as long as somebody can ask for it: what
nobody could ever ask for is not kept, and what a client has missed is found without a look at what was told to
others.

The log is bounded in time and in bytes; who would need what is not in it any more begins anew.

What a client has missed in another process is told again here, as events of its own with offsets of this log
(`tell_again`): so it can be lost on the way in, and come back, like anybody else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from secrets import token_urlsafe
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from msgspec import Struct, structs

from realtime.socketio.engine_packets import Group

LOG_BYTES: Final = 32 * 1024 * 1024
"""Two minutes of a busy namespace: some ten thousand events of a KiB."""

MOST_PLACES: Final = 100_000
"""Clients that may come back, a KiB or so each: all that a process has, if all are lost at once. Of more, those
who have been away longest can't."""

_UNNOTICED: Final = 65.0
"""Seconds for which the loss of a client may go unnoticed: a ping's interval and twice its timeout. What is
told to it meanwhile is lost with it."""

_EVENT_BYTES: Final = 512
"""What an event takes, beside its text."""

_LONGEST_NUMBER: Final = 15


class _Logged(NamedTuple):
    number: int
    but: str | None
    group: Group


class Strand:
    """What was told to one room, or one socket. ``dropped`` is the newest event that is in the log no more."""

    __slots__ = ("__weakref__", "dropped", "events")

    def __init__(self) -> None:
        self.dropped = 0
        self.events: deque[_Logged] | None = None  # an empty one takes more than all the rest

    def has_since(self, number: int) -> bool:
        """Whether anything was told after an event."""
        return self.dropped > number or (self.events is not None and self.events[-1].number > number)


class Membership(NamedTuple):
    """That somebody was told what a room was: the events from above ``since`` to ``until``, or to this day.

    ``ended`` is when it was over, in seconds.
    """

    room: str
    strand: Strand
    since: int
    until: int | None = None
    ended: float = 0.0


class Left(Struct, frozen=True):
    """A socket whose connection was lost: what it gets back. ``position`` is where it began in the log.

    ``memberships`` are those that it has, and those that have ended lately. ``at`` is in seconds.
    """

    socket_id: str
    own: Strand
    memberships: tuple[Membership, ...]
    data: object
    position: int
    at: float


class Missed(NamedTuple):
    """An event that a client has missed: of a room, or its own. ``is_past``: it is in that room no more."""

    number: int
    room: str | None
    is_past: bool
    group: Group


class Recovered(Struct, frozen=True):
    """A client that has come back, and what it has missed since the event ``seen`` until ``position``."""

    private_id: str
    left: Left
    missed: tuple[Missed, ...]
    seen: int
    position: int


class RecoveryLog:
    """The log of one namespace, and those who may come back to it. Times are in seconds.

    ``gone`` is told the private ids of those whose places were let go of.
    """

    def __init__(
        self,
        seconds: float,
        most_bytes: int = LOG_BYTES,
        most_places: int = MOST_PLACES,
        gone: Callable[[str], None] | None = None,
    ) -> None:
        self._seconds = seconds
        self._gone = gone or (lambda _: None)
        self._kept = seconds + _UNNOTICED
        self._most_bytes = most_bytes
        self._most_places = most_places
        self._name = token_urlsafe(6)
        self._order: deque[tuple[float, int, Strand]] = deque()
        self._bytes = 0
        self._last = 0
        self._strands: WeakValueDictionary[str, Strand] = WeakValueDictionary()
        self._left: dict[str, Left] = {}

    # -- what is told --------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """The number of the newest event."""
        return self._last

    def strand(self, name: str) -> Strand:
        """Return the strand of a room or socket; it is kept for as long as the caller keeps it."""
        strand = self._strands.get(name)
        if strand is None:
            strand = self._strands[name] = Strand()
        return strand

    def known(self, name: str) -> Strand | None:
        """Return the strand of a room or socket, if anybody could ask for it."""
        return self._strands.get(name)

    def next_offset(self) -> str:
        """Return the offset of the event that is told next."""
        return f"{self._name}-{self._last + 1}"

    def add(self, group: Group, strand: Strand, now: float, but: str | None = None) -> None:
        """Log an event that goes out with `next_offset`, for a room or socket, but one."""
        self._last += 1
        if strand.events is None:
            strand.events = deque()
        strand.events.append(_Logged(self._last, but, group))
        # It will be there as it is and in the form in which it goes out.
        size = 2 * group.size + _EVENT_BYTES
        self._order.append((now, size, strand))
        self._bytes += size
        self._drop(now)

    def tell_again(self, text: bytes, binary: Sequence[bytes], strand: Strand, now: float) -> Group:
        """Log an event, as `plain` returns it, once more, for one socket; return it as it goes out."""
        group = Group(text[:-1] + b',"%b"]' % self.next_offset().encode(), binary)
        self.add(group, strand, now)
        return group

    def plain(self, group: Group) -> bytes | None:
        """Return the text of an event of this log without its offset; ``None`` for any other packet."""
        if group.text is None:
            return None
        text, mark, offset = group.text.rpartition(b',"')
        return text + b"]" if mark and offset.startswith(self._name.encode() + b"-") else None

    # -- who comes and goes --------------------------------------------------------------------

    def is_recent(self, membership: Membership, now: float) -> bool:
        """Whether a client may have missed something of a membership that has ended."""
        return membership.strand.has_since(membership.since) and now - membership.ended <= self._kept

    def leave(self, private_id: str, left: Left) -> None:
        """Keep the place of a socket whose connection was lost."""
        self._left[private_id] = left
        if len(self._left) > self._most_places:
            self._let_go(next(iter(self._left)))

    def has(self, private_id: str) -> bool:
        """Whether there is a place that somebody may come back to."""
        return private_id in self._left

    def come_back(self, private_id: str, offset: object, now: float) -> Recovered | None:
        """Return what a client gets back, once; ``None``: it begins anew."""
        self.expire(now)
        left = self._left.pop(private_id, None)
        if left is None or now - left.at >= self._seconds:
            return None
        seen = self._seen(offset, left)
        missed = None if seen is None else self._missed(left, seen)
        if seen is None or missed is None:
            self._gone(private_id)
            return None
        return Recovered(private_id, left, tuple(missed), seen, self._last)

    def missed_by_now(self, recovered: Recovered) -> list[Missed] | None:
        """Return what a client that has come back has missed until now; ``None``: some of it is lost."""
        return self._missed(recovered.left, recovered.seen)

    def put_back(self, recovered: Recovered, at: float) -> None:
        """Keep a place on: its client has come back, but was lost, at ``at``, or refused before it had it."""
        self._left[recovered.private_id] = structs.replace(recovered.left, at=at)

    def _seen(self, offset: object, left: Left) -> int | None:
        """Return the number of the last event that a client has seen; ``None``: it can't be true."""
        if offset is None:
            return left.position
        if not isinstance(offset, str):
            return None
        name, dash, digits = offset.rpartition("-")
        if not (dash and digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_NUMBER):
            return None
        if name != self._name:
            return left.position
        seen = int(digits)
        return max(seen, left.position) if seen <= self._last else None

    def _missed(self, left: Left, seen: int) -> list[Missed] | None:
        missed: list[Missed] = []
        for room, strand, since, until, _ in (Membership("", left.own, left.position), *left.memberships):
            since = max(since, seen)
            if strand.dropped > since:
                return None
            last = self._last if until is None else until
            for number, but, group in _newest(strand):
                if number <= since:
                    break
                if number <= last and but != left.socket_id:
                    missed.append(Missed(number, room or None, until is not None, group))
        missed.sort()
        return missed

    # -- the bounds ----------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Let go of those who have not come back in time, and of events that nobody can ask for."""
        while self._left:
            private_id, left = next(iter(self._left.items()))
            if now - left.at < self._seconds:
                break
            self._let_go(private_id)
        self._drop(now)

    def _let_go(self, private_id: str) -> None:
        del self._left[private_id]
        self._gone(private_id)

    def next_expiry(self) -> float | None:
        """Return when there is something to let go of; ``None`` if nothing is kept."""
        moments = [self._order[0][0] + self._kept] if self._order else []
        if self._left:
            moments.append(next(iter(self._left.values())).at + self._seconds)
        return min(moments, default=None)

    def _drop(self, now: float) -> None:
        order = self._order
        while order and (now - order[0][0] >= self._kept or self._bytes > self._most_bytes):
            _, size, strand = order.popleft()
            self._bytes -= size
            events = strand.events
            if events is not None:
                strand.dropped = events.popleft().number
                if not events:
                    strand.events = None

    @property
    def held(self) -> tuple[int, int]:
        """How many events it has, and how many bytes they count for."""
        return len(self._order), self._bytes

    def __len__(self) -> int:
        """Return the number of those who may come back."""
        return len(self._left)


def _newest(strand: Strand) -> Iterable[_Logged]:
    return () if strand.events is None else reversed(strand.events)
