"""Plain HTTP requests to a site, in memory."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource

from realtime.web.site import WebSite
from tests.logged import Logged
from tests.websocket.peers import Peer


class Response:
    """An answer, taken apart."""

    def __init__(self, data: bytes) -> None:
        self.head, _, self.body = data.partition(b"\r\n\r\n")
        lines = self.head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.reason = lines[0].split(" ", 2)[2]
        self.headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            assert name.lower() not in self.headers, f"{name} twice"
            self.headers[name.lower()] = value.strip()

    def own_headers(self) -> dict[str, str]:
        """The headers but those that every server puts there."""
        return {name: value for name, value in self.headers.items() if name not in ("server", "date")}


class SiteTestCase(SynchronousTestCase):
    """Asks a site in memory, and keeps what is logged meanwhile."""

    def setUp(self) -> None:
        """Make a clock."""
        self.clock = Clock()
        self.logged = Logged(self)

    def serve(self, root: IResource) -> None:
        """Have a site with this root."""
        self.site = WebSite(root, self.clock)

    def peer(self, address: Any = "192.0.2.1") -> Peer:
        """A client of the site."""
        peer = Peer(self.site, self.clock, address)
        self.addCleanup(peer.go)
        return peer

    def request(
        self, method: str, target: str, *headers: str, body: bytes = b"", address: Any = "192.0.2.1"
    ) -> Peer:
        """A client that has asked for something."""
        peer = self.peer(address)
        lines = [f"{method} {target} HTTP/1.1", "Host: chat.example", *headers]
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        peer.write("\r\n".join([*lines, "", ""]).encode() + body)
        return peer

    def ask(self, method: str, target: str, *headers: str, **more: Any) -> Response:
        """The answer to a request."""
        return Response(self.request(method, target, *headers, **more).wire.value())

    def assert_nothing_logged(self, *parts: str) -> None:
        """No log event holds any of these."""
        self.assertEqual(self.logged.holding(*parts), [])


def as_json(value: object) -> bytes:
    """A body."""
    return json.dumps(value).encode()
