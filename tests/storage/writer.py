"""A process that writes until it is killed, and prints what was acknowledged; see `test_crash`."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from tests.storage.works import add_message, add_user, opened

LANES = 50


async def main(url: str) -> None:
    """Fifty writers, each of which waits for the answer before it writes again."""
    async with opened(url) as database:
        user = await database.write(add_user, "alice")

        async def lane(number: int) -> None:
            count = 0
            while True:
                text = f"{number}.{count}"
                await database.write(add_message, user, text)
                # One system call: a line that arrives is whole, but for the last.
                sys.stdout.write(text + "\n")
                sys.stdout.flush()
                count += 1

        lanes = [Deferred.fromCoroutine(lane(number)) for number in range(LANES)]
        await lanes[0]


def run(_: Any, url: str) -> Deferred[None]:
    """For `react`."""
    return Deferred.fromCoroutine(main(url))


if __name__ == "__main__":
    react(run, sys.argv[1:])
