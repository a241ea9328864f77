"""What all leases keep to. `LeasesTests` is for all implementations; each has a class below."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster.leases import Leases, MemoryLeases

T = TypeVar("T")


class LeasesTests:
    """Holds for one process, whatever is behind its leases."""

    leases: Leases

    def make_leases(self) -> Leases:
        """Leases of the kind under test."""
        raise NotImplementedError

    def setUp(self) -> None:
        """Make leases."""
        self.leases = self.make_leases()

    def result(self, fired: Deferred[T]) -> T:
        """What a Deferred has fired with."""
        assert isinstance(self, SynchronousTestCase)
        return self.successResultOf(fired)

    def take(self, name: str, holder: str) -> str | None:
        """Take something; who had it."""
        return self.result(self.leases.take(name, holder))

    def holder(self, name: str) -> str | None:
        """Who has something."""
        return self.result(self.leases.holder(name))

    def holders(self, names: Iterable[str]) -> dict[str, str]:
        """Who has each of several things."""
        holders = self.result(self.leases.holders(names))
        return dict(holders)

    def release_all(self, holder: str) -> list[str]:
        """Free all that one has; what it was."""
        names = self.result(self.leases.release_all(holder))
        return sorted(names)

    def test_free(self) -> None:
        """What nobody took nobody has."""
        assert self.holder("x") is None
        assert not self.result(self.leases.release("x", "alice"))
        assert self.result(self.leases.release_all("alice")) == []

    def claim(self, name: str, holder: str, instead_of: str | None = None) -> str:
        """Claim something; who has it then."""
        return self.result(self.leases.claim(name, holder, instead_of))

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
        assert not self.result(self.leases.release("x", "bob"))
        assert self.holder("x") == "alice"
        assert self.result(self.leases.release("x", "alice"))
        assert self.holder("x") is None

    def test_released_after_it_was_taken_away(self) -> None:
        """Who lost something to another can't free it for that one."""
        self.take("x", "alice")
        self.take("x", "bob")
        assert not self.result(self.leases.release("x", "alice"))
        assert self.result(self.leases.release_all("alice")) == []
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

    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from(["take", "release", "all"]), st.sampled_from("xyz"), st.sampled_from("ab")
            ),
            max_size=40,
        )
    )
    def test_against_a_dictionary(self, steps: list[tuple[str, str, str]]) -> None:
        """Whatever is done, the holders are as in a dictionary from names to holders."""
        self.setUp()
        model: dict[str, str] = {}
        for step, name, holder in steps:
            if step == "take":
                assert self.take(name, holder) == model.get(name)
                model[name] = holder
            elif step == "release":
                held = model.get(name) == holder
                assert self.result(self.leases.release(name, holder)) == held
                if held:
                    del model[name]
            else:
                names = sorted(each for each, who in model.items() if who == holder)
                assert self.release_all(holder) == names
                model = {each: who for each, who in model.items() if who != holder}
            assert self.holders("xyz") == model


class MemoryLeasesTests(LeasesTests, SynchronousTestCase):
    """Leases in a single process."""

    def make_leases(self) -> MemoryLeases:
        """Make some."""
        return MemoryLeases()

    def test_nothing_is_left(self) -> None:
        """What was freed takes no memory, nor does who had it."""
        leases = self.make_leases()
        for number in range(100):
            leases.take(f"name {number}", f"holder {number}")
            leases.take(f"name {number}", "another")
        leases.release_all("another")
        self.assertFalse([kept for kept in vars(leases).values() if kept])
