"""What the stories of the five clients share: a daemon with accounts, killed and started again at its place."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater

from realtime.client import Options, Reconnection
from tests.endtoend.conftest import Start
from tests.endtoend.daemon import PRIVATE, DaemonProcess

_clock: Any = reactor

QUICK = Options(reconnection=Reconnection(first=0.05, longest=0.1))
"""Delays for a server that is back in a second."""


def token(name: str) -> str:
    """The token of an account."""
    return f"{PRIVATE}-{name}"


class Server:
    """A daemon with the accounts alice, bob, carol (1 to 3) and olga, an operator."""

    def __init__(self, start_daemon: Start, settings: Mapping[str, str]) -> None:
        self._start_daemon = start_daemon
        self._settings = settings
        self._daemon: DaemonProcess
        self.port = 0
        self.folder = Path()

    async def start(self) -> Server:
        """Start it, with its accounts."""
        daemon = self._daemon = await self._start_daemon(environment=self._settings)
        self.port, self.folder = daemon.port, daemon.folder
        with closing(sqlite3.connect(daemon.folder / "var" / "realtime.db")) as database, database:
            database.executemany(
                "INSERT INTO users (user_name, user_password, token, is_admin) VALUES (?, '', ?, ?)",
                [(name, token(name), name == "olga") for name in ("alice", "bob", "carol", "olga")],
            )
        return self

    def url(self, protocol: str) -> str:
        """The address of a protocol."""
        return f"ws://127.0.0.1:{self.port}/{protocol}"

    async def kill(self) -> None:
        """Kill it."""
        await self._daemon.kill()

    async def return_(self) -> None:
        """Start it again, where it was."""
        listen = {"REALTIME_LISTEN": f"tcp:{self.port}:interface=127.0.0.1"}
        self._daemon = await self._start_daemon(environment={**self._settings, **listen})


async def serve(start_daemon: Start, **settings: str) -> Server:
    """Start a server; settings as in its environment, without their prefix."""
    named = {f"REALTIME_{name.upper()}": value for name, value in settings.items()}
    return await Server(start_daemon, named).start()


async def pause(seconds: float = 0.05) -> None:
    """Give a real server a moment."""
    await deferLater(_clock, seconds)
