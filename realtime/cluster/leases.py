"""Leases: who holds something, for as long as the process lives that took it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from twisted.internet.defer import Deferred, succeed


class Leases(Protocol):
    """Named things with at most one holder each.

    A lease lasts until it is released, or taken by another, or until the process that took it has
    died: then it is free within 10 seconds. Holders are texts that their users choose.

    What can't be carried out because other processes can't be reached fails with ClusterUnavailable; to release
    waits instead, until it can be.
    """

    def take(self, name: str, holder: str) -> Deferred[str | None]:
        """Give ``name`` to ``holder``, whoever has it; fires with who had it before."""

    def claim(self, name: str, holder: str, instead_of: str | None = None) -> Deferred[str]:
        """Give ``name`` to ``holder`` if it is free, or ``instead_of`` has it; fires with who has it then."""

    def release(self, name: str, holder: str) -> Deferred[bool]:
        """Free ``name`` if ``holder`` has it; fires with whether it had."""

    def release_all(self, holder: str) -> Deferred[list[str]]:
        """Free all that ``holder`` has; fires with their names."""

    def holder(self, name: str) -> Deferred[str | None]:
        """Fires with who has ``name``."""

    def holders(self, names: Iterable[str]) -> Deferred[Mapping[str, str]]:
        """Fires with who has each of ``names``; free ones are left out."""


class MemoryLeases:
    """Leases in a single process."""

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}
        self._names: dict[str, dict[str, None]] = {}

    def take(self, name: str, holder: str) -> Deferred[str | None]:
        """See :meth:`Leases.take`."""
        before = self._forget(name)
        self._holders[name] = holder
        self._names.setdefault(holder, {})[name] = None
        return succeed(before)

    def claim(self, name: str, holder: str, instead_of: str | None = None) -> Deferred[str]:
        """See :meth:`Leases.claim`."""
        has_it = self._holders.get(name)
        if has_it is None or has_it == instead_of:
            self.take(name, holder)
            return succeed(holder)
        return succeed(has_it)

    def release(self, name: str, holder: str) -> Deferred[bool]:
        """See :meth:`Leases.release`."""
        held = self._holders.get(name) == holder
        if held:
            self._forget(name)
        return succeed(held)

    def release_all(self, holder: str) -> Deferred[list[str]]:
        """See :meth:`Leases.release_all`."""
        names = list(self._names.get(holder, ()))
        for name in names:
            self._forget(name)
        return succeed(names)

    def holder(self, name: str) -> Deferred[str | None]:
        """See :meth:`Leases.holder`."""
        return succeed(self._holders.get(name))

    def holders(self, names: Iterable[str]) -> Deferred[Mapping[str, str]]:
        """See :meth:`Leases.holders`."""
        return succeed({name: self._holders[name] for name in names if name in self._holders})

    def _forget(self, name: str) -> str | None:
        holder = self._holders.pop(name, None)
        if holder is not None:
            del self._names[holder][name]
            if not self._names[holder]:
                del self._names[holder]
        return holder
