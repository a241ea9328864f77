"""CORS (the Fetch standard): which pages may read an answer. Follows ``[auth] origins``."""

from __future__ import annotations

from twisted.web.server import Request

from realtime.http.origins import OriginPolicy


class Sharing:
    """Puts the CORS headers on an answer.

    The origin is named rather than ``*``, and credentials are not allowed: our tokens come in a header
    or a body, never by themselves.
    """

    def __init__(self, origins: OriginPolicy) -> None:
        self.origins = origins

    def share(self, request: Request) -> bool:
        """Let the page that asked read the answer, if it may; whether there is nothing against it."""
        request.setHeader("vary", "Origin")
        origin = request.getHeader("origin")
        if origin is None:
            return True
        if not self.origins.allows(origin, request.getHeader("host")):
            return False
        request.setHeader("access-control-allow-origin", origin)
        return True

    def preflight(self, request: Request, methods: str) -> bytes:
        """Answer an OPTIONS request with 204."""
        if self.share(request):
            request.setHeader("access-control-allow-methods", methods)
            request.setHeader("access-control-allow-headers", "Authorization, Content-Type")
            request.setHeader("access-control-max-age", "7200")
        request.setResponseCode(204)
        return b""
