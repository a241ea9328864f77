"""Engine.IO over real connections, of TCP and of TLS: what only they can show."""

from __future__ import annotations

import json

from twisted.internet.defer import Deferred, succeed

from realtime.limiting import Rate
from realtime.socketio.engine_context import EngineRules, Reason
from realtime.socketio.polling import EngineResource
from realtime.socketio.websocket import EngineFactory
from realtime.web.sharing import Sharing
from realtime.web.site import NotFound, WebSite, tree
from realtime.websocket.factory import Rules
from realtime.websocket.front_door import FrontDoorFactory
from tests.loopback import Client, Loopback, reactor
from tests.reactor import TestCase
from tests.socketio.world import PATH, Echo
from tests.websocket.peers import (
    BINARY,
    TEXT,
    Frame,
    Settings,
    client_frame,
    close_frame,
    handshake_request,
    server_frames,
    surroundings,
)


class Port(Loopback):
    """Leaves clients alone at the test's end whose connection is lost by then."""

    def _close(self, client: Client) -> Deferred[bytes]:
        return succeed(client.data) if client.lost else super()._close(client)


class RealTests(TestCase):
    """A server that echoes, and a client that does everything by hand."""

    tls = False

    def setUp(self) -> None:
        """Listen."""
        parts = surroundings(Settings(clock=reactor))
        rules = EngineRules(
            connections=Rules(
                message_bytes=1_000_000,
                rate=Rate(1000, 2000),
                send_buffer_bytes=100_000,
                handshake_timeout=5,
                unauthenticated_timeout=5,
            ),
            ping_interval=0.2,
            ping_timeout=0.2,
            linger=0.5,
        )
        self.application = Echo()
        self.factory = EngineFactory("workspace", parts, rules, self.application)
        self.admission = parts.admission
        resource = EngineResource(self.factory, Sharing(parts.handshakes.origins))
        site = WebSite(tree({"socket.io": resource}, NotFound()), reactor, bodies={"socket.io": resource})
        door = FrontDoorFactory({"/socket.io": self.factory}, site, reactor, timeout=5, longest=16_384)
        self.loopback = Port(door, self.addCleanup, tls=self.tls)

    async def open(self, client: Client) -> str:
        """The query that names a session which was opened by polling."""
        query = "EIO=4&transport=polling"
        body = await self.ask(client, "GET", query)
        return f"{query}&sid={json.loads(body[1:])['sid']}"

    async def ask(self, client: Client, method: str, query: str, body: bytes = b"") -> bytes:
        """The body of the answer to a request on a connection that is kept."""
        client.data = b""
        self.begin(client, method, query, body)
        await client.until(b"\r\n\r\n")
        head = client.data.partition(b"\r\n\r\n")[0]
        length = next(
            int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: ")
        )
        begin = len(head) + 4
        await client._until(lambda: len(client.data) >= begin + length)
        return client.data[begin:]

    def begin(self, client: Client, method: str, query: str, body: bytes = b"") -> None:
        """Send a request, and do not wait."""
        head = f"{method} {PATH}?{query} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
        client.transport.write(head.encode() + body)

    async def gone(self) -> None:
        """Wait until no session is left."""
        client = await self.loopback.connect()
        for _ in range(2000):
            if not len(self.admission):
                return
            await self.ask(client, "GET", "EIO=4")  # which is refused, after a turn or two
        self.fail("a session is left")

    async def test_polling(self) -> None:
        """Two connections that are kept, one for each direction, and a heartbeat."""
        down, up = await self.loopback.connect(), await self.loopback.connect()
        query = await self.open(down)
        self.assertEqual(await self.ask(up, "POST", query, "4é".encode()), b"ok")
        self.assertEqual(await self.ask(down, "GET", query), "4é".encode())
        self.assertEqual(await self.ask(down, "GET", query), b"2")
        self.assertEqual(await self.ask(up, "POST", query, b"3\x1e1"), b"ok")
        await self.gone()
        self.assertEqual(self.application.reasons, [Reason.TRANSPORT_CLOSE])

    async def test_dropped(self) -> None:
        """A client that cuts the connection on which it waits is gone at once."""
        down = await self.loopback.connect()
        query = await self.open(down)
        self.begin(down, "GET", query)
        self.assertEqual(await self.ask(await self.loopback.connect(), "POST", query, b"6"), b"ok")
        down.transport.abortConnection()
        await self.gone()
        self.assertEqual(self.application.reasons, [Reason.TRANSPORT_CLOSE])

    async def test_dead(self) -> None:
        """One that does not answer is gone after an interval and a timeout."""
        down = await self.loopback.connect()
        query = await self.open(down)
        self.assertEqual(await self.ask(down, "GET", query), b"2")
        self.assertEqual(await self.ask(down, "GET", query), b"1")
        self.assertEqual(self.application.reasons, [Reason.PING_TIMEOUT])
        self.assertIn(b"Session ID unknown", await self.ask(down, "GET", query))

    async def test_upgrade(self) -> None:
        """From polling to a WebSocket, on a connection that has served requests, as behind a proxy."""
        down, other = await self.loopback.connect(), await self.loopback.connect()
        query = await self.open(down)
        await self.ask(other, "GET", "EIO=4")
        other.data = b""
        named = query.replace("polling", "websocket")
        other.transport.write(handshake_request(f"{PATH}?{named}"))
        await other.until(b"\r\n\r\n")
        self.assertTrue(other.data.startswith(b"HTTP/1.1 101 "))
        other.data = b""
        self.begin(down, "GET", query)
        other.transport.write(client_frame(TEXT, b"2probe"))
        await other.until(b"3probe")
        await down.until(b"\r\n\r\n6")
        other.transport.write(client_frame(TEXT, b"5") + client_frame(BINARY, b"\x01\x02"))
        await other.until(b"\x01\x02")
        other.transport.write(close_frame(1000))
        await other.until_lost()
        frames, _ = server_frames(other.data)
        self.assertEqual(frames, [Frame(TEXT, b"3probe"), Frame(BINARY, b"\x01\x02"), Frame(8, b"\x03\xe8")])
        await self.gone()

    async def test_websocket(self) -> None:
        """A WebSocket from the first, with a large message both ways."""
        client = await self.loopback.connect()
        client.transport.write(handshake_request(f"{PATH}?EIO=4&transport=websocket"))
        await client.until(b'"maxPayload":1000000}')
        client.data = b""
        large = b"4" + b"x" * 900_000
        client.transport.write(client_frame(TEXT, large + b"end"))
        await client.until(b"xend")
        client.transport.write(close_frame(1000))
        await client.until_lost()
        frames, _ = server_frames(client.data)
        self.assertIn(Frame(TEXT, large + b"end"), frames)
        await self.gone()

    async def test_reset(self) -> None:
        """A WebSocket that is cut ends its session."""
        client = await self.loopback.connect()
        client.transport.write(handshake_request(f"{PATH}?EIO=4&transport=websocket"))
        await client.until(b'"maxPayload":1000000}')
        client.transport.abortConnection()
        await self.gone()
        self.assertEqual(self.application.reasons, [Reason.TRANSPORT_CLOSE])


class RealTLSTests(RealTests):
    """The same over TLS."""

    tls = True
