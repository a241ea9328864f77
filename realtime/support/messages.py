"""What crosses the wire in support (document 004; support.md), and its codec. Pure.

From the server's side, after the upgrade at ``/support``::

    <- {"method": "message.auth", "params": ["<token>"], "id": 1}
    -> {"error": null, "result": {"messages": [Message, …]}, "id": 1}   null if there are none
    <- {"method": "message.send", "params": ["Hello"], "id": 2}
    -> {"error": null, "result": {"message": Message}, "id": 2}
    -> {"error": null, "result": {"message": Message}, "id": null}      a push: somebody else wrote

and, for operators::

    <- {"method": "message.operatorSend", "params": ["Hi"], "id": 3}          the current conversation
    <- {"method": "message.operatorSend", "params": ["Hi", 7], "id": 4}       customer 7's
    <- {"method": "message.history", "params": [7, 120, 50], "id": 5}         older than message 120
    <- {"method": "message.conversations", "params": [], "id": 6}
    <- {"method": "message.assign", "params": [7], "id": 7}                   take it
    <- {"method": "message.release", "params": [7], "id": 8}                  give it back
    <- {"method": "message.seen", "params": [7], "id": 9}
    -> {"error": {"code": 2, "message": "No conversation."}, "result": null, "id": 3}

What the document leaves open, and what was decided:

- The id of a reply is the request's, byte for byte; a request without one is answered with null.
  Only a JSON scalar can be an id: a list or an object is a parse error.
- Parameters are exactly as many, and exactly of the types, that a method names: ``true`` is no
  number. Optional ones may be left out from the end, or be null.
- A message may not hold U+0000, which PostgreSQL can't store: incorrect argument, on all databases.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct

LONGEST_MESSAGE: Final = 10_000
"""Characters of a message. (In UTF-8 that is at most 40 000 bytes: a TEXT holds 65 535.)"""

MESSAGES_AT_ONCE: Final = 1_000
"""The newest messages that an authentication is answered with, and the most of one history reply."""

NULL: Final = Raw(b"null")


class Message(Struct, frozen=True):
    """A message as its customer sees it. ``created`` is in Unix seconds."""

    message_id: int
    message_text: str
    invader_name: Annotated[str, Meta(description="The operator's name; empty if the customer said it.")]
    is_from_support: bool
    created: Annotated[int, Meta(description="Unix seconds.")]


class OperatorMessage(Message, frozen=True):
    """A message as operators see it: with whose conversation it belongs to."""

    user_id: Annotated[int, Meta(description="The customer's.")]
    user_name: Annotated[str, Meta(description="The customer's.")]


class Conversation(Struct, frozen=True):
    """A line of an operator's list. ``unread`` counts the customer's messages not marked as seen."""

    user_id: int
    user_name: str
    last_message: Message
    unread: Annotated[int, Meta(description="How many of the customer's messages are not marked as seen.")]
    assigned_to: Annotated[int | None, Meta(description="The operator who has taken it.")]


class Error(Struct, frozen=True):
    """The one kind of error the protocol has."""

    code: Annotated[int, Meta(description="For programs.")]
    message: Annotated[str, Meta(description="For people.")]


INCORRECT_ARGUMENT: Final = Error(1, "Incorrect argument.")
NO_CONVERSATION: Final = Error(2, "No conversation.")
PERMISSION_DENIED: Final = Error(3, "Permission denied.")
UNKNOWN_METHOD: Final = Error(4, "Unknown method.")
PARSE_ERROR: Final = Error(5, "Parse error.")
TOO_MANY_REQUESTS: Final = Error(6, "Too many requests.")
TEMPORARILY_UNAVAILABLE: Final = Error(7, "Temporarily unavailable.")


class ParseError(Exception):
    """A frame that is no request: not JSON, not an object, or with an id that is no scalar."""


class Request(Struct, frozen=True):
    """A request. Nothing but the id is checked yet: what is wrong is answered with that id."""

    method: Any = None
    params: Any = None
    id: Raw = NULL


class _Answer(Struct, frozen=True):
    error: Error | None
    result: Any
    id: Raw | int | None


_request = msgspec.json.Decoder(Request)
_encode = msgspec.json.Encoder().encode


def decode(payload: bytes) -> Request:
    """Read a frame. Raises :class:`ParseError`."""
    try:
        request = _request.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        raise ParseError from None
    if bytes(request.id)[:1] in (b"{", b"["):
        raise ParseError
    return request


def encode_result(result: Any, request_id: Raw) -> bytes:
    """Return the answer to a request that succeeded."""
    return _encode(_Answer(None, result, request_id))


def encode_error(error: Error, request_id: Raw) -> bytes:
    """Return the answer to a request that failed."""
    return _encode(_Answer(error, None, request_id))


def encode_push(result: Any, push_id: int | None) -> bytes:
    """Return a push: an answer nobody asked for."""
    return _encode(_Answer(None, result, push_id))


def parameters(params: Any, *types: type, optional: int = 0) -> list[Any] | None:
    """Return the parameters, ``None`` for each one left out, or ``None`` if they are not ``types``.

    The last ``optional`` ones may be left out. Types are exact: a bool is no int.
    """
    if type(params) is list and tuple(map(type, params)) == types:
        return params  # nothing left out: what nearly always comes
    if type(params) is not list or not len(types) - optional <= len(params) <= len(types):
        return None
    values = params + [None] * (len(types) - len(params))
    for position, (value, expected) in enumerate(zip(values, types, strict=True)):
        left_out = value is None and position >= len(types) - optional
        if type(value) is not expected and not left_out:
            return None
    return values


def is_sayable(text: str) -> bool:
    """Whether ``text`` can be a message: not blank, not too long, and storable."""
    return bool(text.strip()) and len(text) <= LONGEST_MESSAGE and "\0" not in text


def newest_that_fit(found: list[Any], most_bytes: int) -> list[Any]:
    """Return the end of a list, as much of it as fits into ``most_bytes`` of JSON.

    The last one is always part of it.
    """
    return found[len(found) - _fitting(reversed(found), most_bytes) :]


def first_that_fit(found: list[Any], most_bytes: int) -> list[Any]:
    """Return the beginning of a list, as much of it as fits into ``most_bytes`` of JSON.

    The first one is always part of it.
    """
    return found[: _fitting(found, most_bytes)]


def _fitting(found: Iterable[Any], most_bytes: int) -> int:
    size = count = 0
    for item in found:
        size += len(_encode(item)) + 1
        if size > most_bytes and count:
            break
        count += 1
    return count
