"""Daemons that are gone when their test is over, and have said nothing that they must not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from tests.endtoend.daemon import DaemonProcess, faults_in
from tests.reactor import wait_for

Start = Callable[..., "Deferred[DaemonProcess]"]


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[Start]:
    """A function that starts a daemon with options and environment; all are killed at the end.

    Their logs must hold no traceback, and nothing private.
    """
    started: list[DaemonProcess] = []

    def start(*options: str, **settings: Any) -> Deferred[DaemonProcess]:
        daemon = DaemonProcess(tmp_path, *options, **settings)
        started.append(daemon)
        return daemon.start()

    yield start
    for daemon in started:
        if daemon.is_running:
            wait_for(daemon.kill())
    for daemon in started:
        assert not faults_in(daemon.log), daemon.log
