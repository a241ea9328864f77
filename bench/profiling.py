"""Where the server's CPU time goes, in the workload that is measured.

With py-spy, if it is installed, which looks at the server from outside and hardly slows it; else with
cProfile through twistd's own option, which sees the reactor's thread alone and makes calls dearer than
they are.
"""

from __future__ import annotations

import pstats
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.cases import Prepared, drive, support

_TOP = 40
_RATE = 250  # samples a second
_IDLE = "Condition.wait "
"""How py-spy calls what a thread of a pool does while it has nothing to do; it takes it for work."""


def profile(connections: int, seconds: float, scratch: Path) -> None:
    """Print which functions the server spends its time in."""
    beside = Path(sys.executable).parent / "py-spy"
    spy = str(beside) if beside.exists() else shutil.which("py-spy")
    with TemporaryDirectory(prefix="server-", dir=scratch) as folder:
        if spy:
            with support(Path(folder), connections) as prepared:
                _sample(spy, prepared, seconds, Path(folder) / "samples")
        else:
            statistics = Path(folder) / "statistics"
            options = (f"--profile={statistics}", "--profiler=cprofile", "--savestats")
            with support(Path(folder), connections, *options) as prepared:
                drive(prepared, seconds)
            pstats.Stats(str(statistics)).sort_stats("tottime").print_stats(_TOP)


def _sample(spy: str, prepared: Prepared, seconds: float, samples: Path) -> None:
    command = [spy, "record", "--format=raw", "--threads", "--function", f"--rate={_RATE}"]
    command += [f"--duration={int(seconds) or 1}", f"--output={samples}"]
    command += [f"--pid={prepared.server.process_id}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as watching:
        outcome = drive(prepared, seconds * 1.5)
        watching.wait()
    alone: Counter[str] = Counter()
    together: Counter[str] = Counter()
    for line in samples.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        functions = stack.split(";")
        if functions[-1].startswith(_IDLE):
            continue
        alone[functions[-1]] += int(count)
        together.update(dict.fromkeys(functions, int(count)))
    each = outcome.server_cpu / outcome.answers * 1e6
    print(f"{len(prepared.openings)} connections, {each:.1f} CPU µs for each message, seen by py-spy")
    _print("in the function itself", alone, alone.total())
    _print("in it and what it calls", together, alone.total())


def _print(title: str, counts: Mapping[str, int], total: int) -> None:
    print(f"\n{title}:")
    for function, count in Counter(counts).most_common(_TOP):
        print(f"{count / total:7.1%}  {function}")
