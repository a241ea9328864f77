"""Bus, presence and leases of several processes: what is built of one `[redis] url`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, fail, succeed

from realtime.cluster.cluster import Freed
from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.redis_address import parse
from realtime.cluster.redis_bus import RedisBus
from realtime.cluster.redis_channels import Channels
from realtime.cluster.redis_leases import RedisLeases
from realtime.cluster.redis_presence import RedisPresence
from realtime.cluster.redis_process import RedisProcess
from realtime.cluster.redis_scripts import Names
from realtime.cluster.redis_tickets import RedisTickets

PREFIX = "realtime"


class RedisCluster:
    """One of the processes that share a Redis (5 or newer): the one it is made in.

    Arguments:
        url: see `redis_address`.
        reactor: connects, and is the clock.
        prefix: of all keys and channels; servers with different prefixes know nothing of each other.

    Raises ValueError, without any part of the URL, if that can't be used. See `Cluster`.
    """

    def __init__(self, url: str, reactor: Any, *, prefix: str = PREFIX) -> None:
        address = parse(url)
        names = Names(prefix, address.database)
        name = f"{prefix}-{os.getpid()}"
        self._lost: list[Callable[[], None]] = []
        self._freed: list[tuple[str, Freed]] = []
        self._process = RedisProcess(
            address=address,
            names=names,
            name=name,
            reactor=reactor,
            lost=self._was_lost,
            restored=lambda: self.presence.restored(),
            freed=self._were_freed,
            ready=lambda: self.bus.reconnected(),
            missed=lambda channels: self.bus.missed(channels),
        )
        self._channels = Channels(address, f"{name}-hears", reactor)
        self.bus = RedisBus(names, self._channels, self._process)
        self.presence = RedisPresence(names, self._channels, self._process)
        self.leases = RedisLeases(self._process)
        self.tickets = RedisTickets(names, self._channels, self._process)

    def when_freed(self, begins: str, freed: Freed) -> None:
        """See :meth:`Cluster.when_freed`."""
        self._freed.append((begins, freed))

    def when_lost(self, lost: Callable[[], None]) -> None:
        """See :meth:`Cluster.when_lost`. What the process had entered is entered again."""
        self._lost.append(lost)

    def start(self) -> None:
        """Connect, and stay connected. A Redis that is away stops nobody from starting."""
        self._channels.start()
        self._process.start()

    def stop(self) -> Deferred[None]:
        """Give back what this process has, and go; fires when the connections have ended."""
        ended = DeferredList([self._channels.stop(), self._process.stop()], consumeErrors=True)
        return ended.addCallback(lambda _: None)

    def _was_lost(self) -> None:
        self.presence.compare()
        for lost in self._lost:
            lost()

    def _were_freed(self, leases: dict[str, str]) -> None:
        for begins, freed in self._freed:
            concerned = {name: holder for name, holder in leases.items() if name.startswith(begins)}
            if concerned:
                freed(concerned)

    @property
    def is_available(self) -> bool:
        """Whether this process reaches the others, and they it."""
        return self._process.is_member and self._channels.is_connected

    def check(self) -> Deferred[None]:
        """Return what fails with ClusterUnavailable if it does not: a check for readiness."""
        return succeed(None) if self.is_available else fail(ClusterUnavailable("Redis is away"))
