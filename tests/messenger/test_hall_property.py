"""Any interleaving of arrivals, departures, takeovers, messages, changed profiles, news and turns of the clock.

See `hall_world.Guest` for what nobody may ever be told, and `House.check` for what all know in the end.
"""

from __future__ import annotations

import random
from collections import Counter
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.messenger.hall import Hall
from tests.messenger.hall_world import PROCESSES, House
from tests.messenger.processes import Process

USERS = 5
WAYS = ("bus", "events", "presence")
STEPS = ("come", "come", "go", "say", "change", "turn", "database", "away", *WAYS, *WAYS)
SITUATIONS = (
    *("a stranger says something", "a stranger's status changes", "a stranger goes", "a stranger comes again"),
    *("a stranger is let in", "gone with something kept back", "taken over", "the newcomer goes first"),
    *("changed as its newer connection comes", "away", "several at once", "seen after it was let in"),
)

steps = st.lists(
    st.tuples(st.sampled_from(STEPS), st.integers(1, USERS), st.integers(0, PROCESSES - 1)), max_size=120
)


class Script:
    """Steps in any order. ``reached`` counts what they have brought about."""

    def __init__(self) -> None:
        self.house = House()
        self.house.profiles.held = []
        self.reached: Counter[str] = Counter()
        self._numbers = count()

    def run(self, script: list[tuple[str, int, int]]) -> None:
        """Run the steps, and have everything come to rest."""
        house = self.house
        for step in script:
            self._step(*step)
        for _ in range(4):
            house.profiles.away = False
            house.settle()
            house.clock.advance(2)
            while house.profiles.held:
                house.profiles.answer()
        house.check()
        house.empty()

    def _step(self, what: str, user: int, process: int) -> None:
        house = self.house
        here = [guest for guest in house.guests if guest.user == user and not guest.is_over]
        inside = [guest for guest in here if guest.is_in]
        match what:
            case "come":
                # Of one user there is a connection, and at most one that is to take its place.
                if not here or (len(here) == 1 and here[0].is_in):
                    house.come(user, process, settle=False)
                    self.reached["taken over"] += len(here)
            case "go" if here:
                self.reached["the newcomer goes first"] += len(here) == 2 and process == 1
                here[process % len(here)].go()
            case "say" if inside:
                self._note(user, "says something")
                house.say(inside[-1])
            case "change" if inside:
                self.reached["changed as its newer connection comes"] += not here[-1].is_in
                self._note(user, "'s status changes")
                # What two processes tell may arrive in either order; a user who has come by another is slower.
                for each in house.cluster.processes:
                    while each.carry_one("bus"):
                        pass
                house.change(inside[-1], f"status {next(self._numbers)}")
            case "turn":
                self.reached["several at once"] += len(house.halls[0]._arrivals) > 1
                for hall in house.halls:
                    for visit in hall._arrivals:
                        self.reached["a stranger is let in"] += visit.user_id in hall._strangers
                house.clock.advance(user % 3)
            case "database":
                self.reached["away"] += house.profiles.away
                house.profiles.answer()
            case "away":
                house.profiles.away = user % 3 == 0
            case "bus" | "events" | "presence":
                self._carry(house.halls[process], house.cluster.processes[process], what)

    def _note(self, user: int, what: str) -> None:
        if any(user in hall._strangers for hall in self.house.halls):
            self.reached[f"a stranger {what}".replace(" '", "'")] += 1

    def _carry(self, hall: Hall, process: Process, what: str) -> None:
        strangers = {user: (each.is_here, len(each.said)) for user, each in hall._strangers.items()}
        events = process.queues["events"]
        if what == "events" and events:
            event: Any = events[0]
            user, present = int(event.args[0]), event.args[1]
            if user in strangers:
                self.reached["a stranger comes again" if present else "a stranger goes"] += 1
                self.reached["gone with something kept back"] += not present and strangers[user][1] > 0
            elif present:
                self.reached["seen after it was let in"] += user in hall._roster
        process.carry_one(what)


class PropertyTests(SynchronousTestCase):
    """Whatever happens, in whatever order."""

    @settings(max_examples=200)
    @given(steps)
    def test_any_order(self, script: list[tuple[str, int, int]]) -> None:
        """Each is shown one list, and changes that lead from it to the truth; see `Guest` and `House.check`."""
        Script().run(script)

    def test_long_scripts(self) -> None:
        """So it is with long ones, and they bring about everything that the hall is made for."""
        chance = random.Random(7)
        reached: Counter[str] = Counter()
        for _ in range(300):
            script = Script()
            script.run(
                [
                    (chance.choice(STEPS), chance.randint(1, USERS), chance.randrange(PROCESSES))
                    for _ in range(150)
                ]
            )
            reached += script.reached
        self.assertEqual([each for each in SITUATIONS if not reached[each]], [])
