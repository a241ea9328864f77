"""What every presence keeps to. `PresenceTests` is for all implementations; each has a class below."""

from __future__ import annotations

import secrets
from collections import Counter
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster.presence import MemoryPresence, Presence
from tests.cluster.kinds import InMemory, Kind, OverRedis

T = TypeVar("T")


class PresenceTests(Kind):
    """Holds for one process, whatever is behind its presence."""

    presence: Presence

    def make_presence(self) -> Presence:
        """A presence of the kind under test."""
        raise NotImplementedError

    def setUp(self) -> None:
        """Make a presence, and a list of the changes that are told."""
        super().setUp()
        self.presence = self.make_presence()
        self.told: list[tuple[str, bool]] = []

    def tell(self, member: str, present: bool) -> None:
        """Write a change down."""
        self.told.append((member, present))

    def members(self, group: str = "g") -> set[str]:
        """Who is present."""
        members = self.carry_out(self.presence.members(group))
        return set(members)

    def test_nobody(self) -> None:
        """In a group that nobody entered there is nobody."""
        assert self.members() == set()

    def test_first_and_last(self) -> None:
        """The first connection of a member, and the last, are told that they are."""
        assert [self.carry_out(self.presence.enter("g", "alice")) for _ in range(3)] == [True, False, False]
        assert self.members() == {"alice"}
        assert [self.carry_out(self.presence.leave("g", "alice")) for _ in range(3)] == [False, False, True]
        assert self.members() == set()
        assert self.carry_out(self.presence.enter("g", "alice"))

    def test_one_member(self) -> None:
        """Whether one member is present is known without the others, and is so in its group alone."""
        self.presence.enter("g", "bob")
        for enters in (True, True, False, False):
            (self.presence.enter if enters else self.presence.leave)("g", "alice")
            present = self.carry_out(self.presence.is_present("g", "alice"))
            assert present == ("alice" in self.members())
            assert not self.carry_out(self.presence.is_present("h", "alice"))
        assert not present
        for group, member, expected in (("g", "bob", True), ("g", "nobody", False), ("nothing", "bob", False)):
            assert self.carry_out(self.presence.is_present(group, member)) == expected

    def test_groups_are_apart(self) -> None:
        """A member of one group is none of another."""
        self.presence.enter("g", "alice")
        assert self.carry_out(self.presence.enter("h", "alice"))
        assert self.carry_out(self.presence.leave("g", "alice"))
        assert (self.members("g"), self.members("h")) == (set(), {"alice"})

    def test_members_are_as_they_were(self) -> None:
        """Who asked keeps the answer, whatever happens then."""
        self.presence.enter("g", "alice")
        before = self.carry_out(self.presence.members("g"))
        self.presence.enter("g", "bob")
        self.presence.leave("g", "alice")
        assert before == {"alice"}

    def test_changes_are_told(self) -> None:
        """A watcher hears of who comes and goes, once for each, not of every connection."""
        self.presence.watch("g", self.tell)
        self.settle()
        for _ in range(2):
            self.presence.enter("g", "alice")
        self.presence.enter("h", "bob")
        for _ in range(2):
            self.presence.leave("g", "alice")
        self.settle()
        assert self.told == [("alice", True), ("alice", False)]

    def test_told_when_it_is_so(self) -> None:
        """When a change is told the members are as it says."""
        asked: list[tuple[bool, Deferred[frozenset[str]]]] = []
        self.presence.watch("g", lambda _, present: asked.append((present, self.presence.members("g"))))
        self.presence.enter("g", "alice")
        self.settle()
        self.presence.leave("g", "alice")
        self.settle()
        seen = []
        for present, members in asked:
            found = self.carry_out(members)
            seen.append((present, set(found)))
        assert seen == [(True, {"alice"}), (False, set())]

    def test_unwatched(self) -> None:
        """Who has ended watching hears nothing more; once is enough."""
        ends = [self.presence.watch("g", self.tell) for _ in range(2)]
        self.presence.enter("g", "alice")
        self.settle()
        ends[0]()
        ends[0]()
        self.presence.leave("g", "alice")
        self.settle()
        ends[1]()
        self.presence.enter("g", "bob")
        self.settle()
        assert self.told == [("alice", True), ("alice", True), ("alice", False)]

    def test_unwatched_while_told(self) -> None:
        """A watcher that is ended by an earlier one does not hear of the same change."""
        self.presence.watch("g", lambda *_: end())
        end = self.presence.watch("g", self.tell)
        self.presence.enter("g", "alice")
        self.settle()
        assert self.told == []

    def test_a_watcher_that_raises(self) -> None:
        """It is logged; the others are told, and whoever entered has entered."""

        def fail(member: str, present: bool) -> None:
            raise ZeroDivisionError

        self.presence.watch("g", fail)
        self.presence.watch("g", self.tell)
        assert self.carry_out(self.presence.enter("g", "alice"))
        self.settle()
        assert self.told == [("alice", True)]
        assert isinstance(self, SynchronousTestCase)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def check_counting(self, steps: list[tuple[bool, str]]) -> None:
        """Whoever has entered more often than left is present, and the changes add up to that."""
        self.presence = self.make_presence()
        self.told.clear()
        self.presence.watch("g", self.tell)
        self.settle()
        counts: Counter[str] = Counter()
        for enters, member in steps:
            if enters:
                counts[member] += 1
                assert self.carry_out(self.presence.enter("g", member)) == (counts[member] == 1)
            elif counts[member]:
                counts[member] -= 1
                assert self.carry_out(self.presence.leave("g", member)) == (counts[member] == 0)
        assert self.members() == {member for member, count in counts.items() if count}
        present: set[str] = set()
        self.settle()
        for member, now in self.told:
            assert (member in present) != now
            (present.add if now else present.remove)(member)
        assert present == self.members()


STEPS = st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=40)


class MemoryPresenceTests(PresenceTests, InMemory):
    """Presence in a single process."""

    def make_presence(self) -> MemoryPresence:
        """Make one."""
        return MemoryPresence()

    @given(steps=STEPS)
    def test_against_counting(self, steps: list[tuple[bool, str]]) -> None:
        """It is as if one had counted."""
        self.check_counting(steps)

    def test_nothing_is_left(self) -> None:
        """Groups and watchers that are gone take no memory."""
        presence = self.make_presence()
        for number in range(100):
            end = presence.watch(f"group {number}", self.tell)
            presence.enter(f"group {number}", "alice")
            presence.leave(f"group {number}", "alice")
            end()
        self.assertFalse([kept for kept in vars(presence).values() if kept])


class RedisPresenceTests(PresenceTests, OverRedis):
    """The presence of several processes, seen from one."""

    def make_presence(self) -> Presence:
        """Make one that nobody has entered."""
        self.prefix = f"test-{secrets.token_hex(4)}"
        return self.make_cluster().presence

    @given(steps=STEPS)
    @settings(max_examples=15, deadline=None)
    def test_against_counting(self, steps: list[tuple[bool, str]]) -> None:
        """It is as if one had counted."""
        self.check_counting(steps)
