"""What a Socket.IO server keeps of a session: the packet that is coming, and the namespaces in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from realtime.socketio.packets import Assembler
from realtime.websocket.handshake import Handshake

if TYPE_CHECKING:
    from realtime.socketio.socket import Socket

MOST_NAMESPACES: Final = 16
"""Namespaces of one session; ours are few."""


class Client:
    """A session's client. ``joining`` are namespaces that have not answered its CONNECT yet."""

    __slots__ = ("_put_out_of", "_sockets", "assembler", "handshake", "joining")

    def __init__(self, assembler: Assembler, handshake: Handshake) -> None:
        self.assembler = assembler
        self.handshake = handshake
        self.joining: dict[str, Socket] = {}
        self._sockets: dict[str, Socket] = {}
        self._put_out_of: frozenset[str] = frozenset()

    @property
    def is_in_use(self) -> bool:
        """Whether there is a namespace that it has joined, or is about to."""
        return bool(self._sockets or self.joining)

    @property
    def is_full(self) -> bool:
        """Whether it may join no more."""
        return len(self._sockets) + len(self.joining) >= MOST_NAMESPACES

    def has(self, namespace: str) -> bool:
        """Whether it has joined a namespace, or is about to."""
        return namespace in self._sockets or namespace in self.joining

    def socket(self, namespace: str) -> Socket | None:
        """Return its socket in a namespace."""
        return self._sockets.get(namespace)

    def sockets(self) -> list[tuple[str, Socket]]:
        """Return all its sockets, by namespace."""
        return list(self._sockets.items())

    def keep(self, namespace: str, socket: Socket) -> None:
        """It has joined a namespace."""
        self._put_out_of -= {namespace}
        self._sockets[namespace] = socket

    def release(self, namespace: str, socket: Socket) -> bool:
        """It is out of a namespace; whether it was in it."""
        if self._sockets.get(namespace) is not socket:
            return False
        del self._sockets[namespace]
        return True

    def put_out(self, namespace: str) -> None:
        """It is out of a namespace by our wish, and may not know it yet."""
        self._put_out_of |= {namespace}

    def was_put_out_of(self, namespace: str) -> bool:
        """Whether it is out of a namespace by our wish."""
        return namespace in self._put_out_of
