"""Which web pages may talk to the server: the Origin of a request, judged (RFC 6454)."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class OriginPolicy:
    """The ``[auth] origins`` setting.

    ``"*"`` lets every page connect; but a *cookie*, which a browser sends along whatever page asked
    for the connection, counts only where the page is known: no Origin at all (not a browser), the
    server's own host, or an origin that is listed literally.
    """

    def __init__(self, origins: Iterable[str] = ("*",)) -> None:
        listed = {origin.rstrip("/").lower() for origin in origins}
        self._any = "*" in listed
        self._listed = listed - {"*"}

    def allows(self, origin: str | None, host: str | None) -> bool:
        """Whether a page of ``origin`` may connect or read an answer at all."""
        return self._any or self.allows_cookie(origin, host)

    def allows_cookie(self, origin: str | None, host: str | None) -> bool:
        """Whether a cookie that came with a request of a page of ``origin`` counts."""
        if not origin:
            return True
        origin = origin.lower()
        return origin in self._listed or _is_own(origin, host)


def _is_own(origin: str, host: str | None) -> bool:
    if not host:
        return False
    try:
        parts = urlsplit(origin)
    except ValueError:  # brackets without an address in them
        return False
    port = _DEFAULT_PORTS.get(parts.scheme, "")
    return bool(port) and parts.netloc.removesuffix(port) == host.lower().removesuffix(port)
