"""Medians and ratios of what was measured, and on which machine it was."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

import msgspec

from bench.cases import Measurement
from bench.process import client_cpu, server_cpu

_PACKAGES = ("twisted", "autobahn", "msgspec")
_REFERENCE = "autobahn echo"
_COLUMNS = (
    *("case", "connections", "messages per CPU second", "CPU µs per message"),
    *("ratio to Autobahn's echo", "messages per second", "p50 ms", "p99 ms", "RSS MiB", "client busy"),
)


def machine() -> dict[str, str]:
    """Describe the machine and what runs on it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "CPU": models[0] if models else platform.machine(),
        "CPUs": f"{os.cpu_count()}; server on {server_cpu()}, client on {client_cpu()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "SQLite": sqlite3.sqlite_version,
        **{name: version(name) for name in _PACKAGES},
    }


def medians(runs: Sequence[Measurement]) -> list[Measurement]:
    """Return, for each case and number of connections, the median of each figure."""
    groups: dict[tuple[str, int], list[Measurement]] = {}
    for run in runs:
        groups.setdefault((run.case, run.connections), []).append(run)
    return [
        Measurement(
            case,
            connections,
            *(median(getattr(run, figure) for run in group) for figure in Measurement.__struct_fields__[2:]),
        )
        for (case, connections), group in groups.items()
    ]


def as_json(runs: Sequence[Measurement], seconds: float) -> bytes:
    """Return everything, each run included."""
    everything = {
        "machine": machine(),
        "seconds": seconds,
        "medians": medians(runs),
        "runs": list(runs),
    }
    return msgspec.json.format(msgspec.json.encode(everything), indent=2) + b"\n"


def as_markdown(runs: Sequence[Measurement], seconds: float) -> str:
    """Return a table of the medians, and the machine."""
    rows = medians(runs)
    references = {row.connections: row.cpu_microseconds for row in rows if row.case == _REFERENCE}
    times = len(runs) // len(rows)
    what = (
        f"Medians of {times} {'run' if times == 1 else 'runs'} of {seconds:g} s; one message in flight for"
        " each connection; CPU time is the server's own (user and system, all threads)."
    )
    lines = [
        what,
        "",
        _line(_COLUMNS),
        _line(["---"] * len(_COLUMNS)),
        *(_line(_cells(row, references.get(row.connections))) for row in rows),
        "",
        *(f"- {what}: {which}" for what, which in machine().items()),
    ]
    return "\n".join(lines) + "\n"


def _cells(row: Measurement, reference: float | None) -> list[str]:
    return [
        row.case,
        str(row.connections),
        f"{row.per_cpu_second:.0f}",
        f"{row.cpu_microseconds:.1f}",
        f"{row.cpu_microseconds / reference:.2f}" if reference else "",
        f"{row.per_second:.0f}",
        f"{row.p50_milliseconds:.2f}",
        f"{row.p99_milliseconds:.2f}",
        f"{row.resident_mebibytes:.0f}",
        f"{row.client_busy:.0%}",
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
