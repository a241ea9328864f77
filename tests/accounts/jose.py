"""Keys and tokens of an issuer, for the tests. Keys are made once, as RSA takes its time."""

import base64
import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

NOW = 1_700_000_000.0
ISSUER = "https://issuer.example/"
AUDIENCE = "chat"


@cache
def rsa_key(name: str = "one", bits: int = 2048) -> rsa.RSAPrivateKey:
    """The RSA key of this name."""
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    """The key on this curve."""
    return ec.generate_private_key(curve())


@cache
def edwards_key() -> ed25519.Ed25519PrivateKey:
    """The Ed25519 key."""
    return ed25519.Ed25519PrivateKey.generate()


def pem(key: PrivateKey) -> bytes:
    """The public half as a PEM text."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def jwk(key: PrivateKey, **members: Any) -> dict[str, Any]:
    """The public half as a JSON Web Key with further members."""
    public = key.public_key()
    converted: dict[str, Any]
    if isinstance(public, rsa.RSAPublicKey):
        converted = RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        converted = ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        converted = OKPAlgorithm.to_jwk(public, as_dict=True)
    converted.pop("key_ops", None)
    return converted | members


def key_set(*members: Any) -> bytes:
    """A JSON Web Key Set."""
    return json.dumps({"keys": members}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    """Claims of a good token; a claim that is changed to None is left out."""
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "subject-7",
        "username": "alice",
        "iat": int(NOW),
        "exp": int(NOW) + 600,
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def token(key: Any, algorithm: str, key_id: str | None = None, /, **changes: Any) -> str:
    """A signed token with `claims`."""
    header = {} if key_id is None else {"kid": key_id}
    payload = json.dumps(claims(**changes)).encode()
    return jwt.PyJWS().encode(payload, key, algorithm, headers=header)


def forged(header: Any, payload: Any, signature: bytes = b"") -> str:
    """A token of any header and payload with any signature."""
    parts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
