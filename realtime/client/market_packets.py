"""Packets of market as a client writes and reads them, in the three forms. Pure.

The server's side is `realtime.market.codec`, which says what the forms are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from realtime.market import messages, opcodes
from realtime.market.codec import Form
from realtime.market.messages import (
    AskConversations,
    ClientMessage,
    Conversation,
    CreateMessage,
    CreateService,
    Ping,
    Pong,
    ReturnConversations,
    ServerMessage,
)
from realtime.market.opcodes import Direction, Opcode

_NAMES: Final[Mapping[str, str]] = {"content": "msg", "temporary_id": "id"}
"""How fields are called on the wire, where it is not their name."""


def encode(form: Form, message: ClientMessage) -> bytes:
    """Return the payload of a frame."""
    opcode = opcodes.of(message)
    body: Any = None if isinstance(message, Pong) else _body(message)
    if form is Form.TEXT:
        return _write_json({"type": opcode, "data": "pong" if body is None else body})
    if body is None:
        return bytes((opcode,))
    return bytes((opcode,)) + (_write_json if form is Form.BINARY else _write_msgpack)(body)


def _body(message: Struct) -> dict[str, Any]:
    """Return the fields that say something: market takes what is left out for what is ``None``."""
    values = {name: getattr(message, name) for name in message.__struct_fields__}
    return {_NAMES.get(name, name): _written(value) for name, value in values.items() if value is not None}


def _written(value: Any) -> Any:
    if isinstance(value, Struct):
        return _body(value)
    return str(value) if isinstance(value, Decimal) else value


_write_json = msgspec.json.Encoder().encode
_write_msgpack = msgspec.msgpack.Encoder().encode


class _Envelope(Struct):
    type: int
    data: Raw = Raw(b"null")


def _decoders(decoder: Callable[[Any], Any]) -> Mapping[int, Callable[[bytes | Raw], Any]]:
    return {
        int(opcode): decoder(opcode.body).decode
        for opcode in Opcode
        if opcode.direction is Direction.TO_CLIENT and opcode is not Opcode.PING
    }


_read_envelope = msgspec.json.Decoder(_Envelope).decode
_read_list = msgspec.json.Decoder(tuple[Conversation, ...]).decode
_of_json = _decoders(msgspec.json.Decoder)
_of_msgpack = _decoders(msgspec.msgpack.Decoder)


def decode(form: Form, payload: bytes) -> ServerMessage:
    """Read a frame's payload. Raises ``ValueError``."""
    if form is Form.TEXT:
        envelope = _read_envelope(payload)
        number, body = envelope.type, envelope.data
        if number == Opcode.RETURN_CONVERSATIONS:
            return ReturnConversations(_read_list(body))
        decoders = _of_json
    else:
        number, body = payload[0] if payload else -1, payload[1:]  # type: ignore[assignment]
        decoders = _of_json if form is Form.BINARY else _of_msgpack
    if number == Opcode.PING:
        return Ping()
    decode_body = decoders.get(number)
    if decode_body is None:
        raise ValueError("no opcode of the server's")
    message: ServerMessage = decode_body(body)
    return message


__all__ = ["AskConversations", "CreateMessage", "CreateService", "Form", "decode", "encode", "messages"]
