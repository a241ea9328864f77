"""What a client may send, for tests that compare: streams of good and damaged frames, cut anywhere.

All choices are made by a ``random.Random``, so a seed gives the same stream again, and hypothesis can make
the choices (and shrink them) with ``st.randoms``.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from tests.websocket.peers import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    client_frame,
    handshake_request,
)

GOODBYE = b"goodbye"
"""A message that begins with this makes the application close the connection."""

OFFER = "Sec-WebSocket-Extensions: permessage-deflate"

_BAD_UTF8 = (
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"ab\xe2\x82",
    b"\x80",
    b"\xf0\x9f\x98",
)
_LETTERS = ("", "a", "hello", "é", "€", "\U0001f600", "\0", "\ufffe", '{"id": 1}', GOODBYE.decode())
_LENGTHS = (
    0,
    1,
    2,
    7,
    100,
    124,
    125,
    126,
    127,
    128,
    300,
    999,
    1000,
    1001,
    1499,
    1500,
    1501,
    3000,
    65535,
    65536,
)
_CODES = (
    *(0, 1, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014),
    *(1015, 1016, 1100, 2000, 2999, 3000, 3999, 4000, 4999, 5000, 65535),
)


class Case(NamedTuple):
    """What a client sends, piece by piece, to servers that take messages of ``longest`` bytes."""

    longest: int
    compressed: bool
    pieces: Sequence[bytes]


def case(random: Random, *, compression: bool = False) -> Case:
    """Return any case, its handshake among its pieces."""
    longest = random.choice((125, 1000, 2000, 70_000))
    compressed = compression and random.random() < 0.8
    data = handshake_request("/support", [OFFER] if compressed else [])
    kinds = _ORDINARY * 6 + _DAMAGED if random.random() < 0.7 else _ORDINARY
    if compressed:
        kinds = (*kinds, *_COMPRESSED * 3)
    for _ in range(random.randint(1, 8)):
        data += random.choice(kinds)(random)
    if random.random() < 0.1:
        data = data[: -random.randint(1, 20)]
    return Case(longest, compressed, cut(random, data))


def cut(random: Random, data: bytes) -> list[bytes]:
    """Cut ``data`` anywhere: not at all, at every byte, or in a few places."""
    how = random.random()
    if how < 0.15:
        return [data]
    if how < 0.25 and len(data) < 600:
        return [data[i : i + 1] for i in range(len(data))]
    places = sorted({0, len(data), *(random.randrange(len(data)) for _ in range(random.randint(1, 12)))})
    return [data[begin:end] for begin, end in itertools.pairwise(places)]


# -- payloads --------------------------------------------------------------------------------------


def _mask(random: Random) -> bytes:
    return random.choice((bytes(4), b"\x01\x02\x03\x04", random.getrandbits(32).to_bytes(4, "big")))


def _text(random: Random) -> bytes:
    text = "".join(random.choice(_LETTERS) for _ in range(random.randint(0, 4)))
    return (text * random.choice((1, 1, 1, 1, 10, 60, 300))).encode()


def _binary(random: Random) -> bytes:
    return bytes([random.randrange(256)]) * random.choice(_LENGTHS)


def _small(random: Random) -> bytes:
    return random.choice((b"", b"x", b"\xff\xfe", bytes(124), bytes(125)))


# -- ordinary frames -------------------------------------------------------------------------------


def _whole_text(random: Random) -> bytes:
    return client_frame(TEXT, _text(random), mask=_mask(random))


def _whole_binary(random: Random) -> bytes:
    return client_frame(BINARY, _binary(random), mask=_mask(random))


def _ping(random: Random) -> bytes:
    return client_frame(PING, _small(random), mask=_mask(random))


def _pong(random: Random) -> bytes:
    return client_frame(PONG, _small(random), mask=_mask(random))


def _several(random: Random) -> bytes:
    return b"".join(_whole_text(random) for _ in range(random.randint(2, 5)))


def _fragments(
    random: Random, opcode: int, payload: bytes, between: Sequence[Callable[[Random], bytes]], first: int = 0
) -> bytes:
    parts = cut(random, payload) if payload else [b""]
    parts = parts[:6] + ([b"".join(parts[6:])] if parts[6:] else [])
    data = b""
    for number, part in enumerate(parts):
        frame = client_frame(opcode, part, final=number == len(parts) - 1, mask=_mask(random))
        data += bytes([frame[0] | first]) + frame[1:]
        opcode, first = CONTINUATION, 0
        if random.random() < 0.4:
            data += random.choice(between)(random)
    return data


def _fragmented(random: Random) -> bytes:
    payload = random.choice((_text, _binary))
    return _fragments(random, TEXT if payload is _text else BINARY, payload(random), (_ping, _pong))


def _close(random: Random) -> bytes:
    return client_frame(CLOSE, random.choice((b"", b"\x03\xe8", b"\x03\xe9bye", b"\x0f\xa0\xe2\x82\xac")))


_ORDINARY = (_whole_text, _whole_text, _whole_binary, _ping, _pong, _several, _fragmented, _fragmented, _close)

# -- damaged frames --------------------------------------------------------------------------------


def _reserved_bits(random: Random) -> bytes:
    frame = client_frame(random.choice((TEXT, BINARY, CLOSE, PING, PONG)), _small(random))
    return bytes([frame[0] | random.randint(1, 7) << 4]) + frame[1:]


def _any_head(random: Random) -> bytes:
    return client_frame(random.randrange(16), _small(random), final=random.random() < 0.5)


def _unmasked(random: Random) -> bytes:
    return bytes([0x80 | random.choice((TEXT, BINARY, PING, CLOSE)), 2]) + b"\x03\xe8"


def _long_way(random: Random) -> bytes:
    """A length not in its shortest form, or beyond what a length may be."""
    length = random.choice((0, 5, 125, 126, 65535))
    head = bytes([0x80 | random.choice((TEXT, BINARY, PING))])
    if length < 126 and random.random() < 0.5:
        return head + b"\xfe" + struct.pack("!H", length) + bytes(4 + length)
    if random.random() < 0.3:
        return head + b"\xff" + struct.pack("!Q", 2**63 + length) + bytes(4 + length)
    return head + b"\xff" + struct.pack("!Q", length) + bytes(4 + length)


def _long_control(random: Random) -> bytes:
    return client_frame(random.choice((CLOSE, PING, PONG)), bytes(random.choice((126, 200, 66_000))))


def _fragmented_control(random: Random) -> bytes:
    return client_frame(random.choice((CLOSE, PING, PONG)), _small(random), final=False)


def _bad_text(random: Random) -> bytes:
    payload = _text(random) + random.choice(_BAD_UTF8) + random.choice((b"", b"tail"))
    return client_frame(TEXT, payload, mask=_mask(random))


def _bad_fragmented_text(random: Random) -> bytes:
    payload = _text(random) + random.choice(_BAD_UTF8) + _text(random)
    return _fragments(random, TEXT, payload, (_ping, _close))


def _badly_fragmented(random: Random) -> bytes:
    return _fragments(
        random, random.choice((TEXT, BINARY, CONTINUATION)), b"some text", (_whole_text, _any_head)
    )


def _too_large(random: Random) -> bytes:
    return client_frame(random.choice((TEXT, BINARY)), b"x" * random.choice((126, 1001, 2001, 70_001)))


def _claims_much(random: Random) -> bytes:
    return (
        bytes([0x80 | random.choice((TEXT, BINARY))]) + b"\xff" + struct.pack("!Q", 2**40) + b"mask" + b"part"
    )


def _odd_close(random: Random) -> bytes:
    reason = random.choice((b"", b"bye", *_BAD_UTF8, bytes(123)))
    code = struct.pack("!H", random.choice(_CODES))
    return client_frame(CLOSE, random.choice((code + reason, code, b"x")), mask=_mask(random))


def _garbage(random: Random) -> bytes:
    return random.getrandbits(80).to_bytes(10, "big")


_DAMAGED = (
    *(_reserved_bits, _any_head, _unmasked, _long_way, _long_control, _fragmented_control, _bad_text),
    *(_bad_fragmented_text, _badly_fragmented, _too_large, _claims_much, _odd_close, _odd_close, _garbage),
)

# -- compressed frames -----------------------------------------------------------------------------

_COMPRESSED_BIT = 0x40


def deflated(payload: bytes, *, bits: int = 11) -> bytes:
    """Compress one message that refers to no other (RFC 7692, section 7.2.1)."""
    compressor = zlib.compressobj(wbits=-bits)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _compressed(random: Random) -> bytes:
    opcode, payload = random.choice(((TEXT, _text(random)), (BINARY, _binary(random))))
    return _fragments(random, opcode, deflated(payload), (_ping, _pong), _COMPRESSED_BIT)


def _bomb(random: Random) -> bytes:
    return _fragments(
        random, BINARY, deflated(bytes(random.choice((2_001, 100_000)))), (_ping,), _COMPRESSED_BIT
    )


def _corrupt(random: Random) -> bytes:
    payload = bytearray(deflated(b"hello, hello, hello" + _text(random)))
    payload[random.randrange(len(payload))] ^= 1 << random.randrange(8)
    return _fragments(random, TEXT, bytes(payload), (_ping,), _COMPRESSED_BIT)


_COMPRESSED = (_compressed, _compressed, _compressed, _bomb, _corrupt)
