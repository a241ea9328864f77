"""``python -m bench``: measure, print a table, and keep it with every single figure."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench import report
from bench.cases import CASES, Measurement, measure
from bench.profiling import profile

_RESULTS = Path(__file__).parent / "results"


def _numbers(text: str) -> list[int]:
    numbers = [int(number) for number in text.split(",")]
    if min(numbers) < 1:
        raise ValueError
    return numbers


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="What a message costs the server.")
    parser.add_argument("--quick", action="store_true", help="one run of 2 seconds, to see it work")
    parser.add_argument("--connections", type=_numbers, default=[1, 50, 500], metavar="N,…")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run, after its warm-up")
    parser.add_argument("--runs", type=int, default=3, help="of each case, for medians")
    parser.add_argument("--output", type=Path, default=_RESULTS, metavar="DIR")
    parser.add_argument("--profile", action="store_true", help="show instead where the time goes")
    return parser.parse_args()


def main() -> None:
    """Do what the command line says."""
    arguments = _arguments()
    runs, seconds = (1, 2.0) if arguments.quick else (arguments.runs, arguments.seconds)
    # The databases lie there too while they are used: a folder in memory would make commits free.
    output: Path = arguments.output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    if arguments.profile:
        for connections in arguments.connections:
            profile(connections, seconds, output)
        return
    measured: list[Measurement] = []
    for run in range(runs):
        # A case and its reference come one right after the other, each time: the machine changes.
        for connections in arguments.connections:
            for case in CASES:
                print(f"run {run + 1} of {runs}: {case}, {connections} connections", file=sys.stderr)
                measured.append(measure(case, connections, seconds, output))
    table = report.as_markdown(measured, seconds)
    (output / "support.md").write_text(table)
    (output / "support.json").write_bytes(report.as_json(measured, seconds))
    print(table)


if __name__ == "__main__":
    main()
