"""Medians and ratios of what was measured, and on which machine it was."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

import msgspec

from bench.process import client_cpu, server_cpu
from bench.systems import OURS, REFERENCE, SYSTEMS
from bench.workloads import CASES, Measurement

_PACKAGES = ("twisted", "autobahn", "msgspec")


def machine(systems: Iterable[str]) -> dict[str, str]:
    """Describe the machine and what runs on it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "CPU": models[0] if models else platform.machine(),
        "CPUs": f"{os.cpu_count()}; servers on {server_cpu()}, client on {client_cpu()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "SQLite": sqlite3.sqlite_version,
        **{name: version(name) for name in _PACKAGES},
        **{name: SYSTEMS[name].version() for name in systems if name != OURS},
    }


def medians(runs: Sequence[Measurement]) -> dict[tuple[str, str], Measurement]:
    """Return, for each workload and system, the median of each figure."""
    groups: dict[tuple[str, str], list[Measurement]] = {}
    for run in runs:
        groups.setdefault((run.workload, run.system), []).append(run)
    names = Measurement.__struct_fields__[2:]
    return {
        key: Measurement(*key, *(median(getattr(run, name) for run in group) for name in names))
        for key, group in groups.items()
    }


def ratios(runs: Sequence[Measurement], reference: str) -> dict[tuple[str, str], float]:
    """Return, for each workload and system, the median of the ratios to the reference in the same round.

    The machine changes from one minute to the next: what is near in time is compared.
    """
    rounds: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        rounds.setdefault((run.workload, run.system), []).append(run.cost)
    return {
        (workload, system): median(
            cost / beside for cost, beside in zip(costs, rounds[workload, reference], strict=True)
        )
        for (workload, system), costs in rounds.items()
        if (workload, reference) in rounds
    }


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was measured, in rounds of so many ``seconds`` for each run.

    ``missing`` tells why a system was left out; ``about`` describes the machine.
    """

    runs: Sequence[Measurement]
    seconds: float
    about: Mapping[str, str]
    missing: Mapping[str, str]
    reference: str = REFERENCE

    def as_json(self) -> bytes:
        """Return all of it, each run included."""
        everything = {
            "machine": self.about,
            "seconds": self.seconds,
            "reference": self.reference,
            "missing": self.missing,
            "medians": list(medians(self.runs).values()),
            "ratios": [
                {"workload": workload, "system": system, "ratio": ratio}
                for (workload, system), ratio in ratios(self.runs, self.reference).items()
            ],
            "runs": list(self.runs),
        }
        return msgspec.json.format(msgspec.json.encode(everything), indent=2) + b"\n"

    def as_markdown(self) -> str:
        """Return tables of the medians, what limits them, and the machine."""
        found, compared = medians(self.runs), ratios(self.runs, self.reference)

        def cost(one: Measurement) -> str:
            ratio = compared.get((one.workload, one.system))
            beside = "" if ratio is None or one.system == self.reference else f" ({ratio:.2f})"
            return figure(one.cost) + beside

        def rate(one: Measurement) -> str:
            return f"{one.operations / one.seconds:.0f} ({one.client_busy:.0%})" if one.seconds else ""

        what = (
            "The server's own CPU time for each operation (user and system, all threads and processes), and its"
            f" ratio to `{self.reference}` in the same round: {self._of_what()}."
        )
        lines = [
            what,
            "",
            *_table(found, lambda name: f"{name}, {CASES[name].unit}", cost),
        ]
        timed = {key: each for key, each in found.items() if each.seconds}
        if timed:
            lines += [
                *("", "Operations a second, and the share of the time that the load client was busy:", ""),
                *_table(timed, str, rate),
            ]
        handshakes = [
            f"{each.system} {1e6 / each.cost:.0f}"
            for each in found.values()
            if CASES[each.workload].kind == "handshakes"
        ]
        echoes = [
            f"{each.system} {each.p50_microseconds:.0f} and {each.p99_microseconds:.0f}"
            for each in found.values()
            if each.p99_microseconds
        ]
        lines += [
            *(("", f"Handshakes for each CPU second: {', '.join(handshakes)}.") if handshakes else ()),
            *(("", f"Latency of an echo, µs, p50 and p99: {', '.join(echoes)}.") if echoes else ()),
            *(("",) if self.missing else ()),
            *(f"Left out: {system}: {reason}." for system, reason in self.missing.items()),
            *self.machine_lines(),
        ]
        return "\n".join(lines) + "\n"

    def machine_lines(self) -> list[str]:
        """Return the machine's description as a list."""
        return ["", *(f"- {what}: {which}" for what, which in self.about.items())]

    def _of_what(self) -> str:
        rounds = max(Counter((run.workload, run.system) for run in self.runs).values())
        return f"medians of {rounds} {'round' if rounds == 1 else 'rounds'} of {self.seconds:g} s"


def _table(
    found: Mapping[tuple[str, str], Measurement],
    title: Callable[[str], str],
    cell: Callable[[Measurement], str],
) -> list[str]:
    """Return a table with a row for each workload and a column for each system."""
    workloads = list(dict.fromkeys(workload for workload, _ in found))
    present = {system for _, system in found}
    systems = [system for system in SYSTEMS if system in present]
    rows = [
        [
            title(workload),
            *(cell(found[key]) if (key := (workload, system)) in found else "" for system in systems),
        ]
        for workload in workloads
    ]
    return [line(["workload", *systems]), line(["---"] * (len(systems) + 1)), *map(line, rows)]


def figure(cost: float) -> str:
    """Write a cost with three digits or so."""
    return f"{cost:.2f}" if cost < 10 else f"{cost:.1f}" if cost < 100 else f"{cost:.0f}"


def line(cells: Iterable[str]) -> str:
    """Write a line of a table."""
    return f"| {' | '.join(cells)} |"
