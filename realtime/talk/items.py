"""What goes by the line between the two processes of a talk, and its codec. Pure.

That is what clients and the server say, and what else the two ends have to tell each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import MsgspecError, Struct, msgpack

from realtime.talk import messages
from realtime.talk.messages import Error


class Left(Struct, frozen=True):
    """To who holds the talk: the other has left. The last item."""


class Refused(Struct, frozen=True):
    """To the other: an error after which it stays."""

    error: Error


class Finished(Struct, frozen=True):
    """To the other: it is over, with an error or without. The last item."""

    error: Error | None


Item = messages.ClientMessage | messages.ServerMessage | messages.Malformed | Left | Refused | Finished

_KINDS: Final[tuple[type[Struct], ...]] = (
    *(messages.Find, messages.Confirm, messages.Message, messages.Answers, messages.Malformed),
    *(messages.Match, messages.ChatStart, messages.ChatStop, messages.Error, Left, Refused, Finished),
)
_DECODERS: Final[dict[str, Callable[[bytes], Any]]] = {
    kind.__name__: msgpack.Decoder(kind).decode for kind in _KINDS
}
_encode = msgpack.Encoder().encode


def encode(item: Item) -> tuple[str, bytes]:
    """Return the kind of an item, and what it holds."""
    return type(item).__name__, _encode(item)


def decode(kind: str, held: bytes) -> Item:
    """Read an item; raises ValueError for one of another version."""
    try:
        item: Item = _DECODERS[kind](held)
    except (KeyError, MsgspecError):
        raise ValueError("an item of another version") from None
    return item
