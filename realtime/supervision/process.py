"""A worker's process as its parent sees it: its channel, its log, its end.

Its standard output and error are pipes of the parent's, who writes whole lines to the one log: so none is
torn, and twistd's ways of logging (a file that is rotated, syslog, standard output) stay the parent's alone.
What comes by standard output is the worker's log and goes on as it is. Anything on standard error is what the
interpreter or a library said: it becomes a warning, and the last such line is why a start failed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, TypeVar, cast

import msgspec
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.supervision.messages import (
    Alive,
    Answer,
    Ask,
    Begin,
    Drain,
    Failing,
    FromWorker,
    Measured,
    Ready,
    ToWorker,
    frame,
)
from realtime.supervision.supervisor import Told

INCOMING, OUTGOING, FIRST_SOCKET = 3, 4, 5
"""Descriptors of a worker: what its parent says, what it says, and the sockets from there on."""

_PARENTS_ALONE = frozenset(
    {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}
)
"""What the service manager says to the process that it started."""

_LONGEST_LINE = 1 << 20
"""Bytes of a log line without an end that are kept together."""

_Asked = TypeVar("_Asked", Failing, Measured)


class NoAnswer(Exception):
    """The worker ended before it answered."""


def command(options: Mapping[str, Any]) -> list[str]:
    """Return what a worker is started with, but for its slot: this interpreter, this twistd, its reactor."""
    reactor = [f"--reactor={options['reactor']}"] if options.get("reactor") else []
    return [
        sys.executable,
        os.path.abspath(sys.argv[0]),
        *reactor,
        "--nodaemon",
        "--pidfile=",
        "realtime",
        "--worker",
    ]


class WorkerProcess(ProcessProtocol):
    """One process. ``write`` takes each line of its log, with its end."""

    _log = Logger()

    def __init__(self, reactor: Any, slot: int, told: Told, write: Callable[[str], object]) -> None:
        self._reactor = reactor
        self._slot = slot
        self._told = told
        self._write = write
        self._frames = FromWorker()
        self._lines = {1: bytearray(), 2: bytearray()}
        self._last_words = ""
        self._numbers = count()
        self._asked: dict[int, Deferred[Any]] = {}
        self._has_ended = False

    def start(self, command: Sequence[str], begin: Begin, sockets: Sequence[int]) -> None:
        """Start it with these sockets, by their descriptors here."""
        arguments = [*command, str(self._slot)]
        inherited = {FIRST_SOCKET + index: descriptor for index, descriptor in enumerate(sockets)}
        try:
            self._reactor.spawnProcess(
                self,
                arguments[0],
                arguments,
                env={name: value for name, value in os.environ.items() if name not in _PARENTS_ALONE},
                childFDs={0: "w", 1: "r", 2: "r", INCOMING: "w", OUTGOING: "r", **inherited},
            )
        except OSError as error:
            self._has_ended = True
            self._reactor.callLater(0, self._told.ended, f"can't be started: {error.strerror}")
            return
        self._say(begin)

    def drain(self) -> None:
        """Ask it to end."""
        self._say(Drain())

    def kill(self) -> None:
        """End it at once."""
        if not self._has_ended:
            with suppress(ProcessExitedAlready):
                cast(Any, self.transport).signalProcess(signal.SIGKILL)

    def failing(self) -> Deferred[Failing]:
        """Ask which checks fail. Fails with `NoAnswer` if it ends before it answers; may be cancelled."""
        return self._ask(Ask(next(self._numbers), "readiness"))

    def measured(self) -> Deferred[Measured]:
        """Ask for its metrics, in the same way."""
        return self._ask(Ask(next(self._numbers), "metrics"))

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Take what it says, and what it logs."""
        if childFD == OUTGOING:
            self._heard(data)
        elif childFD in self._lines:
            self._logged(childFD, data)

    def processEnded(self, reason: Failure) -> None:
        """Tell who waits."""
        self._has_ended = True
        for channel in self._lines:
            self._logged(channel, b"\n" if self._lines[channel] else b"")
        asked, self._asked = self._asked, {}
        for waiting in asked.values():
            waiting.errback(NoAnswer())
        self._told.ended(self._reason(reason.value))

    def _say(self, message: ToWorker) -> None:
        # Writing to a pipe that has been closed would raise.
        if not self._has_ended and INCOMING in cast(Any, self.transport).pipes:
            cast(Any, self.transport).writeToChild(INCOMING, frame(message))

    def _ask(self, question: Ask) -> Deferred[_Asked]:
        if self._has_ended:
            return fail(NoAnswer())

        def forget(_: object) -> None:
            self._asked.pop(question.number, None)

        answer: Deferred[_Asked] = Deferred(forget)
        self._asked[question.number] = answer
        self._say(question)
        return answer

    def _heard(self, data: bytes) -> None:
        try:
            for message in self._frames.feed(data):
                match message:
                    case Alive():
                        self._told.alive()
                    case Ready():
                        self._told.ready()
                    case _:
                        self._answered(message)
        except msgspec.MsgspecError:
            self._log.error("worker {slot} is killed: it does not keep to the protocol", slot=self._slot)
            self.kill()

    def _answered(self, answer: Answer) -> None:
        waiting = self._asked.pop(answer.number, None)
        if waiting is not None:
            waiting.callback(answer)

    def _reason(self, end: Any) -> str:
        number = getattr(end, "signal", None)
        if number:
            return f"killed by {signal.Signals(number).name}"
        code = getattr(end, "exitCode", 0) or 0
        return self._last_words if code and self._last_words else f"exit code {code}"

    def _logged(self, channel: int, data: bytes) -> None:
        buffer = self._lines[channel]
        buffer += data
        end = buffer.rfind(b"\n") + 1
        if not end and len(buffer) > _LONGEST_LINE:
            buffer += b"\n"
            end = len(buffer)
        lines = bytes(buffer[:end]).decode("utf-8", "backslashreplace").splitlines(keepends=True)
        del buffer[:end]
        for line in lines:
            if channel == 1:
                self._write(line)
            elif line.strip():
                self._last_words = line.strip().removeprefix("realtime: ")
                self._log.warn("worker {slot}: {line}", slot=self._slot, line=self._last_words)
