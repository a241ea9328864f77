"""A real daemon in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

TWISTD = Path(sys.executable).parent / "twistd"


class DaemonProcess(ProcessProtocol):
    """``twistd -n realtime`` in ``folder``, listening on ports that the system chooses.

    ``log`` is what it has written so far. `ready` fires when it serves, `ended` with its exit code,
    or the negative number of the signal that ended it. Options and environment are added to the
    command's.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
        twistd: Path = TWISTD,
    ) -> None:
        self.folder = folder
        self.log = ""
        self.port = 0
        self.operations_port = 0
        self.ready: Deferred[DaemonProcess] = Deferred()
        self.ended: Deferred[int] = Deferred()
        self._command = [str(twistd), "-n", "--pidfile=", "realtime", *options]
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

        reactor.spawnProcess(  # type: ignore[attr-defined]
            self, self._command[0], self._command, env=self._environment, path=str(self.folder)
        )
        return self.ready

    def send_signal(self, number: int) -> Deferred[int]:
        """Send a signal that ends the process; fires when it has ended."""
        assert self.transport is not None
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
        self.log += data.decode()
        ports = re.findall(r": 127\.0\.0\.1:(\d+)$", self.log, re.MULTILINE)
        if len(ports) == 2 and not self.ready.called:
            self.port, self.operations_port = map(int, ports)
            self.ready.callback(self)

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        """Tell who waits."""
        value = reason.value
        number = getattr(value, "signal", None)
        code = -number if number else getattr(value, "exitCode", 0)
        if not self.ready.called:
            self.ready.errback(RuntimeError(f"ended with {code}:\n{self.log}"))
        self.ended.callback(code or 0)
