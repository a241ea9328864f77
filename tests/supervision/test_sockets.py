from __future__ import annotations

import os
import socket
import stat
from contextlib import closing
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import SSL4ClientEndpoint, TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import deferLater

from realtime.supervision.sockets import CannotListen, Sockets, inherited_endpoint
from tests.accounts.folders import temporary_folder
from tests.endtoend.test_life import make_certificate
from tests.loopback import Client
from tests.reactor import TestCase

reactor: Any = _reactor
LOOPBACK = "tcp:0:interface=127.0.0.1"


class Greeting(Protocol):
    """Says who serves."""

    def connectionMade(self) -> None:
        """Say it."""
        transport: Any = self.transport
        transport.write(self.factory.name)
        transport.loseConnection()


def greeter(name: bytes) -> Any:
    """Serves greetings."""
    factory: Any = Factory.forProtocol(Greeting)
    factory.noisy = False
    factory.name = name
    return factory


class SocketsTests(TestCase):
    """A socket that one process opens and others accept on."""

    def setUp(self) -> None:
        """Have a parent's sockets."""
        self.sockets = Sockets(reactor, greeter(b"parent"))
        self.addCleanup(self.sockets.close)

    async def take_over(self, where: str, index: int = 0) -> Any:
        """A worker's port, as if the descriptor had been inherited."""
        taken = self.sockets.used[index]
        endpoint = inherited_endpoint(reactor, where, os.dup(taken.descriptor), taken.family)
        port = await endpoint.listen(greeter(b"worker"))
        self.addCleanup(port.stopListening)
        return port

    async def greeted(self, address: Any) -> bytes:
        """What who connects there is told."""
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        with socket.socket(family) as visitor:
            visitor.connect(address)
            visitor.setblocking(False)
            while True:
                await deferLater(reactor, 0.001)
                try:
                    return visitor.recv(100)
                except BlockingIOError:
                    continue

    def address(self, index: int = 0) -> tuple[str, int]:
        """Where a port of the parent's listens."""
        address = self.sockets.used[index].port.getHost()
        return address.host, address.port

    async def test_nobody_is_accepted(self) -> None:
        """Who connects waits, without being refused, until a worker comes; and is served by that."""
        self.sockets.change([LOOPBACK])
        with socket.socket() as early:
            early.connect(self.address())
            early.setblocking(False)
            for _ in range(5):
                await deferLater(reactor, 0.001)
            self.assertRaises(BlockingIOError, early.recv, 1)
            port = await self.take_over(LOOPBACK)
            await deferLater(reactor, 0.01)
            self.assertEqual(early.recv(100), b"worker")
        self.assertEqual((port.getHost().host, port.getHost().port), self.address())

    async def test_a_worker_ends(self) -> None:
        """What one worker closes stays open for the next, and what the parent closes for its workers."""
        self.sockets.change([LOOPBACK])
        address = self.address()
        one = await self.take_over(LOOPBACK)
        two = await self.take_over(LOOPBACK)
        await one.stopListening()
        self.assertEqual(await self.greeted(address), b"worker")
        await self.sockets.close()
        self.assertEqual(await self.greeted(address), b"worker")
        await two.stopListening()
        with closing(socket.socket()) as late:
            self.assertRaises(ConnectionRefusedError, late.connect, address)

    async def test_unix(self) -> None:
        """A UNIX socket keeps its mode, and its file until the parent closes it."""
        path = str(temporary_folder(self) / "socket")
        where = f"unix:{path}:mode=600"
        self.sockets.change([where])
        one, two = await self.take_over(where), await self.take_over(where)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertEqual(await self.greeted(path), b"worker")
        await one.stopListening()
        self.assertEqual(await self.greeted(path), b"worker")
        await two.stopListening()
        self.assertTrue(os.path.exists(path))
        await self.sockets.close()
        self.assertFalse(os.path.exists(path))

    async def test_systemd(self) -> None:
        """A worker takes what its parent got from systemd, whatever systemd says to others."""
        self.sockets.change([LOOPBACK])
        for where in ("systemd:domain=INET:index=0", "systemd:domain=INET:name=x"):
            port = await self.take_over(where)
            self.assertEqual(await self.greeted(self.address()), b"worker")
            await port.stopListening()

    async def test_wrapped(self) -> None:
        """What is on top of a socket is there in a worker, too: here, the PROXY protocol."""
        where = f"haproxy:{LOOPBACK}"
        self.sockets.change([where])
        await self.take_over(where)
        endpoint = TCP4ClientEndpoint(reactor, *self.address())
        client: Any = await endpoint.connect(Factory.forProtocol(Client))
        client.transport.write(b"PROXY TCP4 192.0.2.1 192.0.2.2 5 80\r\n\r\n")
        self.assertEqual(await client.until_lost(), b"worker")

    async def test_tls(self) -> None:
        """A worker has the certificate on top, and the parent has it open for plain TCP only."""
        folder = temporary_folder(self)
        make_certificate(folder)
        where = f"ssl:0:interface=127.0.0.1:privateKey={folder}/key.pem:certKey={folder}/certificate.pem"
        self.sockets.change([where])
        await self.take_over(where)
        endpoint = SSL4ClientEndpoint(reactor, *self.address(), CertificateOptions(verify=False))
        client: Any = await endpoint.connect(Factory.forProtocol(Client))
        self.assertEqual(await client.until_lost(), b"worker")
        self.flushWarnings()  # Twisted's classes for certificates use what pyOpenSSL warns of

    async def test_change(self) -> None:
        """The same text is the same socket, twice the same two; what is gone is closed when it is asked for."""
        self.sockets.change([LOOPBACK, LOOPBACK])
        first, second = self.sockets.used
        self.assertIsNot(first, second)
        self.sockets.change([f"{LOOPBACK}:backlog=5", LOOPBACK])
        self.assertIs(self.sockets.used[1], first)
        unused = second.port.getHost().port
        socket.create_connection(("127.0.0.1", unused)).close()
        await self.sockets.close_unused()
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", unused))

    async def test_back_again(self) -> None:
        """One that is wanted again before it was closed is still the same."""
        self.sockets.change([LOOPBACK])
        before = list(self.sockets.used)
        self.sockets.change([])
        self.sockets.change([LOOPBACK])
        self.assertEqual(self.sockets.used, before)

    async def test_what_cannot_be_opened(self) -> None:
        """Nothing has changed then, and nothing of it is left open."""
        self.sockets.change([LOOPBACK])
        before = list(self.sockets.used)
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            taken = f"tcp:{other.getsockname()[1]}:interface=127.0.0.1"
            with self.assertRaises(CannotListen) as refused:
                self.sockets.change([LOOPBACK, LOOPBACK, taken])
        self.assertIn(f"can't listen on {taken}", str(refused.exception))
        self.assertEqual(self.sockets.used, before)
        with self.assertRaises(CannotListen):
            self.sockets.change(["nonsense"])
        self.assertEqual(self.sockets.used, before)

    async def test_the_parent_serves(self) -> None:
        """Those who watch are served by the parent itself, when it says so."""
        self.sockets.change([LOOPBACK])
        self.sockets.accept()
        self.assertEqual(await self.greeted(self.address()), b"parent")
