"""Latencies, counted in buckets: as many as there are, in little memory, to one part in a hundred. Pure."""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct

_PRECISION: Final = 1.01
_LOG: Final = math.log(_PRECISION)
_SMALLEST: Final = 1e-6
"""Seconds. What is faster counts as that."""


class Summary(Struct, frozen=True):
    """What there is to say of latencies, in milliseconds; ``None`` if there are none."""

    count: int
    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None


class Latencies:
    """Latencies in seconds."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._count = 0
        self._sum = 0.0
        self._max = 0.0

    def __len__(self) -> int:
        return self._count

    def add(self, seconds: float) -> None:
        """Count one."""
        bucket = math.ceil(math.log(max(seconds, _SMALLEST) / _SMALLEST) / _LOG)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self._count += 1
        self._sum += seconds
        self._max = max(self._max, seconds)

    def percentile(self, percent: float) -> float:
        """Return the seconds within which so many percent were, rounded up by at most one in a hundred.

        Raises ``ValueError`` if there are none.
        """
        if not self._count:
            raise ValueError("nothing was counted")
        rank = max(1, math.ceil(percent / 100 * self._count))
        for bucket in sorted(self._counts):
            rank -= self._counts[bucket]
            if rank <= 0:
                return min(_SMALLEST * _PRECISION**bucket, self._max)
        return self._max

    def summary(self) -> Summary:
        """Return what there is to say of them."""
        if not self._count:
            return Summary(0)
        p50, p95, p99 = (_milliseconds(self.percentile(each)) for each in (50, 95, 99))
        mean = _milliseconds(self._sum / self._count)
        return Summary(self._count, mean, p50, p95, p99, _milliseconds(self._max))


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
