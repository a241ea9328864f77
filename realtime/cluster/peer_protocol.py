"""What two processes of a server say to each other on a connection of their own. Pure.

The one that was called is the host, the other the guest::

    host  -> realtime-peer/1, 32 bytes of chance
    guest -> 32 bytes of chance, proof            that it knows the secret, and whom it means to talk to
    host  -> proof                                that it is that one

and then frames, each behind its length in four bytes::

    guest -> Call         something is asked of a service
    guest -> More, Drop   there is more to it; nobody waits for the answer any more
    host  -> Answer       once; or Fault: there is none
    guest -> Ping         host -> Pong
    guest -> Through      the rest of the connection belongs to a service, as it is

A proof is a hash of the secret with both chances and the host's name: the secret never leaves a process, what
was heard once proves nothing again, a proof of one side is none of the other, and who has taken the port of a
process that is gone is not mistaken for it. What is said afterwards is neither hidden nor signed: as with
Redis, whoever can change what passes between the machines has to be kept out of their network.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct

GREETING: Final = b"realtime-peer/1\n"
CHANCE: Final = 32
"""Bytes that nobody can guess or has ever seen before."""

PROOF: Final = 32

LONGEST_FRAME: Final = 32 * 1024 * 1024
"""Bytes: an answer holds all that waited for a client, in base64 at worst; a megabyte or so as a rule."""

_HEAD: Final = 4


class PeerError(Exception):
    """What came is not what two processes say to each other. The text quotes nothing of it."""


def derive(secret: bytes) -> bytes:
    """Return the secret for this purpose alone that belongs to one which has others as well."""
    return hmac.digest(secret, b"realtime: processes among themselves", "sha256")


def proof_of_guest(secret: bytes, host: str, of_host: bytes, of_guest: bytes) -> bytes:
    """Return what shows a host that its guest knows the secret; the last two are their chances."""
    return _proof(b"guest", secret, host, of_host, of_guest)


def proof_of_host(secret: bytes, host: str, of_host: bytes, of_guest: bytes) -> bytes:
    """Return what shows a guest that its host knows the secret and has this name."""
    return _proof(b"host", secret, host, of_host, of_guest)


def _proof(side: bytes, secret: bytes, host: str, of_host: bytes, of_guest: bytes) -> bytes:
    # All parts but the name have one length, so that no two lists of parts look the same in a row.
    return hmac.digest(secret, b"%-5b" % side + of_host + of_guest + host.encode(), "sha256")


class Call(Struct, frozen=True, array_like=True, tag=1):
    """Something is asked of a service; ``number`` is the guest's name for it."""

    number: int
    service: str
    payload: bytes


class More(Struct, frozen=True, array_like=True, tag=2):
    """Another part of what is asked."""

    number: int
    payload: bytes


class Drop(Struct, frozen=True, array_like=True, tag=3):
    """Nobody waits for an answer any more."""

    number: int


class Answer(Struct, frozen=True, array_like=True, tag=4):
    """What a service says; once."""

    number: int
    payload: bytes


class Fault(Struct, frozen=True, array_like=True, tag=5):
    """There will be no answer."""

    number: int


class Ping(Struct, frozen=True, array_like=True, tag=6):
    """The guest lives, and would like to hear the same."""


class Pong(Struct, frozen=True, array_like=True, tag=7):
    """The host lives."""


class Through(Struct, frozen=True, array_like=True, tag=8):
    """The rest of the connection is a service's."""

    service: str
    payload: bytes


FromGuest = Call | More | Drop | Ping | Through
FromHost = Answer | Fault | Pong

read_from_guest: Final = msgspec.msgpack.Decoder(FromGuest).decode
"""Reads a frame. Raises ``msgspec.MsgspecError``."""

read_from_host: Final = msgspec.msgpack.Decoder(FromHost).decode
"""The same of the other side's."""

_encode: Final = msgspec.msgpack.Encoder().encode


def written(frame: FromGuest | FromHost) -> bytes:
    """Return a frame with its length before it. Raises `PeerError` if it is too long."""
    data = _encode(frame)
    if len(data) > LONGEST_FRAME:
        raise PeerError("a frame that is too long")
    return len(data).to_bytes(_HEAD) + data


class Incoming:
    """Bytes on their way in, taken in pieces: ``exactly`` so many, or frame by frame."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, data: bytes) -> None:
        """Some more came."""
        self._data += data

    def __len__(self) -> int:
        return len(self._data)

    def exactly(self, size: int) -> bytes | None:
        """Return the next ``size`` bytes; ``None`` if they aren't all here."""
        if len(self._data) < size:
            return None
        taken = bytes(self._data[:size])
        del self._data[:size]
        return taken

    def frames(self) -> Iterator[bytes]:
        """Return all frames that are here. Raises `PeerError` at one that is too long, by its head alone."""
        while len(self._data) >= _HEAD:
            length = int.from_bytes(self._data[:_HEAD])
            if length > LONGEST_FRAME:
                raise PeerError("a frame that is too long")
            if len(self._data) < _HEAD + length:
                return
            taken = bytes(self._data[_HEAD : _HEAD + length])
            del self._data[: _HEAD + length]
            yield taken

    def rest(self) -> bytes:
        """Return all that is here."""
        taken = bytes(self._data)
        self._data.clear()
        return taken
