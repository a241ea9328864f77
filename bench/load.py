"""The load client: ``python -m bench.load`` reads a `Workload` as JSON and prints an `Outcome`.

It is to cost much less than the server, whatever that is: plain sockets and epoll, request frames built
and masked before the start, and of an answer only the length and the end are looked at.

Each connection has one request in flight. The latency of an answer is the time from just before its
request was written to the moment at which epoll said that the answer was there.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
import time
from base64 import b64encode

import msgspec
from msgspec import Struct

from bench.process import cpu_seconds

_AT_ONCE = 16
"""Sockets taken from epoll at a time: an answer that comes meanwhile waits no longer for its stamp."""

_PATIENCE = 30.0  # seconds for an answer


class Workload(Struct, frozen=True):
    """What the client does.

    It opens a WebSocket at ``path`` for each text in ``openings``, sends that text if there is any
    and takes the answer, then sends ``requests`` in turn, over and over. An answer must begin with
    ``begins`` and end with the text in ``ends`` that belongs to the request. ``warm_up`` and
    ``seconds`` are times; ``server`` is a process, ``cpu`` the client's.
    """

    port: int
    path: str
    openings: list[str]
    requests: list[str]
    begins: str
    ends: list[str]
    warm_up: float
    seconds: float
    server: int
    cpu: int


class Outcome(Struct, frozen=True):
    """What was seen after the warm-up. Times in seconds; latencies in order of size."""

    answers: int
    seconds: float
    server_cpu: float
    client_cpu: float
    latencies: list[float]


class Unexpected(Exception):
    """A server did something else than to answer."""


def masked(payload: bytes) -> bytes:
    """Return a client's text frame (RFC 6455, section 5.2); for up to 65 535 bytes."""
    mask = os.urandom(4)
    length = len(payload)
    head = bytes((0x81, 0x80 | length)) if length < 126 else struct.pack("!BBH", 0x81, 0xFE, length)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def split_frame(data: bytes) -> tuple[bytes, bytes] | None:
    """Return the payload of the text frame that ``data`` begins with, and the rest of ``data``.

    ``None`` if the frame is not complete. Raises `Unexpected` if it is no whole text message.
    """
    if len(data) < 2:
        return None
    if data[0] != 0x81:
        raise Unexpected(f"a frame that begins with {data[:4].hex()}")
    length, start = data[1], 2
    if length == 126:
        length, start = int.from_bytes(data[2:4]), 4
    elif length == 127:
        length, start = int.from_bytes(data[2:10]), 10
    end = start + length
    return (data[start:end], data[end:]) if len(data) >= end else None


class Connection:
    """One WebSocket; ``sent`` is when its request in flight was written, by `time.perf_counter`."""

    __slots__ = ("_rest", "recv", "send", "sent", "socket", "turn")

    def __init__(self, workload: Workload, opening: str, turn: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", workload.port), timeout=_PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.recv, self.send = self.socket.recv, self.socket.send
        self.sent = 0.0
        self.turn = turn
        self._rest = b""
        self._shake_hands(workload)
        if opening:
            self.send(masked(opening.encode()))
            while self.answer() is None:
                pass
        self.socket.setblocking(False)

    def _shake_hands(self, workload: Workload) -> None:
        key = b64encode(os.urandom(16)).decode()
        self.send(
            f"GET {workload.path} HTTP/1.1\r\nHost: 127.0.0.1:{workload.port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._some()
        if not head.startswith(b"HTTP/1.1 101"):
            raise Unexpected(head.partition(b"\r\n")[0].decode())

    def _some(self) -> bytes:
        data = self.recv(65536)
        if not data:
            raise Unexpected("a closed connection")
        return data

    def answer(self) -> bytes | None:
        """Return the answer, or ``None`` if some of it is still to come."""
        data = self._rest + self._some()
        found = split_frame(data)
        if found is None:
            self._rest = data
            return None
        payload, self._rest = found
        return payload


class Load:
    """A workload under way."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._requests = [masked(request.encode()) for request in workload.requests]
        self._begins = workload.begins.encode()
        self._ends = [end.encode() for end in workload.ends]
        self._epoll = select.epoll()
        self._latencies: list[float] = []
        self._connections: dict[int, Connection] = {}
        for index, opening in enumerate(workload.openings):
            connection = Connection(workload, opening, index % len(self._requests))
            self._connections[connection.socket.fileno()] = connection
            self._epoll.register(connection.socket, select.EPOLLIN)

    def run(self) -> Outcome:
        """Warm up, measure, and tell."""
        workload = self._workload
        for connection in self._connections.values():
            self._ask(connection)
        self._go_on(workload.warm_up)
        self._latencies.clear()
        server, client, began = cpu_seconds(workload.server), time.process_time(), time.perf_counter()
        self._go_on(workload.seconds)
        return Outcome(
            answers=len(self._latencies),
            seconds=time.perf_counter() - began,
            server_cpu=cpu_seconds(workload.server) - server,
            client_cpu=time.process_time() - client,
            latencies=sorted(self._latencies),
        )

    def _ask(self, connection: Connection) -> None:
        connection.sent = time.perf_counter()
        connection.send(self._requests[connection.turn])

    def _go_on(self, seconds: float) -> None:
        poll, clock, connections = self._epoll.poll, time.perf_counter, self._connections
        latency = self._latencies.append
        begins, ends, ask = self._begins, self._ends, self._ask
        end = clock() + seconds
        now = 0.0
        while now < end:
            ready = poll(_PATIENCE, _AT_ONCE)
            if not ready:
                raise Unexpected("no answer")
            now = clock()
            for number, _ in ready:
                connection = connections[number]
                answer = connection.answer()
                if answer is None:
                    continue
                turn = connection.turn
                if not answer.startswith(begins) or not answer.endswith(ends[turn]):
                    raise Unexpected(answer.decode())
                latency(now - connection.sent)
                connection.turn = turn + 1 if turn + 1 < len(ends) else 0
                ask(connection)


def main() -> None:
    """Carry out the workload on standard input."""
    workload = msgspec.json.decode(sys.stdin.buffer.read(), type=Workload)
    os.sched_setaffinity(0, {workload.cpu})
    sys.stdout.buffer.write(msgspec.json.encode(Load(workload).run()))


if __name__ == "__main__":
    main()
