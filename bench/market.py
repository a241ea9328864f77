"""``python -m bench.market``: what connections cost that do nothing but answer PING.

A real daemon, so many authenticated connections of `market`, each asked every five seconds, as the document
says. The client is plain sockets and epoll: it answers a few thousand PINGs a second, and is not measured.
"""

from __future__ import annotations

import argparse
import os
import resource
import select
import socket
import sys
import tempfile
import time
from pathlib import Path

from bench.process import client_cpu, cpu_seconds, resident_bytes
from bench.server import Realtime

_RESULTS = Path(__file__).parent / "results"
_PER_USER = 20
_PING = b"\x82\x01\x01"  # a binary frame that holds the opcode alone
_PONG = b"\x82\x81\x00\x00\x00\x00\x02"  # the same from a client, masked with nothing
_AT_ONCE = 50


class Clients:
    """Connections that answer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self.answered = 0

    def open(self, tokens: list[str]) -> None:
        """Open a connection for each token."""
        for start in range(0, len(tokens), _AT_ONCE):
            opened = [self._ask(token) for token in tokens[start : start + _AT_ONCE]]
            for client in opened:
                self._take_head(client)
            self.go_on(0)

    def _ask(self, token: str) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        client.sendall(
            f"GET /market HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: market.binary\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        return client

    def _take_head(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        if not head.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(head.partition(b"\r\n")[0].decode())
        client.setblocking(False)
        self._sockets[client.fileno()] = client
        self._epoll.register(client, select.EPOLLIN)

    def go_on(self, seconds: float) -> None:
        """Answer for so long."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            for number, _ in self._epoll.poll(max(left, 0), 256):
                client = self._sockets[number]
                data = client.recv(4096)
                if not data or data.replace(_PING, b""):
                    raise RuntimeError(f"something else than PING came: {data[:40]!r}")
                for _ in range(len(data) // len(_PING)):
                    client.send(_PONG)
                    self.answered += 1
            if left <= 0:
                return


def main() -> None:
    """Measure, and print a line."""
    parser = argparse.ArgumentParser(prog="bench.market", description="What idle connections cost.")
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if arguments.connections + 100 > most:
        sys.exit(f"bench.market: no more than {most - 100} connections can be open here")
    _RESULTS.mkdir(parents=True, exist_ok=True)
    os.sched_setaffinity(0, {client_cpu()})
    with tempfile.TemporaryDirectory(prefix="server-", dir=_RESULTS) as folder:
        server = Realtime(Path(folder))
        tokens = server.make_accounts(-(-arguments.connections // _PER_USER))
        with server:
            clients = Clients(server.port)
            before = resident_bytes(server.process_id)
            clients.open([tokens[number // _PER_USER] for number in range(arguments.connections)])
            clients.go_on(10)  # until each has its turn
            clients.answered = 0
            began, cpu = time.monotonic(), cpu_seconds(server.process_id)
            clients.go_on(arguments.seconds)
            seconds, used = time.monotonic() - began, cpu_seconds(server.process_id) - cpu
            each = (resident_bytes(server.process_id) - before) / arguments.connections
    line = (
        f"{arguments.connections} connections of market: {used / seconds:.2%} of a core,"
        f" {used / clients.answered * 1e6:.1f} CPU µs for PING and PONG, {each:.0f} bytes each"
    )
    (_RESULTS / "market.md").write_text(line + "\n")
    print(line)


if __name__ == "__main__":
    main()
