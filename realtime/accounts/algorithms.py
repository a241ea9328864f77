"""Which JWT algorithms are accepted, and for which kind of key (RFC 7518, section 3.1).

`[auth] algorithms` is one list for both kinds. It is split here, once, when the server starts, and
every later decision takes one half of it: the own secret gets only `symmetric` names, public keys
get only `asymmetric` ones.
"""

from collections.abc import Sequence

SYMMETRIC = ("HS256", "HS384", "HS512")
ASYMMETRIC = (
    *("RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512"),
    "EdDSA",
)


def symmetric(names: Sequence[str]) -> list[str]:
    """The HMAC algorithms among `names`, in their order.

    Raises `ValueError` for a name which is not known (`none` is not), or if there is none left.
    """
    return _chosen(names, SYMMETRIC, "this server's own tokens")


def asymmetric(names: Sequence[str]) -> list[str]:
    """The public key algorithms among `names`, in their order.

    Raises `ValueError` for a name which is not known (`none` is not), or if there is none left.
    """
    return _chosen(names, ASYMMETRIC, "the tokens of an outside issuer")


def _chosen(names: Sequence[str], wanted: Sequence[str], purpose: str) -> list[str]:
    for name in names:
        if name not in SYMMETRIC and name not in ASYMMETRIC:
            raise ValueError(f"auth.algorithms: {name!r} is not an accepted algorithm")
    chosen = [name for name in names if name in wanted]
    if not chosen:
        raise ValueError(f"auth.algorithms: {purpose} need one of {', '.join(wanted)}")
    return chosen
