"""A real daemon in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

TWISTD = Path(sys.executable).parent / "twistd"

PRIVATE = "zebra"
"""Is part of every password, bare token and message of the tests that look for leaks in a log."""

LONGEST_LIFE = 120.0
"""Seconds after which a daemon is killed: who still waits for it fails then, and waits no more."""

_NEVER_LOGGED = ("Traceback", "Unhandled", "Exception ignored", "Warning:", PRIVATE, "eyJ")  # as JWTs begin


def faults_in(log: str) -> list[str]:
    """The lines of a daemon's log that no peer may bring about."""
    return [line for line in log.splitlines() if any(part in line for part in _NEVER_LOGGED)]


class DaemonProcess(ProcessProtocol):
    """``twistd -n realtime`` in ``folder``, listening on ports that the system chooses.

    ``log`` is what it has written so far. `ready` fires when it serves, `ended` with its exit code,
    or the negative number of the signal that ended it. Options and environment are added to the
    command's. ``launcher`` is a command that becomes twistd, ``inherited`` gives the descriptors it
    has, beside the three, by the numbers it has them by.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
        twistd: Path = TWISTD,
        launcher: Sequence[str] = (),
        inherited: Mapping[int, int] | None = None,
    ) -> None:
        self.folder = folder
        self.log = ""
        self.port = 0
        self.operations_port = 0
        self.ready: Deferred[DaemonProcess] = Deferred()
        self.ended: Deferred[int] = Deferred()
        self._command = [*launcher, str(twistd), "-n", "--pidfile=", "realtime", *options]
        self._inherited = dict(inherited or {})
        self._received = b""
        self._awaited: list[tuple[str, Deferred[None]]] = []
        self._end_of_life: IDelayedCall | None = None
        self._environment = {
            **os.environ,
            "REALTIME_LISTEN": "tcp:0:interface=127.0.0.1",
            "REALTIME_OPERATIONS_LISTEN": "tcp:0:interface=127.0.0.1",
            "REALTIME_AUTH_BCRYPT_ROUNDS": "4",
            "PYTHONWARNINGS": "error::ResourceWarning",
            **(environment or {}),
        }

    def start(self) -> Deferred[DaemonProcess]:
        """Start the process; fires when it serves, fails with its log if it ends before."""
        from twisted.internet import reactor

        reactor.spawnProcess(
            self,
            self._command[0],
            self._command,
            env=self._environment,
            path=str(self.folder),
            childFDs={0: "w", 1: "r", 2: "r", **self._inherited},
        )
        self._end_of_life = reactor.callLater(LONGEST_LIFE, self.kill)
        return self.ready

    def logged(self, text: str) -> Deferred[None]:
        """Fires when the log holds ``text``; fails if the process ends before."""
        waiting: Deferred[None] = Deferred()
        self._awaited.append((text, waiting))
        self._tell_who_waits()
        return waiting

    def send_signal(self, number: int) -> Deferred[int]:
        """Send a signal that ends the process; fires when it has ended."""
        assert self.transport is not None
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess(signal.Signals(number).name.removeprefix("SIG"))
        return self.ended

    def stop(self) -> Deferred[int]:
        """Ask it to stop, as systemd does."""
        return self.send_signal(signal.SIGTERM)

    def kill(self) -> Deferred[int]:
        """Kill it, with no word of warning."""
        return self.send_signal(signal.SIGKILL)

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return not self.ended.called

    def outReceived(self, data: bytes) -> None:
        """Keep what it says, and learn its ports from it."""
        self._received += data
        self.log = self._received.decode(errors="replace")
        ports = re.findall(r": 127\.0\.0\.1:(\d+)(?:\"})?\n", self.log)
        if len(ports) == 2 and not self.ready.called:
            self.port, self.operations_port = map(int, ports)
            self.ready.callback(self)
        self._tell_who_waits()

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        """Tell who waits."""
        if self._end_of_life is not None and self._end_of_life.active():
            self._end_of_life.cancel()
        value = reason.value
        number = getattr(value, "signal", None)
        code = -number if number else getattr(value, "exitCode", 0)
        awaited, self._awaited = self._awaited, []
        for text, waiting in awaited:
            waiting.errback(RuntimeError(f"ended before it said {text!r}:\n{self.log}"))
        if not self.ready.called:
            self.ready.errback(RuntimeError(f"ended with {code}:\n{self.log}"))
        self.ended.callback(code or 0)

    def _tell_who_waits(self) -> None:
        said = [each for each in self._awaited if each[0] in self.log]
        self._awaited = [each for each in self._awaited if each not in said]
        for _, waiting in said:
            waiting.callback(None)
