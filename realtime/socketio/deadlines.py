"""Time limits of one length for many: one timer for all of them.

As all are equally long, they end in the order in which they began, so that beginning and stopping one takes the
same time however many there are, and nobody who is not due is ever looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

_Item = TypeVar("_Item")

_SHARE: Final = 256
"""Limits that end within this part of their length of each other end together; none ends early."""

_STOOD_STILL: Final = 1.0
"""Seconds by which a timer may be late before the whole process must have been."""


class Deadlines(Generic[_Item]):
    """Calls ``passed(item, moment)`` for each item ``seconds`` after its start, unless it is stopped.

    ``moment`` is when its time was up, in the clock's seconds: now, or a little before. If the process stood
    still meanwhile, what peers have sent is read before anybody's time is up.
    """

    __slots__ = ("_clock", "_due", "_expected", "_passed", "_seconds", "_timer")

    def __init__(self, clock: IReactorTime, seconds: float, passed: Callable[[_Item, float], object]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._passed = passed
        self._due: dict[_Item, float] = {}
        self._timer: IDelayedCall | None = None
        self._expected = 0.0

    def start(self, item: _Item, since: float | None = None) -> None:
        """Begin the time of an item, anew if it has begun already; ``since`` a moment just past, or now."""
        now = self._clock.seconds()
        self._due.pop(item, None)
        self._due[item] = (now if since is None else since) + self._seconds
        if self._timer is None:
            self._wait(now, self._due[item])

    def stop(self, item: _Item) -> None:
        """End the time of an item, if it has any."""
        if self._due.pop(item, None) is not None and not self._due and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __contains__(self, item: object) -> bool:
        return item in self._due

    def __len__(self) -> int:
        return len(self._due)

    def _wait(self, now: float, until: float) -> None:
        self._expected = max(until, now)
        self._timer = self._clock.callLater(self._expected - now, self._look)

    def _look(self) -> None:
        now = self._clock.seconds()
        if now - self._expected > _STOOD_STILL:
            self._wait(now, now)
            return
        self._timer = None
        passed = []
        for item, due in self._due.items():
            if due > now:
                break
            passed.append((item, due))
        for item, due in passed:
            if self._due.get(item) == due:  # not stopped, or begun anew, by what an earlier one did
                del self._due[item]
                self._passed(item, due)
        if self._due and self._timer is None:
            self._wait(now, max(next(iter(self._due.values())), now + self._seconds / _SHARE))
