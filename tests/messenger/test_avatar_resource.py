"""Pictures over HTTP: headers, caching, what is not there, and clients that are slow or gone."""

from __future__ import annotations

import gc
import os
from typing import Any

from twisted.internet.defer import succeed

from realtime.messenger.avatar_resource import AvatarResource
from realtime.messenger.avatars import PATH, AvatarStore, address_of, name_of
from realtime.web.site import NotFound, tree
from tests.accounts.folders import temporary_folder
from tests.messenger.images import FORMATS, encoded, picture
from tests.messenger.test_avatars import Held
from tests.web.requests import Response, SiteTestCase

LARGE = picture("PNG") + os.urandom(300_000)


class AvatarResourceTests(SiteTestCase):
    """A resource at /avatars/."""

    def setUp(self) -> None:
        """Serve a store with a picture."""
        super().setUp()
        self.directory = temporary_folder(self)
        self.store = AvatarStore(
            self.directory, workers=Held(), clock=self.clock, is_used=lambda address: succeed(True)
        )
        self.serve(tree({PATH: AvatarResource(self.store, self.clock, patience=60)}, NotFound()))
        self.address = self.save(picture("PNG"))

    def save(self, data: bytes) -> str:
        """The address of a picture that is saved."""
        return self.successResultOf(self.store.save(encoded(data), lambda address: succeed("")))

    def get(self, target: str, *headers: str) -> Response:
        """The answer to a request."""
        return self.ask("GET", target, *headers)

    def test_formats(self) -> None:
        """Each with its type and its bytes."""
        for form, kind in FORMATS.items():
            data = picture(form)
            response = self.get(self.save(data))
            self.assertEqual((response.status, response.body), (200, data))
            self.assertEqual(response.headers["content-type"], kind)

    def test_headers(self) -> None:
        """Kept for a year, guessed by nobody, run by nobody, shown on any page."""
        self.assertEqual(
            self.get(self.address).own_headers(),
            {
                "content-type": "image/png",
                "content-length": str(len(picture("PNG"))),
                "etag": f'"{name_of(self.address)}"',
                "cache-control": "public, max-age=31536000, immutable",
                "content-security-policy": "default-src 'none'; sandbox",
                "cross-origin-resource-policy": "cross-origin",
                "x-content-type-options": "nosniff",
            },
        )

    def test_query(self) -> None:
        """A query changes nothing."""
        self.assertEqual(self.get(self.address + "?v=2").body, picture("PNG"))

    def test_head(self) -> None:
        """HEAD is answered as GET is, without the body."""
        response = self.ask("HEAD", self.address)
        self.assertEqual((response.status, response.body), (200, b""))
        self.assertEqual(response.own_headers(), self.get(self.address).own_headers())

    def test_known(self) -> None:
        """Who has it already is told so, and nothing more."""
        tag = f'"{name_of(self.address)}"'
        for known in (tag, f"W/{tag}", f'"other", {tag}', f'"other",{tag}', "*"):
            for method in ("GET", "HEAD"):
                response = self.ask(method, self.address, f"If-None-Match: {known}")
                self.assertEqual((response.status, response.body), (304, b""), known)
                self.assertEqual(response.headers["etag"], tag)
                self.assertNotIn("content-length", response.headers)
        for other in ('"other"', tag.strip('"'), tag.upper(), ""):
            self.assertEqual(self.get(self.address, f"If-None-Match: {other}").status, 200, other)

    def test_not_found(self) -> None:
        """Everything else is not there, known to a client or not."""
        name = name_of(self.address)
        assert name is not None
        for target in (
            "/avatars",
            "/avatars/",
            f"/avatars/{'0' * 64}",
            f"/avatars/{name.upper()}x",
            f"/avatars/{name[:-1]}",
            f"{self.address}/",
            f"{self.address}/x",
            f"{self.address}%0a",
            f"/avatars//{name}",
            f"/avatars/{name[:2]}/{name[2:]}",
            f"/avatars/{name[:2]}%2f{name[2:]}",
            f"/avatars/..%2favatars%2f{name}",
            f"/avatars/../{name}",
            "/avatars/%00",
            "/avatars/%ff%fe",
            f"/avatars/{name[:2]}/.lock",
        ):
            for method in ("GET", "HEAD"):
                response = self.ask(method, target, "If-None-Match: *")
                self.assertEqual(response.status, 404, target)
                self.assertNotIn("cache-control", response.headers)

    def test_other_methods(self) -> None:
        """They can be read, and nothing else, whether they are there or not."""
        for target in (self.address, address_of("0" * 64)):
            for method in ("POST", "PUT", "DELETE", "BREW"):
                response = self.ask(method, target)
                self.assertEqual((response.status, response.headers["allow"]), (405, "GET, HEAD"))

    def test_several_on_one_connection(self) -> None:
        """The connection can be used again, also by one who asks before he has heard."""
        large = self.save(LARGE)
        peer = self.peer()
        peer.write(
            b"".join(f"GET {each} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for each in (large, self.address))
        )
        value = peer.wire.value()
        self.assertIn(LARGE, value)
        self.assertTrue(value.endswith(picture("PNG")))

    def slow(self) -> Any:
        """A client that has asked for the large picture, and takes nothing."""
        self.address = self.save(LARGE)
        peer = self.peer()
        peer.wire.slow = True
        peer.write(f"GET {self.address} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        return peer

    def test_slow(self) -> None:
        """A slow client takes a piece of our memory at a time, and gets everything in the end."""
        peer = self.slow()
        self.assertLess(sum(map(len, peer.wire.unread)), 100_000)
        for _ in range(3):
            self.clock.advance(59)
            peer.wire.read_on()
            peer.wire.slow = True
        peer.wire.read_on()
        self.assertEqual(Response(peer.wire.value()).body, LARGE)

    def test_pieces(self) -> None:
        """What is read at once is one piece, each time that there is room."""
        peer = self.slow()
        taken = 0
        while peer.wire.unread:
            queued = sum(map(len, peer.wire.unread))
            self.assertLess(queued, 66_000)
            taken += queued
            peer.wire.unread.clear()
            peer.wire.producer.resumeProducing()
        self.assertGreaterEqual(taken, len(LARGE))
        peer.wire.slow = False

    def test_takes_nothing(self) -> None:
        """Who takes nothing for a minute is cut, and the file is closed."""
        peer = self.slow()
        self.clock.advance(59)
        self.assertFalse(peer.wire.aborted)
        self.clock.advance(1)
        self.assertTrue(peer.wire.aborted)
        self.clock.advance(0)
        self.assert_nothing_open()

    def test_gone(self) -> None:
        """A client that is gone in the middle leaves no timer and no open file."""
        peer = self.slow()
        peer.go()
        self.assert_nothing_open()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cut_short(self) -> None:
        """A file that ends before its time cuts the connection: the client must not take it for whole."""
        peer = self.slow()
        name = name_of(self.address)
        assert name is not None
        os.truncate(self.directory / name[:2] / name[2:], 100_000)
        peer.wire.read_on()
        self.assertTrue(peer.wire.aborted)
        self.assert_nothing_open()

    def test_removed_meanwhile(self) -> None:
        """A picture that is removed while it is sent is sent to its end."""
        peer = self.slow()
        name = name_of(self.address)
        assert name is not None
        (self.directory / name[:2] / name[2:]).unlink()
        peer.wire.read_on()
        self.assertEqual(Response(peer.wire.value()).body, LARGE)

    def test_nothing_left_open(self) -> None:
        """No answer leaves its file open."""
        for method in ("GET", "HEAD"):
            self.ask(method, self.address)
            self.ask(method, self.address, "If-None-Match: *")
        self.assert_nothing_open()

    def assert_nothing_open(self) -> None:
        """No picture is open."""
        gc.collect()
        links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
        opened = [os.readlink(link) for link in links if os.path.lexists(link)]
        self.assertEqual([path for path in opened if path.startswith(str(self.directory))], [])
