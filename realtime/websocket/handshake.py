"""The opening handshake of a connection, as far as a protocol may care."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autobahn.websocket.types import ConnectionRequest

from realtime.http.address import TrustedProxies
from realtime.http.credentials import TokenPlaces
from realtime.http.origins import OriginPolicy


@dataclass(frozen=True, slots=True)
class HandshakePolicy:
    """Whom and what to believe in a handshake."""

    origins: OriginPolicy
    proxies: TrustedProxies
    tokens: TokenPlaces


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client asked for. Header names are lower case; ``token`` is not checked yet.

    ``address`` is the client's own, also behind a trusted proxy.
    """

    path: str
    headers: Mapping[str, str] = field(repr=False)
    query: Mapping[str, Sequence[str]] = field(repr=False)
    subprotocols: tuple[str, ...] = field(repr=False)
    origin: str | None
    address: str
    token: str | None = field(repr=False)

    @classmethod
    def read(cls, request: ConnectionRequest, policy: HandshakePolicy, peer: str) -> Handshake:
        """Read Autobahn's request, which came from ``peer``."""
        headers = request.headers
        return cls(
            path=request.path,
            headers=headers,
            query=request.params,
            subprotocols=tuple(request.protocols),
            origin=request.origin or None,
            address=policy.proxies.client(peer, headers.get("x-forwarded-for")),
            token=policy.tokens.find(headers, request.params, request.protocols),
        )

    def choose_subprotocol(self, own: Sequence[str]) -> str | None:
        """Return the first offered one that is the protocol's own, else ``bearer`` if offered.

        The token beside ``bearer`` is never chosen: it would be sent back in a response header,
        and logged by whoever logs those.
        """
        for name in self.subprotocols:
            if name in own:
                return name
        return "bearer" if "bearer" in self.subprotocols[:-1] else None
