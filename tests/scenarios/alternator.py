"""A balancer that knows nothing: each new connection goes to the next process."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure


class _Side(Protocol):
    """One side of a connection; what comes before there is another waits."""

    other: _Side | None = None
    waiting = b""
    is_gone = False

    def dataReceived(self, data: bytes) -> None:
        """Pass on."""
        if self.other is None:
            self.waiting += data
        else:
            self.other.send(data)

    def send(self, data: bytes) -> None:
        """Send."""
        if self.transport is not None:
            self.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Let the other go as well."""
        self.is_gone = True
        if self.other is not None and self.other.transport is not None:
            self.other.transport.loseConnection()


class Alternator(Factory):
    """Listens at ``port``; ``ports`` are where the connections go, in turn."""

    noisy = False

    def __init__(self, ports: Sequence[int]) -> None:
        from twisted.internet import reactor

        clock: Any = reactor
        self._reactor = clock
        self.ports = list(ports)
        self._turn = itertools.count()
        self._open: set[_Side] = set()
        self._listening = clock.listenTCP(0, self, interface="127.0.0.1")
        self.port: int = self._listening.getHost().port

    def buildProtocol(self, addr: Any) -> _Side:
        """Take a connection, and make one to whose turn it is."""
        near, far = _Side(), _Side()
        port = self.ports[next(self._turn) % len(self.ports)]
        connecting = connectProtocol(TCP4ClientEndpoint(self._reactor, "127.0.0.1", port), far)
        connecting.addCallbacks(lambda _: self._connected(near, far), lambda _: self._refused(near))
        self._open |= {near, far}
        return near

    def _connected(self, near: _Side, far: _Side) -> None:
        near.other, far.other = far, near
        far.send(near.waiting)
        if near.is_gone and far.transport is not None:
            far.transport.loseConnection()

    def _refused(self, near: _Side) -> None:
        if near.transport is not None:
            near.transport.loseConnection()

    def stop(self) -> Deferred[Any]:
        """Cut everything."""
        for side in self._open:
            if side.transport is not None:
                side.transport.abortConnection()  # type: ignore[attr-defined]
        return maybeDeferred(self._listening.stopListening)


@asynccontextmanager
async def alternating(ports: Sequence[int]) -> AsyncIterator[Alternator]:
    """Have one for a while."""
    alternator = Alternator(ports)
    try:
        yield alternator
    finally:
        await alternator.stop()
