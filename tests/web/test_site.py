"""The tree of resources, the bounds of a request, and what is logged of it."""

from typing import Any

from twisted.web.resource import Resource
from twisted.web.server import Request

from realtime.web.home import HomeResource
from realtime.web.site import LONGEST_BODY, NotFound, WebSite, tree
from tests.web.requests import Response, SiteTestCase


class Mirror(Resource):
    """Tells how long a request's body was, and gives it back."""

    isLeaf = True

    def render(self, request: Any) -> bytes:
        """Answer any method."""
        body: bytes | None = request.body()
        return b"too long" if body is None else b"<" + body + b">"


class Broken(Resource):
    """Fails."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """Fail."""
        raise ZeroDivisionError


class TreeTests(SiteTestCase):
    """Paths."""

    def setUp(self) -> None:
        """Serve two paths, one below the other's folder."""
        super().setUp()
        self.serve(
            tree({"v1/mirror": Mirror(), "/v1/more/mirror/": Mirror(), "one": Mirror()}, HomeResource([]))
        )

    def test_resources(self) -> None:
        """Each resource is at its path, with and without a slash at the end, and a query."""
        for path in ("/v1/mirror", "/v1/mirror/", "/v1/more/mirror", "/one?a=b", "/one/two"):
            self.assertEqual(self.ask("GET", path).body, b"<>", path)

    def test_home(self) -> None:
        """The home is at the root."""
        for path in ("/", "/?token=x"):
            self.assertEqual(self.ask("GET", path).status, 200)

    def test_not_found(self) -> None:
        """Everything else is 404, folders too, whatever the method, as plain text."""
        for path in (
            "/nowhere",
            "/v1",
            "/v1/",
            "/v1/nowhere",
            "/v1/more",
            "//one",
            "/%2e%2e/one",
            "/v1/../one",
        ):
            for method in ("GET", "POST", "DELETE", "BREW"):
                response = self.ask(method, path)
                self.assertEqual((response.status, response.body), (404, b"Not Found\n"), path)
                self.assertEqual(response.headers["content-type"], "text/plain; charset=utf-8")
        self.assertEqual(self.ask("HEAD", "/nowhere").status, 404)

    def test_a_resource_that_fails(self) -> None:
        """A fault of ours is answered 500, without a traceback for the peer, and is logged once."""
        self.serve(tree({"broken": Broken()}, NotFound()))
        response = self.ask("GET", "/broken?token=secret")
        self.assertEqual(response.status, 500)
        self.assertNotIn(b"ZeroDivisionError", response.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assert_nothing_logged("token=secret")


class HomeTests(SiteTestCase):
    """The page at the root."""

    def test_page(self) -> None:
        """It names the WebSocket paths, and lets no script in."""
        self.serve(tree({}, HomeResource(["/support", "/<b>"])))
        response = self.ask("GET", "/")
        self.assertEqual(response.status, 200)
        self.assertIn(b"<code>/support</code>", response.body)
        self.assertIn(b"<code>/&lt;b&gt;</code>", response.body)
        self.assertEqual(response.headers["content-type"], "text/html; charset=utf-8")
        self.assertEqual(response.headers["content-security-policy"], "default-src 'none'")
        self.assertEqual(response.headers["x-content-type-options"], "nosniff")

    def test_head(self) -> None:
        """Asked for its head it gives that alone."""
        self.serve(tree({}, HomeResource([])))
        response = self.ask("HEAD", "/")
        self.assertEqual((response.status, response.body), (200, b""))

    def test_other_methods(self) -> None:
        """It can be read only."""
        self.serve(tree({}, HomeResource([])))
        self.assertEqual(self.ask("POST", "/", body=b"x").status, 405)


class BodyTests(SiteTestCase):
    """Bodies are kept up to a bound."""

    def setUp(self) -> None:
        """Serve what gives bodies back."""
        super().setUp()
        self.serve(Mirror())

    def test_whole(self) -> None:
        """A body of up to the bound arrives whole."""
        for size in (0, 1, 1000, LONGEST_BODY):
            body = b"x" * size
            self.assertEqual(self.ask("POST", "/", body=body).body, b"<" + body + b">")

    def test_too_long(self) -> None:
        """One byte more is too long, and the connection can still be used."""
        peer = self.request("POST", "/", body=b"x" * (LONGEST_BODY + 1))
        self.assertEqual(Response(peer.wire.value()).body, b"too long")
        peer.wire.clear()
        peer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok")
        self.assertEqual(Response(peer.wire.value()).body, b"<ok>")

    def test_in_pieces(self) -> None:
        """It is the sum of the pieces that counts."""
        for size, expected in ((LONGEST_BODY, LONGEST_BODY + 2), (LONGEST_BODY + 10, len(b"too long"))):
            peer = self.peer()
            peer.write(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode())
            for start in range(0, size, 1000):
                peer.write(b"x" * min(1000, size - start))
            self.assertEqual(len(Response(peer.wire.value()).body), expected)

    def test_chunked(self) -> None:
        """The same holds for a body that comes in chunks."""
        for count, expected in ((10, 10_002), (100, len(b"too long"))):
            peer = self.peer()
            peer.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(count):
                peer.write(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
            peer.write(b"0\r\n\r\n")
            self.assertEqual(len(Response(peer.wire.value()).body), expected)

    def test_without_end(self) -> None:
        """A body that does not end is cut, and memory does not grow with it."""
        peer = self.peer()
        peer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n")
        piece = bytes(1_000_000)
        for _ in range(15):
            peer.write(piece)
        (request,) = peer.connection._channel.requests
        self.assertLessEqual(request.content.getbuffer().nbytes, LONGEST_BODY + 1)
        self.assertFalse(peer.wire.aborted)
        peer.write(piece)
        peer.write(piece)
        self.assertTrue(peer.wire.aborted)

    def test_chunks_without_end(self) -> None:
        """So are chunks that don't end, however many come at once."""
        peer = self.peer()
        peer.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"100000\r\n" + bytes(0x100000) + b"\r\n"
        peer.write(chunk * 20)
        self.assertTrue(peer.wire.aborted)

    def test_type_is_not_looked_at(self) -> None:
        """A body is not taken apart for what it claims to be."""
        for kind in (
            "multipart/form-data",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
            "",
        ):
            response = self.ask("POST", "/", f"Content-Type: {kind}", body=b'{"a": 1}')
            self.assertEqual((response.status, response.body), (200, b'<{"a": 1}>'), kind)

    def test_left_in_the_middle(self) -> None:
        """A client that is gone in the middle of its body leaves nothing."""
        peer = self.peer()
        peer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nxxx")
        peer.go()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Asked(Resource):
    """Says how much is kept of bodies, and writes down what it is asked."""

    isLeaf = True

    def __init__(self, longest: int) -> None:
        super().__init__()
        self.longest = longest
        self.asked: list[tuple[bytes, bytes, int | None]] = []
        self.lost = 0

    def body_begins(self, request: Any, method: bytes, target: bytes, length: int | None) -> int:
        """Write it down."""
        self.asked.append((method, target, length))
        request.notifyFinish().addErrback(self._count_lost)
        return self.longest

    def _count_lost(self, reason: object) -> None:
        self.lost += 1

    def render(self, request: Any) -> bytes:
        """Answer any method."""
        return Mirror().render(request)


class AskedBodyTests(SiteTestCase):
    """A resource may say how much is kept of its bodies, before any of one is read."""

    def serve_with(self, longest: int) -> None:
        """Serve a resource that does."""
        self.resource = Asked(longest)
        root = tree({"v1/asked": self.resource, "mirror": Mirror()}, NotFound())
        self.site = WebSite(root, self.clock, bodies={"v1/asked": self.resource})

    def test_kept(self) -> None:
        """As much as it says is kept, less or more than of others, and not a byte more."""
        for longest in (10, 2 * LONGEST_BODY):
            self.serve_with(longest)
            for path in ("/v1/asked", "/v1/asked/", "/v1/asked?a=b"):
                body = b"x" * longest
                self.assertEqual(self.ask("POST", path, body=body).body, b"<" + body + b">")
                self.assertEqual(self.ask("POST", path, body=body + b"x").body, b"too long")
            self.assertEqual(self.ask("POST", "/mirror", body=b"x" * 11).body, b"<xxxxxxxxxxx>")

    def test_asked_first(self) -> None:
        """It is asked when the head has come: about what request, and how long a body."""
        self.serve_with(10)
        peer = self.peer()
        peer.write(b"POST /v1/asked/?a=b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        self.assertEqual(self.resource.asked, [(b"POST", b"/v1/asked/?a=b", 3)])
        peer.go()
        self.assertEqual(self.resource.lost, 1)
        peer = self.peer()
        peer.write(b"PUT /v1/asked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.assertEqual(self.resource.asked[1:], [(b"PUT", b"/v1/asked", None)])

    def test_not_asked(self) -> None:
        """It is not asked where there is no body, nor about other paths."""
        self.serve_with(10)
        self.ask("GET", "/v1/asked")
        self.ask("POST", "/v1/asked")
        self.ask("POST", "/mirror", body=b"x")
        self.ask("POST", "/v1/asked/x", body=b"x")
        self.assertEqual(self.resource.asked, [])

    def test_nothing_is_kept_of_what_is_too_long(self) -> None:
        """Of a body whose length is too much not even the beginning is kept; in chunks, only what may be."""
        self.serve_with(10)
        for head, pieces in (
            (b"Content-Length: 11", (b"x" * 9,)),
            (b"Transfer-Encoding: chunked", (b"8\r\nxxxxxxxx\r\n", b"8\r\nxxxxxxxx\r\n")),
        ):
            peer = self.peer()
            peer.write(b"POST /v1/asked HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n\r\n")
            for piece in pieces:
                peer.write(piece)
            (request,) = peer.connection._channel.requests
            self.assertEqual(request.content.getvalue(), b"")


class LogTests(SiteTestCase):
    """One line for each request, without what may be secret."""

    def test_request(self) -> None:
        """A request's line names its method, path and status, and no query."""
        self.serve(tree({}, HomeResource([])))
        self.ask("GET", "/?token=secret")
        self.ask("GET", "/nowhere?token=secret", "Authorization: Bearer secret")
        lines = [event["log_format"].format(**event) for event in self.logged.events if "status" in event]
        self.assertEqual(lines, ["web: GET / 200", "web: GET /nowhere 404"])
        self.assertEqual(self.logged.above_debug(), [])
        self.assert_nothing_logged("secret")

    def test_nothing_secret_in_other_lines(self) -> None:
        """What twisted.web itself logs of a request holds no query either."""
        self.serve(tree({"mirror": Mirror()}, HomeResource([])))
        for path in ("/", "/nowhere", "/mirror"):
            for method in ("HEAD", "PUT", "OPTIONS"):
                self.ask(method, f"{path}?token=secret", "Cookie: token=secret")
        self.assert_nothing_logged("secret")


class IdleTests(SiteTestCase):
    """Connections that nothing is said on."""

    def test_idle(self) -> None:
        """A connection that is idle after a request is closed."""
        self.serve(NotFound())
        peer = self.request("GET", "/")
        self.assertFalse(peer.wire.gone)
        self.clock.advance(61)
        self.clock.advance(0)
        self.assertTrue(peer.wire.gone)
