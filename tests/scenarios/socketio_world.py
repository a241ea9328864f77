"""What stories over Socket.IO need: kinds of clients, people with tokens, programs, dedicated listeners."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tests import node
from tests.endtoend.daemon import PRIVATE, DaemonProcess
from tests.endtoend.programs import Program, run
from tests.endtoend.test_life import LOOPBACK, DaemonWithoutListen

VERSIONS = (4, 3, 2)
"""Of socket.io-client."""

TRANSPORTS = ("upgrade", "websocket", "polling")
KINDS = tuple((version, transport) for version in VERSIONS for transport in TRANSPORTS)

People = Mapping[str, Mapping[str, str]]

_ROOT = Path(__file__).parent.parent.parent


def add_people(folder: Path, mark: str, names: Iterable[str]) -> People:
    """Add accounts to a daemon's database; their tokens are bare ones. An operator is an administrator."""
    people = {}
    with closing(sqlite3.connect(folder / "var" / "realtime.db", timeout=30)) as database, database:
        for name in names:
            full, token = f"{name}-{mark}", f"{PRIVATE}-{name}-{mark}"
            added = database.execute(
                "INSERT INTO users (user_name, user_password, token, is_admin) VALUES (?, '', ?, ?)",
                (full, token, name == "operator"),
            )
            people[name] = {"id": str(added.lastrowid), "name": full, "token": token}
    return people


def world(daemon: DaemonProcess, **more: Any) -> dict[str, Any]:
    """What every script is told."""
    return {"port": daemon.port, "private": PRIVATE, **more}


def script(name: str, programs: list[Program]) -> Program:
    """Start a script of Node's."""
    programs.append(run(node.command(node.CLIENTS / name), node.CLIENTS))
    return programs[-1]


def python_client(programs: list[Program]) -> Program:
    """Start the stories with python-socketio."""
    programs.append(run([sys.executable, "-m", "tests.scenarios.python_socketio"], _ROOT))
    return programs[-1]


class DedicatedDaemon(DaemonWithoutListen):
    """A daemon whose one listener serves one protocol alone. To be killed by whoever starts it."""

    def __init__(self, folder: Path, protocol: str, environment: Mapping[str, str]) -> None:
        text = f'[[listen]]\nendpoint = "{LOOPBACK}"\nprotocol = "{protocol}"\n'
        (folder / "dedicated.toml").write_text(text, encoding="utf-8")
        super().__init__(folder, "--config", "dedicated.toml", environment=environment)
