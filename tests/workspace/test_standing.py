"""How present a user looks: whatever its connections say, each change is told once, and leads to the truth."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster.presence import MemoryPresence
from realtime.workspace.messages import OnlineStatus
from realtime.workspace.standing import Standing, status_of

_RANK = [OnlineStatus.OFFLINE, OnlineStatus.IDLE, OnlineStatus.ONLINE]


class StandingTests(SynchronousTestCase):
    """One user with some connections."""

    @given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(OnlineStatus)), max_size=40))
    def test_truth(self, said: list[tuple[int, OnlineStatus]]) -> None:
        """What is told is what its connections together look like, and only what changes."""
        presence = MemoryPresence()
        connections = [Standing(presence, 7) for _ in range(4)]
        shown = OnlineStatus.OFFLINE
        for number, status in [*said, *((number, OnlineStatus.OFFLINE) for number in range(4))]:
            told = self.successResultOf(Deferred.fromCoroutine(connections[number].change(status)))
            true = max((each.status for each in connections), key=_RANK.index)
            self.assertEqual(told, true if true is not shown else None)
            shown = true
            self.assertEqual(self.successResultOf(Deferred.fromCoroutine(status_of(presence, "7"))), shown)
        self.assertEqual(presence._groups, {})
