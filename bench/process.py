"""What Linux tells about a process, from /proc, and the CPUs that the benchmark shares out."""

from __future__ import annotations

import os
from pathlib import Path


def cpu_seconds(process: int) -> float:
    """Return the CPU time of a process, in user and system mode, of all its threads, in seconds."""
    text = Path(f"/proc/{process}/stat").read_text()
    # The name stands in parentheses and may hold anything; utime and stime are fields 14 and 15.
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(process: int) -> int:
    """Return how much memory a process has in RAM."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def server_cpu() -> int:
    """Return the CPU on which servers run."""
    return min(os.sched_getaffinity(0))


def client_cpu() -> int:
    """Return the CPU on which the client runs; another than the servers' if there are two."""
    return max(os.sched_getaffinity(0))
