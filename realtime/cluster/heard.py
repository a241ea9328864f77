"""Which of the messages that are kept in a table were told here: each once, also those that the bus has lost.

After a gap the table is asked for the newest; what was not told is told then, oldest first. Ids are given
before a commit: a lower one may come into the table later than a higher one, by another process. So what was
told is known by its id, not by the highest (`Told`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from realtime.cluster.catching_up import CatchingUp, Told

T = TypeVar("T")

NEWEST: Final = 10_000
"""Ids that are looked through after a gap, and remembered, in 80 KB. Of more, in a long outage, the oldest are
left to be read back by whoever wants to."""

TOLD_LATE: Final = 500
"""Messages that are told after a gap; of more, the newest: nobody could read them all."""

AT_ONCE: Final = 10
"""Messages in one read. The longest of them fit into what may wait for a reader: none is closed as too slow."""

_PAGE: Final = 1000

_SOON: Final = 0.1
"""Seconds between a gap and the look into the table: gaps come in crowds, a topic after the other."""


class Heard(Generic[T]):
    """The messages of one table.

    Arguments:
        newest: called with a time in Unix milliseconds; fires with the ids of the messages that are no older,
            at most `NEWEST` of the highest, in any order.
        read: called with up to `AT_ONCE` ids; fires with the messages, by id, that are there still.
        tell: called with a message that was not told yet.
        clock: since when messages count, and for what failed.
    """

    def __init__(
        self,
        *,
        newest: Callable[[int], Deferred[list[int]]],
        read: Callable[[Sequence[int]], Deferred[dict[int, T]]],
        tell: Callable[[T], None],
        clock: IReactorTime,
    ) -> None:
        self._newest = newest
        self._read = read
        self._tell = tell
        self._clock = clock
        self._began = int(clock.seconds() * 1000)
        self._told = Told(NEWEST)
        self._catching_up = CatchingUp(clock)
        self._is_due = False

    def hear(self, message_id: int) -> bool:
        """Note that a message is about to be told; ``False``: it was told before."""
        if message_id in self._told:
            return False
        self._told.add(message_id)
        return True

    def missed(self) -> None:
        """Look into the table soon: the bus had a gap."""
        if not self._is_due:
            self._is_due = True
            self._catching_up.run(self._find)

    async def _find(self) -> bool:
        await deferLater(self._clock, _SOON)
        self._is_due = False
        found = await self._newest(self._began)
        missed = sorted(filter(self._told.is_news, found))
        for message_id in missed[:-TOLD_LATE]:
            self._told.add(message_id)  # nor are they told at the next gap
        missed = missed[-TOLD_LATE:]
        for start in range(0, len(missed), AT_ONCE):
            some = missed[start : start + AT_ONCE]
            messages = await self._read(some)
            for message_id in some:
                if message_id in messages and self.hear(message_id):
                    self._tell(messages[message_id])
        return True


def newest_since(page: Callable[[int, int], Sequence[tuple[int, ...]]], since: int, latest: int) -> list[int]:
    """Return the ids of what was said since then, newest first, or somewhat more than `NEWEST` of them.

    ``page`` reads ids and times, newest first: of those below an id, at most so many. ``latest`` is above all.
    """
    found: list[int] = []
    before = latest
    while len(found) < NEWEST:
        read = page(before, _PAGE)
        found += [each for each, said in read if said >= since]
        if len(read) < _PAGE or read[-1][1] < since:
            break
        before = read[-1][0]
    return found
