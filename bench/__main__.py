"""``python -m bench``: measure, print tables, and keep them with every single figure and a picture."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from bench import cluster, messenger, plot, report, socketio, support
from bench.load import NoCompiler
from bench.profiling import profile
from bench.report import Report
from bench.systems import OURS, SYSTEMS, Missing, System
from bench.workloads import CASES, Measurement, measure

_RESULTS = Path(__file__).parent / "results"
_SUPPORT, _MESSENGER, _SOCKETIO, _CLUSTER = "support", "messenger", "socketio", "cluster"


def _chosen(known: Iterable[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        if not set(names) <= set(known):
            raise argparse.ArgumentTypeError(f"one or more of: {', '.join(known)}")
        return names

    return read


def _numbers(text: str) -> list[int]:
    numbers = [int(number) for number in text.split(",")]
    if min(numbers) < 1:
        raise ValueError
    return numbers


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="What an operation costs the server.")
    workloads = [*CASES, _SUPPORT, _MESSENGER, _SOCKETIO, _CLUSTER]
    parser.add_argument("--quick", action="store_true", help="one short round, to see it work")
    parser.add_argument("--workloads", type=_chosen(workloads), default=workloads, metavar="NAME,…")
    parser.add_argument("--systems", type=_chosen(SYSTEMS), default=list(SYSTEMS), metavar="NAME,…")
    parser.add_argument("--connections", type=_numbers, default=[1, 50, 500], metavar="N,…", help="of support")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run, after its warm-up")
    parser.add_argument("--runs", type=int, default=5, help="rounds, for medians")
    parser.add_argument("--output", type=Path, default=_RESULTS, metavar="DIR")
    parser.add_argument("--profile", action="store_true", help="show instead where our time goes, in each")
    return parser.parse_args()


def main() -> int:
    """Do what the command line says."""
    arguments = _arguments()
    rounds, seconds = (1, 0.3) if arguments.quick else (arguments.runs, arguments.seconds)
    # The databases lie there too while they are used: a folder in memory would make commits free.
    output: Path = arguments.output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    try:
        if arguments.profile:
            for name in arguments.workloads:
                if name not in CASES or CASES[name].kind != "idle":  # that is nothing but waiting
                    profile(name, arguments.connections, seconds, output)
            return 0
        compare(arguments, rounds, seconds, output)
        if _SUPPORT in arguments.workloads:
            stored(arguments, rounds, seconds, output)
        if _MESSENGER in arguments.workloads:
            delivered(rounds, seconds, output)
        if _SOCKETIO in arguments.workloads:
            over_socketio(rounds, seconds, output)
        if _CLUSTER in arguments.workloads:
            across(rounds, seconds, output)
    except NoCompiler as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1
    return 0


def compare(arguments: argparse.Namespace, rounds: int, seconds: float, output: Path) -> None:
    """Measure ours beside its peers."""
    cases = [CASES[name] for name in arguments.workloads if name in CASES]
    systems, missing = _present(arguments.systems if cases else [])
    measured: list[Measurement] = []
    for number in range(rounds):
        # All systems of a workload come one right after the other, each time: the machine changes.
        for case in cases:
            if case.kind == "idle" and number:
                continue  # it is the same each time
            for system in systems:
                if system.kind in ("", case.kind):
                    print(f"round {number + 1} of {rounds}: {case.name}, {system.name}", file=sys.stderr)
                    measured.append(measure(case, system, seconds, output))
    if not measured:
        return
    about = report.machine(system.name for system in systems)
    peers = Report(measured, seconds, about, missing)
    _keep(output / "peers", peers, peers.as_markdown())
    try:
        plot.draw(peers, output / "peers.png")
    except ModuleNotFoundError:
        print("matplotlib is not installed: no picture was drawn", file=sys.stderr)


def stored(arguments: argparse.Namespace, rounds: int, seconds: float, output: Path) -> None:
    """Measure support's stored and acknowledged messages."""
    systems, missing = _present([OURS, support.BESIDE])
    measured = []
    for number in range(rounds):
        for connections in arguments.connections:
            for system in systems:
                what = f"support, {connections} connections, {system.name}"
                print(f"round {number + 1} of {rounds}: {what}", file=sys.stderr)
                measured.append(support.measure(connections, system.name, seconds, output))
    about = report.machine(system.name for system in systems)
    found = Report(measured, seconds, about, missing, reference=support.BESIDE)
    _keep(output / "support", found, support.as_markdown(found))


def delivered(rounds: int, seconds: float, output: Path) -> None:
    """Measure messenger's room, its dialogs and its logins."""
    systems, missing = _present([OURS, messenger.BESIDE])
    measured = []
    for number in range(rounds):
        for kind in messenger.KINDS.values():
            for system in messenger.systems(kind):
                if system not in missing:
                    print(f"round {number + 1} of {rounds}: messenger, {kind.name}, {system}", file=sys.stderr)
                    measured.append(messenger.measure(kind, system, seconds, output))
    about = report.machine(system.name for system in systems)
    found = Report(measured, seconds, about, missing, reference=messenger.BESIDE)
    _keep(output / "messenger", found, messenger.as_markdown(found))


def over_socketio(rounds: int, seconds: float, output: Path) -> None:
    """Measure Socket.IO's relay and fan-out beside its other servers."""
    systems, missing = _present([OURS, *socketio.BESIDE])
    measured = []
    for number in range(rounds):
        for kind in socketio.KINDS.values():
            for system in systems:
                what = f"socketio, {kind.name}, {system.name}"
                print(f"round {number + 1} of {rounds}: {what}", file=sys.stderr)
                measured.append(socketio.measure(kind, system.name, seconds, output))
    about = report.machine(system.name for system in systems)
    found = Report(measured, seconds, about, missing, reference=socketio.NODE)
    _keep(output / "socketio", found, socketio.as_markdown(found))


def across(rounds: int, seconds: float, output: Path) -> None:
    """Measure several processes beside one."""
    measured = []
    try:
        for number in range(rounds):
            for kind in cluster.KINDS.values():
                print(f"round {number + 1} of {rounds}: cluster, {kind.name}", file=sys.stderr)
                measured += cluster.measure(kind, seconds, output)
    except Missing as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return
    found = Report(measured, seconds, report.machine([OURS]), {})
    _keep(output / "cluster", found, cluster.as_markdown(found))


def _present(names: Iterable[str]) -> tuple[list[System], dict[str, str]]:
    """Return the systems that are here, and why the others are not."""
    systems, missing = [], {}
    for name in names:
        try:
            SYSTEMS[name].command()
        except Missing as reason:
            missing[name] = str(reason)
        else:
            systems.append(SYSTEMS[name])
    return systems, missing


def _keep(path: Path, found: Report, table: str) -> None:
    path.with_suffix(".md").write_text(table)
    path.with_suffix(".json").write_bytes(found.as_json())
    print(table)


if __name__ == "__main__":
    sys.exit(main())
