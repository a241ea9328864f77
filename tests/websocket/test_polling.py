"""The reactor's direct way to connections of ours, on reactors of its own."""

from __future__ import annotations

import errno
from collections.abc import Callable
from socket import create_connection, socket
from typing import Any

from twisted.internet import tcp
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.selectreactor import SelectReactor
from twisted.python import context
from twisted.python.failure import Failure
from twisted.python.log import ILogContext
from twisted.trial.unittest import SynchronousTestCase

from realtime.websocket import versions
from realtime.websocket.polling import poll_directly
from realtime.websocket.transport import send_at_once


class Echo(Protocol):
    """Sends back what comes, and notes in which context of the log it was called."""

    systems: list[Any]
    transport: Any

    def __init__(self) -> None:
        self.systems = []
        self.is_lost = False

    def dataReceived(self, data: bytes) -> None:
        """Send it back; some things it can't bear."""
        self.systems.append(context.get(ILogContext, {}).get("system"))
        if data == b"fail":
            raise ZeroDivisionError
        self.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note it."""
        self.is_lost = True


class PollingTests(SynchronousTestCase):
    """A reactor that polls directly, and an echo server on it."""

    def setUp(self) -> None:
        """Build them."""
        self.reactor: Any = EPollReactor()
        self.addCleanup(self.reactor._poller.close)
        self.made: list[Echo] = []
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = self.make  # type: ignore[method-assign,assignment]
        self.port = tcp.Port(0, factory, interface="127.0.0.1", reactor=self.reactor)
        self.port.startListening()
        self.addCleanup(self.port.socket.close)
        poll_directly(self.reactor)

    def make(self, address: Any) -> Echo:
        """A server's end."""
        self.made.append(Echo())
        return self.made[-1]

    def until(self, done: Callable[[], object]) -> None:
        """Turn the reactor until something is so."""
        for _ in range(200):
            if done():
                return
            self.reactor.iterate(0.01)
        self.fail("in vain")

    def connect(self) -> tuple[socket, Echo]:
        """A client, and the server's end."""
        client = create_connection(("127.0.0.1", self.port.getHost().port))
        self.addCleanup(client.close)
        number = len(self.made)
        self.until(lambda: len(self.made) > number)
        self.addCleanup(self.made[-1].transport.socket.close)
        return client, self.made[-1]

    def echo(self, client: socket, data: bytes) -> bytes:
        """What comes back."""
        client.sendall(data)
        client.setblocking(False)
        got: list[bytes] = []

        def receive() -> bool:
            try:
                got.append(client.recv(100))
            except BlockingIOError:
                return False
            return True

        self.until(receive)
        return got[0]

    def test_ours(self) -> None:
        """A connection of ours is called straight: no context of the log was made for it."""
        send_at_once(self.port)
        client, served = self.connect()
        self.assertEqual(self.echo(client, b"hello"), b"hello")
        self.assertEqual(served.systems, ["-"])

    def test_others(self) -> None:
        """All else is called as Twisted calls it."""
        client, served = self.connect()
        self.assertEqual(self.echo(client, b"hello"), b"hello")
        self.assertEqual(served.systems, ["Echo,0,127.0.0.1"])

    def test_lost(self) -> None:
        """The end of a connection is noticed."""
        send_at_once(self.port)
        client, served = self.connect()
        client.close()
        self.until(lambda: served.is_lost)

    def test_failing(self) -> None:
        """A protocol that raises is logged and loses its connection; the others go on."""
        send_at_once(self.port)
        (failing, served), (other, _) = self.connect(), self.connect()
        failing.sendall(b"fail")
        self.until(lambda: served.is_lost)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.echo(other, b"hello"), b"hello")

    def test_interrupted(self) -> None:
        """A signal during the wait is no fault; another error is."""

        class Poller:
            """One whose waits fail."""

            error = errno.EINTR

            def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
                """Fail."""
                raise OSError(self.error, "")

        poller = Poller()
        before, self.reactor._poller = self.reactor._poller, poller
        poll_directly(self.reactor)
        self.reactor._poller = before
        self.reactor.doIteration(0)
        poller.error = errno.EBADF
        self.assertRaises(OSError, self.reactor.doIteration, 0)

    def test_an_ended_one(self) -> None:
        """An event of what an earlier event of the same moment has ended is passed over."""

        class Poller:
            """One that tells of a descriptor that is nobody's."""

            def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
                """Tell."""
                return [(10**6, 1)]

        before, self.reactor._poller = self.reactor._poller, Poller()
        poll_directly(self.reactor)
        self.reactor._poller = before
        self.reactor.doIteration(0)

    def test_other_reactors(self) -> None:
        """Another kind of reactor, or one of a Twisted that is not known, stays as it is."""
        other: Any = SelectReactor()
        poll_directly(other)
        self.assertNotIn("doIteration", vars(other))
        self.patch(versions, "TWISTED_FITS", False)
        unknown: Any = EPollReactor()
        self.addCleanup(unknown._poller.close)
        poll_directly(unknown)
        self.assertNotIn("doIteration", vars(unknown))
