"""Plays the stories of a description against a real daemon, word for word.

What comes must be what the story says: the same keys, the same values. Only moments differ, and names that
nobody can know beforehand (of a match, of a picture): those are learned when they first come, and used from
then on.
"""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

import bcrypt
from twisted.internet.defer import Deferred

from realtime.documents.model import (
    PEOPLE,
    Asks,
    Closed,
    Description,
    Enters,
    Hears,
    Leaves,
    Says,
    Step,
    Story,
    token_of,
)
from tests.apidocs.validation import Validator
from tests.endtoend.client import Client, connect
from tests.endtoend.daemon import DaemonProcess
from tests.endtoend.web import ask

_MOMENTS = frozenset(
    {
        *("created", "createdAt", "created_at", "last", "sendTime", "lastOnline", "registerDate"),
        *("matched", "started", "stopped", "ended", "resolved"),
    }
)
"""The keys of what is a time."""

_UNKNOWABLE = 20
"""A text of so many characters may be a name that the server made up."""


def add_people(daemon: DaemonProcess) -> None:
    """Add the accounts of the stories. The password of each is its name."""
    with closing(sqlite3.connect(daemon.folder / "var" / "realtime.db")) as database, database:
        for name in PEOPLE:
            password = bcrypt.hashpw(name.encode(), bcrypt.gensalt(4)).decode()
            database.execute(
                "INSERT INTO users (user_name, user_password, token, is_admin, registered)"
                " VALUES (?, ?, ?, ?, CURRENT_TIMESTAMP)",
                (name, password, token_of(name), name == "operator"),
            )


class Speaker(Client):
    """A client of a WebSocket protocol."""

    def say(self, key: str, payload: Any) -> None:
        """Send a message."""
        self.sendMessage(json.dumps(payload).encode())

    async def hear(self, key: str) -> Any:
        """The payload of the next message, which ought to be one of ``key``."""
        return json.loads(await self.next())


class SocketSpeaker(Client):
    """A client of Socket.IO 4 over WebSocket. Of each event that it sends it wants an acknowledgement."""

    def __init__(self) -> None:
        super().__init__()
        self.joined: Deferred[None] = Deferred()
        self.disconnected: Deferred[None] = Deferred()
        self._asked: dict[int, str] = {}

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Take part in the protocol below events."""
        text = payload.decode()
        if text.startswith("0"):
            self.sendMessage(b"40")
        elif text == "2":
            self.sendMessage(b"3")
        elif text.startswith("40"):
            self.joined.callback(None)
        elif text.startswith("41"):
            self.disconnected.callback(None)
        else:
            super().onMessage(payload, isBinary)

    def say(self, key: str, payload: Any) -> None:
        """Send an event."""
        number, event = len(self._asked), key.removeprefix("client.")
        self._asked[number] = event
        self.sendMessage(f"42{number}{json.dumps([event, payload])}".encode())

    async def hear(self, key: str) -> Any:
        """The argument of the next event, or acknowledgement, which must be named ``key``."""
        packet = re.fullmatch(r"4([23])(\d*)(\[.*\])", str(await self.next()), re.DOTALL)
        assert packet is not None
        kind, number, arguments = packet.groups()
        if kind == "3":
            (payload,) = json.loads(arguments)
            name = f"{self._asked[int(number)]}_acknowledged"
        else:
            name, payload = json.loads(arguments)
        pattern = re.escape(key.removeprefix("server.")).replace("_transaction_", ".+")
        assert re.fullmatch(pattern, name), (name, payload)
        return payload


class Player:
    """Plays the stories of a protocol, one after the other."""

    def __init__(self, daemon: DaemonProcess, description: Description, validator: Validator) -> None:
        self._daemon = daemon
        self._description = description
        self._validator = validator
        self._learned: dict[str, str] = {}
        self._clients: dict[str, Any] = {}

    async def play(self, story: Story) -> None:
        """Play a story; afterwards everybody leaves."""
        self._learned.clear()
        for step in story.steps:
            try:
                await self._take(step)
            except AssertionError as error:
                raise AssertionError(f"{story.title}: {step}\n{error}") from error
        for who in list(self._clients):
            await self._leave(who)

    async def _take(self, step: Step) -> None:
        match step:
            case Enters():
                await self._enter(step)
            case Says():
                self._validator.check(step.key, step.payload)
                self._clients[step.who].say(step.key, self._as_known(step.payload))
            case Hears():
                heard = await self._heard(step)
                self._validator.check(step.key, heard)
                self._compare(step.payload, heard)
            case Asks():
                await self._ask(step)
            case Closed():
                await self._closed(step)
            case Leaves():
                await self._leave(step.who)

    async def _enter(self, step: Enters) -> None:
        headers = dict(step.headers)
        named = headers.pop("Sec-WebSocket-Protocol", None)
        if self._description.namespace:
            address = f"{self._description.address}?EIO=4&transport=websocket"
            client = await connect(self._daemon.port, address, protocol=SocketSpeaker, headers=headers)
            await client.joined
        else:
            client = await connect(
                self._daemon.port,
                self._description.address,
                protocol=Speaker,
                headers=headers,
                subprotocols=[named] if named else None,
            )
        assert step.who not in self._clients
        self._clients[step.who] = client

    async def _heard(self, step: Hears) -> Any:
        while True:
            heard = await self._clients[step.who].hear(step.key)
            if step.key in self._description.background or not self._is_background(heard):
                return heard

    def _is_background(self, payload: Any) -> bool:
        return any(self._validator.is_valid(key, payload) for key in self._description.background)

    async def _closed(self, step: Closed) -> None:
        client = self._clients.pop(step.who)
        if self._description.namespace:
            await client.disconnected
            await client.closed
        else:
            assert await client.closed == step.code
        assert not client.frames, client.frames

    async def _leave(self, who: str) -> None:
        client = self._clients.pop(who)
        left = [frame for frame in client.frames if not self._is_background(_read(frame))]
        assert not left, f"{who} heard more: {left}"
        client.sendClose(1000)
        await client.closed

    async def _ask(self, step: Asks) -> None:
        method, path = step.endpoint.split(" ")
        query = {name: value for name, value in step.values.items() if f"{{{name}}}" not in path}
        for name, value in step.values.items():
            path = path.replace(f"{{{name}}}", self._learned.get(str(value), str(value)))
        answer = await ask(
            self._daemon.port,
            f"{path}?{urlencode(query)}" if query else path,
            method=method,
            body=None if step.body is None else json.dumps(self._as_known(step.body)).encode(),
            Authorization=f"Bearer {token_of(step.who)}",
        )
        assert answer.status == step.status, (answer.status, answer.body)
        if step.answer is not None:
            heard = json.loads(answer.body)
            self._validator.check_answer(step.endpoint, step.status, heard)
            self._compare(step.answer, heard)

    # -- what is the same ------------------------------------------------------------------------

    def _as_known(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._as_known(each) for name, each in value.items()}
        if isinstance(value, list):
            return list(map(self._as_known, value))
        return self._learned.get(value, value) if isinstance(value, str) else value

    def _compare(self, expected: Any, actual: Any, name: str = "") -> None:
        assert type(expected) is type(actual), f"{name}: {actual!r} is not like {expected!r}"
        if isinstance(expected, dict):
            assert list(expected) == list(actual), f"{name}: {list(actual)} are not {list(expected)}"
            for key, each in expected.items():
                self._compare(each, actual[key], key)
        elif isinstance(expected, list):
            assert len(expected) == len(actual), f"{name}: {actual!r} is not like {expected!r}"
            for one, other in zip(expected, actual, strict=True):
                self._compare(one, other, name)
        elif name in _MOMENTS and isinstance(expected, str):
            assert re.sub(r"\d", "0", expected) == re.sub(r"\d", "0", actual), f"{name}: {actual}"
        elif name not in _MOMENTS:
            if isinstance(expected, str) and len(expected) >= _UNKNOWABLE and expected != actual:
                assert len(actual) >= _UNKNOWABLE, f"{name}: {actual!r} is not {expected!r}"
                expected = self._learned.setdefault(expected, actual)
            assert expected == actual, f"{name}: {actual!r} is not {expected!r}"


def _read(frame: str | bytes) -> Any:
    try:
        return json.loads(frame)
    except ValueError:
        return frame
