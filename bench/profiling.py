"""Where our server's CPU time goes, in the workloads that are measured.

By py-spy, which looks at the server from outside and hardly slows it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import load, messenger, socketio, support
from bench.load import Outcome, Workload
from bench.server import Server
from bench.systems import OURS, SYSTEMS
from bench.workloads import CASES, prepared

_TOP = 40
_RATE = 250  # samples a second
_IDLE = "Condition.wait "
"""How py-spy calls what a thread of a pool does while it has nothing to do; it takes it for work."""


def profile(name: str, connections: Sequence[int], seconds: float, scratch: Path) -> None:
    """Print which functions our server spends its time in."""
    beside = Path(sys.executable).parent / "py-spy"
    spy = str(beside) if beside.exists() else shutil.which("py-spy")
    if spy is None:
        raise SystemExit("bench: --profile needs py-spy: pip install '.[bench]'")
    if name in CASES:
        with prepared(CASES[name], SYSTEMS[OURS], scratch) as (server, workload):
            _sample(spy, name, server, workload, seconds, scratch)
    elif name == "messenger":
        for kind in messenger.KINDS.values():
            with messenger.serving(kind, scratch) as (server, workload):
                _sample(spy, kind.name, server, workload, seconds, scratch)
    elif name == "socketio":
        for each in socketio.KINDS.values():
            if not each.polls:  # which the client in C does not do
                with socketio.serving(each, OURS, scratch) as (server, workload):
                    _sample(spy, each.name, server, workload, seconds, scratch)
    else:
        for number in connections:
            with support.serving(number, scratch) as (server, workload):
                _sample(spy, f"{name} {number}", server, workload, seconds, scratch)


def _drive(server: Server, workload: Workload, seconds: float, scratch: Path) -> Outcome:
    port, process = server.port, server.process_id
    return load.run(workload, scratch, seconds=seconds, warm_up=0, port=port, server=process)


def _sample(spy: str, name: str, server: Server, workload: Workload, seconds: float, scratch: Path) -> None:
    samples = server.folder / "samples"
    command = [spy, "record", "--format=raw", "--threads", "--function", f"--rate={_RATE}"]
    command += [f"--duration={int(seconds) or 1}", f"--output={samples}", f"--pid={server.process_id}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as watching:
        outcome = _drive(server, workload, seconds * 1.5, scratch)
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
    each = outcome.server_cpu / outcome.operations * 1e6
    print(f"{name}: {each:.1f} CPU µs for each operation, seen by py-spy")
    _print("in the function itself", alone, alone.total())
    _print("in it and what it calls", together, alone.total())


def _print(title: str, counts: Mapping[str, int], total: int) -> None:
    print(f"\n{title}:")
    for function, count in Counter(counts).most_common(_TOP):
        print(f"{count / total:7.1%}  {function}")
