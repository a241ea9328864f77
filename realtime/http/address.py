"""The client's address behind proxies that are trusted, and behind no others."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network


class TrustedProxies:
    """Addresses and networks whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed.

    Each proxy appends the address it was reached from, so the list is read from its end: the first
    address that is not a trusted proxy's is the client. What stands before it was written by the
    client itself and proves nothing. Raises ``ValueError`` for a text that is no network.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = [ip_network(network, strict=False) for network in networks]

    def trusts(self, address: str) -> bool:
        """Whether ``address`` (a text without port) is one of the proxies."""
        if not self._networks:
            return False
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network for network in self._networks)

    def client(self, peer: str, forwarded_for: str | None) -> str:
        """Return the address to hold responsible for a request that came from ``peer``."""
        if not forwarded_for or not self.trusts(peer):
            return peer
        client = peer
        for entry in reversed(forwarded_for.split(",")):
            try:
                client = str(ip_address(_without_port(entry.strip())))
            except ValueError:
                break  # not an address: the last one that was believed is as far as it goes
            if not self.trusts(client):
                break
        return client

    def is_secure(self, peer: str, forwarded_proto: str | None, *, secure: bool) -> bool:
        """Whether the client's own connection is encrypted; ``secure`` says whether ours is."""
        if forwarded_proto and self.trusts(peer):
            return forwarded_proto.split(",")[-1].strip().lower() in ("https", "wss")
        return secure


def _without_port(entry: str) -> str:
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
