"""A world in memory for clients: a clock, and lines whose other end is the test."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from realtime.client.client import Client, Options
from realtime.client.line import Ear, Line, Opening
from realtime.client.reconnection import Reconnection

C = TypeVar("C", bound=Client)

ONE_SECOND = Reconnection(first=1.0, longest=60.0)
"""Delays of at most 1, 2, 4, … seconds."""


class FakeLine:
    """An open line. What the client sends is in ``sent``; `ear` is told what the server does."""

    def __init__(self, opening: Opening, ear: Ear) -> None:
        self.opening = opening
        self.ear = ear
        self.sent: list[bytes] = []
        self.pongs: list[bytes] = []
        self.pings = 0
        self.closed: int | None = None

    def send(self, payload: bytes, binary: bool) -> None:
        """See `Line`."""
        self.sent.append(payload)

    def ping(self) -> None:
        """See `Line`."""
        self.pings += 1

    def pong(self, payload: bytes) -> None:
        """See `Line`."""
        self.pongs.append(payload)

    def close(self, code: int) -> None:
        """See `Line`."""
        self.closed = code

    def abort(self) -> None:
        """See `Line`. It is over at once."""
        self.ear.lost(1006)

    def says(self, message: Any) -> None:
        """Have the server send a message, as JSON if it is no bytes."""
        self.ear.received(message if isinstance(message, bytes) else json.dumps(message).encode(), False)

    def take(self) -> list[Any]:
        """What the client has sent since it was asked last, from JSON."""
        sent, self.sent = self.sent, []
        return [json.loads(each) for each in sent]


class World:
    """Where clients connect: each attempt is answered by the test."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.attempts: list[tuple[Opening, Ear, Deferred[Line]]] = []
        self.lines: list[FakeLine] = []

    def dial(self, opening: Opening, ear: Ear) -> Deferred[Line]:
        """See `Dial`."""
        dialing: Deferred[Line] = Deferred()
        self.attempts.append((opening, ear, dialing))
        return dialing

    def answer(self) -> FakeLine:
        """Let the latest attempt succeed."""
        opening, ear, dialing = self.attempts[-1]
        line = FakeLine(opening, ear)
        self.lines.append(line)
        dialing.callback(line)
        return line

    def refuse(self, error: Exception) -> None:
        """Let the latest attempt fail."""
        self.attempts[-1][2].errback(error)

    def make(self, kind: type[C], **options: Any) -> C:
        """A client in this world that begins to connect."""
        given = Options(reconnection=ONE_SECOND, **options)
        client = kind("ws://server.example", "secret", options=given, reactor=self.clock, dial=self.dial)
        client.start().addErrback(lambda _: None)
        return client

    def again(self) -> FakeLine:
        """Wait out the delay, and let the next attempt succeed."""
        count = len(self.attempts)
        for _ in range(200):
            self.clock.advance(0.5)
            if len(self.attempts) > count:
                return self.answer()
        raise AssertionError("it does not connect again")
