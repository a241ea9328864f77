"""The key pair that clients seal ``serverData`` to: a P-256 key, made once and kept in the state directory.

The file is a private JSON Web Key (RFC 7517). It is made at most once, however many processes start at the same
moment (`realtime.files.create`), and all of them read it. Its ``kid`` is its thumbprint (RFC 7638), so that the
same key always has the same name.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Final, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct
from twisted.logger import Logger

from realtime import files

FILE_NAME: Final = "messenger-sealing-key.json"

_COORDINATE = 32  # bytes; RFC 7518, section 6.2.1.2

_log = Logger()


class SealingKey(Struct, frozen=True, kw_only=True):
    """A private P-256 key as a JSON Web Key; numbers are base64url of 32 bytes each."""

    kty: Literal["EC"] = "EC"
    crv: Literal["P-256"] = "P-256"
    x: str
    y: str
    d: str

    @property
    def kid(self) -> str:
        """The key's name: its thumbprint."""
        public = f'{{"crv":"{self.crv}","kty":"{self.kty}","x":"{self.x}","y":"{self.y}"}}'
        return _encoded(hashlib.sha256(public.encode()).digest())

    def public(self) -> dict[str, str]:
        """Return the public half, as a JSON Web Key."""
        return {
            "kty": self.kty,
            "crv": self.crv,
            "x": self.x,
            "y": self.y,
            "use": "enc",
            "alg": "ECDH-ES",
            "kid": self.kid,
        }


def key_set(key: SealingKey) -> bytes:
    """Return the JSON Web Key Set that is published."""
    return msgspec.json.encode({"keys": [key.public()]})


def load_sealing_key(state_dir: Path) -> SealingKey:
    """Return the key in ``state_dir``, which is made on the first call (mode 0600).

    Raises `ValueError`, with one line for the user, if it can't be had or is no private P-256 key.
    """
    path = state_dir / FILE_NAME
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.create(path, msgspec.json.encode(make_sealing_key()) + b"\n")
        if path.stat().st_mode & 0o077:
            _log.warn("messenger: others than its owner may read {path}", path=str(path))
        text = path.read_bytes()
    except OSError as error:
        raise ValueError(f"state_dir: {path} cannot be used: {error.strerror}") from error
    try:
        return _checked(msgspec.json.decode(text, type=SealingKey))
    except (ValueError, msgspec.MsgspecError, RecursionError):
        raise ValueError(f"state_dir: {path} holds no private P-256 key as a JSON Web Key") from None


def make_sealing_key() -> SealingKey:
    """Return a new key."""
    numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    public = numbers.public_numbers
    x, y, d = (_encoded(number.to_bytes(_COORDINATE)) for number in (public.x, public.y, numbers.private_value))
    return SealingKey(x=x, y=y, d=d)


def _checked(key: SealingKey) -> SealingKey:
    """Return the key if its numbers belong together; raises `ValueError`."""
    x, y, d = (int.from_bytes(_decoded(text)) for text in (key.x, key.y, key.d))
    ec.EllipticCurvePrivateNumbers(d, ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1())).private_key()
    return key


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    data = urlsafe_b64decode(text + "=")
    if _encoded(data) != text or len(data) != _COORDINATE:
        raise ValueError("not 32 bytes in base64url")
    return data
