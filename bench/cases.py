"""What is measured: the same texts sent to each server, and what counts as an answer."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.load import Outcome, Workload
from bench.process import client_cpu, resident_bytes
from bench.server import AutobahnEcho, Realtime, Server

# About 100 bytes of JSON, as in the measurements that the targets come from.
_TEXT = "Good morning, where is the parcel I am waiting for?"
_IDS = range(10, 26)
_REQUESTS = [
    json.dumps({"method": "message.send", "params": [_TEXT], "id": number}, separators=(",", ":"))
    for number in _IDS
]
_ENDS = [f'"id":{number}}}' for number in _IDS]
_WARM_UP = 0.2
"""Of the measured time: so long goes by before it."""


class Measurement(Struct, frozen=True):
    """One run of one case. CPU times are microseconds for each message, latencies milliseconds."""

    case: str
    connections: int
    messages: int
    per_second: float
    per_cpu_second: float
    cpu_microseconds: float
    p50_milliseconds: float
    p99_milliseconds: float
    resident_mebibytes: float
    client_busy: float
    """The share of the time that the client's CPU was busy: well below 1, or it was the bottleneck."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A server that runs, and what the client is to do to it."""

    server: Server
    path: str
    openings: list[str]
    begins: str


@contextmanager
def support(folder: Path, connections: int, *options: str) -> Iterator[Prepared]:
    """Customers say something, each to be stored and acknowledged; each has one connection."""
    server = Realtime(folder, options)
    openings = [
        json.dumps({"method": "message.auth", "params": [token], "id": 1})
        for token in server.make_accounts(connections)
    ]
    with server:
        yield Prepared(server, "/support", openings, '{"error":null,"result":{"message":{"message_id":')


@contextmanager
def autobahn_echo(folder: Path, connections: int) -> Iterator[Prepared]:
    """The same texts come back as they are."""
    with AutobahnEcho(folder) as server:
        yield Prepared(server, "/", [""] * connections, '{"method":')


CASES: dict[str, Callable[[Path, int], AbstractContextManager[Prepared]]] = {
    "support": support,
    "autobahn echo": autobahn_echo,
}


def drive(prepared: Prepared, seconds: float) -> Outcome:
    """Let the client loose, for so long and the warm-up."""
    workload = Workload(
        port=prepared.server.port,
        path=prepared.path,
        openings=prepared.openings,
        requests=_REQUESTS,
        begins=prepared.begins,
        ends=_ENDS,
        warm_up=seconds * _WARM_UP,
        seconds=seconds,
        server=prepared.server.process_id,
        cpu=client_cpu(),
    )
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        cwd=Path(__file__).parent.parent,
        input=msgspec.json.encode(workload),
        stdout=subprocess.PIPE,
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=Outcome)


def measure(case: str, connections: int, seconds: float, scratch: Path) -> Measurement:
    """Run a case once, on a server of its own, whose files lie under ``scratch`` meanwhile."""
    with (
        tempfile.TemporaryDirectory(prefix="server-", dir=scratch) as folder,
        CASES[case](Path(folder), connections) as prepared,
    ):
        outcome = drive(prepared, seconds)
        resident = resident_bytes(prepared.server.process_id)
    latencies = outcome.latencies
    return Measurement(
        case=case,
        connections=connections,
        messages=outcome.answers,
        per_second=outcome.answers / outcome.seconds,
        per_cpu_second=outcome.answers / outcome.server_cpu,
        cpu_microseconds=outcome.server_cpu / outcome.answers * 1e6,
        p50_milliseconds=latencies[len(latencies) // 2] * 1e3,
        p99_milliseconds=latencies[len(latencies) * 99 // 100] * 1e3,
        resident_mebibytes=resident / 2**20,
        client_busy=outcome.client_cpu / outcome.seconds,
    )
