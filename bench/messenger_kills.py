"""``python -m bench.messenger_kills``: kill messenger's daemon under load, as often as asked.

What must hold is told in `tests.scenarios.messenger_user`. Ends with 1 if anything did not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from random import SystemRandom
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from tests.scenarios.messenger_load import Load

_RESULTS = Path(__file__).parent / "results"


async def kill(kills: int, seed: int) -> None:
    """Do it, and print what was seen."""
    _RESULTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kills-", dir=_RESULTS) as folder:
        report = await Load(Path(folder), seed, said=lambda line: print(line, file=sys.stderr)).run(kills)
    print(f"seed {seed}: {report}")
    if report.faults:
        raise SystemExit(1)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="bench.messenger_kills", description="Is anything lost?")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", file=sys.stderr)

    def begin(reactor: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(kill(arguments.kills, arguments.seed))

    react(begin)


if __name__ == "__main__":
    main()
