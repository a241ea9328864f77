"""What somebody remembers of what it was told, and how it looks for the rest."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster.catching_up import AGAIN_SECONDS, AT_ONCE, CatchingUp, Told
from realtime.cluster.errors import ClusterUnavailable
from realtime.storage.errors import StorageUnavailable
from tests.logged import Logged

MOST = 5


class ToldTests(SynchronousTestCase):
    """Remembering ids."""

    @given(st.lists(st.integers(1, 30)))
    def test_what_is_remembered(self, ids: list[int]) -> None:
        """The highest ones, in whatever order they come, and however often."""
        told = Told(MOST)
        for each in ids:
            told.add(each)
        remembered = set(sorted(set(ids))[-MOST:])
        self.assertEqual({each for each in range(32) if each in told}, remembered)

    @given(st.sets(st.integers(1, 30)), st.data())
    def test_nothing_is_told_twice_or_left_out(self, exist: set[int], data: st.DataObject) -> None:
        """Of the highest ids that there are, it is known of each whether it was told."""
        ids = data.draw(st.permutations(sorted(exist)))
        was_told = ids[: data.draw(st.integers(0, len(ids)))]
        told = Told(MOST)
        for each in was_told:
            told.add(each)
        for each in sorted(exist)[-MOST:]:
            self.assertEqual(told.is_news(each), each not in was_told)
        self.assertFalse([each for each in was_told if told.is_news(each)])

    def test_forgotten(self) -> None:
        """What may have been told and forgotten is no news."""
        told = Told(2)
        for each in (3, 5, 7):
            told.add(each)
        self.assertEqual([each for each in range(9) if told.is_news(each)], [6, 8])

    def test_discard(self) -> None:
        """One can be forgotten; one that is not there, too."""
        told = Told(MOST)
        told.discard(1)
        for each in (1, 3):
            told.add(each)
        for each in (3, 2, 4):
            told.discard(each)
        self.assertEqual([each for each in range(5) if each in told], [1])


class CatchingUpTests(SynchronousTestCase):
    """Attempts."""

    def setUp(self) -> None:
        """Have none."""
        self.clock = Clock()
        self.catching_up = CatchingUp(self.clock)
        self.attempts: list[Deferred[bool]] = []

    def tearDown(self) -> None:
        """Nothing is left."""
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def attempt(self) -> bool:
        """Wait for what the test says."""
        waiting: Deferred[bool] = Deferred()
        self.attempts.append(waiting)
        return await waiting

    def test_few_at_a_time(self) -> None:
        """The others follow, one for each that is done."""
        for _ in range(AT_ONCE + 5):
            self.catching_up.run(self.attempt)
        self.assertEqual(len(self.attempts), AT_ONCE)
        self.attempts[3].callback(True)
        self.assertEqual(len(self.attempts), AT_ONCE + 1)
        for each in self.attempts:
            if not each.called:
                each.callback(True)
        self.assertEqual(len(self.attempts), AT_ONCE + 5)
        self.catching_up.run(self.attempt)
        self.assertEqual(len(self.attempts), AT_ONCE + 6)

    def test_again(self) -> None:
        """Who did not succeed, or found something away, is called again after a while; nothing is logged."""
        logged = Logged(self)
        self.catching_up.run(self.attempt)
        outcomes: list[Any] = [False, StorageUnavailable("away"), ClusterUnavailable("away"), True]
        for outcome in outcomes:
            count = len(self.attempts)
            self.attempts[-1].callback(Failure(outcome) if isinstance(outcome, Exception) else outcome)
            self.assertEqual(len(self.attempts), count)
            self.clock.advance(AGAIN_SECONDS)
        self.assertEqual(len(self.attempts), 4)
        self.assertEqual(logged.above_debug(), [])

    def test_a_fault(self) -> None:
        """Is logged, and the next has its turn."""
        self.catching_up.run(self.attempt)
        self.attempts[0].errback(ValueError("no"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.clock.advance(10 * AGAIN_SECONDS)
        self.assertEqual(len(self.attempts), 1)
