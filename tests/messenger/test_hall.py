"""Who is online and what all hear, one step after the other; in any order: `test_hall_property`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.following import SETTLE_SECONDS
from realtime.messenger.hall import GROUP
from tests.messenger.hall_world import Guest, House, profile_of
from tests.messenger.processes import Process


class HallTests(SynchronousTestCase):
    """One process, and one step after the other."""

    def test_comes_and_goes(self) -> None:
        """A newcomer is shown everybody, the others the newcomer; who goes is shown to go."""
        house = House(1)
        first = house.come(1)
        self.assertEqual(first.read(), ["list 1"])
        second = house.come(2)
        self.assertEqual((first.read(), second.read()), (["+2"], ["list 1 2"]))
        third = house.come(3)
        first.go()
        house.settle()
        self.assertEqual((second.read(), third.read()), (["+3", "-1"], ["list 1 2 3", "-1"]))
        self.assertEqual(house.profiles.asked, 0)
        house.check()
        house.empty()

    def test_a_hundred_in_one_turn(self) -> None:
        """They get one list, built once; those before them hear of each, and also when they go."""
        house = House(1)
        first = house.come(1)
        first.read()
        crowd = [house.come(user, settle=False) for user in range(2, 102)]
        house.settle()
        self.assertEqual(sorted(first.read()), sorted(f"+{user}" for user in range(2, 102)))
        everybody = " ".join(sorted(str(user) for user in range(1, 102)))
        for guest in crowd:
            self.assertEqual(guest.read(), [f"list {everybody}"])
        self.assertEqual(house.crowds[0].lists, 2)
        for guest in crowd:
            guest.go()
        house.settle()
        self.assertEqual(first.read(), [f"-{user}" for user in range(2, 102)])
        house.check()
        house.empty()

    def test_comes_and_goes_in_one_turn(self) -> None:
        """Who is gone before the turn ends was there for the others, and is told nothing."""
        house = House(1)
        first = house.come(1)
        first.read()
        second = house.come(2, settle=False)
        second.go()
        house.settle()
        self.assertEqual((first.read(), second.read()), (["+2", "-2"], []))
        house.empty()

    def test_taken_over(self) -> None:
        """To the others it is no change; the newcomer gets a list, and the older hears nothing more."""
        house = House(1)
        first, older = house.come(1), house.come(2)
        newer = house.come(2)
        first.read()
        older.read()
        house.change(newer, "busy")
        house.say(newer)
        house.settle()
        self.assertEqual(older.read(), [])
        older.go()
        house.settle()
        self.assertEqual(first.read(), ["+2busy", "2: text 0"])
        self.assertEqual(newer.read(), ["list 1 2", "2: text 0"])
        house.check()
        house.empty()

    def test_newcomer_of_the_same_user_leaves(self) -> None:
        """The older stays what it was."""
        house = House(1)
        first, older = house.come(1), house.come(2)
        first.read()
        house.come(2, settle=False).go()
        house.settle()
        house.change(older, "busy")
        house.settle()
        self.assertEqual((first.read(), older.read()), (["+2busy"], ["list 1 2"]))
        house.check()
        house.empty()

    def test_said_before_it_is_seen(self) -> None:
        """What is said in the turn in which its sender comes is heard after that."""
        house = House(1)
        first = house.come(1)
        first.read()
        second = house.come(2, settle=False)
        house.cluster.carry()
        house.say(second)
        house.settle()
        self.assertEqual(first.read(), ["+2", "2: text 0"])
        house.empty()

    def test_counting_fails(self) -> None:
        """Who could not be counted is not expected any more when it has gone."""
        house = House(1)
        presence: Any = house.cluster.processes[0].presence
        presence.enter = lambda group, member: fail(RuntimeError("presence is away"))
        guest = Guest(house, 0, 0, 1)
        self.failureResultOf(Deferred.fromCoroutine(guest.come()), RuntimeError)
        guest.go()
        house.empty()


class StrangerTests(SynchronousTestCase):
    """Who comes elsewhere, so that its profile is read."""

    def setUp(self) -> None:
        """Two processes; user 1 is at the first one."""
        self.house = House()
        self.first = self.house.come(1)
        self.first.read()

    def test_read(self) -> None:
        """The profile is read once, and the user shown."""
        self.house.profiles.rows[2] = profile_of(2, "read")
        guest = self.house.come(2, process=1)
        self.assertEqual(self.first.read(), ["+2read"])
        self.assertEqual(guest.read(), ["list 1 2"])
        self.assertEqual(self.house.profiles.asked, 2)
        self.house.empty()

    def test_says_something_meanwhile(self) -> None:
        """It is heard when its sender has been seen; others are heard meanwhile."""
        profiles = self.house.profiles
        profiles.held = []
        guest = self.house.come(2, process=1)
        self.house.say(guest)
        self.house.say(self.first)
        self.house.say(guest)
        self.house.settle()
        self.assertEqual(self.first.read(), ["1: text 1"])
        profiles.answer()
        self.house.settle()
        self.assertEqual(self.first.read(), ["+2", "2: text 0", "2: text 2"])
        self.house.check()
        self.house.empty()

    def test_goes_meanwhile(self) -> None:
        """Who has said nothing is passed over; who has is shown, heard, and shown to go."""
        profiles = self.house.profiles
        for says in (False, True):
            profiles.held = []
            guest = self.house.come(2, process=1)
            if says:
                self.house.say(guest)
            guest.go()
            self.house.settle()
            while profiles.held:
                profiles.answer()
            self.house.settle()
            self.assertEqual(self.first.read(), ["+2", "2: text 0", "-2"] if says else [])
        self.house.empty()

    def test_comes_again_meanwhile(self) -> None:
        """It is there once, as what it came the last time."""
        profiles = self.house.profiles
        profiles.held = []
        guest = self.house.come(2, process=1)
        self.house.say(guest)
        guest.go()
        self.house.settle()
        profiles.rows[2] = profile_of(2, "again")
        self.house.come(2, process=1)
        while profiles.held:
            profiles.answer()
        self.house.settle()
        self.assertEqual(self.first.read(), ["+2again", "2: text 0"])
        self.house.check()
        self.house.empty()

    def test_changes_its_profile_meanwhile(self) -> None:
        """What is told is newer than what was asked for."""
        profiles = self.house.profiles
        profiles.held = []
        guest = self.house.come(2, process=1)
        self.house.change(guest, "busy")
        self.house.settle()
        while profiles.held:
            profiles.answer()
        self.house.settle()
        self.assertEqual(self.first.read(), ["+2busy"])
        self.house.check()
        self.house.empty()

    def test_database_away(self) -> None:
        """Whoever came meanwhile is shown when it is back, and heard; nothing is left of those who went."""
        self.house.profiles.away = True
        guest, other = self.house.come(2, process=1), self.house.come(3, process=1)
        self.house.say(guest)
        self.house.settle()
        self.assertEqual(self.first.read(), [])
        self.house.clock.pump([2, 2])
        other.go()
        self.house.settle()
        self.house.profiles.away = False
        self.house.clock.advance(2)
        self.house.settle()
        self.assertEqual(self.first.read(), ["+2", "2: text 0"])
        self.house.check()
        self.house.empty()

    def test_database_away_and_everybody_goes(self) -> None:
        """Then nothing is asked any more."""
        self.house.profiles.away = True
        self.house.come(2, process=1).go()
        self.first.go()
        self.house.settle()
        self.house.empty()

    def test_much_said_while_the_database_is_away(self) -> None:
        """Of one who can't be shown the newest hundred messages are kept."""
        self.house.profiles.away = True
        guest = self.house.come(2, process=1)
        for _ in range(150):
            self.house.say(guest)
        self.house.settle()
        self.house.profiles.away = False
        self.house.clock.advance(2)
        self.house.settle()
        self.assertEqual(self.first.read(), ["+2", *(f"2: text {number}" for number in range(50, 150))])
        self.house.empty()

    def test_account_gone(self) -> None:
        """Whose account is gone is not shown."""
        guest = Guest(self.house, 0, 1, 2)
        Deferred.fromCoroutine(guest.come())
        del self.house.profiles.rows[2]
        self.house.settle()
        self.assertEqual(self.first.read(), [])
        guest.go()
        self.house.settle()
        self.assertEqual(self.first.read(), [])
        self.house.empty()

    def test_fault_of_ours(self) -> None:
        """It is logged, and the others are shown."""
        store: Any = self.house.profiles
        profile = store.profile
        store.profile = lambda user: fail(ZeroDivisionError()) if user == 2 else profile(user)
        guest = self.house.come(2, process=1)
        self.house.come(3, process=1)
        self.assertEqual(self.first.read(), ["+3"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        guest.go()
        self.house.empty()

    def test_a_process_that_starts_later(self) -> None:
        """It shows who was there before it, but for those who went as it asked."""
        gone = self.house.come(2)
        stays = self.house.come(3, process=1)
        self.house.start()
        gone.go()
        late = self.house.come(4, process=2, settle=False)
        self.house.settle()
        self.assertEqual(set(late.shown), {"1", "3", "4"})
        self.house.check()
        self.assertEqual(stays.read(), ["list 1 2 3", "-2", "+4"])
        self.house.empty()

    def test_it_is_not_known_who_is_there(self) -> None:
        """A process that can't ask says so, and shows who comes."""
        house = House(0)
        members = Process(house.cluster).presence.__class__.members
        presence: Any = Process(house.cluster).presence.__class__
        self.patch(presence, "members", lambda *_: fail(RuntimeError("presence is away")))
        house.start()
        self.patch(presence, "members", members)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(house.come(1).read(), ["list 1"])
        house.empty()


class GapTests(SynchronousTestCase):
    """What a process misses while the others are out of its reach."""

    def setUp(self) -> None:
        """Two processes; user 1 is at the first one, user 2 at the other."""
        self.house = House()
        self.first, self.second = self.house.come(1), self.house.come(2, process=1)
        self.first.read()
        self.second.read()

    def gap(self) -> None:
        """Lose what was under way to the first process, and learn that."""
        self.house.cluster.processes[0].lose()
        self.house.settle()

    def later(self, seconds: float = 0.1) -> list[str]:
        """What user 1 sees some time later."""
        self.house.clock.advance(seconds)
        self.house.settle()
        return self.first.read()

    def test_said(self) -> None:
        """What was said elsewhere is heard late, in order, once; so is what was said by one who has gone."""
        for _ in range(3):
            self.house.say(self.second)
        self.house.say(self.first)
        self.assertEqual(self.first.read(), ["1: text 3"])
        self.gap()
        self.assertEqual(self.later(), [f"2: text {number}" for number in range(3)])
        self.gap()
        self.assertEqual(self.later(), [])
        third = self.house.come(3, process=1)
        self.assertEqual(self.later(), ["+3"])
        self.house.clock.advance(SETTLE_SECONDS)
        self.house.profiles.held = []
        fourth = self.house.come(4, process=1)
        for guest in (third, fourth):
            self.house.say(guest)
        self.gap()
        self.assertEqual(self.later(), ["3: text 4"])
        self.house.profiles.answer()
        self.assertEqual(self.later(), ["+4", "4: text 5"])
        self.house.clock.advance(SETTLE_SECONDS)
        self.house.empty()

    def test_profiles(self) -> None:
        """A profile that was changed elsewhere is shown; what was told since the question is newer."""
        self.house.change(self.second, "busy")
        self.gap()
        self.assertEqual(self.later(), ["+2busy"])
        self.house.change(self.second, "lost")
        self.house.profiles.away = True
        self.gap()
        self.assertEqual(self.later(1), [])
        self.house.profiles.away = False
        self.assertEqual(self.later(1.1), ["+2lost"])
        store: Any = self.house.profiles
        profiles, rows = store.profiles, dict(store.rows)
        answer: Deferred[Any] = Deferred()
        store.profiles = lambda _: answer
        self.gap()
        self.house.change(self.second, "new")
        self.assertEqual(self.later(), ["+2new"])
        store.profiles = profiles
        answer.callback(rows)
        self.assertEqual(self.later(), [])
        self.house.clock.advance(SETTLE_SECONDS)
        self.house.empty()

    def test_who_seems_to_have_gone(self) -> None:
        """Who is there again soon has never gone; who is not is shown to go then."""
        hall, presence = self.house.halls[0], self.house.cluster.processes[1].presence
        for unsettle in (self.gap, hall.unsettle):
            unsettle()
            presence.leave(GROUP, "2")
            self.assertEqual(self.later(), [])
            presence.enter(GROUP, "2")
            self.house.settle()
            self.assertEqual(self.later(SETTLE_SECONDS), [])
        hall.unsettle()
        self.second.go()
        self.assertEqual(self.later(SETTLE_SECONDS - 0.1), [])
        self.assertEqual(self.later(), ["-2"])
        self.house.empty()

    def test_leaving_is_not_answered(self) -> None:
        """That it is not known whether one was the last concerns nobody; a fault of ours is logged."""
        presence: Any = self.house.cluster.processes[0].presence
        leave = presence.leave
        for error, logged in ((ClusterUnavailable, 0), (ZeroDivisionError, 1)):
            guest = self.house.come(3)
            presence.leave = lambda *each, error=error: leave(*each).addCallback(lambda _: fail(error()))
            guest.go()
            self.house.settle()
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), logged)
            presence.leave = leave
        self.house.empty()
