"""The places of a request that may hold a token, in their order (common.md, "Accounts and tokens").

The header that the protocol names, the subprotocol list (``bearer, <token>``: the one header that a
browser's WebSocket lets a page fill), the cookie, ``?token=``. The first place that holds a token
decides, whether or not that token turns out valid: a second chance elsewhere would let an attacker
choose which of two identities a request has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from http.cookies import CookieError, SimpleCookie

from realtime.http.origins import OriginPolicy


class TokenPlaces:
    """Finds the token of a request.

    ``headers`` are the protocol's own header names, lower case. ``query_tokens`` says whether an
    address may hold a token; addresses are written to logs and histories by others, so a site that
    needs no browsers may do without.
    """

    def __init__(
        self,
        *,
        headers: Sequence[str] = ("authorization",),
        cookie_name: str = "token",
        query_tokens: bool = True,
        origins: OriginPolicy,
    ) -> None:
        self._headers = tuple(headers)
        self._cookie_name = cookie_name
        self._query_tokens = query_tokens
        self._origins = origins

    def with_header(self, name: str) -> TokenPlaces:
        """Return the same places, with a header of a protocol's own before the others."""
        places = copy(self)
        places._headers = (name, *self._headers)
        return places

    def find(
        self,
        headers: Mapping[str, str],
        query: Mapping[str, Sequence[str]],
        subprotocols: Sequence[str] = (),
    ) -> str | None:
        """Return the token, or ``None``. Header names are lower case."""
        for name in self._headers:
            token = _from_header(headers.get(name, ""))
            if token:
                return token
        if "bearer" in subprotocols[:-1]:
            token = subprotocols[subprotocols.index("bearer") + 1]
            if token:
                return token
        cookie = headers.get("cookie")
        if cookie and self._origins.allows_cookie(headers.get("origin"), headers.get("host")):
            token = _from_cookie(cookie, self._cookie_name)
            if token:
                return token
        if self._query_tokens and query.get("token"):
            return query["token"][0] or None
        return None


def _from_header(value: str) -> str | None:
    """Read ``Bearer x`` or a bare ``x``; any other scheme (``Basic …``) holds no token of ours."""
    words = value.split()
    if len(words) == 1 and words[0].lower() != "bearer":
        return words[0]
    if len(words) == 2 and words[0].lower() == "bearer":
        return words[1]
    return None


def _from_cookie(header: str, name: str) -> str | None:
    # SimpleCookie gives up at the first cookie it can't read; somebody else's cookie on the same
    # host must not hide ours, so each is read alone.
    for part in header.split(";"):
        if part.strip().startswith(f"{name}="):
            try:
                morsel = SimpleCookie(part.strip()).get(name)
            except CookieError:
                continue
            if morsel is not None and morsel.value:
                return morsel.value
    return None
