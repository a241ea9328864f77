"""Finds out which silent connections are dead: one timer for all of them.

Connections stand in slots by the moment at which something is next to be done about them. A tick
looks only at the slot that is due: what was heard from lately moves on to a later slot, what was
silent for ``interval`` gets a ping, and what stayed silent for another ``timeout`` is dead. Nothing
is moved when a message arrives (the connection just notes the time), so traffic costs nothing here.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Watched(Protocol):
    """What keepalive needs of a connection."""

    heard: float
    """When anything last came from the peer, in the clock's seconds."""

    keepalive_slot: int
    """Where keepalive keeps the connection; its own to set."""

    def ask_alive(self) -> None:
        """Send a ping; its pong counts as being heard from."""

    def presumed_dead(self) -> None:
        """Nothing came for ``interval`` and then ``timeout`` more."""


class Keepalive:
    """Watches connections until they are forgotten. All times are in seconds."""

    def __init__(self, clock: IReactorTime, interval: float, timeout: float) -> None:
        self._clock = clock
        self._interval = interval
        self._timeout = timeout
        # Coarse enough to share ticks, fine enough that no bound is overrun by more than a quarter:
        # what is due waits for the next slot, which waits for the next tick.
        self._tick_seconds: Final = min(1.0, interval / 8, timeout / 8)
        self._slots: defaultdict[int, dict[Watched, float | None]] = defaultdict(dict)
        self._count = 0
        self._next_slot = 0
        self._ticking: IDelayedCall | None = None

    def watch(self, connection: Watched) -> None:
        """Begin with a connection that was heard from just now."""
        if self._ticking is None:
            self._next_slot = self._slot_of(self._clock.seconds()) + 1
            self._ticking = self._clock.callLater(self._tick_seconds, self._tick)
        self._count += 1
        self._put(connection, connection.heard + self._interval, None)

    def forget(self, connection: Watched) -> None:
        """End with a connection that is watched."""
        self._slots[connection.keepalive_slot].pop(connection)
        self._count -= 1
        if not self._count and self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
            self._slots.clear()

    def _slot_of(self, moment: float) -> int:
        return int(moment / self._tick_seconds)

    def _put(self, connection: Watched, due: float, asked: float | None) -> None:
        # Rounded up, so that nobody is asked, or cut, before it is due.
        connection.keepalive_slot = max(self._slot_of(due) + 1, self._next_slot)
        self._slots[connection.keepalive_slot][connection] = asked

    def _tick(self) -> None:
        now = self._clock.seconds()
        last = self._slot_of(now)
        self._ticking = self._clock.callLater(self._tick_seconds, self._tick)
        while self._next_slot <= last:
            slot, self._next_slot = self._next_slot, self._next_slot + 1
            for connection, asked in list(self._slots.get(slot, {}).items()):
                if connection in self._slots[slot]:  # not forgotten by what an earlier one did
                    del self._slots[slot][connection]
                    self._look_at(connection, asked, now)
            self._slots.pop(slot, None)

    def _look_at(self, connection: Watched, asked: float | None, now: float) -> None:
        if asked is not None and connection.heard < asked:
            self._put(connection, now + self._timeout, asked)  # until it is forgotten
            connection.presumed_dead()
        elif connection.heard + self._interval <= now:
            self._put(connection, now + self._timeout, now)
            connection.ask_alive()
        else:
            self._put(connection, connection.heard + self._interval, None)
