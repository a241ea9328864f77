"""Percentiles of latencies, against those of the whole list."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.loadtest.statistics import Latencies, Summary

_LATENCIES = st.lists(st.floats(min_value=1e-6, max_value=100.0), min_size=1, max_size=300)


class LatenciesTests(SynchronousTestCase):
    """Counted in buckets."""

    @given(_LATENCIES, st.floats(min_value=0.1, max_value=100.0))
    def test_percentiles(self, values: list[float], percent: float) -> None:
        """Are those of the sorted list, to one part in a hundred, and never below them."""
        latencies = Latencies()
        for value in values:
            latencies.add(value)
        exact = sorted(values)[max(1, math.ceil(percent / 100 * len(values))) - 1]
        found = latencies.percentile(percent)
        self.assertGreaterEqual(found, exact * (1 - 1e-9))
        self.assertLessEqual(found, exact * 1.0101)

    def test_summary(self) -> None:
        """In milliseconds; the mean and the largest are exact."""
        latencies = Latencies()
        for number in range(1, 101):
            latencies.add(number / 1000)
        summary = latencies.summary()
        self.assertEqual((summary.count, summary.mean, summary.max), (100, 50.5, 100.0))
        for found, exact in ((summary.p50, 50), (summary.p95, 95), (summary.p99, 99)):
            self.assertLessEqual(abs((found or 0) - exact), exact / 100)

    def test_nothing(self) -> None:
        """Has no percentiles."""
        self.assertEqual(Latencies().summary(), Summary(0))
        self.assertRaises(ValueError, Latencies().percentile, 50)

    def test_memory(self) -> None:
        """Grows with the range of what is counted, not with how much is."""
        latencies = Latencies()
        for number in range(100_000):
            latencies.add(1e-6 * 1.001 ** (number % 20_000))
        self.assertLess(len(latencies._counts), 2_100)
        self.assertEqual(len(latencies), 100_000)
