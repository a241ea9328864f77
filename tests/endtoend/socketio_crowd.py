"""A crowd of Socket.IO clients on bare sockets, in a process of its own.

``python -m tests.endtoend.socketio_crowd``, told one line of JSON, ``{"port", "tokens", "size", "channel",
"text", "missed"}``,

1. connects ``size`` clients at once, half of them by polling and an upgrade, half by WebSocket, and
   authenticates;
2. has one more client say something, which everybody hears;
3. cuts everybody at once, and has that client say ``missed`` things more;
4. connects everybody again at once, each with its private id and offset, and sees that each hears exactly
   those;
5. has everybody leave, so that nobody's place is kept.

It says ``{"ready": true}`` after the second and the fourth step, and goes on when it is told a line; at the end
``{"over": true}``.
"""

from __future__ import annotations

import asyncio
import json
import resource
import struct
import sys
from collections.abc import Mapping
from typing import Any

from tests.endtoend.raw import CLOSE, PING, TEXT, frame, handshake

_PATIENCE = 60.0
_PATH = "/socket.io/?EIO=4&transport="


class Client:
    """A client that reads what comes; ``heard`` are the texts of messages."""

    def __init__(self, port: int, token: str, *, upgrades: bool) -> None:
        self._port = port
        self._token = token
        self._upgrades = upgrades
        self._private: dict[str, str] = {}
        self._events: asyncio.Queue[list[Any]] = asyncio.Queue()
        self._listening: asyncio.Task[None] | None = None
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def enter(self) -> None:
        """Connect, join ``/``, and authenticate if one is not who one was."""
        before = dict(self._private)
        sid = await self._open_by_polling() if self._upgrades else ""
        await self._open(f"{_PATH}websocket" + (f"&sid={sid}" if sid else ""))
        if sid:
            self._send("2probe")
            assert await self._read() == "3probe"
            self._send("5")
        else:
            assert (await self._read()).startswith("0{")
            self._send(self._connect())
            self._keep(await self._read())
        if not before:
            self._send('42["auth",' + json.dumps({"data": self._token}) + "]")
            while (event := self._event(await self._read()))[0] != "auth-success":
                assert event[0] == "online-status-updated", event
        else:
            assert self._private["pid"] == before["pid"], "not recovered"
        self._listening = asyncio.ensure_future(self._listen())

    async def hear(self, count: int) -> list[str]:
        """The texts of the next so many messages."""
        return [(await self._events.get())[1]["text"] for _ in range(count)]

    def has_heard_more(self) -> bool:
        """Whether there is anything that nobody has asked for."""
        return not self._events.empty()

    def say(self, channel: str, text: str) -> None:
        """Say something in a channel."""
        self._send("42" + json.dumps(["message-send", {"channelId": channel, "text": text}]))

    def cut(self) -> None:
        """Be gone without a word."""
        if self._listening is not None:
            self._listening.cancel()
        self._writer.transport.abort()

    def leave(self) -> None:
        """Say goodbye, and be gone."""
        if self._listening is not None:
            self._listening.cancel()
        self._send("41")
        self._writer.close()

    # -- packets -------------------------------------------------------------------------------

    def _connect(self) -> str:
        return "40" + (json.dumps(self._private) if self._private else "")

    def _keep(self, packet: str) -> None:
        assert packet.startswith("40{"), packet
        self._private["pid"] = json.loads(packet[2:])["pid"]

    def _event(self, packet: str) -> list[Any]:
        assert packet.startswith("42["), packet
        event: list[Any] = json.loads(packet[2:])
        self._private["offset"] = event[-1]
        return event

    async def _listen(self) -> None:
        while True:
            packet = await self._read()
            if packet == "2":
                self._send("3")
                continue
            event = self._event(packet)
            if event[0] == "message-created":
                self._events.put_nowait(event)

    # -- transports ----------------------------------------------------------------------------

    async def _open_by_polling(self) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)

        async def ask(query: str, body: str | None = None) -> str:
            method, more = ("GET", "") if body is None else ("POST", f"Content-Length: {len(body)}\r\n")
            head = f"{method} {_PATH}polling{query} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n{body or ''}"
            writer.write(head.encode())
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert answer.startswith("http/1.1 200"), answer
            length = int(answer.partition("content-length: ")[2].partition("\r\n")[0])
            return (await reader.readexactly(length)).decode()

        sid: str = json.loads((await ask(""))[1:])["sid"]
        assert await ask(f"&sid={sid}", self._connect()) == "ok"
        first, *rest = (await ask(f"&sid={sid}")).split("\x1e")
        self._keep(first)
        for packet in rest:
            event = self._event(packet)
            if event[0] == "message-created":
                self._events.put_nowait(event)
        writer.close()
        return sid

    async def _open(self, path: str) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(handshake(path))
        answer = await self._reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101"), answer

    def _send(self, packet: str) -> None:
        self._writer.write(frame(TEXT, packet.encode()))

    async def _read(self) -> str:
        while True:
            first, length = await self._reader.readexactly(2)
            if length == 126:
                (length,) = struct.unpack(">H", await self._reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", await self._reader.readexactly(8))
            payload = await self._reader.readexactly(length)
            assert first & 15 != CLOSE, payload
            if first & 15 != PING:
                return payload.decode()


async def _told() -> Mapping[str, Any]:
    line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    told: Mapping[str, Any] = json.loads(line)
    return told


def _say(thing: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(thing) + "\n")
    sys.stdout.flush()


async def _run(told: Mapping[str, Any]) -> None:
    port, tokens = told["port"], told["tokens"]
    crowd = [
        Client(port, tokens[number % len(tokens)], upgrades=bool(number % 2)) for number in range(told["size"])
    ]
    speaker = Client(port, tokens[0], upgrades=False)

    async def gather(texts: list[str]) -> None:
        for text in texts:
            speaker.say(told["channel"], text)
        for each in (*crowd, speaker):
            assert await each.hear(len(texts)) == texts
        assert not any(each.has_heard_more() for each in crowd)

    await asyncio.gather(*(each.enter() for each in (*crowd, speaker)))
    await gather([told["text"]])
    _say({"ready": True})
    await _told()
    for each in crowd:
        each.cut()
    missed = [f"{told['text']} {number}" for number in range(told["missed"])]
    for text in missed:
        speaker.say(told["channel"], text)
    assert await speaker.hear(len(missed)) == missed
    await asyncio.gather(*(each.enter() for each in crowd))
    for each in crowd:
        assert await each.hear(len(missed)) == missed
    assert not any(each.has_heard_more() for each in crowd)
    await gather([f"{told['text']} again"])
    _say({"ready": True})
    await _told()
    for each in (*crowd, speaker):
        each.leave()


async def main() -> None:
    """Do what is told, and tell of it."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    async with asyncio.timeout(_PATIENCE):
        await _run(await _told())
    _say({"over": True})


if __name__ == "__main__":
    asyncio.run(main())
