"""Daemons that are gone when their test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests.endtoend.daemon import DaemonProcess

Start = Callable[..., "Deferred[DaemonProcess]"]


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[Start]:
    """A function that starts a daemon with options and environment; all are killed at the end."""
    started: list[DaemonProcess] = []

    def start(*options: str, **settings: Any) -> Deferred[DaemonProcess]:
        daemon = DaemonProcess(tmp_path, *options, **settings)
        started.append(daemon)
        return daemon.start()

    yield start
    for daemon in started:
        if daemon.is_running:
            pytest_twisted.blockon(daemon.kill())
