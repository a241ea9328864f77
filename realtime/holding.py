"""What comes from a peer before it can be taken: kept in order, up to a bound."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

Item = TypeVar("Item")

_BYTES: Final = 65_536
"""One message of the largest usual size fits."""


class Held(Generic[Item]):
    """What one connection has sent while something that comes first, such as its token, is looked at."""

    __slots__ = ("_bytes", "_items")

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._bytes = 0

    def add(self, item: Item, size: int) -> bool:
        """Hold one more, of ``size`` bytes as it came; ``False``: it is too much, and not held."""
        self._bytes += max(size, 1)  # an empty one takes a place, too
        if self._bytes > _BYTES:
            return False
        self._items.append(item)
        return True

    def take(self) -> list[Item]:
        """Return what was held, in order, and hold it no more."""
        items, self._items = self._items, []
        self._bytes = 0
        return items
