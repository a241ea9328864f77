"""What is measured, and how one measurement is made."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from bench import load
from bench.load import Connection, Workload
from bench.process import resident_bytes
from bench.server import Server
from bench.systems import MESSAGE, OURS, System, daemon, knocking, talking


class Measurement(Struct, frozen=True):
    """One run of one workload on one system.

    ``cost`` is what is compared: the server's CPU microseconds for an operation, or KiB for a connection.
    """

    workload: str
    system: str
    cost: float
    operations: int = 0
    seconds: float = 0.0
    p50_microseconds: float = 0.0
    p99_microseconds: float = 0.0
    client_busy: float = 0.0
    """The share of the time that the client's CPU was busy: well below 1, or it was the bottleneck."""


@dataclass(frozen=True, slots=True)
class Case:
    """A workload: ``kind`` is the load client's, ``size`` a number of connections, pairs or receivers."""

    name: str
    kind: str
    size: int
    unit: str
    burst: int = 1

    def connections(self, system: System) -> list[Connection]:
        """Return what the client opens."""
        if self.kind == "relay":
            return [system.connection(f"mode=relay&pair={number // 2}") for number in range(2 * self.size)]
        if self.kind == "fanout":
            receiver = system.connection("mode=fanout&role=receiver")
            return [system.connection("mode=fanout"), *[receiver] * self.size]
        return [system.connection("mode=echo")] * self.size


CASES = {
    case.name: case
    for case in (
        Case("echo", "echo", 50, "µs a message"),
        Case("relay", "relay", 200, "µs a message"),
        Case("fan-out 100", "fanout", 100, "µs a delivery"),
        Case("fan-out 1000", "fanout", 1000, "µs a delivery"),
        Case("burst of 8 to 100", "fanout", 100, "µs a delivery", burst=8),
        Case("burst of 8 to 1000", "fanout", 1000, "µs a delivery", burst=8),
        Case("handshakes", "handshakes", 64, "µs a connection"),
        Case("idle", "idle", 5000, "KiB a connection"),
    )
}

_FEW = 8

_CHECKED = 24
"""Characters at the beginning and at the end of a message that the client compares."""

_WARM_UP = 0.5
"""Seconds before those that are measured: connections are made, and compilers at run time compile."""


def measure(case: Case, system: System, seconds: float, scratch: Path) -> Measurement:
    """Run a workload once, on a server of its own, whose files lie under ``scratch`` meanwhile."""
    with prepared(case, system, scratch) as (server, workload):
        if case.kind == "idle":
            return measure_idle(case.name, system.name, server, workload.connections, scratch)
        return drive(case.name, system.name, server, workload, seconds, scratch)


@contextmanager
def prepared(case: Case, system: System, scratch: Path) -> Iterator[tuple[Server, Workload]]:
    """Run a server, and tell what is to be done to it."""
    message = system.envelope % MESSAGE
    with tempfile.TemporaryDirectory(prefix="server-", dir=scratch) as folder:
        server, connections = _prepare(case, system, Path(folder))
        with server:
            yield (
                server,
                Workload(
                    case.kind,
                    connections,
                    message=message,
                    begins=message[:_CHECKED],
                    ends=message[-_CHECKED:],
                    length=len(message),
                    burst=case.burst,
                ),
            )


def drive(
    case: str, system: str, server: Server, workload: Workload, seconds: float, scratch: Path
) -> Measurement:
    """Let the client loose on a server that runs, for so long and the warm-up."""
    outcome = load.run(
        workload,
        scratch,
        port=server.port,
        server=server.process_id,
        seconds=seconds,
        warm_up=_WARM_UP,
    )
    return Measurement(
        case,
        system,
        outcome.server_cpu / outcome.operations * 1e6,
        operations=outcome.operations,
        seconds=outcome.seconds,
        p50_microseconds=outcome.p50,
        p99_microseconds=outcome.p99,
        client_busy=outcome.client_cpu / outcome.seconds,
    )


def _prepare(case: Case, system: System, folder: Path) -> tuple[Server, Sequence[Connection]]:
    if system.name == OURS and case.kind == "idle":
        return daemon(folder, case.size)  # the whole of ours, each connection with a checked token
    if system.name == OURS and case.kind == "handshakes":
        return knocking(folder, case.size)
    if system.name == OURS and case.kind == "relay":
        return talking(folder, case.size)  # the whole of ours: talks, with all their rules
    return system.start(folder), case.connections(system)


def measure_idle(
    name: str, system: str, server: Server, connections: Sequence[Connection], scratch: Path
) -> Measurement:
    """Let connections come and do nothing, and look at the memory that the server took for them."""
    # The first connections make room for many: what is looked at is what each further one takes. They come
    # a few at a time, or the memory that a storm of handshakes needs would be counted as theirs.
    first = len(connections) // 10
    few = Workload("idle", connections[:first], flight=_FEW)
    rest = Workload("idle", connections[first:], flight=_FEW)
    port, process = server.port, server.process_id
    with load.idle(few, scratch, port=port, server=process):
        before = resident_bytes(process)
        with load.idle(rest, scratch, port=port, server=process):
            taken = resident_bytes(process) - before
    return Measurement(name, system, taken / 1024 / len(rest.connections), operations=len(connections))
