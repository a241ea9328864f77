"""What a listener does after a gap: it looks into the database for what it was not told.

It can tell what it missed if it remembers what it was told (`Told`). After a gap all listeners of a process
want to look at once, and just then the database may be away as well: so few look at a time, each until it has
succeeded (`CatchingUp`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from realtime.cluster.errors import ClusterUnavailable
from realtime.storage.errors import StorageUnavailable

AT_ONCE: Final = 16
"""Who looks at the same time: enough to keep the database busy, and others still get their turn."""

AGAIN_SECONDS: Final = 1.0
"""Between two attempts of one that did not succeed: a tenth of the time in which all is to be reconciled."""

Attempt = Callable[[], Coroutine[Any, Any, bool]]
"""Does what is due; returns whether that is done, and is called again otherwise, or if something was away."""


class Told:
    """The ids that somebody was told: the ``most`` highest of them, eight bytes each.

    Who was told all that is remembered, and reads the ``most`` highest ids there are, knows of each exactly
    whether it was told it: one that was, and is not remembered, is not among those it has read. In whatever
    order ids are told, and in whatever order they are committed.
    """

    __slots__ = ("_ids", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._ids: array[int] | None = None

    def add(self, number: int) -> None:
        """Remember one."""
        ids = self._ids
        if ids is None:
            ids = self._ids = array("Q")
        if not ids or number > ids[-1]:
            ids.append(number)
        else:
            place = bisect_left(ids, number)
            if ids[place] == number:
                return
            ids.insert(place, number)
        if len(ids) > self._most:
            del ids[0]

    def discard(self, number: int) -> None:
        """Forget one, if it is remembered."""
        ids = self._ids
        if ids is not None and number in self:
            del ids[bisect_left(ids, number)]

    def __contains__(self, number: int) -> bool:
        """Whether it was told, as far as is remembered."""
        ids = self._ids
        if not ids or number > ids[-1]:
            return False
        return ids[bisect_left(ids, number)] == number

    def is_news(self, number: int) -> bool:
        """Whether it was not told, nor is so old that it may have been."""
        is_forgotten = self._ids is not None and len(self._ids) == self._most and number < self._ids[0]
        return not is_forgotten and number not in self


class CatchingUp:
    """Has attempts made, few at a time, each again and again until it succeeds.

    While something is away nobody gets further, and as many as may look at once ask for it once a second.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: deque[Attempt] = deque()
        self._working = 0

    def run(self, attempt: Attempt) -> None:
        """Make an attempt, at once if not too many are under way. What it raises beyond absence is logged."""
        self._waiting.append(attempt)
        if self._working < AT_ONCE:
            self._working += 1
            Deferred.fromCoroutine(self._work())

    async def _work(self) -> None:
        while self._waiting:
            attempt = self._waiting.popleft()
            while not await self._is_done(attempt):
                await deferLater(self._clock, AGAIN_SECONDS)
        self._working -= 1

    async def _is_done(self, attempt: Attempt) -> bool:
        try:
            return await attempt()
        except (StorageUnavailable, ClusterUnavailable):
            return False
        except Exception:
            self._log.failure("cluster: a listener could not catch up")
            return True
