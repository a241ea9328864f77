"""Public keys of an outside issuer, read from a PEM file's text or from a JSON Web Key Set.

Each key knows the algorithms it may be used with. They follow from what the key is, not from what a
token says of itself, so that a key can't be talked into another algorithm (RFC 8725, section 3.1).
Only RSA, elliptic curve and Edwards curve keys exist here. A symmetric key in a set is passed over
like any other that can't verify, for a set must hold keys of kinds unknown to its readers
(RFC 7517, section 5).
"""

from collections.abc import Iterable, Sequence

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

# RFC 7518, section 3.3, asks for 2048 bits. Beyond 8192 a single check takes milliseconds.
_RSA_BITS = range(2048, 8192 + 1)
_RSA_ALGORITHMS = frozenset(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"))
_CURVE_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}

# Issuers publish two or three keys, the largest about twenty.
_MAXIMUM_KEYS = 100
# How many signatures one token may cost, if nothing in it says which of the keys it needs.
_MAXIMUM_CANDIDATES = 4


class VerificationKey(msgspec.Struct, frozen=True):
    """A public key, its `kid` if it has one, and the algorithms it may be used with."""

    key_id: str | None
    algorithms: frozenset[str]
    public: PublicKey


def suitable_keys(
    keys: Iterable[VerificationKey], key_id: str | None, algorithm: str
) -> Sequence[VerificationKey]:
    """Those of `keys` that may verify a token of this `kid` and `alg`, four at most.

    A token without a `kid` may be of any key that suits the algorithm. One with a `kid` is never
    tried with another key.
    """
    suitable = [key for key in keys if algorithm in key.algorithms and (key_id is None or key.key_id == key_id)]
    return suitable[:_MAXIMUM_CANDIDATES]


def parse_pem(pem: bytes) -> VerificationKey:
    """The key in a PEM text. Raises `ValueError`, with one line for the user."""
    try:
        public = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("holds no public key in PEM form") from None
    algorithms = _algorithms_of(public)
    if not algorithms:
        raise ValueError("its key is too short, too long, or of a kind that is not accepted")
    assert isinstance(public, PublicKey)
    return VerificationKey(None, algorithms, public)


def parse_key_set(text: bytes) -> Sequence[VerificationKey]:
    """The usable keys of a JSON Web Key Set, in its order.

    Raises `ValueError`, with one line for the log, if `text` is no key set or has no usable key.
    """
    try:
        key_set = _KEY_SET.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("no JSON Web Key Set") from None
    parsed = (_parse_key(member) for member in key_set.keys[:_MAXIMUM_KEYS])
    keys = [key for key in parsed if key is not None]
    if not keys:
        raise ValueError("a JSON Web Key Set without a usable key")
    return keys


class _KeySet(msgspec.Struct):
    keys: list[msgspec.Raw]


class _Key(msgspec.Struct, omit_defaults=True):
    """What is read of a JSON Web Key: its public part, whatever else it may hold (RFC 7518, 6)."""

    kty: str
    kid: str | None = None
    use: str | None = None
    key_ops: list[str] | None = None
    alg: str | None = None
    n: str | None = None
    e: str | None = None
    crv: str | None = None
    x: str | None = None
    y: str | None = None


_KEY_SET = msgspec.json.Decoder(_KeySet)
_KEY = msgspec.json.Decoder(_Key)
_READERS = {
    "RSA": RSAAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "OKP": OKPAlgorithm.from_jwk,
}


def _parse_key(member: msgspec.Raw) -> VerificationKey | None:
    """The key in one member of a set; None if it can't be read or is not for signatures."""
    try:
        key = _KEY.decode(member)
        read = _READERS.get(key.kty)
        if read is None or key.use not in (None, "sig") or "verify" not in (key.key_ops or ["verify"]):
            return None
        public = read(msgspec.to_builtins(key))
    except (ValueError, RecursionError, jwt.PyJWTError, UnsupportedAlgorithm):
        return None
    algorithms = _algorithms_of(public)
    if key.alg is not None:
        algorithms &= {key.alg}
    if not algorithms or not isinstance(public, PublicKey):
        return None
    return VerificationKey(key.kid, algorithms, public)


def _algorithms_of(public: object) -> frozenset[str]:
    """What a key may be used with; nothing if it is weak, oversized or of another kind."""
    match public:
        case RSAPublicKey() if public.key_size in _RSA_BITS:
            return _RSA_ALGORITHMS
        case EllipticCurvePublicKey() if public.curve.name in _CURVE_ALGORITHMS:
            return frozenset((_CURVE_ALGORITHMS[public.curve.name],))
        case Ed25519PublicKey() | Ed448PublicKey():
            return frozenset(("EdDSA",))
    return frozenset()
