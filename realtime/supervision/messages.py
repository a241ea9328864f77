"""What parent and worker say to each other, and its frames on a pipe. Pure.

A frame is its length in four bytes, big-endian, and a message as MessagePack. `->` is from the parent.

====================  ==============================================================================
-> `Begin`            the first: the worker's slot, settings and sockets
-> `Drain`            end, tidily; so does the end of the pipe: the parent has died
-> `Ask`              answered with the same number: `Failing` or `Measured`
<- `Alive`            each second, from when the reactor turns
<- `Ready`            it serves
====================  ==============================================================================
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import Struct

from realtime.settings import Settings


class Begin(Struct, frozen=True, tag="begin"):
    """Who the worker is. Its settings come this way, not from a file: so all workers have the same.

    ``endpoints`` are those of the settings, in their order, each with the descriptor that the worker has
    inherited for it and its address family. ``demo`` as for the whole server.
    """

    slot: int
    settings: Settings
    endpoints: tuple[tuple[int, int], ...]
    demo: bool


class Drain(Struct, frozen=True, tag="drain"):
    """Let nobody in, send those who are there away, end."""


class Ask(Struct, frozen=True, tag="ask"):
    """A question, with a number that the answer bears."""

    number: int
    about: Literal["readiness", "metrics"]


class Alive(Struct, frozen=True, tag="alive"):
    """The reactor turns."""


class Ready(Struct, frozen=True, tag="ready"):
    """The worker serves."""


class Failing(Struct, frozen=True, tag="failing"):
    """The names of the checks that fail; none: ready."""

    number: int
    checks: tuple[str, ...]


class Family(Struct, frozen=True, array_like=True):
    """A metric: its samples have a name, labels, a value and a time."""

    name: str
    documentation: str
    kind: str
    unit: str
    samples: tuple[tuple[str, dict[str, str], float, float | None], ...]


class Measured(Struct, frozen=True, tag="measured"):
    """All metrics of the worker."""

    number: int
    families: tuple[Family, ...]


ToWorker = Begin | Drain | Ask
Answer = Failing | Measured
ToParent = Alive | Ready | Failing | Measured

_LENGTH = struct.Struct(">I")
_encode = msgspec.msgpack.Encoder().encode
_for_worker = msgspec.msgpack.Decoder(ToWorker).decode
_for_parent = msgspec.msgpack.Decoder(ToParent).decode


def frame(message: ToWorker | ToParent) -> bytes:
    """Return a message as it goes over the pipe."""
    body = _encode(message)
    return _LENGTH.pack(len(body)) + body


class _Frames:
    """Cuts what comes from a pipe into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def _bodies(self, data: bytes) -> Iterator[bytes]:
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(buffer)[0]
            if len(buffer) < end:
                return
            body = bytes(buffer[_LENGTH.size : end])
            del buffer[:end]
            yield body


class FromParent(_Frames):
    """The worker's end: bytes in, messages out."""

    def feed(self, data: bytes) -> Iterator[ToWorker]:
        """Take bytes and give the messages that are whole, each before the next is looked for."""
        return map(_for_worker, self._bodies(data))


class FromWorker(_Frames):
    """The parent's end: bytes in, messages out."""

    def feed(self, data: bytes) -> Iterator[ToParent]:
        """Take bytes and give the messages that are whole. Raises `msgspec.MsgspecError` for anything else."""
        return map(_for_parent, self._bodies(data))
