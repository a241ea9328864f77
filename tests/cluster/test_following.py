"""Who is in a group: those who were there, each change, and what is kept back after a gap."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.following import SETTLE_SECONDS, Following
from realtime.cluster.presence import MemoryPresence


class FollowingTests(SynchronousTestCase):
    """Somebody follows a group."""

    def setUp(self) -> None:
        """One member is there."""
        self.clock = Clock()
        self.presence = MemoryPresence()
        self.told: list[tuple[str, bool]] = []
        self.presence.enter("g", "alice")

    def follow(self, **more: Any) -> Following:
        """Begin."""
        return Following(
            presence=self.presence,
            group="g",
            changed=lambda member, present: self.told.append((member, present)),
            clock=self.clock,
            **more,
        )

    def heard(self) -> list[tuple[str, bool]]:
        """What was told since the last time."""
        told, self.told = self.told, []
        return told

    def nothing_left(self) -> None:
        """No timer, no watcher."""
        self.assertEqual((self.clock.getDelayedCalls(), self.presence._watchers), ([], {}))

    def test_found_and_changed(self) -> None:
        """Who was there is told, by itself if that is wanted; then each change, until it is over."""
        found: list[str] = []
        first, second = self.follow(), self.follow(found=found.append)
        self.assertEqual((self.heard(), found), ([("alice", True)], ["alice"]))
        second.stop()
        self.presence.enter("g", "bob")
        self.presence.leave("g", "alice")
        self.assertEqual(self.heard(), [("bob", True), ("alice", False)])
        first.stop()
        first.stop()
        self.presence.leave("g", "bob")
        self.assertEqual(self.heard(), [])
        self.nothing_left()

    def test_gone_as_it_asked(self) -> None:
        """Who goes before the answer is there is not told to be there after all; who comes back is."""
        answer: Deferred[frozenset[str]] = Deferred()
        self.patch(self.presence, "members", lambda _: answer)
        following = self.follow()
        for member in ("bob", "carol"):
            self.presence.enter("g", member)
        for member in ("alice", "bob", "carol"):
            self.presence.leave("g", member)
        self.presence.enter("g", "carol")
        self.heard()
        answer.callback(frozenset({"alice", "bob", "carol", "dave"}))
        self.assertEqual(sorted(self.heard()), [("carol", True), ("dave", True)])
        following.stop()

    def test_out_of_reach(self) -> None:
        """It asks until it is answered, and no longer than it lasts; a fault of ours is logged."""
        away = self.patch(self.presence, "members", lambda _: fail(ClusterUnavailable()))
        following, other = self.follow(), self.follow()
        self.clock.pump([1, 1, 1])
        other.stop()
        self.assertEqual(self.heard(), [])
        away.restore()
        self.clock.advance(1)
        self.assertEqual(self.heard(), [("alice", True)])
        following.stop()
        self.nothing_left()
        self.patch(self.presence, "members", lambda _: fail(ZeroDivisionError()))
        self.follow().stop()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_unsettled(self) -> None:
        """Departures are kept back from a gap on, from the last one; who comes back has not gone."""
        self.presence.enter("g", "bob")
        following = self.follow()
        self.heard()
        following.unsettle()
        self.clock.advance(SETTLE_SECONDS - 1)
        following.unsettle()
        for member in ("alice", "bob"):
            self.presence.leave("g", member)
        self.clock.advance(SETTLE_SECONDS - 1)
        self.assertEqual(self.heard(), [])
        self.presence.enter("g", "bob")
        self.assertEqual(self.heard(), [("bob", True)])
        self.clock.advance(1)
        self.assertEqual(self.heard(), [("alice", False)])
        self.presence.leave("g", "bob")
        self.assertEqual(self.heard(), [("bob", False)])
        following.unsettle()
        following.stop()
        following.unsettle()
        self.nothing_left()
