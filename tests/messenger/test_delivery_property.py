"""Crashes, cuts, resends, expiry, full mailboxes, late and lost answers: nothing is lost, nothing told twice.

See `delivery_world` for what happens, and `delivery_faults` for what is found by it.
"""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.messenger.delivery import Delivery
from tests.messenger.delivery_faults import FAULTS
from tests.messenger.delivery_world import ACTIONS, World

STEPS = 200
SITUATIONS = [
    *("a crash with something under way", "a gap with news", "a lower id later", "a parcel lost"),
    *("a ping lost", "a pong lost", "asked again", "expired", "expired on the wire", "loaded a part"),
    *("loaded what is on the wire", "loaded what is settled", "mailbox full", "posted what is settled"),
    *("posted while loading", "received though expired", "redelivered", "repeated", "taken over"),
    *("told twice", "unknown receiver"),
]

steps = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 41)), max_size=STEPS)


def script(chance: random.Random) -> list[tuple[str, int]]:
    """Return a script that begins with everybody logged in."""
    logins = [("login", number) for number in range(3)]
    return logins + [(chance.choice(ACTIONS), chance.randrange(42)) for _ in range(STEPS)]


class DeliveryPropertyTests(SynchronousTestCase):
    """Whatever happens, in whatever order."""

    @settings(max_examples=600, deadline=None)
    @given(steps)
    def test_any_script(self, script: list[tuple[str, int]]) -> None:
        """Every accepted dialog arrives, in order for each sender, and each sender hears one outcome of it."""
        World().run(script)

    def test_the_scripts_go_everywhere(self) -> None:
        """Long scripts of this kind hold too, and bring about everything that the machine is made for."""
        chance = random.Random(7)
        reached: Counter[str] = Counter()
        for _ in range(400):
            world = World()
            world.run(script(chance))
            reached += world.reached
            reached["stored though it failed"] += world.database.unknown
        self.assertEqual([each for each in [*SITUATIONS, "stored though it failed"] if not reached[each]], [])

    def test_faults_are_found(self) -> None:
        """A machine with a fault does not get through many scripts."""
        for fault in FAULTS:
            self.assertTrue(self.is_found(fault), fault.__name__)

    def is_found(self, fault: type[Delivery]) -> bool:
        """Whether a fault makes one of some scripts fail."""
        chance = random.Random(7)
        for _ in range(300):
            try:
                World(fault).run(script(chance))
            except AssertionError:
                return True
        return False
