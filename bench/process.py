"""What Linux tells about a process, from /proc, and the CPUs that the benchmark shares out."""

from __future__ import annotations

import os
from pathlib import Path


def family(process: int) -> list[int]:
    """Return a process and all that it and its children have started, by their ids."""
    children = [
        int(child)
        for thread in Path(f"/proc/{process}/task").iterdir()
        for child in (thread / "children").read_text().split()
    ]
    return [process, *(each for child in children for each in family(child))]


def cpu_seconds(process: int) -> float:
    """Return the CPU time of a process and its children, in user and system mode, of all their threads."""
    return sum(_ticks(each) for each in family(process)) / os.sysconf("SC_CLK_TCK")


def _ticks(process: int) -> int:
    text = Path(f"/proc/{process}/stat").read_text()
    # The name stands in parentheses and may hold anything; utime and stime are fields 14 and 15.
    fields = text.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def resident_bytes(process: int) -> int:
    """Return how much memory a process and its children have in RAM."""
    pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in family(process))
    return pages * os.sysconf("SC_PAGE_SIZE")


def server_cpu() -> int:
    """Return the CPU on which servers run."""
    return min(os.sched_getaffinity(0))


def client_cpu() -> int:
    """Return the CPU on which the client runs; another than the servers' if there are two."""
    return max(os.sched_getaffinity(0))
