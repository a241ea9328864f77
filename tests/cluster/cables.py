"""Processes of one server in memory: connections between them that can stall, and break."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from realtime.cluster.cluster import MemoryCluster
from realtime.cluster.peer_guest import Link
from realtime.cluster.peers import Peers

SECRET = b"0123456789abcdef0123456789abcdef"


class End:
    """One end of a cable, as a transport. What is written arrives a turn later; ``stalled``: nothing does."""

    other: End

    def __init__(self, clock: Clock, most_waiting: int = 65_536) -> None:
        self.protocol: Any = None
        self.stalled = False
        self.written = b""
        self.aborted = False
        self._clock = clock
        self._most = most_waiting
        self._waiting = b""
        self._paused = False
        self._producer: Any = None
        self._producer_is_paused = False
        self._closing = False
        self._gone = False

    def write(self, data: bytes) -> None:
        """Send."""
        if self._gone or self._closing:
            return
        self.written += data
        self._waiting += data
        if self._producer is not None and not self._producer_is_paused and len(self._waiting) > self._most:
            self._producer_is_paused = True
            self._producer.pauseProducing()
        self._clock.callLater(0, self._arrive)

    def _arrive(self) -> None:
        if self.stalled or self.other._paused or self._gone:
            return
        data, self._waiting = self._waiting, b""
        if data:
            self.other.protocol.dataReceived(data)
        if self._producer is not None and self._producer_is_paused:
            self._producer_is_paused = False
            self._producer.resumeProducing()
        if self._closing and not self._waiting:
            self._end(ConnectionDone())

    def go_on(self) -> None:
        """Stall no more."""
        self.stalled = False
        self._clock.callLater(0, self._arrive)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take a producer, which must be of the kind that can be paused."""
        assert streaming
        assert self._producer is None
        self._producer = producer
        self._producer_is_paused = False

    def unregisterProducer(self) -> None:
        """Let it go."""
        self._producer = None

    def pauseProducing(self) -> None:
        """Read no more."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Read on."""
        self._paused = False
        self._clock.callLater(0, self.other._arrive)

    def stopProducing(self) -> None:
        """Nobody takes what is read any more."""
        self.loseConnection()

    def loseConnection(self) -> None:
        """Close behind what was written."""
        self._closing = True
        self._clock.callLater(0, self._arrive)

    def abortConnection(self) -> None:
        """Cut it."""
        self.aborted = True
        self._clock.callLater(0, self._end, ConnectionLost())

    def _end(self, reason: Exception) -> None:
        for end in (self, self.other):
            if not end._gone:
                end._gone = True
                end.protocol.connectionLost(Failure(reason))

    @property
    def is_gone(self) -> bool:
        """Whether the connection is over."""
        return self._gone

    def getPeer(self) -> Any:
        """Somebody on this machine."""
        return IPv4Address("TCP", "127.0.0.1", 40000)


def cable(clock: Clock, one: Any, other: Any, most_waiting: int = 65_536) -> tuple[End, End]:
    """Connect two protocols; their ends, in the same order."""
    ends = End(clock, most_waiting), End(clock, most_waiting)
    for end, beyond, protocol in zip(ends, reversed(ends), (one, other), strict=True):
        end.other, end.protocol = beyond, protocol
    for end in ends:
        end.protocol.makeConnection(end)
    return ends


class _Port:
    def __init__(self, number: int, host: str) -> None:
        self._address = IPv4Address("TCP", host, number)

    def getHost(self) -> IPv4Address:
        return self._address

    def stopListening(self) -> None:
        pass


class Endpoint:
    """Where a process listens, without a socket."""

    def __init__(self, number: int, host: str = "127.0.0.1") -> None:
        self._number = number
        self._host = host
        self.factory: Any = None

    def listen(self, factory: Any) -> Deferred[Any]:
        """Take connections from now on."""
        self.factory = factory
        return succeed(_Port(self._number, self._host))


class Processes:
    """Some processes that share a cluster's memory. ``cables`` are the connections, the caller's end first."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.cluster = MemoryCluster()
        self.cables: list[tuple[End, End]] = []
        self._endpoints: dict[int, Endpoint] = {}
        self._started: list[Peers] = []

    def start(self, secret: bytes = SECRET, advertised: str = "") -> Peers:
        """Start one."""
        number = 9000 + len(self._started)
        endpoint = self._endpoints[number] = Endpoint(number)
        peers = Peers(
            self.cluster,
            endpoint,  # type: ignore[arg-type]
            advertised=advertised,
            secret=secret,
            reactor=self.clock,
            connect=self._connect,
        )
        peers.listen()
        peers.start()
        self._started.append(peers)
        return peers

    def _connect(self, host: str, port: int, link: Link) -> Deferred[Any]:
        endpoint = self._endpoints.get(port)
        if endpoint is None:
            return fail(ConnectError())
        self.cables.append(cable(self.clock, link, endpoint.factory.buildProtocol(None)))
        return succeed(link)

    def kill(self, number: int) -> None:
        """Have the process with this number be gone, with its lease still there."""
        del self._endpoints[9000 + number]
        for ends in self.cables:
            if not ends[0].is_gone:
                ends[0].abortConnection()
        self.settle()

    def settle(self) -> None:
        """Let everything arrive."""
        for _ in range(20):
            Clock.advance(self.clock, 0)

    def stop(self) -> None:
        """Stop all."""
        for peers in self._started:
            Deferred.fromCoroutine(peers.stop())
        self.settle()
