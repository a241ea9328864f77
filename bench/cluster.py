"""Several processes: what it costs that a message crosses from one to another, and what Redis carries.

A relay of talk between clients of one process, of one process that shares a Redis with another, and of two
processes; and the bus alone. All servers run on one CPU, Redis too: what is compared is CPU time. The latency
is that of one pair, with nothing else to do.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import load
from bench.load import Connection, Workload
from bench.process import cpu_seconds, server_cpu
from bench.report import Report, figure, line, medians
from bench.server import Realtime, Server
from bench.systems import MESSAGE, Missing, talking
from bench.workloads import Measurement

ALONE, BESIDE, ACROSS = "one process", "one of two processes", "across two processes"
_PAIRS = 200
_WARM_UP = 0.5
_ENVELOPE = '{"event":"message","payload":%s}'


@dataclass(frozen=True, slots=True)
class Kind:
    """What is measured: a relay of so many ``pairs``, or the bus with so many messages ``at_once``."""

    name: str
    pairs: int = 0
    at_once: int = 0

    @property
    def systems(self) -> Sequence[str]:
        """The ways in which it is done."""
        return (ALONE, BESIDE, ACROSS) if self.pairs else ("publisher", "listener", "redis")


KINDS = {
    kind.name: kind
    for kind in (
        Kind(f"relay, {_PAIRS} pairs", pairs=_PAIRS),
        Kind("relay, 1 pair", pairs=1),
        Kind("bus, 100 a turn", at_once=100),
        Kind("bus, one by one", at_once=1),
    )
}


class Redis(Server):
    """A Redis that keeps nothing. Raises `Missing`."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise Missing("redis-server is not installed")
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            port = listening.getsockname()[1]
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        super().__init__(command, folder=folder, address=r"port=(\d+)")

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}"


def measure(kind: Kind, seconds: float, scratch: Path) -> list[Measurement]:
    """Run it once, in all ways."""
    if kind.pairs:
        return [_relay(kind, way, seconds, scratch) for way in kind.systems]
    return _bus(kind, seconds, scratch)


def _relay(kind: Kind, way: str, seconds: float, scratch: Path) -> Measurement:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="server-", dir=scratch)))
        one, people = talking(folder, kind.pairs)
        servers: list[Server] = []
        if way != ALONE:
            (folder / "redis").mkdir()
            redis = stack.enter_context(Redis(folder / "redis"))
            one.environment["REALTIME_REDIS_URL"] = redis.url
            servers.append(redis)
        stack.enter_context(one)
        if way != ALONE:
            two = Realtime(folder / "two")
            two.folder.mkdir()
            two.environment |= {
                "REALTIME_REDIS_URL": redis.url,
                "REALTIME_STATE_DIR": str(folder / "var"),
            }
            stack.enter_context(two)
            servers.append(two)
            if way == ACROSS:
                people = _spread(people, two.port)
        message = _ENVELOPE % MESSAGE_PAYLOAD
        workload = Workload("relay", people, message=message, begins=message, length=len(message))
        outcome = load.run(
            workload,
            scratch,
            port=one.port,
            server=one.process_id,
            beside=[each.process_id for each in servers],
            seconds=seconds,
            warm_up=_WARM_UP,
        )
    return Measurement(
        kind.name,
        way,
        outcome.server_cpu / outcome.operations * 1e6,
        operations=outcome.operations,
        seconds=outcome.seconds,
        p50_microseconds=outcome.p50,
        p99_microseconds=outcome.p99,
        client_busy=outcome.client_cpu / outcome.seconds,
    )


MESSAGE_PAYLOAD = json.dumps(json.loads(MESSAGE)["payload"], separators=(",", ":"))


def _spread(people: Sequence[Connection], port: int) -> list[Connection]:
    """Have the second of each two go to another port."""
    return [
        Connection(each.path, (f"P{port}", *each.steps)) if number % 2 else each
        for number, each in enumerate(people)
    ]


def _bus(kind: Kind, seconds: float, scratch: Path) -> list[Measurement]:
    with _redis(scratch) as redis:
        before = cpu_seconds(redis.process_id)
        roles = [
            subprocess.Popen(
                [sys.executable, "-m", "bench.bus", role, redis.url, str(seconds), str(kind.at_once)],
                env=redis.environment,
                stdout=subprocess.PIPE,
                preexec_fn=lambda: os.sched_setaffinity(0, {server_cpu()}),
            )
            for role in ("listener", "publisher")
        ]
        heard, published = (json.loads(each.communicate()[0]) for each in roles)
        of_redis = cpu_seconds(redis.process_id) - before
    messages = published["messages"]
    latencies = sorted(published["latencies"]) or [0.0]
    half, late = median(latencies) / 2, latencies[len(latencies) * 99 // 100] / 2
    # Redis was looked at for its whole life, in which the messages of the warm-up went by as well.
    share = seconds / (seconds + _WARM_UP)
    costs = {
        "publisher": published["cpu"] / messages,
        "listener": heard["cpu"] / max(heard["messages"], 1),
        "redis": of_redis * share / messages,
    }
    return [
        Measurement(kind.name, who, cost * 1e6, messages, seconds, half * 1e6, late * 1e6)
        for who, cost in costs.items()
    ]


@contextmanager
def _redis(scratch: Path) -> Iterator[Redis]:
    with tempfile.TemporaryDirectory(prefix="redis-", dir=scratch) as folder, Redis(Path(folder)) as redis:
        yield redis


def as_markdown(report: Report) -> str:
    """Return the tables of the medians."""
    found = medians(report.runs)
    lines = [
        "Several processes: CPU of all servers together, and one way's latency.",
        "",
        line(("", "where", "µs a message", "messages a second", "median, µs", "p99, µs")),
        line(["---"] * 6),
        *(
            line(
                (
                    each.workload,
                    each.system,
                    figure(each.cost),
                    f"{each.operations / each.seconds:.0f}",
                    f"{each.p50_microseconds:.0f}",
                    f"{each.p99_microseconds:.0f}",
                )
            )
            for each in found.values()
        ),
        *report.machine_lines(),
    ]
    return "\n".join(lines) + "\n"
