"""messenger's promises hold while its daemon is killed at random moments under load."""

from __future__ import annotations

from pathlib import Path
from random import SystemRandom

from tests.reactor import in_reactor
from tests.scenarios.messenger_load import Load

KILLS = 24


@in_reactor
async def test_killed(tmp_path: Path) -> None:
    """Nothing acknowledged is lost, whenever it is killed. ``python -m bench.messenger_kills`` does more."""
    seed = SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown if it fails
    report = await Load(tmp_path, seed).run(KILLS)
    assert not report.faults, report
    assert report.kills == KILLS
    # Or it was killed while there was nothing to lose.
    assert report.sent > 10 * KILLS, report
    assert min(report.resent, report.doubles, report.cuts) > 0, report
    assert 0 < report.failed < report.sent, report
