"""The transport that sends at once, on real sockets: nothing is lost, reordered or sent in the clear."""

from __future__ import annotations

from socket import socket
from typing import Any

from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.unix import Port as UnixPort
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from realtime.websocket import versions
from realtime.websocket.transport import SendingServer, hold_a_storm, send_at_once
from tests.loopback import Loopback, reactor
from tests.reactor import TestCase

LARGE = b"0123456789" * 500_000


class Served(Protocol):
    """The server's end of a connection."""

    transport: Any

    def __init__(self) -> None:
        self.lost: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell who waits."""
        self.lost.callback(None)


class ServedFactory(Factory):
    """Keeps the server's end."""

    noisy = False

    def __init__(self) -> None:
        self.made: Deferred[Served] = Deferred()

    def buildProtocol(self, addr: Any) -> Served:
        """Make the server's end, and tell who waits for it."""
        served = Served()
        reactor.callLater(0, self.made.callback, served)
        return served


@implementer(IPushProducer)
class Pushing:
    """Notes when it is paused and resumed."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.resumed: Deferred[None] = Deferred()

    def pauseProducing(self) -> None:
        """Note it."""
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """Note it."""
        self.told.append("resume")
        self.resumed.callback(None)

    def stopProducing(self) -> None:
        """Note it."""
        self.told.append("stop")


@implementer(IPullProducer)
class Pulled:
    """Writes a part each time it is asked for one."""

    def __init__(self, transport: Any, parts: int) -> None:
        self._transport = transport
        self._left = parts

    def resumeProducing(self) -> None:
        """Write a part."""
        if self._left:
            self._left -= 1
            self._transport.write(b"part ")
        else:
            self._transport.unregisterProducer()
            self._transport.loseConnection()

    def stopProducing(self) -> None:
        """Write no more."""


class TransportTests(TestCase):
    """What the client gets of what the server writes."""

    async def connected(self) -> tuple[Any, Any]:
        """A client, and the transport of the server's end."""
        factory = ServedFactory()
        server = Loopback(factory, self.addCleanup)
        send_at_once(server.listening)
        client = await server.connect()
        self.served = await factory.made
        self.assertIsInstance(self.served.transport, SendingServer)
        return client, self.served.transport

    async def test_sent_before_write_returns(self) -> None:
        """Nothing is queued and no event waited for."""
        client, transport = await self.connected()
        transport.write(b"hello")
        self.assertNotIn(transport, reactor.getWriters())
        await client.until(b"hello")

    async def test_a_reader_that_does_not_read(self) -> None:
        """Gets everything in order, once it does; what is written last comes last."""
        client, transport = await self.connected()
        client.transport.pauseProducing()
        transport.write(b"first ")
        transport.write(LARGE)
        transport.write(b" last")
        self.assertIn(transport, reactor.getWriters())
        transport.loseConnection()
        client.transport.resumeProducing()
        self.assertEqual(await client.until_lost(), b"first " + LARGE + b" last")

    async def test_a_producer_is_paused_and_resumed(self) -> None:
        """By what can't be sent, and by its having been sent."""
        client, transport = await self.connected()
        producer = Pushing()
        transport.registerProducer(producer, True)
        client.transport.pauseProducing()
        transport.write(b"small")
        self.assertEqual(producer.told, [])
        transport.write(LARGE)
        self.assertEqual(producer.told, ["pause"])
        client.transport.resumeProducing()
        await producer.resumed
        transport.unregisterProducer()

    async def test_a_producer_that_is_pulled(self) -> None:
        """Is asked until it has no more."""
        client, transport = await self.connected()
        transport.registerProducer(Pulled(transport, 3), False)
        self.assertEqual(await client.until_lost(), b"part part part ")

    async def test_a_half_closed_connection(self) -> None:
        """Takes no more once its own side is closed."""
        client, transport = await self.connected()
        transport.write(b"before")
        transport.loseWriteConnection()
        await deferLater(reactor, 0)
        transport.write(b"after")
        self.assertEqual(await client.until_lost(), b"before")

    async def test_a_broken_connection(self) -> None:
        """Ends in the usual way, not in an exception of a write."""
        client, transport = await self.connected()
        client.transport.abortConnection()
        while not self.served.lost.called:
            transport.write(b"x" * 1000)
            await deferLater(reactor, 0)
        transport.write(b"after")

    async def test_closing_and_closed(self) -> None:
        """What is written after the end is nobody's."""
        client, transport = await self.connected()
        transport.write(b"before")
        transport.loseConnection()
        transport.write(b"after")
        self.assertIn(await client.until_lost(), (b"before", b"beforeafter"))


class PortTests(SynchronousTestCase):
    """Which ports get it."""

    def test_tcp_alone(self) -> None:
        """A UNIX port keeps its own, and so does a TCP port that has another already."""
        port = tcp.Port(0, ServedFactory())
        send_at_once(port)
        self.assertIs(port.transport, SendingServer)

        class Other(tcp.Server):
            """A transport of somebody else's."""

        other = tcp.Port(0, ServedFactory())
        other.transport = Other
        send_at_once(other)
        self.assertIs(other.transport, Other)
        unix = UnixPort(b"/nowhere", ServedFactory())
        before = unix.transport
        send_at_once(unix)
        self.assertIs(unix.transport, before)

    def test_another_twisted(self) -> None:
        """Where what is leant on isn't there, the port keeps its transport."""
        self.patch(versions, "TWISTED_FITS", False)
        port = tcp.Port(0, ServedFactory())
        send_at_once(port)
        self.assertIs(port.transport, tcp.Server)


class BacklogTests(TestCase):
    """Connections that wait to be accepted."""

    def test_a_storm(self) -> None:
        """Five hundred that come before any is accepted are all taken in."""
        port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        hold_a_storm(port)
        for _ in range(500):  # the reactor does not turn meanwhile
            client = socket()
            self.addCleanup(client.close)
            client.settimeout(0.5)  # what is dropped tries again after a second
            client.connect(("127.0.0.1", port.getHost().port))

    def test_others(self) -> None:
        """What listens without a socket is left alone."""
        port: Any = object()
        self.assertIs(hold_a_storm(port), port)
