"""A server's frames as bytes (RFC 6455, section 5.2): unfragmented, unmasked, uncompressed."""

from __future__ import annotations

import struct

_TEXT = 0x81
_BINARY = 0x82
_PING = 0x89

# Nearly all heads that are ever sent; to look one up is half the price of building it.
_SHORT_TEXT = [bytes((_TEXT, length)) for length in range(126)]

_pack_16 = struct.Struct("!BBH").pack
_pack_64 = struct.Struct("!BBQ").pack


def _frame(first: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        return bytes((first, length)) + payload
    if length < 65536:
        return _pack_16(first, 126, length) + payload
    return _pack_64(first, 127, length) + payload


def text(payload: bytes) -> bytes:
    """Return a text frame; ``payload`` is UTF-8."""
    length = len(payload)
    if length < 126:
        return _SHORT_TEXT[length] + payload
    return _frame(_TEXT, payload)


def binary(payload: bytes) -> bytes:
    """Return a binary frame."""
    return _frame(_BINARY, payload)


def ping(payload: bytes = b"") -> bytes:
    """Return a ping frame; ``payload`` is at most 125 bytes."""
    return _frame(_PING, payload)
