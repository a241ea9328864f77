"""The plain page at ``/``: what this is, and where its protocols are."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from twisted.web.resource import Resource
from twisted.web.server import Request

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>realtime</title>
<h1>realtime is running</h1>
<p>Protocols on this port:</p>
<ul>
{protocols}</ul>
<p>Sign in with <code>POST /v1/auth/</code>.</p>
</html>
"""


class HomeResource(Resource):
    """Lists ``paths``, the WebSocket paths of the port."""

    isLeaf = True

    def __init__(self, paths: Iterable[str]) -> None:
        super().__init__()
        lines = "".join(f"<li>WebSocket <code>{escape(path)}</code></li>\n" for path in paths)
        self._page = _PAGE.format(protocols=lines).encode()

    def render(self, request: Request) -> bytes:
        """Return the page; it can be read, and nothing else."""
        if request.method not in (b"GET", b"HEAD"):
            request.setResponseCode(405)
            request.setHeader("allow", "GET, HEAD")
            return b""
        request.setHeader("content-type", "text/html; charset=utf-8")
        request.setHeader("content-security-policy", "default-src 'none'")
        request.setHeader("x-content-type-options", "nosniff")
        return self._page if request.method == b"GET" else b""
