"""The leases of several processes, in Redis: each operation is a script there, and so one thing or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, succeed

from realtime.cluster.redis_process import RedisProcess
from realtime.cluster.redis_scripts import (
    CHUNK,
    CLAIM,
    HOLDER,
    HOLDERS,
    RELEASE,
    RELEASE_SOME,
    TAKE,
)


class RedisLeases:
    """Leases in all processes. While Redis is away they can't be known: see `RedisProcess.perform`."""

    def __init__(self, process: RedisProcess) -> None:
        self._process = process

    def take(self, name: str, holder: str) -> Deferred[str | None]:
        """See :meth:`Leases.take`."""
        return self._process.perform(TAKE, name, holder).addCallback(_holder)

    def claim(self, name: str, holder: str, instead_of: str | None = None) -> Deferred[str]:
        """See :meth:`Leases.claim`."""
        instead = () if instead_of is None else (instead_of,)
        return self._process.perform(CLAIM, name, holder, *instead).addCallback(bytes.decode)

    def release(self, name: str, holder: str) -> Deferred[bool]:
        """See :meth:`Leases.release`. It waits for a Redis that is away as long as it takes."""
        return self._process.perform(RELEASE, name, holder, patient=True).addCallback(bool)

    def release_all(self, holder: str) -> Deferred[list[str]]:
        """See :meth:`Leases.release_all`. It waits for a Redis that is away as long as it takes."""
        return Deferred.fromCoroutine(self._release_all(holder))

    async def _release_all(self, holder: str) -> list[str]:
        names: list[str] = []
        while True:
            freed = await self._process.perform(RELEASE_SOME, holder, patient=True)
            names += (each.decode() for each in freed)
            if len(freed) < CHUNK:
                return names

    def holder(self, name: str) -> Deferred[str | None]:
        """See :meth:`Leases.holder`."""
        return self._process.ask(HOLDER, name).addCallback(_holder)

    def holders(self, names: Iterable[str]) -> Deferred[Mapping[str, str]]:
        """See :meth:`Leases.holders`."""
        asked = list(names)
        if not asked:
            return succeed({})

        def pair(found: list[bytes | int]) -> Mapping[str, str]:
            holders = {name: _holder(each) for name, each in zip(asked, found, strict=True)}
            return {name: holder for name, holder in holders.items() if holder is not None}

        return self._process.ask(HOLDERS, *asked).addCallback(pair)


def _holder(found: Any) -> str | None:
    return found.decode() if isinstance(found, bytes) else None
