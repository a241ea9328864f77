"""When clients start and messages are to be sent. Pure; times are in seconds from the beginning.

Messages have their times before anything is known of how fast the server is: one that is slow is sent no less,
and a message that could not be sent in time counts from when it should have been. (To wait for each answer
before the next message would leave out just those that a slow moment holds up: "coordinated omission".)
"""

from __future__ import annotations

import math

from msgspec import Struct


class Schedule(Struct, frozen=True):
    """``clients`` start evenly over ``ramp`` seconds; the rate of messages grows with them, and then holds.

    ``rate`` is that of all clients together, a second; ``duration`` the seconds after the ramp.
    """

    clients: int
    ramp: float
    duration: float
    rate: float

    @property
    def end(self) -> float:
        """When the last message is due."""
        return self.ramp + self.duration

    def start_of(self, number: int) -> float | None:
        """Return when a client is to start; they count from 0. ``None``: there are not so many."""
        return self.ramp * number / self.clients if number < self.clients else None

    def time_of(self, number: int) -> float | None:
        """Return when a message is to be sent; they count from 1. ``None``: not within this test."""
        time = self._time_of(number)
        return time if time <= self.end else None

    def _time_of(self, number: int) -> float:
        in_ramp = self.rate * self.ramp / 2
        if number <= in_ramp:
            return math.sqrt(2 * self.ramp * number / self.rate)
        return self.ramp + (number - in_ramp) / self.rate
