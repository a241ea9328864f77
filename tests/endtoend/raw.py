"""A WebSocket client that may break every rule: a socket, and frames as the test wants them.

It blocks, and so belongs in a thread.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

PATIENCE = 20.0
"""Seconds that an answer may take before the test fails."""


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, rsv: int = 0) -> bytes:
    """A frame of a client (RFC 6455, section 5.2), with a mask unless told otherwise."""
    mask_bit = 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if len(payload) < 126:
        head += bytes([mask_bit | len(payload)])
    elif len(payload) < 65_536:
        head += struct.pack(">BH", mask_bit | 126, len(payload))
    else:
        head += struct.pack(">BQ", mask_bit | 127, len(payload))
    if not masked:
        return head + payload
    # A mask of zeros is one that any server must take.
    return head + bytes(4) + payload


def request(method: str, *params: Any, request_id: int = 1) -> bytes:
    """A request of support, as a frame."""
    return frame(TEXT, json.dumps({"method": method, "params": params, "id": request_id}).encode())


class RawClient:
    """A TCP connection; `shake_hands` makes it a WebSocket's. To be used in a ``with`` statement."""

    def __init__(self, port: int, *, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def shake_hands(self, path: str = "/support", *headers: str) -> str:
        """Ask for a WebSocket; returns the head of the answer."""
        self.send(handshake(path, *headers))
        return self.read_head()

    def send(self, data: bytes) -> None:
        """Send bytes, all of them."""
        self.socket.sendall(data)

    def read_head(self) -> str:
        """The head of an HTTP answer."""
        while b"\r\n\r\n" not in self._received:
            if not self._read_more():
                break
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        return head.decode("latin-1")

    def read_frame(self) -> tuple[int, bytes] | None:
        """The next frame's opcode and payload; ``None`` at the end of the connection."""
        while (found := self._whole_frame()) is None:
            if not self._read_more():
                return None
        return found

    def read_answer(self) -> dict[str, Any]:
        """The next frame, which must be text that is JSON."""
        found = self.read_frame()
        assert found is not None
        assert found[0] == TEXT
        answer: dict[str, Any] = json.loads(found[1])
        return answer

    def read_close_code(self) -> int:
        """Read on until a close frame, and to the end of the connection; 1006 if there was none."""
        code = 1006
        while (found := self.read_frame()) is not None:
            opcode, payload = found
            if opcode == CLOSE:
                code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                self.send(frame(CLOSE, payload[:2]))
        return code

    def read_to_end(self) -> bytes:
        """Everything that comes until the connection ends."""
        while self._read_more():
            pass
        return self._received

    def _read_more(self) -> bool:
        try:
            data = self.socket.recv(65_536)
        except ConnectionResetError:
            return False
        self._received += data
        return bool(data)

    def _whole_frame(self) -> tuple[int, bytes] | None:
        received = self._received
        if len(received) < 2:
            return None
        length, begin = received[1] & 0x7F, 2
        if length == 126:
            length, begin = int.from_bytes(received[2:4]), 4
        elif length == 127:
            length, begin = int.from_bytes(received[2:10]), 10
        if len(received) < begin + length:
            return None
        self._received = received[begin + length :]
        return received[0] & 0x0F, received[begin : begin + length]


def handshake(path: str = "/support", *headers: str) -> bytes:
    """A correct request for a WebSocket, with headers more."""
    lines: Sequence[str] = (
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        *headers,
    )
    return "\r\n".join((*lines, "", "")).encode()
