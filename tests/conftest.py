"""Fixtures for all tests: a database of each kind, and a reactor that is left clean."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import deferLater

from tests import services
from tests.reactor import wait_for

_GRACE = 2.0
"""Seconds that a test's last calls and threads may take to end."""


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new, empty database: SQLite, PostgreSQL and MariaDB in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/state/realtime.db"
        return
    server = services.SERVERS[request.param]()
    url = server.fresh_database()
    yield url
    server.drop_database(url)


@pytest.fixture(params=["postgresql", "mariadb"])
def database_server(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A database server that the test may stop, kill and pause; it runs again afterwards."""
    server = services.private(services.SERVERS[request.param]())
    yield server
    server.ensure_running()


@pytest.fixture(autouse=True)
def clean_reactor() -> Iterator[None]:
    """Fails a test that leaves a delayed call, a reader or writer, or a thread behind."""
    from twisted.internet import reactor

    before = _left(reactor)
    yield
    deadline = time.monotonic() + _GRACE
    while (left := _left(reactor) - before) and time.monotonic() < deadline:
        # What is about to end needs turns of the reactor to do so.
        wait_for(deferLater(reactor, 0.01))
    if left:
        for each in left:
            if hasattr(each, "cancel") and each.active():
                each.cancel()
        pytest.fail("left behind: " + ", ".join(sorted(str(each) for each in left)))


def _left(reactor: Any) -> set[Any]:
    threads = {
        thread
        for thread in threading.enumerate()
        # The reactor's own pool keeps its threads until the end.
        if not thread.name.startswith("PoolThread-twisted.internet.reactor")
    }
    sockets = {*reactor.getReaders(), *reactor.getWriters()} - reactor._internalReaders
    return {*reactor.getDelayedCalls(), *sockets, *threads}
