"""Scenarios use the end-to-end tests' daemons and client programs; some, several daemons as one server."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults

from tests import services
from tests.endtoend.conftest import Start
from tests.endtoend.conftest import start_daemon as start_daemon
from tests.endtoend.daemon import DaemonProcess
from tests.endtoend.programs import programs as programs

StartServer = Callable[..., "Deferred[list[DaemonProcess]]"]


@pytest.fixture
def redis() -> Iterator[services.RedisServer]:
    """The Redis of the test run, which the test may stop, kill and pause; it runs again afterwards."""
    server = services.redis()
    server.ensure_running()
    yield server
    server.ensure_running()


@pytest.fixture
def start_server(start_daemon: Start, redis: services.RedisServer) -> StartServer:
    """A function that starts a server of so many processes, two unless told; fires when all serve.

    They share a Redis, a database (an SQLite file, unless ``database_url`` is given) and a state directory.
    Called again, it starts more of the same server.
    """
    prefix = f"test-{secrets.token_hex(4)}"

    def start(
        count: int = 2,
        *options: str,
        database_url: str | None = None,
        environment: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> Deferred[list[DaemonProcess]]:
        variables = {"REALTIME_REDIS_URL": redis.url, "REALTIME_REDIS_PREFIX": prefix, **(environment or {})}
        if database_url is not None:
            variables["REALTIME_DATABASE_URL"] = database_url
        return gatherResults([start_daemon(*options, environment=variables, **settings) for _ in range(count)])

    return start
