"""The front door of a listening port: several protocols and a web site behind it.

The head of the first request is read here, once, and looked at for two things: its path, and
whether it asks for a WebSocket. Then the connection, with the bytes read so far, belongs to the
protocol's factory or to the web site, and nothing of the front door stays in its way: a WebSocket
handshake never passes through the web server's request objects.

A head that is too long or takes too long is cut here, before anybody has spent anything on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure

_WANTS_WEBSOCKET = re.compile(rb"\r\nupgrade[ \t]*:[^\r\n]*websocket", re.IGNORECASE)
_TARGET = re.compile(rb"^\S+[ ](?:[a-zA-Z]+://[^/?\s]*)?(/[^?#\s]*)?")
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def give(transport: Any, protocol: IProtocol) -> None:
    """Have what comes on a transport go to ``protocol`` from now on."""
    # TLS is itself a protocol around ours; a plain transport calls its protocol directly.
    if isinstance(transport, ProtocolWrapper):
        transport.wrappedProtocol = protocol
    else:
        transport.protocol = protocol


class FrontDoor(Protocol):
    """A connection of which it is not known yet what it is."""

    factory: FrontDoorFactory
    transport: Any  # a TCP, UNIX or TLS transport, from connectionMade on
    _received = b""
    _refused = False
    _timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Give the client a limited time to say what it wants."""
        factory = self.factory
        self._timer = factory.clock.callLater(factory.timeout, self._time_is_up)

    def dataReceived(self, data: bytes) -> None:
        """Collect the head of the request; at its end, find out whose it is."""
        if self._refused:
            return
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if 0 <= end <= self.factory.longest:
            self._hand_over(self.factory.choose(self._received[: end + 2]))
        elif len(self._received) > self.factory.longest:
            # The timer runs on: TLS may wait without end for the peer's part of a polite close.
            self._refused, self._received = True, b""
            self.transport.write(_TOO_LONG)
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Let go."""
        self._stop_timer()

    def _hand_over(self, factory: IProtocolFactory) -> None:
        self._stop_timer()
        transport = self.transport
        received, self._received = self._received, b""
        protocol = factory.buildProtocol(transport.getPeer())
        if protocol is None:
            transport.loseConnection()
            return
        give(transport, protocol)
        protocol.makeConnection(transport)
        protocol.dataReceived(received)

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _time_is_up(self) -> None:
        self._timer = None
        self.transport.abortConnection()


class FrontDoorFactory(Factory):
    """Makes the front doors of one listening port.

    ``routes`` gives the factory for each path a WebSocket may ask for (a slash at the end does not
    matter); everything else is ``site``'s. A head has ``timeout`` seconds and ``longest`` bytes.
    """

    noisy = False

    def __init__(
        self,
        routes: Mapping[str, IProtocolFactory],
        site: IProtocolFactory,
        clock: IReactorTime,
        *,
        timeout: float,
        longest: int,
    ) -> None:
        self._routes = {path.rstrip("/").encode("ascii"): to for path, to in routes.items()}
        self._site = site
        self.clock = clock
        self.timeout = timeout
        self.longest = longest

    def startFactory(self) -> None:
        """Start the site, which has a clock of its own to start."""
        self._site.doStart()

    def stopFactory(self) -> None:
        """Stop the site."""
        self._site.doStop()

    def choose(self, head: bytes) -> IProtocolFactory:
        """Return who answers the request that begins with ``head`` (request line and headers)."""
        if _WANTS_WEBSOCKET.search(head):
            target = _TARGET.match(head)
            if target is not None:
                return self._routes.get((target[1] or b"").rstrip(b"/"), self._site)
        return self._site

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Make a front door for a new connection."""
        door = FrontDoor()
        door.factory = self
        return door
