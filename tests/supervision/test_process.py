from __future__ import annotations

import os
import signal
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from realtime.config import load
from realtime.supervision.messages import Alive, Ask, Begin, Drain, Failing, FromParent, Measured, Ready, frame
from realtime.supervision.process import NoAnswer, WorkerProcess
from tests.logged import Logged

BEGIN = Begin(slot=1, settings=load(), endpoints=((9, 2),), demo=False)


class Transport:
    """The parent's side of a process."""

    def __init__(self) -> None:
        self.pipes = {0: None, 1: None, 2: None, 3: None, 4: None}
        self.written = b""
        self.signals: list[int] = []

    def writeToChild(self, number: int, data: bytes) -> None:
        """Keep what is said."""
        assert number == 3
        assert number in self.pipes, "closed"
        self.written += data

    def signalProcess(self, number: int) -> None:
        """Keep the signal."""
        self.signals.append(number)


class ProcessReactor(Clock):
    """Starts nothing, or fails to."""

    error: OSError | None = None

    def spawnProcess(self, protocol: Any, executable: str, arguments: list[str], **options: Any) -> None:
        """Note what would be started."""
        if self.error is not None:
            raise self.error
        self.arguments, self.options = arguments, options
        protocol.makeConnection(Transport())


class Told:
    """What was told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def alive(self) -> None:
        """Note it."""
        self.heard.append("alive")

    def ready(self) -> None:
        """Note it."""
        self.heard.append("ready")

    def ended(self, reason: str) -> None:
        """Note it."""
        self.heard.append(reason)


class WorkerProcessTests(SynchronousTestCase):
    """A worker as its parent sees it."""

    def setUp(self) -> None:
        """Start one."""
        self.reactor = ProcessReactor()
        self.told = Told()
        self.lines: list[str] = []
        self.logged = Logged(self)
        self.process = WorkerProcess(self.reactor, 1, self.told, self.lines.append)

    def start(self) -> Transport:
        """Start it."""
        self.patch(
            os, "environ", {"PATH": "/bin", "NOTIFY_SOCKET": "/n", "LISTEN_FDS": "1", "WATCHDOG_USEC": "1"}
        )
        self.process.start(["/python", "/twistd", "--worker"], BEGIN, [9])
        transport: Any = self.process.transport
        return transport  # type: ignore[no-any-return]

    def end(self, failure: Exception) -> None:
        """Let it be gone."""
        self.process.processEnded(Failure(failure))

    def test_start(self) -> None:
        """It has its slot as argument, its socket, its first word; nothing that systemd said to its parent."""
        transport = self.start()
        self.assertEqual(self.reactor.arguments, ["/python", "/twistd", "--worker", "1"])
        self.assertEqual(self.reactor.options["env"], {"PATH": "/bin"})
        self.assertEqual(self.reactor.options["childFDs"], {0: "w", 1: "r", 2: "r", 3: "w", 4: "r", 5: 9})
        self.assertEqual(list(FromParent().feed(transport.written)), [BEGIN])

    def test_no_start(self) -> None:
        """A machine that can't start it is an end as any other, a turn later."""
        self.reactor.error = OSError(11, "Resource temporarily unavailable")
        self.process.start(["/python"], BEGIN, [])
        self.assertEqual(self.told.heard, [])
        self.reactor.advance(0)
        self.assertEqual(self.told.heard, ["can't be started: Resource temporarily unavailable"])
        self.process.kill()
        self.process.drain()

    def test_signs(self) -> None:
        """What it says of itself is told."""
        self.start()
        self.process.childDataReceived(4, frame(Alive()) + frame(Ready()))
        self.assertEqual(self.told.heard, ["alive", "ready"])

    def test_questions(self) -> None:
        """Answers find their question, in whatever order; who gave up hears nothing."""
        transport = self.start()
        transport.written = b""
        failing, measured, given_up = self.process.failing(), self.process.measured(), self.process.failing()
        self.assertEqual(
            list(FromParent().feed(transport.written)),
            [Ask(0, "readiness"), Ask(1, "metrics"), Ask(2, "readiness")],
        )
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        for answer in (Failing(2, ()), Measured(1, ()), Failing(0, ("redis",))):
            self.process.childDataReceived(4, frame(answer))
        self.assertEqual(self.successResultOf(failing).checks, ("redis",))
        self.assertEqual(self.successResultOf(measured).families, ())

    def test_end_without_an_answer(self) -> None:
        """A worker that ends answers nobody, nor does it later."""
        self.start()
        asked = self.process.failing()
        self.end(ProcessTerminated(signal=signal.SIGKILL))
        self.failureResultOf(asked, NoAnswer)
        self.failureResultOf(self.process.measured(), NoAnswer)

    def test_reasons(self) -> None:
        """Why it ended: a signal, its last words if it failed, or its exit code."""
        for last_words, end, reason in (
            (b"", ProcessTerminated(signal=signal.SIGSEGV), "killed by SIGSEGV"),
            (b"realtime: no\n", ProcessTerminated(signal=signal.SIGKILL), "killed by SIGKILL"),
            (b"one\nrealtime: can't", ProcessTerminated(exitCode=1), "can't"),
            (b"", ProcessTerminated(exitCode=2), "exit code 2"),
            (b"a warning\n", ProcessDone(None), "exit code 0"),
        ):
            self.process = WorkerProcess(self.reactor, 1, self.told, self.lines.append)
            self.start()
            self.process.childDataReceived(2, last_words)
            self.end(end)
            self.assertEqual(self.told.heard.pop(), reason)

    def test_log(self) -> None:
        """Its log goes on line by line, each whole, in whatever pieces it comes; letters too."""
        self.start()
        text = "erste Zeile ☃\n\tmore of it\n"
        data = text.encode()
        for index in range(len(data)):
            self.process.childDataReceived(1, data[index : index + 1])
        self.process.childDataReceived(1, b"torn by its \xffend")
        self.assertEqual("".join(self.lines), text)
        self.end(ProcessTerminated(signal=signal.SIGKILL))
        self.assertEqual(self.lines, ["erste Zeile ☃\n", "\tmore of it\n", "torn by its \\xffend\n"])

    def test_endless_line(self) -> None:
        """A line without end isn't kept for ever."""
        self.start()
        for _ in range(3):
            self.process.childDataReceived(1, b"x" * (1 << 20))
        self.assertGreaterEqual(sum(map(len, self.lines)), 1 << 21)

    def test_said_on_standard_error(self) -> None:
        """What the interpreter says becomes a warning that names the worker."""
        self.start()
        self.process.childDataReceived(2, b"Fatal Python error\n\n")
        (event,) = self.logged.holding("Fatal Python error")
        self.assertEqual((event["slot"], event["log_level"].name), (1, "warn"))
        self.assertEqual(self.lines, [])

    def test_drain_and_kill(self) -> None:
        """Ending it: asked by the pipe while that is there, or by a signal."""
        transport = self.start()
        transport.written = b""
        self.process.drain()
        self.assertEqual(list(FromParent().feed(transport.written)), [Drain()])
        del transport.pipes[3]
        self.process.drain()
        self.process.kill()
        self.assertEqual(transport.signals, [signal.SIGKILL])
        self.end(ProcessDone(None))
        self.process.kill()
        self.assertEqual(transport.signals, [signal.SIGKILL])

    def test_nonsense(self) -> None:
        """One that says what can't be understood is killed."""
        transport = self.start()
        self.process.childDataReceived(4, b"\0\0\0\1\xc1")
        self.assertEqual(transport.signals, [signal.SIGKILL])
