"""Paths for WebSockets, reached through the site."""

from realtime.web.home import HomeResource
from realtime.web.site import WebSite, tree
from realtime.web.upgrade import UpgradeResource
from realtime.websocket.front_door import FrontDoorFactory
from tests.loopback import Client, Loopback, reactor
from tests.web.requests import SiteTestCase
from tests.websocket.peers import (
    TEXT,
    Frame,
    Settings,
    client_frame,
    close_frame,
    handshake_request,
    recording_factory,
    server_frames,
)
from tests.websocket.test_front_door import BehindTheDoorTestCase


class PlainTests(SiteTestCase):
    """A plain request is told what to do instead."""

    def setUp(self) -> None:
        """Serve a protocol's path."""
        super().setUp()
        factory = recording_factory(Settings(clock=self.clock))
        self.serve(tree({"support": UpgradeResource(factory)}, HomeResource([])))

    def test_upgrade_required(self) -> None:
        """It is answered 426, with what RFC 9110 asks for."""
        for path in ("/support", "/support/", "/support?token=secret"):
            response = self.ask("GET", path)
            self.assertEqual((response.status, response.reason), (426, "Upgrade Required"))
            self.assertEqual(response.headers["upgrade"], "websocket")
            self.assertEqual(response.headers["connection"].lower(), "upgrade")
            self.assertIn(b"ws://", response.body)
        self.assert_nothing_logged("secret")

    def test_other_upgrades(self) -> None:
        """So is a request for another upgrade."""
        self.assertEqual(self.ask("GET", "/support", "Upgrade: h2c").status, 426)

    def test_head(self) -> None:
        """Asked for its head it gives that alone, and no query gets into the log."""
        response = self.ask("HEAD", "/support?token=secret")
        self.assertEqual((response.status, response.body), (426, b""))
        self.assert_nothing_logged("secret")

    def test_paths_below(self) -> None:
        """There is nothing below it, for WebSockets neither."""
        self.assertEqual(self.ask("GET", "/support/x").status, 404)
        self.assertEqual(self.ask("GET", "/support/x", "Upgrade: websocket").status, 404)


class KeptAliveTests(BehindTheDoorTestCase):
    """A handshake on a connection that has served other requests before."""

    def setUp(self) -> None:
        """Listen, with the site knowing of the protocol."""
        super().setUp()
        root = tree({"support": UpgradeResource(self.factory)}, HomeResource([]))
        door = FrontDoorFactory(
            {"/support": self.factory}, WebSite(root, reactor, idle=1), reactor, timeout=5, longest=16_384
        )
        self.loopback = Loopback(door, self.addCleanup, tls=self.tls)

    async def after_a_request(self) -> Client:
        """A client that has asked for the home page."""
        client = await self.loopback.connect()
        client.transport.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.until(b"</html>\n")
        client.data = b""
        return client

    async def test_websocket(self) -> None:
        """It opens, outlives the site's patience with idle connections, talks and closes."""
        client = await self.after_a_request()
        client.transport.write(handshake_request("/support?token=x", ["Origin: http://a"]))
        await client.until(b"\r\n\r\n")
        self.assertTrue(client.data.startswith(b"HTTP/1.1 101 "))
        (handshake,) = self.factory.handshakes_read
        self.assertEqual((handshake.token, handshake.origin), ("x", "http://a"))
        reactor.callLater(1.5, client.transport.write, client_frame(TEXT, b"say hello"))
        await client.until(b"hello")
        client.transport.write(close_frame(1000))
        await client.until_lost()
        frames, _ = server_frames(client.data.partition(b"\r\n\r\n")[2])
        self.assertEqual(frames, [Frame(TEXT, b"hello"), Frame(8, b"\x03\xe8")])

    async def test_slow_reader(self) -> None:
        """The connection asks its own queue to pause, not the web server's."""
        client = await self.after_a_request()
        client.transport.write(handshake_request())
        await client.until(b"\r\n\r\n")
        client.transport.pauseProducing()
        (connection,) = self.factory.opened
        for _ in range(200):
            connection.send(b"x" * 100_000)
        client.transport.resumeProducing()
        await client.until(b"x" * 100_000)
        self.assertIs(connection.transport.producer, connection.outgoing)

    async def test_refused(self) -> None:
        """A handshake that is not correct is answered in full and closed."""
        client = await self.after_a_request()
        client.transport.write(handshake_request(without="Sec-WebSocket-Key"))
        data = await client.until_lost()
        self.assertTrue(data.startswith(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n"))


class KeptAliveTLSTests(KeptAliveTests):
    """The same over TLS."""

    tls = True

    async def test_slow_reader(self) -> None:
        """TLS has a producer of its own in between."""
