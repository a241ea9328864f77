"""The ids of what has come lately: what comes a second time is known. Pure."""

from __future__ import annotations

MOST = 1000
"""More than a server ever sends again."""


class Seen:
    """Remembers the newest ids; ``floor`` is the highest that it has forgotten, or was told to begin above."""

    __slots__ = ("_ids", "_most", "floor")

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._ids: set[int] = set()
        self.floor = 0

    def add(self, number: int) -> bool:
        """Remember an id; whether it was not known."""
        if number in self._ids:
            return False
        self._ids.add(number)
        if len(self._ids) > 2 * self._most:
            forgotten = sorted(self._ids)[: -self._most]
            self._ids.difference_update(forgotten)
            self.floor = max(self.floor, forgotten[-1])
        return True

    def __contains__(self, number: int) -> bool:
        return number in self._ids

    def begin_above(self, number: int) -> None:
        """Count every id up to this one as known."""
        self.floor = max(self.floor, number)

    def is_missed(self, number: int) -> bool:
        """Whether an id is new: neither known, nor so old that it would be forgotten."""
        return number > self.floor and number not in self._ids
