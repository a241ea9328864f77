"""What crosses the wire in workspace (document 001; workspace.md): events and their payloads. Pure.

From the server's side, in namespace ``/`` at ``/socket.io/``; each event has one argument::

    <- auth             {"transaction": "t1", "data": "<token>", "onlineStatus": "online"}
    -> auth-success     {"transaction": "t1", "userId": "7"}
    <- channel-create   {"transaction": "t2", "name": "general", "isPrivate": false}
    -> channel-created  ChannelModel                          to every member of the workspace
    <- message-send     {"channelId": "3", "text": "Hello", "clientId": "c1"}
    -> message-created  {"id": "12", "channelId": "3", "userId": "7", "text": "Hello", "createdAt": …}
    <- online-status    {"onlineStatus": "idle"}
    -> online-status-updated {"userId": "7", "onlineStatus": "idle"}

and, for any event that fails, one right after the other::

    -> socket-api-error-t2  "Not authenticated"
    -> socket-api-error     {"event": "channel-create", "message": "Not authenticated"}

What the document leaves open, and what was decided:

- ``token`` stands for ``data`` too, as clients in the field write it; other keys are passed over.
- Times are ISO 8601 in UTC. ``createdAt`` and ``created_at`` are written as their events draw them.
- ``channel-create`` may name a ``workspaceId``; without one it is the first workspace.
- A text has 1 to 10 000 characters, and no U+0000, which PostgreSQL can't store.
- ``user-joined`` and ``user-leaved-workspace`` also say where: ``workspaceId``, and ``channelId`` of a channel.
- A transaction that is no text of 1 to 128 characters gets no error of its own, and spoils nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

DEFAULT_WORKSPACE: Final = "default"
LONGEST_TEXT: Final = 10_000
LONGEST_TRANSACTION: Final = 128

INVALID_TOKEN: Final = "Invalid access token"
NOT_AUTHENTICATED: Final = "Not authenticated"
OTHER_USER: Final = "Already authenticated as another user"
TOKEN_EXPIRED: Final = "Token expired"
UNKNOWN_EVENT: Final = "Unknown event"
TOO_MANY_REQUESTS: Final = "Too many requests"
UNAVAILABLE: Final = "Temporarily unavailable"
NOT_FOUND: Final = "Not found"
NOT_ALLOWED: Final = "Not allowed"


def invalid_format(event: str) -> str:
    """Return what is said of an event whose payload is wrong."""
    return f'Invalid data format for "{event}" event'


class OnlineStatus(StrEnum):
    """How present a user wants to look."""

    ONLINE = "online"
    IDLE = "idle"
    OFFLINE = "offline"


# -- from the client -------------------------------------------------------------------------------


class Authenticate(Struct, frozen=True, rename="camel"):
    """``auth``."""

    data: Annotated[str | None, Meta(description="The token.")] = None
    token: Annotated[str | None, Meta(description="An alias of `data`.")] = None
    online_status: OnlineStatus = OnlineStatus.ONLINE


class CreateChannel(Struct, frozen=True, rename="camel"):
    """``channel-create``."""

    name: Annotated[str, Meta(min_length=3, max_length=100)]
    is_private: bool = False
    workspace_id: Annotated[str, Meta(max_length=64)] = DEFAULT_WORKSPACE


class SendMessage(Struct, frozen=True, rename="camel"):
    """``message-send``."""

    channel_id: Annotated[str, Meta(max_length=20)] | int
    text: Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)]
    client_id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None


class SetStatus(Struct, frozen=True, rename="camel"):
    """``online-status``."""

    online_status: OnlineStatus


ClientEvent = Authenticate | CreateChannel | SendMessage | SetStatus

SHAPES: Final[dict[str, Any]] = {
    "auth": Authenticate,
    "channel-create": CreateChannel,
    "message-send": SendMessage,
    "online-status": SetStatus,
}
"""The payload of each event that a client may send."""


class _Transaction(Struct, frozen=True):
    transaction: Any = None


class Malformed(Exception):
    """A payload is not what its event has."""


_transaction = msgspec.json.Decoder(_Transaction).decode
_payloads = {event: msgspec.json.Decoder(shape).decode for event, shape in SHAPES.items()}


def transaction_of(payload: Raw) -> str | None:
    """Return the transaction that a payload names, if it can be the name of one."""
    try:
        transaction = _transaction(payload).transaction
    except (msgspec.DecodeError, RecursionError):
        return None
    if isinstance(transaction, str) and 1 <= len(transaction) <= LONGEST_TRANSACTION:
        return transaction
    return None


def decode(event: str, payload: Raw) -> ClientEvent:
    """Read the payload of an event that is one of `SHAPES`. Raises `Malformed`."""
    try:
        read: ClientEvent = _payloads[event](payload)
    except (msgspec.DecodeError, RecursionError):
        raise Malformed from None
    if any(isinstance(value, str) and "\0" in value for value in msgspec.structs.astuple(read)):
        raise Malformed
    if isinstance(read, Authenticate) and read.data is None and read.token is None:
        raise Malformed
    return read


def id_of(text: str | int) -> int | None:
    """Return the id that a client's text means, or ``None`` if it can be none."""
    if isinstance(text, str):
        if not (text.isascii() and text.isdigit() and len(text) <= 10):
            return None
        text = int(text)
    return text if 0 < text < 2**32 else None


# -- from the server -------------------------------------------------------------------------------


class AuthSuccess(Struct, frozen=True, rename="camel"):
    """``auth-success``."""

    user_id: str
    transaction: Annotated[str | UnsetType, Meta(description="The request's, if it had one.")] = UNSET


class ApiError(Struct, frozen=True):
    """``socket-api-error``."""

    event: Annotated[str, Meta(description="That which failed.")]
    message: Annotated[str, Meta(description="Why.")]


class ErrorReply(Struct, frozen=True):
    """What an acknowledgement holds when the event failed."""

    error: str


class ChannelModel(Struct, frozen=True):
    """A channel; ``created_at`` is ISO 8601."""

    id: str
    name: str
    is_private: bool
    workspace_id: str
    creator_id: Annotated[str, Meta(description="A user's id.")]
    created_at: Annotated[str, Meta(description="ISO 8601 in UTC.")]


class ChannelDeleted(Struct, frozen=True, rename="camel"):
    """``channel-deleted``."""

    channel_id: str


class Message(Struct, frozen=True, rename="camel"):
    """``message-created``, and a message of a history."""

    id: str
    channel_id: str
    user_id: str
    text: str
    created_at: Annotated[str, Meta(description="ISO 8601 in UTC.")]


class Person(Struct, frozen=True):
    """A member as others see it."""

    id: str
    name: str


class UserJoined(Struct, frozen=True, rename="camel"):
    """``user-joined``."""

    user: Person
    workspace_id: str
    channel_id: Annotated[
        str | UnsetType, Meta(description="Of a private channel; else it is the workspace.")
    ] = UNSET


class UserLeft(Struct, frozen=True, rename="camel"):
    """``user-leaved-workspace``."""

    user_id: str
    workspace_id: str
    channel_id: Annotated[
        str | UnsetType, Meta(description="Of a private channel; else it is the workspace.")
    ] = UNSET


class StatusUpdated(Struct, frozen=True, rename="camel"):
    """``online-status-updated``, and what ``online-status`` is acknowledged with."""

    user_id: str
    online_status: OnlineStatus


def iso_time(milliseconds: int) -> str:
    """Return a Unix time as ISO 8601 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
