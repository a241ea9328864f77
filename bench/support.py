"""``support`` as it is used: customers say something, each message is stored and acknowledged.

It is compared with Autobahn's echo of the same number of connections, which stores nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import workloads
from bench.load import Workload
from bench.report import Report, figure, line, medians, ratios
from bench.server import Server
from bench.systems import OURS, SYSTEMS, daemon
from bench.workloads import Case, Measurement, drive

BESIDE = "autobahn"

_REQUEST = '{"method":"message.send","params":["Good morning, where is the parcel I am waiting for?"],"id":2}'
_BEGINS = '{"error":null,"result":{"message":{"message_id":'
_ENDS = '"id":2}'


@contextmanager
def serving(connections: int, scratch: Path, *options: str) -> Iterator[tuple[Server, Workload]]:
    """Run the daemon; the workload has one message in flight for each connection."""
    with tempfile.TemporaryDirectory(prefix="server-", dir=scratch) as folder:
        server, openings = daemon(Path(folder), connections, *options)
        with server:
            yield server, Workload("echo", openings, message=_REQUEST, begins=_BEGINS, ends=_ENDS)


def measure(connections: int, system: str, seconds: float, scratch: Path) -> Measurement:
    """Run it once: ours, or the echo of a system that it is compared with."""
    name = str(connections)
    if system != OURS:
        case = Case(name, "echo", connections, "µs a message")
        return workloads.measure(case, SYSTEMS[system], seconds, scratch)
    with serving(connections, scratch) as (server, workload):
        return drive(name, OURS, server, workload, seconds, scratch)


def as_markdown(report: Report) -> str:
    """Return a table of the medians."""
    compared = ratios(report.runs, BESIDE)
    rows = [
        line(
            (
                each.workload,
                f"{1e6 / each.cost:.0f}",
                figure(each.cost),
                f"{compared[each.workload, OURS]:.2f}" if (each.workload, OURS) in compared else "",
                f"{each.p50_microseconds / 1e3:.2f}",
                f"{each.p99_microseconds / 1e3:.2f}",
                f"{each.client_busy:.0%}",
            )
        )
        for each in medians(report.runs).values()
        if each.system == OURS
    ]
    titles = ("connections", "messages per CPU second", "CPU µs per message", f"ratio to {BESIDE}'s echo")
    lines = [
        "support, stored and acknowledged messages, one in flight for each connection:",
        "",
        line((*titles, "p50 ms", "p99 ms", "client busy")),
        line(["---"] * 7),
        *rows,
        *report.machine_lines(),
    ]
    return "\n".join(lines) + "\n"
