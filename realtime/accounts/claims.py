"""What is checked of every JWT besides its signature: size, shape and registered claims.

RFC 7519, section 4.1, and RFC 8725 (best current practices). Types are taken as they are written,
nothing is converted: a number in a string is not a time, and `true` is not one second past 1970.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from realtime.accounts.errors import TokenExpired, TokenInvalid

# Real tokens are a few hundred bytes, of some outside issuers a few thousand. The bound keeps what
# can be asked of the parsers and of the key before anything is known of the sender.
MAXIMUM_TOKEN_BYTES = 8192

# Seconds since 1970 in UTC. Beyond 2**53 a number in JSON is no longer exact (RFC 8259, section 6).
NumericDate = Annotated[int, Meta(ge=0, le=2**53)] | Annotated[float, Meta(ge=0.0, le=float(2**53))]


class RegisteredClaims(msgspec.Struct, frozen=True):
    """The claims that mean the same in every token."""

    exp: NumericDate
    nbf: NumericDate = 0
    aud: str | list[str] | None = None


def check_size(token: str) -> None:
    """Refuse what no parser needs to look at; what passes is ASCII and of a bounded length."""
    if len(token) > MAXIMUM_TOKEN_BYTES:
        raise TokenInvalid("too long")
    if not token.isascii():
        raise TokenInvalid("not ASCII")


def check_claims(claims: RegisteredClaims, *, audience: str, leeway: float, now: float) -> None:
    """Refuse a token which is not for `audience`, or not for this moment give or take `leeway`.

    An empty `audience` stands for a server that has no name as an audience; a token that names one
    is then meant for somebody else (RFC 7519, section 4.1.3).
    """
    audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud or []
    if audience not in audiences and (audience or audiences):
        raise TokenInvalid("wrong audience")
    if claims.nbf - leeway > now:
        raise TokenInvalid("not valid yet")
    if claims.exp + leeway <= now:
        raise TokenExpired("expired")
