"""What crosses the wire in messenger (document 003; messenger.md), and its codec. Pure.

From the server's side, after the upgrade at ``/messenger`` with the token in the header ``authToken``::

    -> {"type": "AUTH_MESSAGE", "status": "SUCCESS", "serverData": {"userList": [Profile, …]}}
    -> {"type": "USER_CONNECTION_MESSAGE", "serverData": {"connectionStatus": "CONNECT", …Profile}}
    <- {"type": "CHAT_MESSAGE", "serverData": {"message": "Hello"}}
    -> {"type": "CHAT_MESSAGE", "serverData": {"message": "Hello", "sender": "7", "sendTime": "1790000000"}}
    <- {"type": "DIALOG_MESSAGE", "clientData": …, "serverData": {"receiver": "8", "clientMessageId": "a1"}}
    -> {"type": "DELIVERY_MESSAGE", "status": "SUCCESS", "serverData": {"messageId": "12", "receiver": "8", …}}
    -> {"type": "DIALOG_MESSAGE", "clientData": …, "serverData": {"messageId": "12", "sender": "7", …}}
    <- {"type": "SAVE_AVATAR", "serverData": {"imageBase64": "…"}}
    -> {"type": "SAVE_AVATAR", "status": "SUCCESS"}
    <- {"type": "PROFILE", "serverData": {"nickname": "Al"}}                       beyond the document
    <- {"type": "HISTORY", "serverData": {"peer": "8", "before": "12", "limit": 50}}  likewise

What the document leaves open, and what was decided:

- ``clientData`` is relayed byte for byte; it is never looked into, but must be JSON.
- A profile's value that is not known is an empty string: everything drawn as a string is one.
- A text may not hold U+0000, which PostgreSQL can't store, nor half of a surrogate pair: wrong shape.
- ``receiver``, ``peer`` and ``before`` may be numbers: clients in other languages send what they have.
- PROFILE, which the document does not know, is answered as SAVE_AVATAR is; HISTORY with SUCCESS and
  ``messages``, oldest first, each with its id.
- An id that can be no user's (not digits, too large) is an unknown receiver, not a wrong shape.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

LONGEST_MESSAGE: Final = 65_536
"""Bytes of any message but SAVE_AVATAR (messenger.md)."""

LONGEST_PROFILE_TEXT: Final = 255
HISTORY_AT_MOST: Final = 200
HISTORY_USUALLY: Final = 50


class Undecodable(Exception):
    """A frame that is no message of messenger: it is discarded and counted."""


# -- from the client -------------------------------------------------------------------------------


class Authenticate(Struct, frozen=True):
    """AUTH_MESSAGE: a token, and the public key (a JWK) that answers are to be sealed for."""

    token: str
    key: dict[str, Any] | str | None = None


class Say(Struct, frozen=True):
    """CHAT_MESSAGE."""

    message: str


class Send(Struct, frozen=True, rename="camel"):
    """DIALOG_MESSAGE. ``client_data`` is JSON as it came."""

    receiver: Annotated[str, Meta(min_length=1, max_length=64)] | int
    client_message_id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    client_data: str = ""


class SaveAvatar(Struct, frozen=True, rename="camel"):
    """SAVE_AVATAR: a picture as a text, not looked at yet."""

    image_base64: str


class ChangeProfile(Struct, frozen=True, forbid_unknown_fields=False):
    """PROFILE: what is given is changed."""

    nickname: Annotated[str, Meta(min_length=1, max_length=LONGEST_PROFILE_TEXT)] | None = None
    language: Annotated[str, Meta(max_length=LONGEST_PROFILE_TEXT)] | None = None
    status: Annotated[str, Meta(max_length=LONGEST_PROFILE_TEXT)] | None = None


class AskHistory(Struct, frozen=True):
    """HISTORY: the room's, or the dialog with ``peer``; older than message ``before``."""

    peer: Annotated[str, Meta(max_length=64)] | int | None = None
    before: Annotated[str, Meta(max_length=20)] | int | None = None
    limit: Annotated[int, Meta(ge=1)] = HISTORY_USUALLY


ClientMessage = Authenticate | Say | Send | SaveAvatar | ChangeProfile | AskHistory

_SHAPES: Final[dict[str, Any]] = {
    "AUTH_MESSAGE": Authenticate,
    "CHAT_MESSAGE": Say,
    "DIALOG_MESSAGE": Send,
    "SAVE_AVATAR": SaveAvatar,
    "PROFILE": ChangeProfile,
    "HISTORY": AskHistory,
}


class Envelope(Struct, frozen=True, rename="camel"):
    """A message whose ``server_data`` is not looked into yet: it may be sealed."""

    type: str
    server_data: Raw
    client_data: Raw = Raw(b"")

    @property
    def sealed(self) -> str | None:
        """The sealed text that ``server_data`` is, or ``None`` if it is no text."""
        return _text(self.server_data) if bytes(memoryview(self.server_data)[:1]) == b'"' else None


_envelope = msgspec.json.Decoder(Envelope).decode
_text = msgspec.json.Decoder(str).decode
_bodies = {name: msgspec.json.Decoder(shape).decode for name, shape in _SHAPES.items()}


def open_envelope(payload: bytes) -> Envelope:
    """Read a frame. Raises `Undecodable`."""
    try:
        envelope = _envelope(payload)
    except (msgspec.DecodeError, RecursionError):
        raise Undecodable from None
    if envelope.type not in _SHAPES:
        raise Undecodable
    return envelope


def decode(envelope: Envelope, server_data: bytes | Raw) -> ClientMessage:
    """Read what ``server_data`` holds, which is the envelope's own or what it held sealed."""
    try:
        body: ClientMessage = _bodies[envelope.type](server_data)
    except (msgspec.DecodeError, RecursionError):
        raise Undecodable from None
    if isinstance(body, Send):
        if not envelope.client_data:
            raise Undecodable
        body = msgspec.structs.replace(body, client_data=bytes(envelope.client_data).decode())
    if not _is_storable(body):
        raise Undecodable
    return body


def _is_storable(body: ClientMessage) -> bool:
    # A lone surrogate can't come: the decoder refuses it. U+0000 can, as an escape.
    return not any(isinstance(value, str) and "\0" in value for value in msgspec.structs.astuple(body))


def user_id_of(text: str | int) -> int | None:
    """Return the id that a client's text means, or ``None`` if it can be no user's."""
    if isinstance(text, str):
        if not (text.isascii() and text.isdigit() and len(text) <= 10):
            return None
        text = int(text)
    return text if 0 < text < 2**32 else None


# -- from the server -------------------------------------------------------------------------------


class Profile(Struct, frozen=True, rename="camel"):
    """What others are shown of a user."""

    user_id: str
    nickname: str
    avatar: Annotated[str, Meta(description="The picture's address, `/avatars/…`, or empty.")]
    language: str
    status: str
    last_online: Annotated[str, Meta(description="ISO 8601 in UTC.")]
    register_date: Annotated[str, Meta(description="ISO 8601 in UTC.")]


class Said(Struct, frozen=True, rename="camel"):
    """What was said in the room; ``messageId`` in histories only."""

    message: str
    sender: Annotated[str, Meta(description="A user's id.")]
    send_time: Annotated[str, Meta(description="Unix time.")]
    message_id: Annotated[str | UnsetType, Meta(description="In histories only.")] = UNSET


class DialogHead(Struct, frozen=True, rename="camel"):
    """What the server says of a dialog."""

    message_id: Annotated[str, Meta(description="The same if it comes again.")]
    sender: Annotated[str, Meta(description="A user's id.")]
    send_time: Annotated[str, Meta(description="Unix time.")]


class OutcomeBody(Struct, frozen=True, rename="camel"):
    """Which dialog was delivered or was not."""

    message_id: str
    receiver: Annotated[str, Meta(description="A user's id, as it was given.")]
    client_message_id: Annotated[str | UnsetType, Meta(description="If the dialog had one.")] = UNSET


class DialogLine(Struct, frozen=True, rename="camel"):
    """A dialog in a history."""

    message_id: str
    sender: str
    receiver: str
    send_time: str
    client_data: Raw


class History(Struct, frozen=True):
    """What a HISTORY is answered with, oldest first."""

    messages: list[Said] | list[DialogLine]
    peer: str | UnsetType = UNSET


class Connected(Struct, frozen=True, rename="camel"):
    """Somebody came, or changed its profile."""

    connection_status: Literal["CONNECT"]
    user_id: str
    nickname: str
    avatar: str
    language: str
    status: str
    last_online: str
    register_date: str


class Disconnected(Struct, frozen=True, rename="camel"):
    """Somebody went."""

    connection_status: Literal["DISCONNECT"]
    user_id: str


class Error(Struct, frozen=True, rename="camel"):
    """Why something failed."""

    error_code: str
    message: str


ALREADY_CONNECTED: Final = Error("1", "already connected")
TOKEN_INVALID: Final = Error("2", "token missing or not valid")
KEY_NEEDED: Final = Error("3", "a public key is needed")
AVATAR_TOO_LARGE: Final = Error("1", "the picture is too large")
NOT_A_PICTURE: Final = Error("2", "not a PNG, JPEG, GIF or WebP picture")
UNAVAILABLE: Final = Error("3", "temporarily unavailable")

ServerData = Said | DialogHead | OutcomeBody | History | Connected | Disconnected


class ServerMessage(Struct, frozen=True, rename="camel"):
    """A message to a client. ``client_data`` is sent as it is, ``server_data`` as it is or sealed."""

    type: str
    status: Literal["SUCCESS", "ERROR"] | UnsetType = UNSET
    client_data: Raw | UnsetType = UNSET
    server_data: ServerData | str | Raw | UnsetType = UNSET
    error: Error | UnsetType = UNSET


encode = msgspec.json.Encoder().encode
"""Return a message, or what it holds, as JSON."""


def authenticated(profiles: list[Raw]) -> ServerMessage:
    """AUTH_MESSAGE with everybody online, whose profiles are encoded already."""
    user_list = b'{"userList":[' + b",".join(map(bytes, profiles)) + b"]}"
    return ServerMessage("AUTH_MESSAGE", "SUCCESS", server_data=Raw(user_list))


def not_authenticated(error: Error) -> ServerMessage:
    """AUTH_MESSAGE with an error."""
    return ServerMessage("AUTH_MESSAGE", "ERROR", error=error)


def connected(profile: Profile) -> ServerMessage:
    """USER_CONNECTION_MESSAGE CONNECT."""
    body = Connected("CONNECT", *msgspec.structs.astuple(profile))
    return ServerMessage("USER_CONNECTION_MESSAGE", server_data=body)


def disconnected(user_id: int) -> ServerMessage:
    """USER_CONNECTION_MESSAGE DISCONNECT."""
    return ServerMessage("USER_CONNECTION_MESSAGE", server_data=Disconnected("DISCONNECT", str(user_id)))


def delivery(
    message_id: str, receiver: str, client_message_id: str | None, *, is_delivered: bool
) -> ServerMessage:
    """DELIVERY_MESSAGE: what became of a dialog."""
    body = OutcomeBody(message_id, receiver, UNSET if client_message_id is None else client_message_id)
    return ServerMessage("DELIVERY_MESSAGE", "SUCCESS" if is_delivered else "ERROR", server_data=body)


def succeeded(kind: Literal["SAVE_AVATAR", "PROFILE"]) -> ServerMessage:
    """What was asked for is done."""
    return ServerMessage(kind, "SUCCESS")


def failed(kind: Literal["SAVE_AVATAR", "PROFILE", "HISTORY"], error: Error) -> ServerMessage:
    """What was asked for can't be done."""
    return ServerMessage(kind, "ERROR", error=error)


def history(lines: list[Said] | list[DialogLine], peer: str | None) -> ServerMessage:
    """HISTORY: what was asked for."""
    body = History(lines, UNSET if peer is None else peer)
    return ServerMessage("HISTORY", "SUCCESS", server_data=body)


def iso_time(seconds: float | None) -> str:
    """Return a Unix time as ISO 8601 in UTC, to the second; an empty text for none."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


IN_UNIT: Final[dict[str, Callable[[int], str]]] = {
    "seconds": lambda milliseconds: str(milliseconds // 1000),
    "milliseconds": str,
}
"""How ``sendTime`` is written, by the unit that the settings name; from Unix milliseconds."""
