"""``GET /.well-known/jwks.json``: the public key that ``serverData`` is sealed to, as a JSON Web Key Set."""

from __future__ import annotations

from typing import Final

from twisted.web.resource import Resource
from twisted.web.server import Request

from realtime.messenger.sealing_keys import SealingKey, key_set
from realtime.web.sharing import Sharing

PATH: Final = ".well-known/jwks.json"


class KeySetResource(Resource):
    """Shows the public half of ``key``; it may be kept for five minutes, for a server that is set up anew."""

    isLeaf = True

    def __init__(self, key: SealingKey, sharing: Sharing) -> None:
        super().__init__()
        self._keys = key_set(key)
        self._sharing = sharing

    def render(self, request: Request) -> bytes:
        """Answer any method."""
        if request.method == b"OPTIONS":
            return self._sharing.preflight(request, "GET")
        self._sharing.share(request)
        if request.method not in (b"GET", b"HEAD"):
            request.setResponseCode(405)
            request.setHeader("allow", "GET, HEAD")
            return b""
        request.setHeader("content-type", "application/jwk-set+json")
        request.setHeader("cache-control", "public, max-age=300")
        request.setHeader("content-length", str(len(self._keys)))
        request.setHeader("x-content-type-options", "nosniff")
        return self._keys if request.method == b"GET" else b""
