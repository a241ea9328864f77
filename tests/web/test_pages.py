"""The files for browsers: which are served, how they are cached, and what they may do."""

import gzip
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from twisted.web.resource import Resource

from realtime.settings import Listen, Settings, Web
from realtime.web import pages
from realtime.web.home import HomeResource
from realtime.web.pages import CONTENT_SECURITY_POLICY, FOLDER, Pages, read
from realtime.web.site import tree
from realtime.wiring import build
from tests.web.requests import Response, SiteTestCase
from tests.websocket.peers import Peer

PAGE = "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
GZIP = "Accept-Encoding: deflate, gzip;q=0.5"


class PagesTestCase(SiteTestCase):
    """Serves the pages as the daemon does."""

    def serve_with(self, **switches: bool) -> None:
        """Serve what is on; all but what is said otherwise."""
        on = {"playground": True, "console": True, "widget": True, "demo": False, **switches}
        made = Pages(protocols=["talk", "support"], talk={"find": 60.0}, **on)
        self.serve(tree(made.resources, made.home(HomeResource(["/talk"]))))

    def setUp(self) -> None:
        """Serve all."""
        super().setUp()
        self.serve_with()

    def file(self, path: str) -> bytes:
        """A file as it is on the disk."""
        return (FOLDER / path).read_bytes()


class ServedTests(PagesTestCase):
    """What is where."""

    def test_home(self) -> None:
        """At / a browser is shown the playground; who does not ask for HTML, the plain page, as ever."""
        shown = self.ask("GET", "/", PAGE)
        self.assertEqual(shown.body, self.file("playground/index.html"))
        self.assertEqual(shown.headers["content-type"], "text/html; charset=utf-8")
        for header in ("Accept: */*", "X: y"):
            self.assertIn(b"realtime is running", self.ask("GET", "/", header).body)
        for header in (PAGE, "X: y"):
            self.assertIn("Accept", self.ask("GET", "/", header).headers["vary"].split(", "))

    def test_console(self) -> None:
        """The console is at /console/; without the slash, it is said where, so that its addresses are right."""
        self.assertEqual(self.ask("GET", "/console/").body, self.file("console/index.html"))
        moved = self.ask("GET", "/console")
        self.assertEqual((moved.status, moved.headers["location"]), (308, "console/"))
        self.assertEqual(self.ask("GET", "/console/index.html").status, 404)

    def test_static(self) -> None:
        """Every file is below /static/, by its path, with its type."""
        for path, kind in (
            ("base.css", "text/css; charset=utf-8"),
            ("client.js", "text/javascript; charset=utf-8"),
            ("icon.svg", "image/svg+xml"),
        ):
            answer = self.ask("GET", f"/static/{path}")
            self.assertEqual((answer.body, answer.headers["content-type"]), (self.file(path), kind))

    def test_nothing_else(self) -> None:
        """No path leads anywhere else: neither up, nor to a folder, nor to a page by its file's name."""
        for path in (
            "/static",
            "/static/",
            "/static//base.css",
            "/static/base.css/",
            "/static/../pages.py",
            "/static/%2e%2e/pages.py",
            "/static/..%2fpages.py",
            "/static/console",
            "/static/console/",
            "/static/console/index.html",
            "/static/playground/index.html",
            "/static/%ff",
            "/client.js/x",
            "/console/x",
            "/base.css",
        ):
            self.assertEqual(self.ask("GET", path).status, 404, path)

    def test_what_pages_are_told(self) -> None:
        """A page can ask what is served here."""
        self.assertEqual(
            self.ask("GET", "/static/server.json").body,
            b'{"protocols":["talk","support"],"demo":false,"talk":{"find":60.0}}',
        )

    def test_for_others(self) -> None:
        """Pages of other sites may load the widget and the module, and nothing else."""
        for path in ("/client.js", "/widget.js"):
            answer = self.ask("GET", path, "Origin: https://shop.example")
            self.assertEqual(answer.body, self.file(path[1:]))
            self.assertEqual(answer.headers["access-control-allow-origin"], "*")
            self.assertEqual(answer.headers["cross-origin-resource-policy"], "cross-origin")
        for path in ("/", "/console/", "/static/client.js"):
            answer = self.ask("GET", path, PAGE, "Origin: https://shop.example")
            self.assertNotIn("access-control-allow-origin", answer.headers)
            self.assertEqual(answer.headers["cross-origin-resource-policy"], "same-origin")

    def test_switched_off(self) -> None:
        """What is off is not there, nor are its parts; the module always is."""
        whose = {"playground": "/", "console": "/console/", "widget": "/widget.js"}
        for off, path in whose.items():
            self.serve_with(**{off: False})
            answer = self.ask("GET", path, PAGE)
            if off == "playground":
                self.assertIn(b"realtime is running", answer.body)
            else:
                self.assertEqual(answer.status, 404, off)
            for other in whose.keys() - {off}:
                self.assertEqual(self.ask("GET", whose[other], PAGE).status, 200, other)
            parts = [part for part in read(FOLDER) if part.startswith(off) and not part.endswith("index.html")]
            for part in parts:
                self.assertEqual(self.ask("GET", f"/static/{part}").status, 404, part)
            self.assertEqual(self.ask("GET", "/client.js").status, 200)

    def test_unknown_kinds(self) -> None:
        """A file of a kind that is not listed is not served: an editor's copy, for one."""
        with mock.patch.object(pages, "_TYPES", {".css": "text/css"}):
            found = read(FOLDER)
        self.assertIn("base.css", found)
        self.assertNotIn("client.js", found)

    def test_methods(self) -> None:
        """Files can be read only."""
        for path in ("/", "/console/", "/static/base.css", "/widget.js"):
            answer = self.ask("POST", path, PAGE, body=b"x")
            self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD"), path)


class PolicyTests(PagesTestCase):
    """What a page may do."""

    def test_pages(self) -> None:
        """Pages run under the policy, are in no frame, and tell no other site where they were."""
        for path in ("/", "/console/"):
            headers = self.ask("GET", path, PAGE).headers
            self.assertEqual(headers["content-security-policy"], CONTENT_SECURITY_POLICY)
            self.assertEqual(headers["referrer-policy"], "no-referrer")
            self.assertEqual(headers["cross-origin-opener-policy"], "same-origin")
            self.assertIn("microphone=()", headers["permissions-policy"])

    def test_policy(self) -> None:
        """Nothing comes from elsewhere, and nothing stands in the page itself."""
        for word in ("unsafe", "*", "http", "blob:"):
            self.assertNotIn(word, CONTENT_SECURITY_POLICY)
        for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"):
            self.assertIn(part, CONTENT_SECURITY_POLICY.split("; "))

    def test_types_are_not_guessed(self) -> None:
        """No file is taken for another kind than it is said to be."""
        for path in ("/", "/console/", "/static/base.css", "/static/server.json", "/client.js", "/widget.js"):
            self.assertEqual(self.ask("GET", path, PAGE).headers["x-content-type-options"], "nosniff")

    def test_files_hold_no_code_in_pages(self) -> None:
        """No page has an inline script or style, which the policy would stop, nor anything from elsewhere."""
        for path in FOLDER.rglob("*.html"):
            text = path.read_text(encoding="utf-8")
            for wrong in (" style=", "<style", " onclick=", "javascript:", "//"):
                self.assertNotIn(wrong, text, str(path))


class CachingTests(PagesTestCase):
    """Whether a copy is still good, and how it is packed."""

    def ask_twice(self, path: str, tag: str) -> Response:
        """Ask for what one has a copy of."""
        return self.ask("GET", path, PAGE, f"If-None-Match: {tag}")

    def test_same(self) -> None:
        """Who has the newest copy is told so, without the file; it is asked about each time."""
        for path in ("/", "/console/", "/static/base.css", "/widget.js"):
            first = self.ask("GET", path, PAGE)
            self.assertEqual(first.headers["cache-control"], "no-cache")
            tag = first.headers["etag"]
            for listed in (tag, f'"other", {tag}', f"W/{tag}", "*"):
                again = self.ask_twice(path, listed)
                self.assertEqual((again.status, again.body), (304, b""), listed)
                self.assertEqual(again.headers["etag"], tag)
                self.assertNotIn("content-type", again.headers)
                self.assertNotIn("content-length", again.headers)
            self.assertEqual(self.ask_twice(path, '"other"').status, 200)

    def test_another(self) -> None:
        """A file that is another has another tag: a copy from before a change is no good."""
        tags = {pages.File("a.css", content).plain[1] for content in (b"a", b"b", b"b")}
        self.assertEqual(len(tags), 2)

    def test_policy_of_a_copy(self) -> None:
        """A page from a browser's own copy runs under the policy of now."""
        tag = self.ask("GET", "/console/").headers["etag"]
        self.assertEqual(
            self.ask_twice("/console/", tag).headers["content-security-policy"], CONTENT_SECURITY_POLICY
        )

    def test_packed(self) -> None:
        """Who takes gzip gets it, under a tag of its own; caches are told that there are two."""
        plain = self.ask("GET", "/static/base.css")
        packed = self.ask("GET", "/static/base.css", GZIP)
        self.assertEqual(packed.headers["content-encoding"], "gzip")
        self.assertEqual(gzip.decompress(packed.body), plain.body)
        self.assertLess(len(packed.body), len(plain.body) / 2)
        self.assertNotEqual(packed.headers["etag"], plain.headers["etag"])
        for answer in (plain, packed):
            self.assertEqual(answer.headers["vary"], "Accept-Encoding")
        self.assertNotIn("content-encoding", plain.headers)
        both = self.ask("GET", "/static/base.css", GZIP, f"If-None-Match: {plain.headers['etag']}")
        self.assertEqual(both.status, 200)

    def test_not_packed(self) -> None:
        """Who refuses gzip does not get it; nor is a file packed that would not be shorter."""
        for header in (
            "Accept-Encoding: br",
            "Accept-Encoding: gzip;q=0",
            "Accept-Encoding: GZIP; q = 0.0, br",
        ):
            self.assertNotIn("content-encoding", self.ask("GET", "/static/base.css", header).headers)
        self.assertIn("content-encoding", self.ask("GET", "/static/base.css", "Accept-Encoding: GZIP").headers)
        self.assertNotIn("content-encoding", self.ask("GET", "/static/server.json", GZIP).headers)

    def test_head(self) -> None:
        """Asked for its head, a file gives that alone, as it would be."""
        for path in ("/", "/static/base.css"):
            whole, head = self.ask("GET", path, PAGE, GZIP), self.ask("HEAD", path, PAGE, GZIP)
            self.assertEqual(head.body, b"")
            self.assertEqual(head.own_headers(), whole.own_headers())

    def test_the_connection_goes_on(self) -> None:
        """After any of these the same connection serves the next request."""
        peer = self.peer()
        for _ in range(2):
            for path in ("/widget.js", "/static/nowhere", "/console"):
                peer.wire.clear()
                peer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n".encode())
                self.assertIn(Response(peer.wire.value()).status, (304, 404, 308))


class Plain(Resource):
    """Stands for what else is at /."""

    isLeaf = True

    def render(self, request: Any) -> bytes:
        """Answer."""
        return b"plain"


class WithoutPagesTests(PagesTestCase):
    """Without a playground."""

    def test_home(self) -> None:
        """What is at / is what would be there anyway."""
        made = Pages(playground=False, console=False, widget=False, protocols=[], demo=True, talk={})
        plain = Plain()
        self.assertIs(made.home(plain), plain)


class WiringTests(SiteTestCase):
    """What the settings say of them."""

    def status(self, listener: Any, path: str) -> int:
        """What a listening port answers a browser with."""
        peer = Peer(listener.factory, self.clock)
        self.addCleanup(peer.go)
        peer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n".encode())
        return Response(peer.wire.value()).status

    def test_settings(self) -> None:
        """The general port has those that are on; one for a protocol alone has none."""
        from twisted.internet import reactor

        folder = self.enterContext(TemporaryDirectory())
        daemon = build(
            Settings(
                state_dir=folder,
                listen=(Listen(), Listen(protocol="support")),
                web=Web(console=False),
            ),
            reactor,
        )
        general, alone, *_ = daemon._listeners
        found = {path: self.status(general, path) for path in ("/", "/console/", "/widget.js", "/client.js")}
        self.assertEqual(found, {"/": 200, "/console/": 404, "/widget.js": 200, "/client.js": 200})
        for path, status in (("/", 426), ("/console/", 404), ("/widget.js", 404), ("/static/base.css", 404)):
            self.assertEqual(self.status(alone, path), status, path)
