"""The front door: who gets a connection, with every byte of it."""

from __future__ import annotations

import itertools
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from realtime.web.site import WebSite, tree
from realtime.websocket.front_door import FrontDoorFactory
from tests.loopback import Client, Loopback, reactor
from tests.reactor import TestCase
from tests.websocket.peers import (
    TEXT,
    Frame,
    Peer,
    RecordingFactory,
    Settings,
    client_frame,
    close_frame,
    handshake_request,
    recording_factory,
    server_frames,
)

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Taker(Protocol):
    """Takes everything."""

    def __init__(self) -> None:
        self.taken = b""

    def dataReceived(self, data: bytes) -> None:
        """Take it."""
        self.taken += data


class FrontDoorTestCase(SynchronousTestCase):
    """Has a door with two protocols and a site behind it."""

    def setUp(self) -> None:
        """Build it."""
        self.clock = Clock()
        self.support, self.talk, self.site = (Factory.forProtocol(Taker) for _ in range(3))
        routes = {"/support": self.support, "/talk/": self.talk}
        self.door = FrontDoorFactory(routes, self.site, self.clock, timeout=10, longest=1000)

    def connect(self, *pieces: bytes) -> Peer:
        """A client that sends some pieces."""
        peer = Peer(self.door, self.clock)
        for piece in pieces:
            peer.write(piece)
        return peer

    def taker(self, *pieces: bytes) -> Any:
        """Who got the connection, in the end with all the bytes."""
        peer = self.connect(*pieces)
        taker = peer.wire.protocol
        if isinstance(taker, Taker):
            self.assertEqual(taker.taken, b"".join(pieces))
            self.assertIs(taker.transport, peer.wire)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            return taker.factory
        return None

    def lines(self, target: str, *headers: str) -> bytes:
        """A request."""
        return "\r\n".join([f"GET {target} HTTP/1.1", *headers, "", ""]).encode()

    def asking(self, target: str) -> Any:
        """Who gets a request for a WebSocket at ``target``."""
        return self.taker(self.lines(target, "Host: a", "Upgrade: websocket"))


class RoutingTests(FrontDoorTestCase):
    """By path, for WebSockets; everything else is the site's."""

    def test_by_path(self) -> None:
        """Each path has its protocol, with and without a slash at its end, and whatever query."""
        for end in ("", "/", "?token=x", "/?a=/talk", "#x"):
            self.assertIs(self.asking("/support" + end), self.support)
            self.assertIs(self.asking("/talk" + end), self.talk)

    def test_absolute_targets(self) -> None:
        """A target with scheme and host in it, as proxies send it, is read right."""
        for start in ("http://chat.example", "ws://chat.example:80", "WSS://[::1]:1", "http://"):
            self.assertIs(self.asking(f"{start}/support"), self.support)
        for target in ("http://chat.example", "http://support", "http://a?/support"):
            self.assertIs(self.asking(target), self.site)

    def test_unknown_paths(self) -> None:
        """An unknown path is the site's, also if it asks for a WebSocket."""
        for target in (
            "/",
            "/supports",
            "/support/x",
            "//support",
            "/SUPPORT",
            "/%73upport",
            "*",
            "?/talk",
        ):
            self.assertIs(self.asking(target), self.site, target)

    def test_root(self) -> None:
        """A port of one protocol serves it at the root, too."""
        self.door = FrontDoorFactory(
            {"/": self.support, "/support": self.support}, self.site, self.clock, timeout=1, longest=99
        )
        for target in ("/", "/?token=x", "", "?token=x", "http://a", "/support"):
            self.assertIs(self.asking(target), self.support, target)
        self.assertIs(self.asking("/talk"), self.site)

    def test_ways_to_ask(self) -> None:
        """The header may be written in any case, among others, and anywhere."""
        for header in ("upgrade:WebSocket", "UPGRADE :  WEBSOCKET", "Upgrade: h2c, websocket"):
            for headers in ((header, "Host: a"), ("Host: a", header)):
                self.assertIs(self.taker(self.lines("/support", *headers)), self.support, header)

    def test_not_asking(self) -> None:
        """What only looks like it does not ask for a WebSocket."""
        for header in (
            *("Host: a", "Upgrade: h2c", "X-Upgrade: websocket"),
            *("X: Upgrade: websocket", "Connection: websocket"),
        ):
            self.assertIs(self.taker(self.lines("/support", header)), self.site, header)

    def test_only_the_head_is_looked_at(self) -> None:
        """A body that looks like a header changes nothing."""
        self.assertIs(self.taker(self.lines("/support") + b"\r\nUpgrade: websocket\r\n\r\n"), self.site)

    def test_nonsense(self) -> None:
        """What is no HTTP at all is the site's to answer."""
        for data in (b"\r\n\r\n", b"\r\n" + GET, b"nonsense\r\nUpgrade: websocket\r\n\r\n"):
            self.assertIs(self.taker(data), self.site)

    @given(cuts=st.lists(st.integers(min_value=0, max_value=90), max_size=9))
    def test_in_pieces(self, cuts: list[int]) -> None:
        """However the bytes are cut, they all arrive, in order, at the same door."""
        self.setUp()
        data = self.lines("/support", "Host: a", "Upgrade: websocket") + b"and what follows it"
        places = sorted({0, *cuts, len(data)})
        pieces = [data[start:stop] for start, stop in itertools.pairwise(places)]
        self.assertIs(self.taker(*pieces), self.support)

    @given(data=st.binary(max_size=80))
    def test_anything(self, data: bytes) -> None:
        """Whatever the head is, somebody gets it, whole."""
        self.setUp()
        self.assertIs(self.taker(data.replace(b"\r\n\r\n", b"") + b"\r\n\r\n") or self.site, self.site)


class BoundTests(FrontDoorTestCase):
    """A head has so many bytes and so much time."""

    def test_the_longest(self) -> None:
        """A head of exactly the longest passes, with whatever follows it."""
        head = b"GET / HTTP/1.1\r\nX: "
        head += b"x" * (1000 - len(head))
        self.assertIs(self.taker(head + b"\r\n\r\n" + b"y" * 5000), self.site)

    def test_too_long(self) -> None:
        """A longer one is answered 431 and closed, as soon as it is too long."""
        for pieces in ([b"x" * 1001], [b"x"] * 1001, [b"x" * 1001 + b"\r\n\r\n"]):
            peer = self.connect(*pieces)
            self.assertEqual(
                peer.wire.value(),
                b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
                b"Content-Length: 0\r\nConnection: close\r\n\r\n",
            )
            self.assertTrue(peer.wire.gone)
            self.assertFalse(peer.wire.aborted)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_too_long_and_goes_on(self) -> None:
        """Who goes on after that, reading nothing, is not listened to, and cut in its time."""
        peer = Peer(self.door, self.clock)
        peer.wire.slow = True
        for _ in range(50):
            peer.write(b"x" * 500)
        self.assertEqual(len(peer.wire.unread), 1)
        self.assertLess(len(repr(vars(peer.wire.protocol))), 1000)
        self.clock.advance(10)
        self.clock.advance(0)
        self.assertTrue(peer.wire.aborted)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_too_slow(self) -> None:
        """A head that takes too long is cut, however diligently it trickles."""
        peer = self.connect()
        for _ in range(99):
            self.clock.advance(0.1)
            peer.write(b"x")
        self.assertFalse(peer.wire.aborted)
        self.clock.advance(0.2)
        self.assertTrue(peer.wire.aborted)
        self.assertEqual(peer.wire.value(), b"")

    def test_gone(self) -> None:
        """A client that goes away leaves nothing."""
        self.connect(GET[:5]).go()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_factory_that_is_full(self) -> None:
        """If a factory makes no protocol the connection is closed."""
        self.site.buildProtocol = lambda addr: None  # type: ignore[method-assign]
        self.assertTrue(self.connect(GET).wire.gone)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Mirror(Resource):
    """Gives a request's body back."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """Answer any method."""
        request.setHeader("x-secure", str(request.isSecure()))
        body: bytes = cast(Any, request).body()
        return b"<" + body + b">"


class BehindTheDoorTestCase(TestCase):
    """A whole port, with real connections to it."""

    tls = False

    def setUp(self) -> None:
        """Listen."""
        settings = Settings(clock=reactor, interval=1000, timeout=1000)
        self.factory: RecordingFactory = recording_factory(settings)
        site = WebSite(tree({"mirror": Mirror()}, Resource()), reactor)
        door = FrontDoorFactory({"/support": self.factory}, site, reactor, timeout=5, longest=16_384)
        self.loopback = Loopback(door, self.addCleanup, tls=self.tls)
        self.addCleanup(self.all_gone)

    def all_gone(self) -> Deferred[None]:
        """Fires once the server knows that its connections are gone."""
        gone: Deferred[None] = Deferred()

        def look(tries: int = 200) -> None:
            if not len(self.factory.admission) or not tries:
                gone.callback(None)
            else:
                reactor.callLater(0.02, look, tries - 1)

        look()
        return gone.addCallback(lambda _: self.assertEqual(len(self.factory.admission), 0))

    async def shaken(self, behind: bytes = b"") -> Client:
        """A client whose handshake is done."""
        client = await self.loopback.connect()
        client.transport.write(handshake_request() + behind)
        await client.until(b"\r\n\r\n")
        self.assertTrue(client.data.startswith(b"HTTP/1.1 101 "))
        return client

    def frames(self, client: Client) -> list[Frame]:
        """The frames that a client got."""
        return server_frames(client.data.partition(b"\r\n\r\n")[2])[0]


class TCPTests(BehindTheDoorTestCase):
    """Over TCP."""

    async def test_websocket(self) -> None:
        """A WebSocket opens, talks and closes."""
        client = await self.shaken()
        client.transport.write(client_frame(TEXT, b"say hello"))
        await client.until(b"hello")
        client.transport.write(close_frame(1000))
        await client.until_lost()
        self.assertEqual(self.frames(client), [Frame(TEXT, b"hello"), Frame(8, b"\x03\xe8")])

    async def test_frames_behind_the_handshake(self) -> None:
        """Frames that come with the handshake are not lost."""
        client = await self.shaken(client_frame(TEXT, b"say hello") * 50)
        client.transport.write(client_frame(TEXT, b"say bye"))
        await client.until(b"bye")
        expected = [Frame(TEXT, b"hello")] * 50 + [Frame(TEXT, b"bye")]
        self.assertEqual(self.frames(client), expected)

    async def test_plain_request(self) -> None:
        """A plain request reaches the site with its body, of which a part came with the head."""
        client = await self.loopback.connect()
        head = b"POST /mirror HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n"
        client.transport.write(head + b"x" * 100)
        reactor.callLater(0.05, client.transport.write, b"y" * 9899 + b"z")
        data = await client.until(b"z>")
        self.assertTrue(data.startswith(b"HTTP/1.1 200 "))
        self.assertTrue(data.endswith(b"\r\n\r\n<" + b"x" * 100 + b"y" * 9899 + b"z>"))

    async def test_pipelined_requests(self) -> None:
        """Requests that come together are all answered."""
        client = await self.loopback.connect()
        request = b"POST /mirror HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"
        client.transport.write(request + b"1" + request + b"2" + request + b"3")
        data = await client.until(b"<3>")
        self.assertLess(data.index(b"<1>"), data.index(b"<2>"))

    async def test_unknown_path(self) -> None:
        """A WebSocket that nobody serves is answered by the site."""
        client = await self.loopback.connect()
        client.transport.write(handshake_request("/nowhere"))
        data = await client.until(b"Not Found")
        self.assertTrue(data.startswith(b"HTTP/1.1 404 "))

    async def test_refused_handshake(self) -> None:
        """A handshake that is refused is answered in full before the connection is closed."""
        client = await self.loopback.connect()
        client.transport.write(handshake_request(without="Sec-WebSocket-Key"))
        data = await client.until_lost()
        self.assertTrue(data.startswith(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n"))

    async def test_close_code_is_seen(self) -> None:
        """The peer sees the close code, whoever is to blame, also if its own close came along."""
        for data, code in (
            (client_frame(TEXT, b"close 4403"), 4403),
            (client_frame(TEXT, b"\xff"), 1007),
            (client_frame(TEXT, b"x" * 2000), 1009),
            (client_frame(TEXT, b"close 4403") + close_frame(1000), 4403),
        ):
            client = await self.shaken()
            client.transport.write(data)
            await client.until(code.to_bytes(2, "big"))
            client.transport.write(close_frame(code))
            await client.until_lost()
            self.assertEqual(self.frames(client)[-1].code, code)

    async def test_slow_reader(self) -> None:
        """Who stops to read is closed, and what waits for it is bounded."""
        client = await self.shaken()
        client.transport.pauseProducing()
        (connection,) = self.factory.opened
        closed: Deferred[None] = Deferred()
        closed.addTimeout(20, reactor)

        def send() -> None:
            if connection.ends:
                closed.callback(None)
            else:
                connection.send(b"x" * 100_000)
                reactor.callLater(0, send)

        send()
        await closed
        client.transport.resumeProducing()
        await client.until(b"too slow a reader")
        frames = self.frames(client)
        self.assertEqual(frames[-1].code, 4430)
        self.assertEqual({frame.payload for frame in frames[:-1]}, {b"x" * 100_000})


class TLSTests(BehindTheDoorTestCase):
    """Over TLS, where the transport is itself a protocol around ours."""

    tls = True

    async def test_websocket(self) -> None:
        """A WebSocket opens, talks and closes."""
        client = await self.shaken(client_frame(TEXT, b"say hello"))
        await client.until(b"hello")
        client.transport.write(client_frame(TEXT, b"say bye") + close_frame(1000))
        await client.until_lost()
        self.assertEqual(
            self.frames(client),
            [Frame(TEXT, b"hello"), Frame(TEXT, b"bye"), Frame(8, b"\x03\xe8")],
        )

    async def test_plain_request(self) -> None:
        """A plain request reaches the site, which knows that it is secure."""
        client = await self.loopback.connect()
        client.transport.write(b"GET /mirror HTTP/1.1\r\nHost: a\r\n\r\n")
        data = await client.until(b"<>")
        self.assertIn(b"X-Secure: True", data)

    async def test_too_long(self) -> None:
        """A head that is too long is answered and closed."""
        client = await self.loopback.connect()
        client.transport.write(b"x" * 20_000)
        data = await client.until_lost()
        self.assertTrue(data.startswith(b"HTTP/1.1 431 "))
