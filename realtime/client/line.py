"""What a connection needs of a WebSocket, and what it hears from it.

`dialing` makes lines of Autobahn's; tests have one of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct, field
from twisted.internet.defer import Deferred


class Opening(Struct, frozen=True):
    """What is asked for in a handshake. ``headers`` may hold a token, and are not part of its repr."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    subprotocols: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Opening(subprotocols={self.subprotocols})"


class Line(Protocol):
    """An open WebSocket. What is sent once it is closing goes nowhere."""

    def send(self, payload: bytes, binary: bool) -> None:
        """Send a message."""

    def ping(self) -> None:
        """Send a ping. The pong is told like anything else that comes: by `Ear.heard`."""

    def pong(self, payload: bytes) -> None:
        """Answer a ping."""

    def close(self, code: int) -> None:
        """Begin the closing handshake; `Ear.lost` comes in the end, soon even if the server does not answer."""

    def abort(self) -> None:
        """Cut the connection; `Ear.lost` comes soon."""


class Ear(Protocol):
    """Who is told what comes over a line."""

    def received(self, payload: bytes, binary: bool) -> None:
        """One message came."""

    def pinged(self, payload: bytes) -> None:
        """A ping came, which `Line.pong` is to answer."""

    def heard(self) -> None:
        """A pong came."""

    def lost(self, code: int) -> None:
        """The line is over: with the close code of the server, or 1006 if it said none."""


class HandshakeRefused(Exception):
    """The server has answered the handshake with an HTTP status; 0 for what is no such answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}" if status else "no answer to a WebSocket handshake")
        self.status = status


Dial = Callable[[Opening, Ear], "Deferred[Line]"]
"""Opens a line; fires when the handshake is done, before the first message is told.

Fails with `HandshakeRefused`, or with whatever the network does. May be cancelled.
"""
