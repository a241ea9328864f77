"""What all leases keep to. `LeasesTests` is for all implementations; each has a class below."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.cluster.leases import Leases, MemoryLeases
from tests.cluster.kinds import InMemory, Kind, OverRedis

T = TypeVar("T")


class LeasesTests(Kind):
    """Holds for one process, whatever is behind its leases."""

    leases: Leases

    def make_leases(self) -> Leases:
        """Leases of the kind under test."""
        raise NotImplementedError

    def setUp(self) -> None:
        """Make leases."""
        super().setUp()
        self.leases = self.make_leases()

    def take(self, name: str, holder: str) -> str | None:
        """Take something; who had it."""
        return self.carry_out(self.leases.take(name, holder))

    def holder(self, name: str) -> str | None:
        """Who has something."""
        return self.carry_out(self.leases.holder(name))

    def holders(self, names: Iterable[str]) -> dict[str, str]:
        """Who has each of several things."""
        holders = self.carry_out(self.leases.holders(names))
        return dict(holders)

    def release_all(self, holder: str) -> list[str]:
        """Free all that one has; what it was."""
        names = self.carry_out(self.leases.release_all(holder))
        return sorted(names)

    def test_free(self) -> None:
        """What nobody took nobody has."""
        assert self.holder("x") is None
        assert not self.carry_out(self.leases.release("x", "alice"))
        assert self.carry_out(self.leases.release_all("alice")) == []

    def claim(self, name: str, holder: str, instead_of: str | None = None) -> str:
        """Claim something; who has it then."""
        return self.carry_out(self.leases.claim(name, holder, instead_of))

    def test_claimed(self) -> None:
        """Who claims what is free gets it, and keeps it against other claims; its own finds that it has it."""
        assert self.claim("x", "alice") == "alice"
        assert self.claim("x", "bob") == "alice"
        assert self.claim("x", "alice") == "alice"
        assert self.holder("x") == "alice"
        assert self.release_all("bob") == []

    def test_claimed_from_another(self) -> None:
        """A claim instead of another counts against that one alone."""
        assert self.claim("x", "bob", "alice") == "bob"
        assert self.claim("x", "carol", "alice") == "bob"
        assert self.claim("x", "carol", "bob") == "carol"
        assert self.release_all("bob") == []
        assert self.release_all("carol") == ["x"]

    def test_taken(self) -> None:
        """Who takes something has it, alone, and is told who had it before."""
        assert self.take("x", "alice") is None
        assert self.take("x", "bob") == "alice"
        assert self.take("x", "bob") == "bob"
        assert self.holder("x") == "bob"

    def test_released(self) -> None:
        """Only its holder can free a thing."""
        self.take("x", "alice")
        assert not self.carry_out(self.leases.release("x", "bob"))
        assert self.holder("x") == "alice"
        assert self.carry_out(self.leases.release("x", "alice"))
        assert self.holder("x") is None

    def test_released_after_it_was_taken_away(self) -> None:
        """Who lost something to another can't free it for that one."""
        self.take("x", "alice")
        self.take("x", "bob")
        assert not self.carry_out(self.leases.release("x", "alice"))
        assert self.carry_out(self.leases.release_all("alice")) == []
        assert self.holder("x") == "bob"

    def test_all_released(self) -> None:
        """All that one has can be freed at once, and nothing of another's."""
        for name in "xyz":
            self.take(name, "alice")
        self.take("y", "bob")
        assert self.release_all("alice") == ["x", "z"]
        assert [self.holder(name) for name in "xyz"] == [None, "bob", None]

    def test_several_asked_for(self) -> None:
        """Who asks for several gets those that somebody has."""
        self.take("x", "alice")
        self.take("y", "bob")
        assert self.holders(["y", "z", "x"]) == {"x": "alice", "y": "bob"}
        assert self.holders([]) == {}

    def check_dictionary(self, steps: list[tuple[str, str, str]]) -> None:
        """Whatever is done, the holders are as in a dictionary from names to holders."""
        self.leases = self.make_leases()
        model: dict[str, str] = {}
        for step, name, holder in steps:
            if step == "take":
                assert self.take(name, holder) == model.get(name)
                model[name] = holder
            elif step == "claim":
                has_it = model.setdefault(name, holder)
                assert self.claim(name, holder) == has_it
            elif step == "release":
                held = model.get(name) == holder
                assert self.carry_out(self.leases.release(name, holder)) == held
                if held:
                    del model[name]
            else:
                names = sorted(each for each, who in model.items() if who == holder)
                assert self.release_all(holder) == names
                model = {each: who for each, who in model.items() if who != holder}
            assert self.holders("xyz") == model


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "claim", "release", "all"]), st.sampled_from("xyz"), st.sampled_from("ab")
    ),
    max_size=40,
)


class MemoryLeasesTests(LeasesTests, InMemory):
    """Leases in a single process."""

    def make_leases(self) -> MemoryLeases:
        """Make some."""
        return MemoryLeases()

    @given(steps=STEPS)
    def test_against_a_dictionary(self, steps: list[tuple[str, str, str]]) -> None:
        """It is as in a dictionary."""
        self.check_dictionary(steps)

    def test_nothing_is_left(self) -> None:
        """What was freed takes no memory, nor does who had it."""
        leases = self.make_leases()
        for number in range(100):
            leases.take(f"name {number}", f"holder {number}")
            leases.take(f"name {number}", "another")
        leases.release_all("another")
        self.assertFalse([kept for kept in vars(leases).values() if kept])


class RedisLeasesTests(LeasesTests, OverRedis):
    """The leases of several processes, seen from one."""

    def make_leases(self) -> Leases:
        """Make some that nobody has taken."""
        self.prefix = f"test-{secrets.token_hex(4)}"
        return self.make_cluster().leases

    @given(steps=STEPS)
    @settings(max_examples=15, deadline=None)
    def test_against_a_dictionary(self, steps: list[tuple[str, str, str]]) -> None:
        """It is as in a dictionary."""
        self.check_dictionary(steps)

    def test_many(self) -> None:
        """All that one has is freed, however much it is."""
        for number in range(450):
            self.leases.take(f"name {number}", "alice")
        assert len(set(self.release_all("alice"))) == 450
        assert self.holders(f"name {number}" for number in range(450)) == {}
