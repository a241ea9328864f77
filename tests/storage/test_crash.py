"""What was acknowledged is stored, though the process is killed."""

from __future__ import annotations

import subprocess
import sys

from tests.reactor import in_reactor
from tests.storage.works import opened, texts
from tests.storage.writer import LANES

ENOUGH = 2000


@in_reactor
async def test_killed(database_url: str) -> None:
    """After SIGKILL every acknowledged write is there once, those of each writer in order."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.storage.writer", database_url], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process, process.stdout as output:
        acknowledged = [output.readline() for _ in range(ENOUGH)]
        process.kill()
        acknowledged += output.readlines()
    lines = [line.decode().strip() for line in acknowledged if line.endswith(b"\n")]
    assert len(lines) >= ENOUGH
    async with opened(database_url) as database:
        stored = await database.read(texts)
    assert len(stored) == len(set(stored))
    assert set(lines) <= set(stored)
    # Each writer waited for its answer, so that at most one write of each was not acknowledged.
    assert len(stored) - len(lines) <= LANES + 1
    for number in range(LANES):
        counts = [int(text.split(".")[1]) for text in stored if text.startswith(f"{number}.")]
        assert counts == list(range(len(counts)))
