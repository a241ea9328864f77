"""Connection state recovery: what was told to whom, for clients that come back. Pure.

A namespace that recovers keeps a log of its events, each with an offset that goes out as one more argument. A
client that comes back within ``seconds`` with its private id and the last offset it has seen is given back
its id, its rooms and what it has missed: the events behind that offset that were for it or for one of its
rooms, in order. What was told to a room before the client joined it is not among them.

An offset is a text, opaque to clients: a number that increases, behind the name of this log, so that one of
another process, or from before a restart, is not taken for one of ours. A private id counts once. A client
that has not seen any event has no offset: what it has missed is everything since it connected.

The log is bounded in time and in bytes; who would need what is not in it any more begins anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Mapping
from secrets import token_urlsafe
from typing import Final

from msgspec import Struct

from realtime.socketio.engine_packets import Group

LOG_BYTES: Final = 16 * 1024 * 1024
"""Two minutes of a busy namespace: some ten thousand events of a KiB."""


class _Logged(Struct, frozen=True):
    number: int
    at: float
    targets: frozenset[str]
    but: str | None
    group: Group


class Left(Struct, frozen=True):
    """A socket whose connection was lost: what it gets back.

    ``position`` is where it began in the log, and with each of its ``rooms`` stands where it joined.
    """

    private_id: str
    socket_id: str
    rooms: Mapping[str, int]
    data: object
    position: int
    at: float


class Recovered(Struct, frozen=True):
    """A client that has come back: it has missed events of numbers from above ``seen`` to ``until``."""

    left: Left
    seen: int
    until: int


class RecoveryLog:
    """The log of one namespace, and those who may come back to it. Times are in seconds."""

    def __init__(self, seconds: float, most_bytes: int = LOG_BYTES) -> None:
        self._seconds = seconds
        self._most = most_bytes
        self._name = token_urlsafe(6)
        self._events: deque[_Logged] = deque()
        self._bytes = 0
        self._last = 0
        self._forgotten = 0  # the number of the newest event that is in the log no more
        self._left: dict[str, Left] = {}

    @property
    def position(self) -> int:
        """The number of the newest event."""
        return self._last

    def next_offset(self) -> str:
        """Return the offset of the event that is told next."""
        return f"{self._name}-{self._last + 1}"

    def add(self, group: Group, targets: Iterable[str], now: float, but: str | None = None) -> None:
        """Log an event that goes out with `next_offset`, for the sockets and rooms of these names, but one."""
        self._last += 1
        self._events.append(_Logged(self._last, now, frozenset(targets), but, group))
        self._bytes += group.size
        self._forget(now)

    def leave(self, left: Left) -> None:
        """Keep the place of a socket whose connection was lost."""
        self.expire(left.at)
        self._left[left.private_id] = left

    def expire(self, now: float) -> None:
        """Let go of those who have not come back in time, and of events that nobody can ask for."""
        while self._left:
            private_id, left = next(iter(self._left.items()))
            if now - left.at <= self._seconds:
                break
            del self._left[private_id]
        self._forget(now)

    def come_back(self, private_id: object, offset: object, now: float) -> Recovered | None:
        """Return what a client gets back, once; ``None``: it begins anew."""
        self.expire(now)
        left = self._left.pop(private_id, None) if isinstance(private_id, str) else None
        if left is None:
            return None
        seen = left.position if offset is None else self._number(offset)
        if seen is None or not self._forgotten <= seen <= self._last:
            return None
        return Recovered(left, seen, self._last)

    def missed(self, recovered: Recovered, rooms: Container[str]) -> list[Group]:
        """Return what a client has missed of what was told to it and to rooms that it is still in."""
        left = recovered.left
        since = {room: joined for room, joined in left.rooms.items() if room in rooms}
        since[left.socket_id] = left.position
        return [
            each.group
            for each in self._events
            if recovered.seen < each.number <= recovered.until
            and each.but != left.socket_id
            and any(each.number > since[target] for target in each.targets if target in since)
        ]

    def __len__(self) -> int:
        """Return the number of those who may come back."""
        return len(self._left)

    def _number(self, offset: object) -> int | None:
        if not isinstance(offset, str):
            return None
        name, _, digits = offset.rpartition("-")
        if name != self._name or not (digits.isascii() and digits.isdigit() and len(digits) < 16):
            return None
        return int(digits)

    def _forget(self, now: float) -> None:
        while self._events and (now - self._events[0].at > self._seconds or self._bytes > self._most):
            gone = self._events.popleft()
            self._bytes -= gone.group.size
            self._forgotten = gone.number
