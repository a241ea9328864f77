"""What the processes of one server share, as one thing: for a single process in its memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from twisted.internet.defer import Deferred, succeed

from realtime.cluster.bus import Bus, MemoryBus
from realtime.cluster.leases import Leases, MemoryLeases
from realtime.cluster.presence import MemoryPresence, Presence

Freed = Callable[[Mapping[str, str]], None]
"""Called with the leases that a dead process had: their names and holders."""


class Cluster(Protocol):
    """The processes that are one server, seen from one of them."""

    @property
    def bus(self) -> Bus:
        """Messages."""

    @property
    def presence(self) -> Presence:
        """Who is connected."""

    @property
    def leases(self) -> Leases:
        """Who holds what."""

    def when_freed(self, begins: str, freed: Freed) -> None:
        """Call ``freed`` in one process when another has died that held leases whose names begin so."""

    def when_lost(self, lost: Callable[[], None]) -> None:
        """Call ``lost`` when this process was cut off so long that its leases were given up."""

    def start(self) -> None:
        """Find the others. That they can't be reached stops nobody from starting."""

    def stop(self) -> Deferred[None]:
        """Give back what this process has, and go."""

    def check(self) -> Deferred[None]:
        """Fails with ClusterUnavailable if this process does not reach the others: a check for readiness."""


class MemoryCluster:
    """A single process: nobody else dies, and nothing is ever cut off."""

    def __init__(self) -> None:
        self.bus: Bus = MemoryBus()
        self.presence: Presence = MemoryPresence()
        self.leases: Leases = MemoryLeases()

    def when_freed(self, begins: str, freed: Freed) -> None:
        """See :meth:`Cluster.when_freed`."""

    def when_lost(self, lost: Callable[[], None]) -> None:
        """See :meth:`Cluster.when_lost`."""

    def start(self) -> None:
        """See :meth:`Cluster.start`."""

    def stop(self) -> Deferred[None]:
        """See :meth:`Cluster.stop`."""
        return succeed(None)

    def check(self) -> Deferred[None]:
        """See :meth:`Cluster.check`."""
        return succeed(None)
