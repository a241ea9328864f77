"""Rates: how often somebody may do something, as a leaky bucket that keeps one number.

A bucket fills by one with each use and leaks at a steady rate; what would overflow it is refused.
The level is not stored: it follows from one moment, the *drained* time at which the bucket would be
empty again (this form is known as the generic cell rate algorithm). A connection can so carry its
limit in a single float, and nothing ever has to be refilled on a timer.
"""

from __future__ import annotations

from collections import deque
from typing import Final


class Rate:
    """So many uses a second, with a burst on top; shared by all who are held to it.

    ``per_second`` is how fast the bucket leaks, ``burst`` how many uses fit into an empty one: at
    least one, however slow the leak.
    """

    __slots__ = ("_capacity", "_cost")

    def __init__(self, per_second: float, burst: float) -> None:
        self._cost: Final = 1.0 / per_second
        # A hundredth of a use more, for rounding: a Unix time in a float has steps of 0.2 µs, and a
        # burst adds one up for each of its uses.
        self._capacity: Final = (max(burst, 1.0) + 0.01) / per_second

    def use(self, drained: float, now: float) -> float | None:
        """Return the new drained time, or ``None`` if this use would overflow the bucket."""
        drained = (drained if drained > now else now) + self._cost
        return drained if drained - now <= self._capacity else None

    def charge(self, drained: float, now: float) -> float:
        """Return the new drained time of a use that has happened, overflow or not."""
        return max(drained, now) + self._cost

    def refund(self, drained: float) -> float:
        """Return the drained time with one use taken back."""
        return drained - self._cost

    def wait(self, drained: float, now: float) -> float:
        """Return the seconds until one more use would fit; 0 if it fits now."""
        return max(0.0, drained + self._cost - self._capacity - now)


class Throttle:
    """One bucket for each key (a name, an address), kept only while it holds anything.

    Memory is bounded by the keys that were used lately: the table is swept of drained buckets each
    time it has doubled, so the cost of sweeping is spread evenly over the uses.
    """

    _SMALLEST_SWEEP: Final = 1024

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._drained: dict[str, float] = {}
        self._sweep_at = self._SMALLEST_SWEEP

    def wait(self, key: str, now: float) -> float:
        """Return the seconds until ``key`` may be used again; 0 if it may now."""
        drained = self._drained.get(key)
        return 0.0 if drained is None else self._rate.wait(drained, now)

    def charge(self, key: str, now: float) -> None:
        """Count one use of ``key``, even beyond the rate."""
        self._drained[key] = self._rate.charge(self._drained.get(key, now), now)
        if len(self._drained) >= self._sweep_at:
            self._sweep(now)

    def refund(self, key: str) -> None:
        """Take one counted use of ``key`` back."""
        drained = self._drained.get(key)
        if drained is not None:
            self._drained[key] = self._rate.refund(drained)

    def _sweep(self, now: float) -> None:
        self._drained = {key: drained for key, drained in self._drained.items() if drained > now}
        self._sweep_at = max(self._SMALLEST_SWEEP, 2 * len(self._drained))

    def __len__(self) -> int:
        return len(self._drained)


class FaultCounter:
    """Counts a peer's faults and says when there were too many within a stretch of time.

    Exact where :class:`Rate` is smooth: the contract says "50 in a minute", so the moments of the
    last 50 are kept. Most peers never make a fault: whoever counts them makes the counter for the first.
    """

    __slots__ = ("_limit", "_moments", "_seconds")

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._moments: deque[float] = deque(maxlen=limit)

    def add(self, now: float) -> bool:
        """Count a fault; return whether this one reaches the limit."""
        self._moments.append(now)
        return len(self._moments) == self._limit and now - self._moments[0] < self._seconds
