"""Servers to measure: each in a process of its own, pinned to one CPU, in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.process import server_cpu

_ROOT = Path(__file__).parent.parent
_PATIENCE = 30.0  # seconds for a start or a stop


class Server:
    """A server process; a context manager that starts and stops it.

    ``folder`` is where it runs and writes its log; ``address`` is a pattern that finds, as its one
    group, the port in a line of the log.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        address: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = 0
        # The server runs the code that stands beside this package, wherever else it is installed.
        self.environment = {**os.environ, "PYTHONPATH": str(_ROOT), **(environment or {})}
        self._command = command
        self._address = re.compile(address, re.MULTILINE)
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process_id(self) -> int:
        """The id of the process, which runs."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        """Start it, and wait until it listens."""
        cpu = server_cpu()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),
            )
        try:
            self.port = self._wait_for_port(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()

    def stop(self) -> None:
        """Ask it to stop, and wait until it has; kill it if it does not."""
        process = self._process
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _wait_for_port(self, process: subprocess.Popen[bytes]) -> int:
        give_up = time.monotonic() + _PATIENCE
        while process.poll() is None and time.monotonic() < give_up:
            found = self._address.search(self._log.read_text())
            if found:
                return int(found[1])
            time.sleep(0.02)
        raise RuntimeError(f"{self._command[0]} does not listen:\n{self._log.read_text()}")


class Realtime(Server):
    """``twistd -n realtime`` on an SQLite file, with the limits out of the client's way.

    ``options`` are twistd's own. `make_accounts` is called before the start.
    """

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        twistd = Path(sys.executable).parent / "twistd"
        super().__init__(
            [str(twistd), "-n", "--pidfile=", *options, "realtime"],
            folder=folder,
            address=r"support: 127\.0\.0\.1:(\d+)$",
            environment={
                "REALTIME_LISTEN": "tcp:0:interface=127.0.0.1",
                "REALTIME_OPERATIONS_LISTEN": "",
                "REALTIME_OPERATIONS_DRAIN_SECONDS": "0",
                "REALTIME_LIMITS_MESSAGES_PER_SECOND": "1000000000",
                "REALTIME_LIMITS_CONNECTIONS_PER_USER": "0",
                "REALTIME_LIMITS_UNAUTHENTICATED_TIMEOUT": "600",
                "REALTIME_TALK_CONFIRM_TIMEOUT": "600",
                "REALTIME_TALK_TALK_DURATION": "600",
            },
        )

    def make_accounts(self, number: int) -> list[str]:
        """Make customers in the database, and return a token for each."""
        made = subprocess.run(
            [sys.executable, "-m", "bench.accounts", str(number)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            check=True,
        )
        tokens: list[str] = json.loads(made.stdout)
        return tokens


class Peer(Server):
    """A server of `bench.peers`, by its command."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        super().__init__(command, folder=folder, address=r"^listening on (\d+)$")
