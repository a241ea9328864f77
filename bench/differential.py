"""``python -m bench.differential``: a long search for a difference between stock Autobahn and ours.

The same comparison as ``tests/websocket/test_differential.py``, for as long as it may run; in every second
case the client may compress. Each case has a seed of its own, counted up from the one given; that of a
failure gives it again with ``--seed … --cases 1``.
"""

from __future__ import annotations

import argparse
import sys
import time
from random import Random

from tests.websocket.differential import difference
from tests.websocket.streams import case


def main() -> int:
    """Compare until the time is up or a difference is found."""
    parser = argparse.ArgumentParser(prog="bench.differential", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--seconds", type=float, default=60.0, help="to go on for")
    parser.add_argument("--cases", type=int, default=sys.maxsize, help="to stop after")
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds
    ran = 0
    while ran < arguments.cases and time.monotonic() < end:
        seed = arguments.seed + ran
        found = difference(case(Random(seed), compression=seed % 2 == 1))
        ran += 1
        if found is not None:
            print(f"seed {seed}: {found}")
            return 1
    print(f"{ran} cases from seed {arguments.seed}, no difference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
