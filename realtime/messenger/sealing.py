"""Sealed values: ``serverData`` as a JWE in compact form (RFC 7516), which only its receiver can open.

The one form there is: ``ECDH-ES``, the key agreed on directly, with ``A256GCM``. On the way in it is sealed to
the server's P-256 key, on the way out to the key that the client names, on P-256 or X25519. A sealed value
proves nothing about who sealed it: that is what tokens are for.

What a header may ask for beyond that is refused before any work is done for it: other algorithms (RFC 8725,
section 3.1), compression, under which a few bytes may be gigabytes, and extensions that must be understood.

The work is joserfc's, an extra of the package: it is imported by who makes a `Sealer`, and nobody else.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from binascii import Error
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import msgspec
from msgspec import Struct

from realtime.messenger.sealing_keys import SealingKey

if TYPE_CHECKING:
    from joserfc.jwe import JWERegistry
    from joserfc.jwk import ECKey, OKPKey

SEALED_BYTES: Final = 4_194_304
"""Longest sealed text: as long as a message may be. One with a picture has 940 KB."""

_ALGORITHM: Final = "ECDH-ES"
_ENCRYPTION: Final = "A256GCM"

_LONGEST_NAMED_KEY = 4096  # characters; one of ours takes 300 in base64url
_LONGEST_KEY_ID = 256
_LONGEST_HEADER = 2048  # characters in base64url


class NotOpened(Exception):
    """A sealed value is broken, was tampered with, is meant for another key, or asks for what is refused."""


class _EphemeralKey(Struct):
    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: str
    y: str
    d: None = None


class _Header(Struct):
    """What is looked at of a header. Members that are not known are passed over (RFC 7516, section 4)."""

    alg: Literal["ECDH-ES"]
    enc: Literal["A256GCM"]
    epk: _EphemeralKey
    zip: None = None
    crit: None = None


class _NamedKey(Struct):
    """What is looked at of a client's key. Browsers' ``key_ops`` of a public key are empty, and say nothing."""

    kty: str
    crv: str
    x: str
    y: str | None = None
    kid: str | None = None
    use: str | None = None
    alg: str | None = None
    d: msgspec.Raw | None = None


_HEADER = msgspec.json.Decoder(_Header)
_NAMED_KEY = msgspec.json.Decoder(_NamedKey)


class Sealer:
    """Opens what was sealed to the server's key: texts of up to ``most`` characters.

    Raises `ValueError`, with one line for the user, if joserfc is not installed.
    """

    def __init__(self, key: SealingKey, most: int = SEALED_BYTES) -> None:
        self._registry = _registry(most)
        from joserfc import jwe
        from joserfc.jwk import ECKey

        self._decrypt = jwe.decrypt_compact
        self._key = ECKey.import_key(msgspec.to_builtins(key))
        self._most = most

    def open(self, text: str) -> bytes:
        """Return what is sealed in ``text``. Raises `NotOpened`, whatever is wrong."""
        if len(text) > self._most:
            raise NotOpened("too long")
        header, dot, _ = text.partition(".")
        if not dot or len(header) > _LONGEST_HEADER:
            raise NotOpened("no sealed value")
        try:
            _HEADER.decode(_from_base64url(header))
            plaintext = self._decrypt(text, self._key, registry=self._registry).plaintext
        except Exception:  # cryptography and joserfc have a dozen ways to say no, each with its own class
            raise NotOpened("cannot be opened") from None
        assert plaintext is not None
        return plaintext


class ClientKey:
    """A public key that a client has named, to seal to. Made by `parse`."""

    __slots__ = ("_header", "_key", "_registry")

    def __init__(self, key: ECKey | OKPKey, header: Mapping[str, str], registry: JWERegistry) -> None:
        self._key = key
        self._header = header
        self._registry = registry

    @classmethod
    def parse(cls, named: str | bytes | Mapping[str, Any]) -> Self:
        """Read a public JSON Web Key: an object, or its JSON text, or that in base64url.

        Raises `ValueError`, with one line for the client, if it is no P-256 or X25519 key, is meant for
        something else, or holds its private half: that is the client's own, and known to too many already.
        Of what is kept no part is the client's words but ``kid``, which goes back with each sealed value.
        """
        key = _read(named)
        if key.d is not None:
            raise ValueError("The key holds its private half. Make another, and name its public half.")
        if key.use not in (None, "enc") or key.alg not in (None, _ALGORITHM):
            raise ValueError("The key is meant for something else than ECDH-ES.")
        if key.kid is not None and len(key.kid) > _LONGEST_KEY_ID:
            raise ValueError("The key's kid is too long.")
        header = {"alg": _ALGORITHM, "enc": _ENCRYPTION}
        if key.kid is not None:
            header["kid"] = key.kid
        registry = _registry(SEALED_BYTES)
        try:
            parsed = cls(_imported(key), header, registry)
            # Some points of X25519 agree with every key on zero. That shows when they are used.
            parsed.seal(b"")
        except Exception:
            raise ValueError("The key is no public key on P-256 or X25519.") from None
        return parsed

    def seal(self, plaintext: bytes) -> str:
        """Return ``plaintext`` as only the client can read it, each time with another key."""
        from joserfc import jwe

        return jwe.encrypt_compact(dict(self._header), plaintext, self._key, registry=self._registry)


@cache
def _registry(most: int) -> JWERegistry:
    """Return the rules that joserfc is under."""
    try:
        from joserfc.jwe import JWERegistry
    except ImportError:
        raise ValueError(
            "messenger.sealing: needs joserfc, which is not installed: pip install 'txrealtime[sealing]'"
        ) from None
    registry = JWERegistry(algorithms=(_ALGORITHM, _ENCRYPTION), strict_check_header=False)
    registry.max_ciphertext_length = most
    registry.max_protected_header_length = _LONGEST_HEADER
    return registry


def _read(named: str | bytes | Mapping[str, Any]) -> _NamedKey:
    try:
        if isinstance(named, Mapping):
            return msgspec.convert(named, _NamedKey)
        text = named.encode("ascii") if isinstance(named, str) else named
        if len(text) > _LONGEST_NAMED_KEY:
            raise ValueError("The key is too long.")
        text = text.strip()
        return _NAMED_KEY.decode(text if text.startswith(b"{") else _from_base64url(text.decode("ascii")))
    except (msgspec.MsgspecError, UnicodeError, Error, RecursionError):
        raise ValueError("The key is no JSON Web Key.") from None


def _imported(key: _NamedKey) -> ECKey | OKPKey:
    from joserfc.jwk import ECKey, OKPKey

    match key:
        case _NamedKey(kty="EC", crv="P-256", y=str(y)):
            return ECKey.import_key({"kty": "EC", "crv": "P-256", "x": key.x, "y": y})
        case _NamedKey(kty="OKP", crv="X25519"):
            return OKPKey.import_key({"kty": "OKP", "crv": "X25519", "x": key.x})
    raise ValueError("another curve")


def _from_base64url(text: str) -> bytes:
    return urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
