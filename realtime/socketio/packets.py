"""Socket.IO packets: protocol 5, and what the 2.x clients' protocol 4 has otherwise. Pure.

A packet is the text of one Engine.IO message::

    <type>[<attachments>-][<namespace>,][<acknowledgement id>][<JSON>]

    0/admin,{"token":"t"}      CONNECT     the namespace is left out for "/"
    1/admin,                   DISCONNECT
    213["say",{"text":"hi"}]   EVENT       13: the sender wants an acknowledgement
    313[{"ok":true}]           ACK
    4{"message":"no"}          CONNECT_ERROR, from the server alone
    51-["say",{"_placeholder":true,"num":0}]      BINARY_EVENT, and one binary message behind it
    61-13[{"_placeholder":true,"num":0}]          BINARY_ACK

A 2.x client's CONNECT has no payload, but may have a query in the namespace: ``0/admin?token=t,``.

The head is read first (`Assembler`), the JSON once it is known what it should be: an event's arguments are
decoded straight into the types that its handler asks for (`EventReader`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any, Final, get_args

import msgspec
from msgspec import UNSET, Struct

from realtime.socketio import attachments
from realtime.socketio.engine_packets import Group

RESERVED: Final = frozenset(
    ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
)
"""Names that events can't have: the clients' libraries use them for their own."""


class PacketError(ValueError):
    """What a peer sent is no packet, and the connection can't go on. The text never quotes it."""


class Kind(Enum):
    """What a packet is; the value is its digit."""

    CONNECT = "0"
    DISCONNECT = "1"
    EVENT = "2"
    ACK = "3"
    CONNECT_ERROR = "4"
    BINARY_EVENT = "5"
    BINARY_ACK = "6"


class Limits(Struct, frozen=True):
    """What one packet may have."""

    attachments: int = 10
    """As the reference server has it."""
    total_bytes: int = 1_000_000
    """Of the text and all attachments, which are kept until the last has come."""
    namespace_length: int = 128
    """Characters. Names are chosen by us; a query of a 2.x client counts as well."""
    depth: int = 64
    """Arrays and objects within each other: what has been read must be fit to be written again."""


class Packet(Struct, frozen=True):
    """A packet from a peer, whole, with its JSON not read yet (``""``: it has none).

    ``query`` is what stands behind a ``?`` in a 2.x client's namespace.
    """

    kind: Kind
    namespace: str
    ack_id: int | None
    json: str
    query: str = ""
    attachments: tuple[bytes, ...] = ()


# -- reading ---------------------------------------------------------------------------------------

_HEAD: Final = re.compile(
    r"""([0-6])
        (?: ([0-9]{1,4}) - )?           # attachments
        (?: (/[^,?]*) (?: \?([^,]*) )? (?: , | \Z ) )?
        ([0-9]{1,15})?                  # an acknowledgement's id: a whole number of JavaScript's
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS: Final = {each.value: each for each in Kind}
_WITH_ATTACHMENTS: Final = {Kind.BINARY_EVENT, Kind.BINARY_ACK}
_NEVER_WITH_ID: Final = {Kind.CONNECT, Kind.DISCONNECT}


def _read_head(text: str, limits: Limits, revision: int) -> tuple[Packet, int]:
    """Read a text up to its JSON: the packet, and how many attachments are to come."""
    if text[:3] == '2["':  # what nearly always comes
        return Packet(Kind.EVENT, "/", None, text[1:]), 0
    if text[:2] == "2/":  # or this, in another namespace
        comma = text.find(",", 2, limits.namespace_length + 2)
        if comma > 0 and text[comma + 1 : comma + 3] == '["' and text.find("?", 2, comma) < 0:
            return Packet(Kind.EVENT, text[1:comma], None, text[comma + 1 :]), 0
    head = _HEAD.match(text)
    if head is None:
        raise PacketError("a packet without a type")
    digit, count, namespace, query, number = head.groups()
    kind = _KINDS[digit]
    json = text[head.end() :]
    expected = 0
    if kind in _WITH_ATTACHMENTS:
        expected = int(count or 0)
        if not 0 < expected <= limits.attachments:
            raise PacketError("a number of attachments that can't be")
    elif count is not None:
        raise PacketError("attachments of a packet that has none")
    if kind is Kind.CONNECT_ERROR:
        raise PacketError("a packet that the server alone sends")
    if number is not None and kind in _NEVER_WITH_ID:
        raise PacketError("an acknowledgement of what has none")
    if number is None and kind in (Kind.ACK, Kind.BINARY_ACK):
        raise PacketError("an acknowledgement of nothing")
    if json and (kind is Kind.DISCONNECT or (kind is Kind.CONNECT and revision == 4)):
        raise PacketError("a payload of a packet that has none")
    if len(namespace or "") + len(query or "") > limits.namespace_length:
        raise PacketError("a namespace that is too long")
    if query is not None and revision != 4:
        namespace, query = f"{namespace}?{query}", None
    return Packet(kind, namespace or "/", None if number is None else int(number), json, query or ""), expected


class Assembler:
    """Makes packets of one peer's messages, in the order in which they come.

    ``revision`` is Socket.IO's: 5, or 4 for a 2.x client. Raises `PacketError` for what can't be, after
    which the peer's messages make no sense any more.
    """

    __slots__ = ("_attachments", "_bytes", "_expected", "_limits", "_packet", "_revision")

    def __init__(self, limits: Limits, revision: int = 5) -> None:
        self._limits = limits
        self._revision = revision
        self._packet: Packet | None = None
        self._expected = 0
        self._bytes = 0
        self._attachments: list[bytes] = []

    def add(self, message: str | bytes) -> Packet | None:
        """Take a message; return the packet that is whole with it, if one is."""
        if isinstance(message, str):
            return self._add_text(message)
        if self._packet is None:
            raise PacketError("an attachment of nothing")
        self._bytes += len(message)
        if self._bytes > self._limits.total_bytes:
            raise PacketError("too many bytes")
        self._attachments.append(message)
        if len(self._attachments) < self._expected:
            return None
        packet, self._packet = self._packet, None
        packet = msgspec.structs.replace(packet, attachments=tuple(self._attachments))
        self._attachments.clear()
        return packet

    def _add_text(self, text: str) -> Packet | None:
        if self._packet is not None:
            raise PacketError("a text where an attachment is to come")
        packet, self._expected = _read_head(text, self._limits, self._revision)
        if not self._expected:
            return packet
        self._packet = packet
        self._bytes = len(text)
        if self._bytes > self._limits.total_bytes:
            raise PacketError("too many bytes")
        return None


_NOT_JSON: Final = (ValueError, RecursionError)  # msgspec's errors, and UTF-8's, are of the first
_ALL_BUT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_ALL_ALIKE: Final = bytes.maketrans(b"{}", b"[]")

_read_any = msgspec.json.Decoder().decode
_read_list = msgspec.json.Decoder(list[Any]).decode
_read_object = msgspec.json.Decoder(dict[str, Any]).decode


def _check_depth(json: str, most: int) -> None:
    """Hold well-formed JSON against the limit. Whatever has few brackets can't be deep."""
    if json.count("[") + json.count("{") <= most:
        return
    # What stands in strings goes first, after the quotes that do not end one: backslashes are in strings alone.
    pieces = json.encode().replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
    brackets = b"".join(pieces).translate(_ALL_ALIKE, _ALL_BUT_BRACKETS)
    for _ in range(most):  # each time, the innermost go
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return
    raise PacketError("too deep")


def read_connect(packet: Packet, limits: Limits) -> dict[str, Any] | None:
    """Return the payload of a CONNECT. Raises `PacketError`."""
    if not packet.json:
        return None
    try:
        payload = _read_object(packet.json)
    except _NOT_JSON:
        raise PacketError("not an object") from None
    _check_depth(packet.json, limits.depth)
    return payload


def read_ack(packet: Packet, limits: Limits) -> list[Any]:
    """Return what an acknowledgement brings. Raises `PacketError`."""
    return _read_items(packet, limits)


def _read_items(packet: Packet, limits: Limits) -> list[Any]:
    try:
        items = _read_list(packet.json)
    except _NOT_JSON:
        raise PacketError("not an array") from None
    _check_depth(packet.json, limits.depth)
    if packet.attachments:
        try:
            items = attachments.put_back(items, packet.attachments)
        except attachments.IllegalAttachment as error:
            raise PacketError(str(error)) from None
    return items


class Event(Struct, frozen=True):
    """An event: its name and its arguments.

    ``is_fitting``: the arguments have the types that were asked for. If not, or if none were asked
    for, they are as JSON has them. (A name may be a number, which nobody can ask for.)
    """

    name: str | int
    arguments: tuple[Any, ...]
    is_fitting: bool


class EventReader:
    """Reads events, with the arguments in the types that are asked for by name.

    An argument whose type has None in it may be left out at the end; what a peer sends beyond the arguments
    is ignored.
    """

    def __init__(self, types: Mapping[str, Sequence[Any]], limits: Limits) -> None:
        self._limits = limits
        self._shapes: dict[str, type[Struct]] = {name: _shape(each) for name, each in types.items()}
        self._decoders = {name: msgspec.json.Decoder(shape) for name, shape in self._shapes.items()}

    def read(self, packet: Packet) -> Event:
        """Read an EVENT or a BINARY_EVENT. Raises `PacketError`."""
        json = packet.json
        if not packet.attachments and json[:2] == '["':
            # A name with anything escaped in it goes the long way, and finds its decoder there.
            name = json[2 : json.find('"', 2)]
            decoder = self._decoders.get(name)
            if decoder is not None:
                try:
                    arguments = msgspec.structs.astuple(decoder.decode(json))[1:]
                except _NOT_JSON:
                    pass
                else:
                    _check_depth(json, self._limits.depth)
                    return Event(name, arguments, True)
        return self._read_any(packet)

    def _read_any(self, packet: Packet) -> Event:
        items = _read_items(packet, self._limits)
        name = items[0] if items else None
        if type(name) is not str and type(name) is not int:
            raise PacketError("an event without a name")
        if name in RESERVED:
            raise PacketError("an event with a reserved name")
        shape = self._shapes.get(name) if isinstance(name, str) else None
        if shape is None:
            return Event(name, tuple(items[1:]), True)
        try:
            typed = msgspec.convert(items, shape, builtin_types=(bytes,))
        except _NOT_JSON:
            return Event(name, tuple(items[1:]), False)
        return Event(name, msgspec.structs.astuple(typed)[1:], True)


def _shape(types: Sequence[Any]) -> type[Struct]:
    """Return the type of the array that an event with such arguments is."""
    fields: list[Any] = []
    optional = True
    for number, each in reversed([*enumerate(types)]):
        optional = optional and (each is Any or type(None) in (each, *get_args(each)))
        fields.append((f"argument_{number}", each, None) if optional else (f"argument_{number}", each))
    return msgspec.defstruct("Shape", [("name", str), *reversed(fields)], array_like=True)


# -- writing ---------------------------------------------------------------------------------------

_write = msgspec.json.Encoder().encode


def _head(kind: bytes, namespace: str, ack_id: int | None) -> bytes:
    head = kind if namespace == "/" else _head_elsewhere(kind, namespace)
    return head if ack_id is None else b"%b%d" % (head, ack_id)


@lru_cache
def _head_elsewhere(kind: bytes, namespace: str) -> bytes:
    return b"%b%b," % (kind, namespace.encode())


def event(
    name: str, arguments: Sequence[Any] = (), *, namespace: str = "/", ack_id: int | None = None
) -> Group:
    """Return an event. An argument may be ``msgspec.Raw``: JSON that is written already.

    Raises ``ValueError`` or ``TypeError`` for what JSON can't hold, or for a reserved name.
    """
    if name in RESERVED:
        raise ValueError(f"{name} is a reserved name")
    return _with_items(b"42", b"45", [name, *arguments], namespace, ack_id)


def ack(arguments: Sequence[Any], ack_id: int, *, namespace: str = "/") -> Group:
    """Return an acknowledgement. Raises as `event` does."""
    return _with_items(b"43", b"46", list(arguments), namespace, ack_id)


def _with_items(text: bytes, binary: bytes, items: list[Any], namespace: str, ack_id: int | None) -> Group:
    try:
        if not attachments.holds_binary(items):
            return Group(_head(text, namespace, ack_id) + _write(items))
        taken: list[bytes] = []
        json = _write(attachments.take_out(items, taken))
    except RecursionError:
        raise ValueError("too deep") from None
    return Group(_head(b"%b%d-" % (binary, len(taken)), namespace, ack_id) + json, taken)


def connect(namespace: str, payload: Mapping[str, Any] | None) -> Group:
    """Return the answer to a CONNECT that was accepted; without a payload for a 2.x client."""
    return Group(_head(b"40", namespace, None) + (b"" if payload is None else _write(payload)))


def connect_error(namespace: str, message: str, data: Any = UNSET) -> Group:
    """Return the answer to a CONNECT that was refused."""
    payload = {"message": message} if data is UNSET else {"message": message, "data": data}
    return Group(_head(b"44", namespace, None) + _write(payload))


def connect_error_4(namespace: str, message: str, data: Any = UNSET) -> Group:
    """Return the same for a 2.x client, which gets the data alone, or else the message."""
    return Group(_head(b"44", namespace, None) + _write(message if data is UNSET else data))


def disconnect(namespace: str) -> Group:
    """Return a DISCONNECT."""
    return Group(_head(b"41", namespace, None))
