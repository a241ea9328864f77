"""A circuit breaker: whether a server that fails is asked again, or spared for a while. Pure.

As long as it answers, the circuit is closed and every request may go. So many failures in a row open it:
for a pause nobody asks. Then it is half open: one request is let through to try. If that succeeds the
circuit closes, if not the next pause is twice as long, up to a longest one.

Requests overlap, so a result may come when the circuit has moved on. Each request therefore carries the
permit that it was let through with, and a result counts only while the permit is of the present state: what
was asked before the circuit opened says nothing of the server after the pause.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from twisted.internet.interfaces import IReactorTime


class State(Enum):
    """Where a circuit stands."""

    CLOSED = auto()
    OPEN = auto()
    HALF_OPEN = auto()


class Event(Enum):
    """What changes it."""

    SUCCESS = auto()
    FAILURE = auto()
    LAST_FAILURE = auto()
    """One failure more than is put up with in a row."""
    PAUSE_OVER = auto()


_NEXT: Final = {
    (State.CLOSED, Event.LAST_FAILURE): State.OPEN,
    (State.OPEN, Event.PAUSE_OVER): State.HALF_OPEN,
    (State.HALF_OPEN, Event.SUCCESS): State.CLOSED,
    (State.HALF_OPEN, Event.FAILURE): State.OPEN,
}
"""What isn't here changes nothing."""


class CircuitBreaker:
    """A circuit that ``failures`` in a row open, for ``pause`` seconds at first and ``longest_pause`` at most.

    Five failures are more than a lost packet or one poor request, and few enough that those who wait for an
    answer in vain are few. Ten seconds are soon enough for people, and let a server start again unpressed.
    """

    __slots__ = (
        "_clock",
        "_failures",
        "_failures_put_up_with",
        "_first_pause",
        "_generation",
        "_longest_pause",
        "_opened",
        "_pause",
        "_trying",
        "state",
    )

    def __init__(
        self, clock: IReactorTime, *, failures: int = 5, pause: float = 10.0, longest_pause: float = 60.0
    ) -> None:
        self.state = State.CLOSED
        self._clock = clock
        self._failures_put_up_with = failures
        self._first_pause = pause
        self._longest_pause = longest_pause
        self._pause = pause
        self._failures = 0
        self._generation = 0
        self._opened = 0.0
        self._trying = False

    def admit(self) -> int | None:
        """Return a permit for one request, or ``None`` if none may be made now.

        Whoever has a permit tells :meth:`succeeded` or :meth:`failed`, sooner or later.
        """
        if self.state is State.OPEN and self._is_pause_over():
            self._happened(Event.PAUSE_OVER)
        if self.state is State.OPEN or self._trying:
            return None
        self._trying = self.state is State.HALF_OPEN
        return self._generation

    def succeeded(self, permit: int) -> None:
        """Count a request that was answered as it should be, whatever the answer said."""
        if permit == self._generation:
            self._failures = 0
            self._happened(Event.SUCCESS)

    def failed(self, permit: int) -> None:
        """Count a request that was not."""
        if permit == self._generation:
            self._failures += 1
            last = self.state is State.CLOSED and self._failures >= self._failures_put_up_with
            self._happened(Event.LAST_FAILURE if last else Event.FAILURE)

    def _happened(self, event: Event) -> None:
        before, self.state = self.state, _NEXT.get((self.state, event), self.state)
        if self.state is before:
            return
        self._generation += 1
        self._trying = False
        if self.state is State.OPEN:
            again = before is State.HALF_OPEN
            self._pause = min(2 * self._pause, self._longest_pause) if again else self._first_pause
            self._opened = self._clock.seconds()

    def _is_pause_over(self) -> bool:
        """Whether the pause has passed, or the clock was set back so that it can't be known."""
        return not 0 <= self._clock.seconds() - self._opened < self._pause
