"""Presence: who is connected, on any process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

Watcher = Callable[[str, bool], None]
"""Called with a member and whether it is present now."""


class Presence(Protocol):
    """Counts the connections of each member of a group.

    A member is present from its first connection, on whatever process, until its last one has
    left, or the process that had it has died: that is noticed within 10 seconds. Of two connections
    that enter (or leave) at the same moment on two processes exactly one is told that it was the
    first (the last). A watcher that raises is logged; the others are still told.

    What can't be carried out because other processes can't be reached fails with ClusterUnavailable; but who
    leaves has left, and is answered when it is known.
    """

    def enter(self, group: str, member: str) -> Deferred[bool]:
        """Count a connection; fires with whether it is the member's first."""

    def leave(self, group: str, member: str) -> Deferred[bool]:
        """Take a connection that entered here back; fires with whether it was the last."""

    def members(self, group: str) -> Deferred[frozenset[str]]:
        """Fires with the members that are present."""

    def is_present(self, group: str, member: str) -> Deferred[bool]:
        """Fires with whether a member is present."""

    def watch(self, group: str, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher`` on every change from now on; returns what ends that, at once.

        Of what changes while it can't be carried from process to process (at the beginning, for a moment, and
        in a gap), the difference is told that it has made.
        """


class MemoryPresence:
    """Presence in a single process."""

    _log = Logger()

    def __init__(self) -> None:
        self._groups: dict[str, Counter[str]] = {}
        self._watchers: dict[str, dict[object, Watcher]] = {}

    def enter(self, group: str, member: str) -> Deferred[bool]:
        """See :meth:`Presence.enter`."""
        members = self._groups.setdefault(group, Counter())
        members[member] += 1
        first = members[member] == 1
        if first:
            self._tell(group, member, present=True)
        return succeed(first)

    def leave(self, group: str, member: str) -> Deferred[bool]:
        """See :meth:`Presence.leave`."""
        members = self._groups[group]
        members[member] -= 1
        last = members[member] == 0
        if last:
            del members[member]
            if not members:
                del self._groups[group]
            self._tell(group, member, present=False)
        return succeed(last)

    def members(self, group: str) -> Deferred[frozenset[str]]:
        """See :meth:`Presence.members`."""
        return succeed(frozenset(self._groups.get(group, ())))

    def is_present(self, group: str, member: str) -> Deferred[bool]:
        """See :meth:`Presence.is_present`."""
        return succeed(member in self._groups.get(group, ()))

    def watch(self, group: str, watcher: Watcher) -> Callable[[], None]:
        """See :meth:`Presence.watch`."""
        place = object()
        self._watchers.setdefault(group, {})[place] = watcher

        def unwatch() -> None:
            watchers = self._watchers.get(group, {})
            if watchers.pop(place, None) is not None and not watchers:
                del self._watchers[group]

        return unwatch

    def _tell(self, group: str, member: str, *, present: bool) -> None:
        watchers = self._watchers.get(group, {})
        for place, watcher in list(watchers.items()):
            if place in watchers:  # not ended by what an earlier one did
                try:
                    watcher(member, present)
                except Exception:
                    self._log.failure("cluster: a watcher of {group} failed", group=group)
