"""The opening handshake: who is let in, and what the others are told."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import UNIXAddress

from tests.logged import Logged
from tests.websocket.connections import ConnectionTestCase
from tests.websocket.peers import ACCEPT, KEY, client_frame, handshake_request

SECRET = "eyJhbGciOi.very-secret.token"


class HandshakeTestCase(ConnectionTestCase):
    """Watches the log meanwhile."""

    def setUp(self) -> None:
        """Begin to listen."""
        super().setUp()
        self.logged = Logged(self)

    def assert_refused(self, request: bytes, status: int) -> None:
        """A complete HTTP error, nothing else, and the connection is closed."""
        peer = self.peer()
        peer.write(request)
        self.assert_complete_error(peer.wire.value(), status)
        self.assertTrue(peer.wire.gone)
        self.assertFalse(peer.wire.aborted)

    def assert_complete_error(self, response: bytes, status: int) -> None:
        """An answer that a client, or a proxy, can tell the end of."""
        head, _, body = response.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.assertRegex(lines[0], rf"\AHTTP/1\.1 {status} [A-Z][A-Za-z ]+\Z")
        self.assertIn("Content-Length: 0", lines)
        self.assertIn("Connection: close", lines)
        self.assertEqual(body, b"")
        self.assertNotIn(SECRET.encode(), response)

    def assert_nothing_of_it_logged(self, *parts: str) -> None:
        """No log event holds any of these, in whatever form it is shown."""
        self.assertEqual(self.logged.holding(*parts), [])


class AcceptedTests(HandshakeTestCase):
    """Those who come in."""

    def test_answer(self) -> None:
        """The answer is the one of RFC 6455, and names no subprotocol that was not asked for."""
        peer = self.open()
        self.assertEqual(peer.header("Sec-WebSocket-Accept"), ACCEPT)
        self.assertEqual((peer.header("Upgrade") or "").lower(), "websocket")
        self.assertEqual(peer.header("Connection"), "Upgrade")
        self.assertIsNone(peer.header("Sec-WebSocket-Protocol"))
        self.assertIsNone(peer.header("Sec-WebSocket-Extensions"))

    def test_compression_is_not_agreed_to(self) -> None:
        """A browser's offer to compress is not taken up."""
        peer = self.open("/support", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
        self.assertIsNone(peer.header("Sec-WebSocket-Extensions"))

    def test_what_the_protocol_is_told(self) -> None:
        """The protocol gets the path, the query, the headers, the origin, the address, the token."""
        self.open(f"/support?token={SECRET}&a=1&a=2", "Origin: https://a.example", "X-Thing: Some Thing")
        handshake = self.factory.handshakes_read[0]
        self.assertEqual(handshake.path, "/support")
        self.assertEqual(handshake.query["a"], ["1", "2"])
        self.assertEqual(handshake.headers["x-thing"], "Some Thing")
        self.assertEqual(handshake.origin, "https://a.example")
        self.assertEqual(handshake.address, "192.0.2.1")
        self.assertEqual(handshake.token, SECRET)
        self.assertNotIn(SECRET, repr(handshake))

    def test_origins_of_apps(self) -> None:
        """Origins that are no web page's are as good as others where everybody may connect."""
        for origin in ("null", "file://", "chrome-extension://abc", "capacitor://localhost"):
            self.open("/support", f"Origin: {origin}")

    def test_behind_a_proxy(self) -> None:
        """Behind a trusted proxy the address is the client's."""
        self.configure(proxies=["10.0.0.0/8"])
        self.open("/support", "X-Forwarded-For: 1.1.1.1, 203.0.113.9", address="10.0.0.1")
        self.open("/support", "X-Forwarded-For: 203.0.113.9", address="192.0.2.1")
        self.open("/support", "X-Forwarded-For: 1.1.1.1", "x-forwarded-for: 203.0.113.8", address="10.0.0.1")
        addresses = [handshake.address for handshake in self.factory.handshakes_read]
        self.assertEqual(addresses, ["203.0.113.9", "192.0.2.1", "203.0.113.8"])

    def test_lines_that_the_proxy_did_not_see(self) -> None:
        """A header that hides in another one's value, behind an odd line end, is no header."""
        self.configure(proxies=["10.0.0.0/8"])
        for odd in "\x0b\x0c\x1c\x1d\x1e\x85\r\n":
            peer = self.open(
                "/support",
                "X-Forwarded-For: 203.0.113.9",
                f"X-Thing: a{odd}X-Forwarded-For: 1.1.1.1",
                address="10.0.0.1",
            )
            self.assertEqual(self.factory.handshakes_read[-1].address, "203.0.113.9", repr(odd))
            peer.go()

    def test_letters_beyond_ascii(self) -> None:
        """A header with letters in UTF-8 keeps what comes after them."""
        cookie = "name=хор; token=t".encode().decode("latin-1")
        self.open("/support", f"Cookie: {cookie}")
        self.assertEqual(self.factory.handshakes_read[0].token, "t")

    def test_over_a_unix_socket(self) -> None:
        """A peer without an address of its own is this machine."""
        self.open(address=UNIXAddress("/run/realtime"))
        self.assertEqual(self.factory.handshakes_read[0].address, "127.0.0.1")

    def test_in_pieces(self) -> None:
        """A handshake may arrive byte by byte."""
        peer = self.peer()
        for byte in handshake_request():
            peer.write(bytes([byte]))
        peer.read_response()
        self.assertEqual(peer.status, 101)

    def test_frames_behind_it(self) -> None:
        """What comes in the same piece as the handshake is not lost."""
        peer = self.peer()
        peer.write(handshake_request() + client_frame(1, b"say hello") + client_frame(1, b"x")[:3])
        peer.read_response()
        self.assertEqual(peer.texts(), [b"hello"])
        peer.write(client_frame(1, b"x")[3:])
        self.assertEqual(self.told(peer), ["opened", (b"say hello", False), (b"x", False)])

    def test_let_go(self) -> None:
        """What the handshake needed is not kept: no token stays in an open connection's memory."""
        peer = self.open(f"/support?token={SECRET}", f"Cookie: token={SECRET}", "Origin: http://a")
        self.factory.handshakes_read.clear()
        self.assertNotIn(SECRET, repr(vars(peer.connection)))
        self.assertNotIn(KEY, repr(vars(peer.connection)))
        peer.text(b"say hello")
        self.assertEqual(peer.texts(), [b"hello"])


class SubprotocolTests(HandshakeTestCase):
    """Which of the offered ones is selected."""

    def selected(self, offered: str) -> str | None:
        """What is selected."""
        return self.open("/support", f"Sec-WebSocket-Protocol: {offered}").header("Sec-WebSocket-Protocol")

    def test_own(self) -> None:
        """The first that is the protocol's own, also before ``bearer``."""
        self.assertEqual(self.selected("x, support.v2, support.v1"), "support.v2")
        self.assertEqual(self.selected(f"bearer, {SECRET}, support.v1"), "support.v1")

    def test_bearer(self) -> None:
        """Else ``bearer``, where a token follows it; the token itself never."""
        for offered in (f"bearer, {SECRET}", f"x, bearer, {SECRET}", f"bearer,{SECRET},x"):
            self.assertEqual(self.selected(offered), "bearer")
            self.assertEqual(self.factory.handshakes_read[-1].token, SECRET)

    def test_none(self) -> None:
        """Else none."""
        for offered in ("x", "x, y", "bearer"):
            self.assertIsNone(self.selected(offered))

    def test_never_the_token(self) -> None:
        """The answer never holds the token."""
        for offered in (f"bearer, {SECRET}", f"{SECRET}, bearer", f"{SECRET}"):
            peer = self.open("/support", f"Sec-WebSocket-Protocol: {offered}")
            self.assertNotIn(SECRET, peer.response)
        self.assert_nothing_of_it_logged(SECRET)


class RefusedTests(HandshakeTestCase):
    """Those who don't, and what they are told: an HTTP answer, complete, with nothing of the request."""

    def test_not_a_handshake(self) -> None:
        """A request that is no correct handshake is answered in full."""
        path = f"/support?token={SECRET}"
        for request, status in (
            (handshake_request(path, without="Host"), 400),
            (handshake_request(path, without="Upgrade"), 426),
            (handshake_request(path, without="Connection"), 400),
            (handshake_request(path, without="Sec-WebSocket-Key"), 400),
            (handshake_request(path, without="Sec-WebSocket-Version"), 400),
            (handshake_request(path, method="POST"), 405),
            (handshake_request(path + "#" + SECRET), 400),
            (handshake_request(path, ["Host: other"]), 400),
            (handshake_request(path, ["Sec-WebSocket-Key: " + KEY]), 400),
            (handshake_request(path, [f"Origin: http://[{SECRET}"]), 400),
            (handshake_request(path, [f"Origin: http://{SECRET}:x"]), 400),
            (handshake_request(path, [f"Sec-WebSocket-Protocol: {SECRET}, {SECRET}"]), 400),
            (handshake_request(path).replace(KEY.encode(), b"A" * 24), 400),
            (handshake_request(path).replace(KEY.encode(), SECRET.encode()), 400),
            (handshake_request(path).replace(b"Version: 13", b"Version: 8"), 400),
            (handshake_request(path).replace(b"Version: 13", SECRET.encode()), 400),
            (handshake_request(path).replace(b"HTTP/1.1", b"HTTP/1.0"), 505),
            (handshake_request(path).replace(b"HTTP/1.1", SECRET.encode()), 505),
            (SECRET.encode() + b"\r\n\r\n", 400),
            (b"\r\n\r\n", 400),
        ):
            self.assert_refused(request, status)
        self.assert_nothing_of_it_logged(SECRET, "support?", "chat.example")
        self.assertEqual(self.factory.opened, [])

    def test_version_is_named(self) -> None:
        """Who speaks another version is told which one we speak."""
        peer = self.peer()
        peer.write(handshake_request().replace(b"Version: 13", b"Version: 12"))
        self.assertIn(b"\r\nSec-WebSocket-Version: 13\r\n", peer.wire.value())

    def test_origin(self) -> None:
        """A page that may not connect is answered 403, and counted."""
        self.configure(origins=["https://app.example"])
        self.assert_refused(handshake_request("/support", ["Origin: https://evil.example"]), 403)
        self.assert_refused(handshake_request("/support", ["Origin: null"]), 403)
        self.assertEqual(self.refusals("origin"), 2)
        self.open("/support", "Origin: https://app.example")
        self.open("/support", "Origin: http://chat.example")
        self.open("/support")

    def test_address_limit(self) -> None:
        """An address that has enough connections is answered 429 until one of them is gone."""
        self.configure(per_address=2)
        first, _ = self.open(), self.open()
        self.assert_refused(handshake_request(), 429)
        self.assertEqual(self.refusals("connections"), 1)
        self.open(address="192.0.2.2")
        first.go()
        self.open()

    def test_address_limit_behind_a_proxy(self) -> None:
        """Behind a proxy it is the clients' addresses that count, not the proxy's."""
        self.configure(per_address=1, proxies=["192.0.2.1"])
        self.open("/support", "X-Forwarded-For: 203.0.113.1")
        self.open("/support", "X-Forwarded-For: 203.0.113.2")
        self.assert_refused(handshake_request("/support", ["X-Forwarded-For: 203.0.113.1"]), 429)

    def test_by_the_protocol(self) -> None:
        """A protocol may refuse a handshake, which then holds no place of its address."""
        self.configure(per_address=1)
        for _ in range(3):
            self.assert_refused(handshake_request("/refused"), 404)
        self.assertEqual(self.factory.opened, [])

    def test_a_protocol_that_fails(self) -> None:
        """A protocol that raises over a handshake answers 500 and is logged once, without the request."""
        self.assert_refused(handshake_request(f"/raises?token={SECRET}"), 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assert_nothing_of_it_logged(SECRET)

    def test_no_deflate_junk(self) -> None:
        """An extension header that makes no sense is refused or passed over, as any other."""
        peer = self.peer()
        peer.write(handshake_request("/support", ["Sec-WebSocket-Extensions: permessage-deflate; x=1"]))
        self.assert_complete_error(peer.wire.value(), 400)

    @given(
        junk=st.binary(max_size=80),
        where=st.integers(min_value=0, max_value=250),
        length=st.integers(min_value=0, max_value=20),
    )
    def test_damaged(self, junk: bytes, where: int, length: int) -> None:
        """However a handshake is damaged, it is accepted, refused in full, or waited for."""
        self.configure()
        request = handshake_request("/support?a=b", ["Origin: http://a", "Cookie: token=t"])
        peer = self.peer()
        peer.write(request[:where] + junk + request[where + length :])
        response = peer.wire.value()
        if response and not response.startswith(b"HTTP/1.1 101 "):
            self.assert_complete_error(
                response.replace(b"Sec-WebSocket-Version: 13\r\n", b""), int(response[9:12])
            )
            self.assertTrue(peer.wire.gone)
        self.tearDown()
        self.assertEqual(self.logged.above_debug(), [])


class TimeTests(HandshakeTestCase):
    """The handshake has its time."""

    def test_timeout(self) -> None:
        """A handshake that is not done in time is cut."""
        peer = self.peer()
        peer.write(handshake_request()[:50])
        self.clock.advance(9.9)
        self.assertFalse(peer.wire.aborted)
        self.clock.advance(0.2)
        self.assertTrue(peer.wire.aborted)
        self.assertEqual(peer.wire.value(), b"")

    def test_refused_and_never_read(self) -> None:
        """Who is refused but does not read the answer is cut as well."""
        self.configure(per_address=1)
        for path, opened in (("/refused", 0), ("/support", 1)):
            if opened:
                self.open()
            peer = self.peer()
            peer.wire.slow = True
            peer.write(handshake_request(path))
            self.assertFalse(peer.wire.gone)
            self.clock.advance(10)
            self.clock.advance(0)
            self.assertTrue(peer.wire.aborted and peer.wire.gone)

    def test_gone_before_it_is_done(self) -> None:
        """A client may be gone at any byte of its handshake."""
        for length in range(0, len(handshake_request()), 7):
            peer = self.peer()
            peer.write(handshake_request()[:length])
            peer.go()
        self.assertEqual(self.factory.opened, [])
