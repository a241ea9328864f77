"""Who is connected: all open connections of this process, how many from an address, for a user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Protocol, TypeVar

_Key = TypeVar("_Key")


class Admitted(Protocol):
    """A connection, as far as those who stop the server care."""

    def close_going_away(self) -> None:
        """Start the closing handshake with 1001."""

    def abort(self) -> None:
        """Cut the connection."""


class Admission:
    """Counts connections against ``per_address`` and ``per_user`` (0: unlimited).

    An address is counted from the opening handshake until the transport is gone. A user is counted from
    authentication until the connection is over for its protocol, so that a successor need not wait for a
    peer that never finishes the closing handshake.
    """

    def __init__(self, *, per_address: int = 0, per_user: int = 0) -> None:
        self._per_address = per_address
        self._per_user = per_user
        self._addresses: Counter[str] = Counter()
        self._users: Counter[int] = Counter()
        self._open: dict[Admitted, None] = {}

    def admit(self, connection: Admitted, address: str) -> bool:
        """Count a connection; whether its address may have one more."""
        if self._per_address and self._addresses[address] >= self._per_address:
            return False
        self._addresses[address] += 1
        self._open[connection] = None
        return True

    def identify(self, user_id: int) -> bool:
        """Count a connection for its user; whether the user may have one more."""
        if self._per_user and self._users[user_id] >= self._per_user:
            return False
        self._users[user_id] += 1
        return True

    def forget(self, user_id: int) -> None:
        """Count one connection less for a user."""
        _decrement(self._users, user_id)

    def leave(self, connection: Admitted, address: str) -> None:
        """Forget a connection that was admitted."""
        del self._open[connection]
        _decrement(self._addresses, address)

    def __iter__(self) -> Iterator[Admitted]:
        """Iterate over the open connections, oldest first, as they are now."""
        return iter(list(self._open))

    def __len__(self) -> int:
        return len(self._open)


def _decrement(counter: Counter[_Key], key: _Key) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
