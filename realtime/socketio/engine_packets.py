"""Engine.IO packets as bytes: revision 4 of the protocol, and revision 3 for older clients. Pure.

A packet is a digit, its type, and what belongs to it; a message may be binary. How it crosses the wire:

==================  =================================  ============================================
form                text                               binary (messages alone)
==================  =================================  ============================================
WebSocket           a text message                     a binary message; in revision 3 behind 0x04
polling, 4          packets joined by 0x1E             ``b`` and base64, joined the same way
polling, 3          ``<length>:<packet>``, repeated    ``<length>:b4`` and base64
polling, 3, binary  0x00 length 0xFF packet            0x01 length 0xFF 0x04 and the data
==================  =================================  ============================================

A length of revision 3 counts UTF-16 code units, as a browser's strings do, and bytes in the binary form,
where it is written as one byte for each decimal digit.

What goes out is a `Group`: packets that belong together and stay together. It is built once and knows how it
looks in each form, so that what a thousand clients get is encoded once for each form that they use.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, IntEnum, auto
from typing import Final, NamedTuple

from realtime.websocket import frames

MOST_PACKETS: Final = 10_000
"""Packets of one polling payload: far more than clients gather between two requests, far fewer than fit."""

_LONGEST_LENGTH: Final = 10
"""Digits of a length in revision 3: ten gigabytes; Python refuses to read numbers without end."""


class EngineError(ValueError):
    """What a peer sent is no packet. The text never quotes it."""


class PacketType(Enum):
    """What a packet is; the value is its digit."""

    OPEN = "0"
    CLOSE = "1"
    PING = "2"
    PONG = "3"
    MESSAGE = "4"
    UPGRADE = "5"
    NOOP = "6"


_TYPES: Final = {each.value: each for each in PacketType}  # Enum's own look-up costs ten times as much
_MESSAGE: Final = PacketType.MESSAGE
_BINARY_MESSAGE: Final = b"\x04"  # its type in revision 3


class Packet(NamedTuple):
    """A packet from a peer: ``data`` is text, or the bytes of a binary message."""

    type: PacketType
    data: str | bytes


# -- reading ---------------------------------------------------------------------------------------


def read_text(packet: str) -> Packet:
    """Read a text packet, of whichever revision. Raises `EngineError`."""
    kind = _TYPES.get(packet[:1])
    if kind is None:
        raise EngineError("a packet without a type")
    return Packet(kind, packet[1:])


def read_binary(message: bytes, revision: int) -> Packet:
    """Read a binary message of a WebSocket. Raises `EngineError`."""
    if revision == 3:
        if message[:1] != _BINARY_MESSAGE:
            raise EngineError("a binary packet that is no message")
        message = message[1:]
    return Packet(_MESSAGE, message)


def read_payload(body: bytes, revision: int, *, binary: bool = False) -> Iterator[Packet]:
    """Read the packets of a polling payload, one after the other; ``binary``: the form with bytes as lengths.

    Raises `EngineError` at the first that is wrong: those before it stand. A body that is not UTF-8
    is wrong from its first byte.
    """
    if revision == 3 and binary:
        packets = _read_binary_payload(body)
    else:
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            raise EngineError("not UTF-8") from None
        packets = _read_lengths(text) if revision == 3 else map(_read_polled, text.split("\x1e"))
    for number, packet in enumerate(packets):
        if number == MOST_PACKETS:
            raise EngineError("too many packets")
        yield packet


def _read_polled(packet: str) -> Packet:
    if packet[:1] == "b":
        return Packet(_MESSAGE, _from_base64(packet[1:]))
    return read_text(packet)


def _read_lengths(text: str) -> Iterator[Packet]:
    if not text:
        raise EngineError("an empty payload")
    # In UTF-16 a place is two bytes, whatever stands there: so lengths can be stepped over.
    units = None if text.isascii() else text.encode("utf-16-le")
    place, end = 0, len(text) if units is None else len(units) // 2
    while place < end:
        head = text[place : place + _LONGEST_LENGTH + 1] if units is None else _cut(units, place, None)
        digits, colon, _ = head.partition(":")
        if not colon:
            raise EngineError("a packet without a length")
        length = _length(digits)
        begin = place + len(digits) + 1
        place = begin + length
        if place > end:
            raise EngineError("a packet that is too short")
        packet = text[begin:place] if units is None else _cut(units, begin, place)
        if packet[:1] == "b":
            if packet[:2] != "b4":
                raise EngineError("a binary packet that is no message")
            yield Packet(_MESSAGE, _from_base64(packet[2:]))
        else:
            yield read_text(packet)


def _cut(units: bytes, begin: int, end: int | None) -> str:
    """Return a part of a text in UTF-16; without an ``end``, as much as a length may take."""
    if end is None:
        return units[2 * begin : 2 * (begin + _LONGEST_LENGTH + 1)].decode("utf-16-le", "replace")
    try:
        return units[2 * begin : 2 * end].decode("utf-16-le")
    except UnicodeDecodeError:
        raise EngineError("a length that ends within a character") from None


def _read_binary_payload(body: bytes) -> Iterator[Packet]:
    if not body:
        raise EngineError("an empty payload")
    place = 0
    while place < len(body):
        is_binary = body[place]
        mark = body.find(b"\xff", place + 1, place + _LONGEST_LENGTH + 2)
        if is_binary > 1 or mark < 0:
            raise EngineError("a packet without a length")
        length = _length("".join(map(_digit, body[place + 1 : mark])))
        place = mark + 1 + length
        packet = body[mark + 1 : place]
        if len(packet) < length:
            raise EngineError("a packet that is too short")
        if is_binary:
            yield read_binary(packet, 3)
        else:
            try:
                yield read_text(packet.decode("utf-8"))
            except UnicodeDecodeError:
                raise EngineError("not UTF-8") from None


def _digit(value: int) -> str:
    return str(value) if value <= 9 else "x"


def _length(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_LENGTH):
        raise EngineError("a length that is no number")
    return int(digits)


def _from_base64(text: str) -> bytes:
    if len(text) % 4:
        raise EngineError("not base64")
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # of binascii, and of a text that is not ASCII
        raise EngineError("not base64") from None


# -- writing ---------------------------------------------------------------------------------------


class Form(IntEnum):  # a number, for it is looked up for each packet that is sent
    """How packets are written for one kind of client on one kind of transport."""

    WEBSOCKET_4 = auto()
    WEBSOCKET_3 = auto()
    POLLING_4 = auto()
    POLLING_3 = auto()
    """With base64 for what is binary."""
    POLLING_3_BINARY = auto()


class Group:
    """A text packet and the binary messages behind it, with nothing in between; or one without the other.

    ``text`` is a whole packet in UTF-8, its type included. Nothing is changed once it is built.
    """

    __slots__ = ("_written", "binary", "text")

    def __init__(self, text: bytes | None, binary: Sequence[bytes] = ()) -> None:
        self.text = text
        self.binary = tuple(binary)
        self._written: dict[Form, bytes] = {}

    @property
    def size(self) -> int:
        """Bytes, in whatever form, roughly."""
        return len(self.text or b"") + sum(map(len, self.binary))

    @property
    def packets(self) -> int:
        """How many packets it is."""
        return (self.text is not None) + len(self.binary)

    def written(self, form: Form) -> bytes:
        """Return it in a form: WebSocket frames, or the part of a payload (see `payload`)."""
        written = self._written.get(form)
        if written is None:
            written = self._written[form] = _WRITERS[form](self)
        return written


def message(data: str | bytes) -> Group:
    """Return a message: text or binary."""
    return Group(b"4" + data.encode()) if isinstance(data, str) else Group(None, (data,))


def payload(groups: Iterable[Group], form: Form) -> bytes:
    """Return a polling payload, all of it in one form."""
    return (b"\x1e" if form is Form.POLLING_4 else b"").join([group.written(form) for group in groups])


CLOSE: Final = Group(b"1")
PING: Final = Group(b"2")
PONG: Final = Group(b"3")
PROBE_ANSWER: Final = Group(b"3probe")
NOOP: Final = Group(b"6")


def pong(data: str) -> Group:
    """Return the answer to a ping of revision 3, which gives back what the ping held."""
    return Group(b"3" + data.encode()) if data else PONG


def _websocket_4(group: Group) -> bytes:
    if group.text is not None and not group.binary:  # nearly always
        return frames.text(group.text)
    texts = () if group.text is None else (frames.text(group.text),)
    return b"".join((*texts, *map(frames.binary, group.binary)))


def _websocket_3(group: Group) -> bytes:
    if group.text is not None and not group.binary:
        return frames.text(group.text)
    texts = () if group.text is None else (frames.text(group.text),)
    return b"".join((*texts, *(frames.binary(_BINARY_MESSAGE + data) for data in group.binary)))


def _polling_4(group: Group) -> bytes:
    texts = () if group.text is None else (group.text,)
    return b"\x1e".join((*texts, *(b"b" + _to_base64(data) for data in group.binary)))


def _polling_3(group: Group) -> bytes:
    texts = () if group.text is None else (b"%d:%b" % (_utf16_length(group.text), group.text),)
    encoded = [b"b4" + _to_base64(data) for data in group.binary]
    return b"".join((*texts, *(b"%d:%b" % (len(data), data) for data in encoded)))


def _polling_3_binary(group: Group) -> bytes:
    texts = () if group.text is None else (_with_length(b"\x00", group.text),)
    return b"".join((*texts, *(_with_length(b"\x01", _BINARY_MESSAGE + data) for data in group.binary)))


_WRITERS: Final = {
    Form.WEBSOCKET_4: _websocket_4,
    Form.WEBSOCKET_3: _websocket_3,
    Form.POLLING_4: _polling_4,
    Form.POLLING_3: _polling_3,
    Form.POLLING_3_BINARY: _polling_3_binary,
}


def _utf16_length(text: bytes) -> int:
    return len(text) if text.isascii() else len(text.decode().encode("utf-16-le")) // 2


def _to_base64(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False)


def _with_length(kind: bytes, packet: bytes) -> bytes:
    return kind + bytes(map(int, str(len(packet)))) + b"\xff" + packet
