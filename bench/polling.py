"""The load client for polling: pairs of Socket.IO clients, the first of which sends to the second.

``python -m bench.polling``, told one JSON object: `Asked`; it answers with a `load.Outcome`. It is written in
Python, and so can be busier than the server: what is measured is the server's CPU time for a message, not how
many messages it can take.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from bench.load import Connection, Outcome
from bench.process import client_cpu, cpu_seconds

_SEPARATOR = "\x1e"


class Asked(Struct, frozen=True):
    """What to do: the connections of a relay, and the packet that the first of each two sends."""

    port: int
    server: int
    cpu: int
    connections: Sequence[Connection]
    message: str
    seconds: float
    warm_up: float


class Client:
    """One client: a connection for requests that wait, and one for those that bring something."""

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._path = path.replace("transport=websocket", "transport=polling")
        self._packets: deque[str] = deque()
        self._streams: dict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
        self._match_id = ""

    async def open(self, steps: Sequence[str]) -> None:
        """Begin a session, and take the steps of a connection (see ``load.c``)."""
        for method in ("GET", "POST"):
            self._streams[method] = await asyncio.open_connection("127.0.0.1", self._port)
        for step in steps:
            if step.startswith(">"):
                await self.post(step[1:].replace("%m", self._match_id))
                continue
            packet = await self.next()
            if packet.startswith("0{"):
                self._path += "&sid=" + msgspec.json.decode(packet[1:])["sid"]
            self._match_id = packet.partition('"match_id":"')[2][:36]

    async def post(self, packet: str) -> None:
        """Send a packet."""
        await self._ask("POST", packet.encode())

    async def next(self) -> str:
        """Return the next packet."""
        while not self._packets:
            self._packets.extend((await self._ask("GET", b"")).decode().split(_SEPARATOR))
        return self._packets.popleft()

    async def _ask(self, method: str, content: bytes) -> bytes:
        reader, writer = self._streams[method]
        length = f"Content-Length: {len(content)}\r\n" if content else ""
        writer.write(f"{method} {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n".encode() + content)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(head.decode())
        if b"transfer-encoding: chunked" not in head:
            return await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return body


async def relay(asked: Asked) -> Outcome:
    """Send messages from one of each pair to the other for so long."""
    clients = [Client(asked.port, each.path) for each in asked.connections]
    await asyncio.gather(
        *(client.open(each.steps) for client, each in zip(clients, asked.connections, strict=True))
    )
    operations = 0
    is_over = False

    async def talk(sender: Client, receiver: Client) -> None:
        nonlocal operations
        while not is_over:
            await sender.post(asked.message)
            if await receiver.next() != asked.message:
                raise RuntimeError("an unexpected message")
            operations += 1

    pairs = [asyncio.ensure_future(talk(*pair)) for pair in zip(clients[::2], clients[1::2], strict=True)]
    await asyncio.sleep(asked.warm_up)
    before, cpu, own, began = operations, cpu_seconds(asked.server), time.process_time(), time.monotonic()
    await asyncio.sleep(asked.seconds)
    seconds = time.monotonic() - began
    done, cpu, own = operations - before, cpu_seconds(asked.server) - cpu, time.process_time() - own
    is_over = True
    await asyncio.gather(*pairs)
    return Outcome(done, seconds, cpu, own, 0.0, 0.0)


def run(
    connections: Sequence[Connection], message: str, *, port: int, server: int, seconds: float, warm_up: float
) -> Outcome:
    """Drive a server, by its process id, for so long."""
    asked = Asked(port, server, client_cpu(), connections, message, seconds, warm_up)
    command = [sys.executable, "-m", "bench.polling"]
    done = subprocess.run(command, input=msgspec.json.encode(asked), stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=Outcome)


def main() -> None:
    """Do what is asked."""
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    os.sched_setaffinity(0, {asked.cpu})
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(relay(asked))))


if __name__ == "__main__":
    main()
