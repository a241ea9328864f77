"""A path that is for WebSockets, reached through the web site.

That happens in two ways: by a plain request, which is told what to do instead (RFC 9110, section
15.5.22), and by a handshake on a connection that has served other requests before. The front door
looks at a connection's first request only; proxies that keep connections open (nginx with
``keepalive``) may send a handshake as a later one.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.resource import WebSocketResource
from twisted.web.resource import Resource

from realtime.web.site import NotFound
from realtime.websocket.factory import ConnectionFactory


class UpgradeResource(Resource):
    """Hands the connection of a handshake to ``factory``."""

    isLeaf = True

    def __init__(self, factory: ConnectionFactory) -> None:
        super().__init__()
        self._websocket = WebSocketResource(factory)

    def render(self, request: Any) -> bytes | int:
        """Answer 426, or give the connection away."""
        if request.postpath not in ([], [b""]):
            return NotFound().render(request)
        transport = request.channel.transport
        if transport is not None and "websocket" in (request.getHeader("upgrade") or "").lower():
            transport.unregisterProducer()  # it was the channel; a WebSocket registers its own
            result: bytes | int = self._websocket.render(request)
            return result
        request.setResponseCode(426, b"Upgrade Required")
        request.setHeader("upgrade", "websocket")
        request.setHeader("connection", "Upgrade")
        request.setHeader("content-type", "text/plain; charset=utf-8")
        return b"This is a WebSocket: connect with ws:// or wss://.\n"
