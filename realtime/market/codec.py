"""The three forms of a packet. Pure.

======== ===================== ======================================================= ================
form     frame                 payload                                                 subprotocol
======== ===================== ======================================================= ================
BINARY   binary                opcode byte, then a JSON object or nothing              market.binary
MSGPACK  binary                opcode byte, then a MessagePack map or nothing          market.msgpack
TEXT     text                  ``{"type": <opcode>, "data": <body>}``                  market.json
======== ===================== ======================================================= ================

What the document leaves open, and what was decided:

- A packet is undecodable where no opcode can be told (an empty frame, text that is not an object with a
  whole number of 64 bits as its ``type``), or where the body is not JSON or MessagePack. A body that is,
  but not what its opcode asks for, is a bad request. That holds wherever in the body the fault stands.
- Nothing is read of the body of a packet that a client may not send, nor of a PONG's.
- A body that is left out is an empty object. ASK CONVERSATIONS takes what is no object as that too:
  clients send any text with it.
- ``conv`` beside ``type`` is the conversation where ``data`` names none, for every opcode that has one.
- What is ignored (an unknown key) is not looked into: neither for its UTF-8 nor for its range.
- RETURN CONVERSATIONS is a bare list in the text form, and PING ``{"type":1,"data":"ping"}``, as the
  browser client in the field expects; in the binary forms PING is its opcode alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct

from realtime.market import messages, opcodes
from realtime.market.messages import ClientMessage, Fault, Ping, ReturnConversations, ServerMessage
from realtime.market.opcodes import Direction, Opcode
from realtime.market.reading import SHAPES, meaning


class Form(Enum):
    """A form of packets, by the name of its subprotocol."""

    BINARY = "market.binary"
    MSGPACK = "market.msgpack"
    TEXT = "market.json"

    @property
    def is_binary(self) -> bool:
        """Whether its frames are binary ones."""
        return self is not Form.TEXT


SUBPROTOCOLS: Final = tuple(form.value for form in Form)
"""Those that the server selects, the one it likes best first."""


class Undecodable(Exception):
    """A frame that is no packet."""


class BadPacket(Exception):
    """A packet that can't be obeyed: its opcode is unknown or the server's, or its body is wrong."""

    def __init__(self, opcode: int, fault: Fault) -> None:
        super().__init__(opcode, fault.code)
        self.opcode = opcode
        self.fault = fault


def form_of_frame(subprotocol: str | None, binary: bool) -> Form | None:
    """Return the form of a client's frame, or ``None`` if its subprotocol excludes that kind of frame.

    ``subprotocol`` is the one selected; any but one of `SUBPROTOCOLS` leaves it to the frame.
    """
    if subprotocol not in SUBPROTOCOLS:
        return Form.BINARY if binary else Form.TEXT
    form = Form(subprotocol)
    return form if form.is_binary is binary else None


# -- reading ---------------------------------------------------------------------------------------

_PONG_BYTE: Final = bytes((Opcode.PONG,))
_PONG_TEXT: Final = b'{"type":2,"data":"pong"}'


def is_pong(payload: bytes, binary: bool) -> bool:
    """Whether a frame is a PONG, as nearly every one is that comes; cheap.

    A text that is another way to write it is not seen here, but decoded as :class:`messages.Pong`.
    """
    return payload[:1] == _PONG_BYTE if binary else payload == _PONG_TEXT


class _Envelope(Struct, frozen=True):
    type: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    data: Raw = Raw(b"")
    conv: Raw = Raw(b"")


class _Notation:
    """A way to write a body: how it is decoded, what stands for none, and where an object begins."""

    def __init__(self, decoder: Callable[[Any], Any], empty: bytes, opens: Callable[[bytes], bool]) -> None:
        self.empty = empty
        self.opens = opens
        self.decode_any = decoder(Any)
        self.decode: Mapping[int, Callable[[bytes], Any]] = {
            int(opcode): decoder(SHAPES[opcode.body])
            for opcode in Opcode
            if opcode.direction is Direction.FROM_CLIENT
        }


def _opens_json(body: bytes) -> bool:
    return body.lstrip()[:1] == b"{"


def _opens_msgpack(body: bytes) -> bool:
    return 0x80 <= body[0] <= 0x8F or body[0] in (0xDE, 0xDF)  # fixmap, map 16, map 32


_JSON: Final = _Notation(lambda kind: msgspec.json.Decoder(kind).decode, b"{}", _opens_json)
_MSGPACK: Final = _Notation(lambda kind: msgspec.msgpack.Decoder(kind).decode, b"\x80", _opens_msgpack)

_NULL: Final = b"null"

_read_envelope = msgspec.json.Decoder(_Envelope).decode
_read_fields = msgspec.json.Decoder(dict[str, Raw]).decode


def decode(form: Form, payload: bytes) -> ClientMessage:
    """Read a frame's payload. Raises :class:`Undecodable` and :class:`BadPacket`."""
    if form is Form.TEXT:
        return _decode_text(payload)
    if not payload:
        raise Undecodable
    return _decode_body(_JSON if form is Form.BINARY else _MSGPACK, payload[0], payload[1:])


def _decode_text(payload: bytes) -> ClientMessage:
    try:
        envelope = _read_envelope(payload)
        body = bytes(envelope.data)
        conversation = bytes(envelope.conv)
        if conversation:
            body = _with_conversation(body, conversation)
    except (ValueError, RecursionError):  # of msgspec's errors, and of UTF-8's
        raise Undecodable from None
    return _decode_body(_JSON, envelope.type, body)


def _with_conversation(body: bytes, conversation: bytes) -> bytes:
    """Return a body with the conversation that stands beside it, if it can name one and does not."""
    if body in (b"", _NULL):
        body = _JSON.empty
    elif not _JSON.opens(body):
        return body
    fields = _read_fields(body)
    if bytes(fields.get("conversation", _NULL)) != _NULL:
        return body
    return _write_json({**fields, "conversation": Raw(conversation)})


def _decode_body(notation: _Notation, number: int, body: bytes) -> ClientMessage:
    decode_shape = notation.decode.get(number)
    if decode_shape is None:
        raise BadPacket(number, messages.UNKNOWN_OPCODE)
    if number == Opcode.PONG:
        return messages.Pong()
    if not body or (number == Opcode.ASK_CONVERSATIONS and not notation.opens(body)):
        body = notation.empty
    try:
        return meaning(decode_shape(body))
    except (ValueError, RecursionError):
        if not _is_readable(notation, body):
            raise Undecodable from None
        raise BadPacket(number, messages.BAD_REQUEST) from None


def _is_readable(notation: _Notation, body: bytes) -> bool:
    """Whether a body is JSON, or MessagePack, at all: its shape was found wrong before its end was seen."""
    try:
        notation.decode_any(body)
    except msgspec.ValidationError:
        return True  # a number too large for any type
    except (ValueError, RecursionError):
        return False
    return True


# -- writing ---------------------------------------------------------------------------------------

_write_json = msgspec.json.Encoder().encode
_write_msgpack = msgspec.msgpack.Encoder().encode


def encode(form: Form, message: ServerMessage) -> bytes:
    """Return the payload of a frame, a text or a binary one as the form says."""
    opcode = opcodes.of(message)
    if form is Form.TEXT:
        data: Any = message
        if isinstance(message, Ping):
            data = "ping"
        elif isinstance(message, ReturnConversations):
            data = message.conversations
        return b'{"type":%d,"data":%b}' % (opcode, _write_json(data))
    if isinstance(message, Ping):
        return bytes((opcode,))
    return bytes((opcode,)) + (_write_json if form is Form.BINARY else _write_msgpack)(message)
