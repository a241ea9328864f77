"""Runs the load client, ``load.c``, which is compiled for it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.process import client_cpu, family

_SOURCE = Path(__file__).parent / "load.c"


class NoCompiler(Exception):
    """There is no C compiler to build the load client with."""


class Connection(Struct, frozen=True):
    """A connection to open: ``path``, and the steps that make it ready (see ``load.c``)."""

    path: str
    steps: Sequence[str] = ()


class Workload(Struct, frozen=True):
    """What the client does; ``kind`` and the rest are explained in ``load.c``. Times in seconds."""

    kind: str
    connections: Sequence[Connection]
    message: str = ""
    begins: str = ""
    ends: str = ""
    length: int = 0
    burst: int = 1
    flight: int = 64
    rate: int = 0
    ignore: Sequence[str] = ()


class Outcome(Struct, frozen=True):
    """What was seen after the warm-up. Times in seconds, latencies (where there are any) in microseconds."""

    operations: int
    seconds: float
    server_cpu: float
    client_cpu: float
    p50: float
    p99: float


@cache
def client(folder: Path) -> Path:
    """Compile the client into ``folder``."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise NoCompiler("the load client is written in C: install a compiler (cc)")
    program = folder / "load"
    subprocess.run([compiler, "-O2", "-o", str(program), str(_SOURCE)], check=True)
    return program


def run(
    workload: Workload,
    folder: Path,
    *,
    port: int,
    server: int,
    seconds: float,
    warm_up: float,
    beside: Sequence[int] = (),
) -> Outcome:
    """Drive a server, by its process id, for so long; those ``beside`` it count as well, and their children."""
    what = _what_to_do(workload, port, [server, *beside], seconds, warm_up)
    done = subprocess.run([client(folder)], input=what.encode(), stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=Outcome)


@contextmanager
def idle(workload: Workload, folder: Path, *, port: int, server: int) -> Iterator[None]:
    """Keep the connections of a workload open and silent."""
    with subprocess.Popen([client(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(_what_to_do(workload, port, [server], 0, 0).encode())
        process.stdin.flush()
        if not process.stdout.readline():
            raise RuntimeError("not all connections could be opened")
        yield
        process.stdin.close()
        if process.wait():
            raise RuntimeError("not all connections stayed open: what was measured is of fewer")


def _what_to_do(workload: Workload, port: int, servers: Sequence[int], seconds: float, warm_up: float) -> str:
    lines = [
        *(f"port {port}", f"cpu {client_cpu()}", f"workload {workload.kind}"),
        *(f"server {process}" for server in servers for process in family(server)),
        *(f"seconds {seconds}", f"warmup {warm_up}", f"burst {workload.burst}"),
        *(f"flight {workload.flight}", f"rate {workload.rate}"),
        *(f"ignore {beginning}" for beginning in workload.ignore),
        *(f"message {workload.message}", f"length {workload.length}"),
        *(f"begins {workload.begins}", f"ends {workload.ends}"),
        *("\t".join(("connection " + each.path, *each.steps)) for each in workload.connections),
    ]
    return "\n".join([*lines, "go", ""])
