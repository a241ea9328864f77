"""The pools of processes that share a Redis, with a clock that a test moves."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from realtime.cluster.redis_cluster import RedisCluster
from realtime.talk.cluster_pool import ClusterPool
from realtime.talk.matching import Matcher
from realtime.talk.matchmaker import SharedClock
from tests.cluster.kinds import OverRedis

START = 1_790_000_000.0
ADDRESSES = ["one", "two"]
"""What the processes are called."""


class TestsClock(SharedClock):
    """A clock that all processes of a test share, whatever Redis's reads."""

    def hear(self, now: float) -> None:
        """Pass it over."""


class OverPools(OverRedis):
    """Processes, each with a pool.

    Attributes:
        clock: that of all pools; the cluster itself lives in real time.
        pools: in the order in which they were made.
    """

    clock: Clock

    def setUp(self) -> None:
        """Have none yet."""
        self.pools: list[ClusterPool] = []
        self.made_clusters: list[RedisCluster] = []
        super().setUp()

    def matcher(self, *, anyone: bool) -> Matcher:
        """Make a matcher."""
        return Matcher(tolerance=0.1, span=1.0, find_timeout=60.0, anyone_at_deadline=anyone)

    def make_pool(self, address: str, *, anyone: bool = True) -> ClusterPool:
        """Start a process with a pool."""
        cluster = self.make_cluster()
        pool = ClusterPool(
            cluster,
            address,
            lambda: self.matcher(anyone=anyone),
            clock=self.clock,
            shared_clock=TestsClock(self.clock),
            find_timeout=60.0,
            rematch_after=300.0,
        )
        self.made_clusters.append(cluster)
        self.pools.append(pool)
        return pool

    def settle(self) -> None:
        """Wait until what is asked is answered, what is told is heard, and nothing follows from that."""
        quiet = 0
        while quiet < 2:
            self.turn()
            for cluster in self.clusters:
                protocol: Any = cluster._channels._connection.protocol
                if protocol is not None:
                    self.carry_out(protocol.execute_command(b"PING"))
            quiet = 0 if any(map(_is_busy, self.clusters)) else quiet + 1

    def tickets_left(self) -> list[bytes]:
        """What is in Redis of tickets."""
        protocol: Any = self.clusters[0]._process._connection.protocol
        keys: list[bytes] = self.carry_out(protocol.execute_command(b"KEYS", f"{self.prefix}:*"))
        return [key for key in keys if key.split(b":")[2] in (b"tickets", b"contents", b"outcomes")]


def _is_busy(cluster: RedisCluster) -> bool:
    process, channels = cluster._process, cluster._channels
    operations = process._operations
    return bool(operations._under_way or operations._waiting or channels._waited_for or channels._asked_for)
