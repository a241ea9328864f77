"""What a test of bus, presence or leases stands on: one process's memory, or a real Redis."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster.redis_cluster import RedisCluster
from tests import services
from tests.reactor import wait_for

T = TypeVar("T")

_SECONDS = 20.0
"""For whatever a test waits for: more than any promise, so that a late machine is no failure."""


class Kind:
    """What tests that hold for all kinds are built on."""

    def setUp(self) -> None:
        """Be the last before trial's."""
        super().setUp()  # type: ignore[misc]

    def carry_out(self, waits: Deferred[T]) -> T:
        """Wait for what a Deferred fires with."""
        raise NotImplementedError

    def settle(self) -> None:
        """Wait until what was done has been told."""


class InMemory(Kind, SynchronousTestCase):
    """Everything has happened when the call returns."""

    def carry_out(self, waits: Deferred[T]) -> T:
        """Return what a Deferred has fired with."""
        return self.successResultOf(waits)


class OverRedis(Kind, SynchronousTestCase):
    """Processes that share a Redis: each test has a prefix of its own there, and ends them all.

    Attributes:
        server: the Redis.
        clusters: the processes that run.
    """

    def setUp(self) -> None:
        """Have Redis run."""
        self.server = services.redis()
        self.server.ensure_running()
        self.prefix = f"test-{secrets.token_hex(4)}"
        self.clusters: list[RedisCluster] = []
        super().setUp()

    def tearDown(self) -> None:
        """End all processes."""
        self.server.ensure_running()
        ending = [cluster.stop() for cluster in self.clusters]
        for succeeded, result in wait_for(DeferredList(ending, consumeErrors=True)):
            assert succeeded, result
        super().tearDown()

    def carry_out(self, waits: Deferred[T]) -> T:
        """Turn the reactor until a Deferred has fired, for some seconds at most."""
        from twisted.internet import reactor

        return wait_for(waits.addTimeout(_SECONDS, reactor))

    def turn(self, seconds: float = 0) -> None:
        """Turn the reactor."""
        from twisted.internet import reactor

        wait_for(deferLater(reactor, seconds))

    def until(self, holds: Callable[[], bool], seconds: float = _SECONDS) -> float:
        """Turn the reactor until something holds; return how many seconds it took."""
        from twisted.internet import reactor

        clock: Any = reactor
        begin = clock.seconds()
        while not holds():
            assert clock.seconds() - begin < seconds, "it takes too long"
            self.turn(0.005)
        return float(clock.seconds() - begin)

    def make_cluster(self) -> RedisCluster:
        """Start a process, and wait until it is one of the cluster."""
        from twisted.internet import reactor

        cluster = RedisCluster(self.server.url, reactor, prefix=self.prefix)
        cluster.start()
        self.clusters.append(cluster)
        self.until(lambda: cluster.is_available)
        return cluster

    def settle(self) -> None:
        """Wait until what was done is done, and all processes have heard of it."""
        self.turn()
        for _ in range(2):
            for cluster in self.clusters:
                self.carry_out(cluster.presence.members("nobody"))
            for cluster in self.clusters:
                protocol: Any = cluster._channels._connection.protocol
                self.carry_out(protocol.execute_command(b"PING"))

    def kill(self, cluster: RedisCluster) -> None:
        """Let a process die: it says no more."""
        self.clusters.remove(cluster)
        process: Any = cluster._process
        process._tick.cancel()
        process._operations.end()
        for connection in (process._connection, cluster._channels._connection):
            connection.stop()
            if connection.protocol is not None:
                connection.protocol.abort()
        cluster._channels.stop()
