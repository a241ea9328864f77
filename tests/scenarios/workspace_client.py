"""A client of workspace for whole stories: Socket.IO over a WebSocket, as far as workspace needs it."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred

from tests.endtoend.client import Client, connect

Event = tuple[str, Any]


class Colleague(Client):
    """A client of workspace that has authenticated; its frames are the events that came."""

    def __init__(self) -> None:
        super().__init__()
        self._acknowledgements: dict[int, Deferred[Any]] = {}
        self._numbers = count(1)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Answer Engine.IO's pings, give acknowledgements to who asked, and keep events."""
        text = payload.decode()
        if text == "2":
            self.sendMessage(b"3")
        elif text.startswith("43"):
            number, _, body = text[2:].partition("[")
            self._acknowledgements.pop(int(number)).callback(json.loads(f"[{body}")[0])
        elif text.startswith("42"):
            super().onMessage(payload[2:], isBinary)

    async def event(self) -> Event:
        """The next event, and its payload."""
        name, payload, *_ = json.loads(await self.next())
        return name, payload

    async def expect(self, name: str) -> Any:
        """The payload of the next event, which has this name."""
        found, payload = await self.event()
        assert found == name, (found, payload)
        return payload

    def ask(self, name: str, **payload: Any) -> Deferred[Any]:
        """Send an event; fires with what it is acknowledged with."""
        number = next(self._numbers)
        answer = self._acknowledgements[number] = Deferred()
        self.sendMessage(f"42{number}{json.dumps([name, payload])}".encode())
        return answer


async def join(port: int, token: str) -> Colleague:
    """Connect, authenticate, and be shown as online."""
    path = "/socket.io/?EIO=4&transport=websocket"
    colleague: Colleague = await connect(port, path, protocol=Colleague)
    colleague.sendMessage(b"40")
    answer = await colleague.ask("auth", data=token)
    assert "userId" in answer, answer
    assert await colleague.expect("auth-success") == answer
    return colleague
