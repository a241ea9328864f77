"""PING to every connection once in an interval, and the end of those that send no PONG: one timer for all.

Connections stand in slots that are pinged in turn, so that they are spread evenly over the interval, in
whatever moment they came; one that is new goes where the fewest are. Each is looked at when its turn comes,
and not otherwise: a PONG only sets a time on its connection. One whose time will be over before its next
turn is noted down for the moment at which it is, and looked at once more then.

A PONG alone counts as life: a client that sends messages but never answers is closed like a silent one, as
the document asks.

This differs from `websocket.keepalive`, which asks only those who are silent.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

_SLOTS: Final = 50
"""Of an interval. So many times in it something is sent; no bound is overrun by more than a slot or two."""


class Beating(Protocol):
    """What the heartbeat needs of a connection."""

    ponged: float
    """When its last PONG came, in the clock's seconds; at first, when it was opened."""

    heartbeat_slot: int
    """Where the heartbeat keeps it; its own to set."""

    def ask_pong(self) -> None:
        """Send a PING."""

    def no_pong(self) -> None:
        """No PONG came for ``timeout``. The heartbeat has forgotten the connection already."""


class Heartbeat:
    """Beats for connections until they are forgotten. All times are in seconds.

    ``timeout`` is longer than ``interval``: nobody is cut who was not asked.
    """

    def __init__(self, clock: IReactorTime, interval: float, timeout: float) -> None:
        if not 0 < interval < timeout:
            raise ValueError("the time to answer a PING is longer than the interval between two")
        self._clock = clock
        self._interval = interval
        self._timeout = timeout
        self._tick_seconds: Final = interval / _SLOTS
        self._slots: Final[list[dict[Beating, None]]] = [{} for _ in range(_SLOTS)]
        self._ending: defaultdict[int, list[Beating]] = defaultdict(list)
        self._count = 0
        self._next_tick = 0
        self._awake_since = 0.0
        self._ticking: IDelayedCall | None = None

    def watch(self, connection: Beating) -> None:
        """Begin with a connection; its first PING goes out within the interval."""
        if self._ticking is None:
            self._awake_since = self._clock.seconds()
            self._next_tick = self._tick_of(self._awake_since) + 1
            self._ticking = self._clock.callLater(self._tick_seconds, self._tick)
        connection.heartbeat_slot = min(range(_SLOTS), key=lambda slot: len(self._slots[slot]))
        self._slots[connection.heartbeat_slot][connection] = None
        self._count += 1

    def forget(self, connection: Beating) -> None:
        """End with a connection, if it is watched."""
        slot = self._slots[connection.heartbeat_slot]
        if connection not in slot:
            return
        del slot[connection]
        self._count -= 1
        if not self._count and self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
            self._ending.clear()

    def _tick_of(self, moment: float) -> int:
        return int(moment / self._tick_seconds)

    def _tick(self) -> None:
        now = self._clock.seconds()
        last = self._tick_of(now)
        self._ticking = self._clock.callLater(self._tick_seconds, self._tick)
        if last - self._next_tick >= _SLOTS:
            # The process stood still for an interval or more: nobody was asked, and nobody heard.
            self._awake_since = now
            self._ending.clear()
            self._next_tick = last - _SLOTS + 1
        while self._next_tick <= last and self._count:
            tick, self._next_tick = self._next_tick, self._next_tick + 1
            self._end_silent(self._ending.pop(tick, ()), now)
            self._beat(self._slots[tick % _SLOTS], now)

    def _end_silent(self, ending: list[Beating] | tuple[()], now: float) -> None:
        for connection in ending:
            is_watched = connection in self._slots[connection.heartbeat_slot]
            if is_watched and self._deadline(connection) <= now:
                self.forget(connection)
                connection.no_pong()

    def _beat(self, slot: dict[Beating, None], now: float) -> None:
        next_turn = now + self._interval
        for connection in list(slot):
            if connection not in slot:  # forgotten by what an earlier one did
                continue
            deadline = self._deadline(connection)
            if deadline <= next_turn:
                # Rounded up, so that nobody is cut before it is due; and at the next tick at the earliest.
                self._ending[max(self._tick_of(deadline) + 1, self._next_tick)].append(connection)
            connection.ask_pong()

    def _deadline(self, connection: Beating) -> float:
        return max(connection.ponged, self._awake_since) + self._timeout
