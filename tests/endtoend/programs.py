"""Client programs in processes of their own, which are told and tell lines of JSON."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from tests.reactor import wait_for

LONGEST_LIFE = 110.0
"""Seconds after which a program is killed."""


class Program(ProcessProtocol):
    """A program that runs; `tell` it something, and await what it says with `next`."""

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()
        self._said: deque[Any] = deque()
        self._waiting: deque[Deferred[Any]] = deque()
        self._rest = b""
        self._complaints = b""
        self._is_over = False
        self._end_of_life: IDelayedCall | None = None

    def tell(self, thing: object) -> None:
        """Give it a line."""
        assert self.transport is not None
        self.transport.write(json.dumps(thing).encode() + b"\n")

    def next(self) -> Deferred[Any]:
        """Fires with the next thing that it says; fails with its complaints if it ends before."""
        waiting: Deferred[Any] = Deferred()
        self._waiting.append(waiting)
        self._give()
        return waiting

    async def stories(self) -> list[str]:
        """Wait until it has told all its stories; the faults of those that went wrong."""
        faults = []
        while "over" not in (told := await self.next()):
            if told["fault"] is not None:
                faults.append(
                    f"{told['story']}: {told['fault']}\nheard: {json.dumps(told.get('heard'))[:2000]}"
                )
        await self.ended
        return faults

    def kill(self) -> Deferred[None]:
        """End it, if it has not ended; fires when it has."""
        assert self.transport is not None
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")
        return self.ended

    # -- what Twisted calls --------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Set it a limit."""
        from twisted.internet import reactor

        self._end_of_life = reactor.callLater(LONGEST_LIFE, self.kill)

    def outReceived(self, data: bytes) -> None:
        """Keep what it says."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._said.extend(json.loads(line) for line in lines)
        self._give()

    def errReceived(self, data: bytes) -> None:
        """Keep what it complains of."""
        self._complaints += data

    def processEnded(self, reason: Failure) -> None:
        """Tell who waits."""
        if self._end_of_life is not None and self._end_of_life.active():
            self._end_of_life.cancel()
        self._is_over = True
        self._give()
        self.ended.callback(None)

    def _give(self) -> None:
        while self._waiting and self._said:
            self._waiting.popleft().callback(self._said.popleft())
        if self._is_over:
            while self._waiting:
                said = self._complaints.decode(errors="replace")[-4000:]
                self._waiting.popleft().errback(RuntimeError(f"it ended:\n{said}"))


def run(command: Sequence[str], folder: Path) -> Program:
    """Start a program."""
    from twisted.internet import reactor

    program = Program()
    reactor.spawnProcess(program, command[0], list(command), env=dict(os.environ), path=str(folder))
    return program


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    """A list for the programs that a test starts; they have ended when it is over."""
    started: list[Program] = []
    yield started
    for program in started:
        if not program.ended.called:
            wait_for(program.kill())
