"""The servers that are measured, and how each is spoken to."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from bench.load import Connection
from bench.server import Peer, Realtime, Server

PEERS = Path(__file__).parent / "peers"
MESSAGE = '{"event":"message","payload":{"message":"Good morning, where is the parcel I am waiting for?"}}'
"""About 100 bytes of JSON, as in the measurements that the targets come from."""


class Missing(Exception):
    """A system can't be measured here; the text is one line that says why."""


@dataclass(frozen=True, slots=True)
class System:
    """``command`` gives what starts it, or raises `Missing`.

    A connection asks for ``path`` and what it is for, and takes ``steps`` to be ready. ``envelope`` is what a
    message goes in, with ``%s`` in its place. It takes part in all kinds of workload, or in ``kind`` alone.
    """

    name: str
    command: Callable[[], list[str]]
    version: Callable[[], str]
    path: str = "/?"
    steps: tuple[str, ...] = ()
    envelope: str = "%s"
    kind: str = ""

    def start(self, folder: Path) -> Server:
        """Return its server, to be started, which keeps its files in ``folder``."""
        return Peer(self.command(), folder)

    def connection(self, purpose: str) -> Connection:
        """Return a connection for a purpose (``mode=echo``)."""
        return Connection(self.path + purpose, self.steps)


def _python(module: str, package: str) -> Callable[[], list[str]]:
    def command() -> list[str]:
        try:
            version(package)
        except PackageNotFoundError:
            raise Missing(f"{package} is not installed: pip install '.[bench]'") from None
        return [sys.executable, "-m", f"bench.peers.{module}"]

    return command


@cache
def _npm_folder() -> Path:
    """Install the peers from npm beside the results, once."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Missing("node and npm are not installed")
    folder = Path(__file__).parent / "results" / "npm"
    folder.mkdir(parents=True, exist_ok=True)
    for source in (*PEERS.glob("*.js"), PEERS / "package.json"):
        shutil.copy(source, folder)
    done = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=False)
    if done.returncode:
        raise Missing("npm can't install its packages")
    return folder


def _node(script: str, *arguments: str) -> Callable[[], list[str]]:
    return lambda: ["node", str(_npm_folder() / script), *arguments]


def _npm_version(package: str) -> Callable[[], str]:
    def read() -> str:
        text = (_npm_folder() / "node_modules" / package / "package.json").read_bytes()
        found: str = msgspec.json.decode(text)["version"]
        return found

    return read


def _socketio(name: str, command: Callable[[], list[str]], version_of: Callable[[], str]) -> System:
    return System(
        name,
        command,
        version_of,
        path="/socket.io/?EIO=4&transport=websocket&",
        steps=("<", ">40", "<"),
        envelope='42["message",%s]',
    )


OURS = "realtime"
REFERENCE = "ws"

SYSTEMS = {
    system.name: system
    for system in (
        System(OURS, _python("realtime_server", "autobahn"), lambda: version("txrealtime")),
        System("autobahn", _python("autobahn_server", "autobahn"), lambda: version("autobahn")),
        System("websockets", _python("websockets_server", "websockets"), lambda: version("websockets")),
        System("picows", _python("picows_server", "picows"), lambda: version("picows")),
        System(REFERENCE, _node("ws_server.js"), _npm_version("ws")),
        System("ws, framed once", _node("ws_server.js", "once"), _npm_version("ws"), kind="fanout"),
        _socketio("socket.io", _node("socketio_server.js"), _npm_version("socket.io")),
        _socketio(
            "python-socketio",
            _python("socketio_server", "python-socketio"),
            lambda: version("python-socketio"),
        ),
    )
}


def daemon(folder: Path, accounts: int, *options: str) -> tuple[Realtime, list[Connection]]:
    """Return our whole daemon, not started, and an authenticated connection for each of so many customers."""
    server = Realtime(folder, options)
    openings = [
        msgspec.json.encode({"method": "message.auth", "params": [token], "id": 1}).decode()
        for token in server.make_accounts(accounts)
    ]
    return server, [Connection("/support", (f">{opening}", "<")) for opening in openings]


def knocking(folder: Path, number: int) -> tuple[Realtime, list[Connection]]:
    """Return our whole daemon, not started, and connections that are let in once their token is checked."""
    server = Realtime(folder)
    return server, [
        Connection("/market", (f"HAuthorization: Bearer {token}", "HSec-WebSocket-Protocol: market.binary"))
        for token in server.make_accounts(number)
    ]


def talking(folder: Path, pairs: int) -> tuple[Realtime, list[Connection]]:
    """Return our whole daemon, not started, and the connections of so many talks, one behind the other."""
    server = Realtime(folder)
    # The two of a pair have one score, and no other pair one that is near.
    find = '>{"event":"find","payload":{"score":%d,"questions":[]}}'
    confirm = '>{"event":"confirm","payload":{"match_id":"%m"}}'
    return server, [
        Connection("/talk", (f"HAuthorization: Bearer {token}", find % (number // 2), "<", confirm, "<"))
        for number, token in enumerate(server.make_accounts(2 * pairs))
    ]
