"""One connection for each user, whoever comes, answers, keeps silent or goes, in one process and in several."""

from __future__ import annotations

import random
from collections import Counter, deque
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster.errors import ClusterUnavailable
from realtime.messenger.seat import Seat, Seats, Word, _News
from tests.messenger.processes import Cluster

TIMEOUT = 3.0
PROCESSES = 2


class Sitter:
    """A connection. Its client answers pings while it is ``alive``; it ends when it is told to go."""

    def __init__(self, row: Row, number: int, process: int, user: int) -> None:
        self.process = process
        self.user = user
        self.alive = True
        self.pings: deque[bytes] = deque()
        self.state = "waiting"
        self.name = f"{process}.{number}"
        self.seat = Seat(row.seats[process], user, self.name, self)
        self.taking = self.seat.take()
        self.taking.addCallback(self._taken)

    def _taken(self, has_it: bool) -> None:
        assert not (has_it and self.state in ("gone", "replaced")), "seated too late"
        if self.state == "waiting":
            self.state = "seated" if has_it else "refused"
            if not has_it:
                self.seat.leave()

    def ping(self, name: bytes) -> None:
        """See `Occupant`."""
        assert self.state not in ("gone", "refused")
        self.pings.append(name)

    def replaced(self) -> None:
        """See `Occupant`."""
        assert self.state in ("waiting", "seated"), self.state
        self.state = "replaced"
        self.seat.leave()

    def answer(self) -> None:
        """Answer the pings that came."""
        while self.alive and self.pings:
            payload = self.pings.popleft()
            if self.state in ("waiting", "seated"):
                assert self.seat.pong(payload)

    def settle(self) -> None:
        """Be there for the others: who was here before may go."""
        if self.state == "seated":
            self.seat.settle()

    def go(self) -> None:
        """The connection is lost."""
        self.state = "gone"
        self.seat.leave()

    @property
    def is_here(self) -> bool:
        """Whether it is connected still, seated or not."""
        return self.state in ("waiting", "seated")


class Row:
    """The seats of several processes."""

    def __init__(self, processes: int = PROCESSES) -> None:
        self.clock = Clock()
        self.cluster = Cluster(processes)
        self.seats = [
            Seats(leases=each.leases, bus=each.bus, clock=self.clock, takeover_timeout=TIMEOUT)
            for each in self.cluster.processes
        ]
        self.sitters: list[Sitter] = []

    def come(self, process: int = 0, user: int = 1, *, carry: bool = True) -> Sitter:
        """Somebody connects."""
        sitter = Sitter(self, len(self.sitters), process, user)
        self.sitters.append(sitter)
        if carry:
            self.carry()
        return sitter

    def carry(self) -> None:
        """Have everything arrive, and clients answer; who has a seat is there at once."""
        for _ in range(4):
            self.cluster.carry()
            for sitter in self.sitters:
                sitter.answer()
                sitter.settle()
        self.cluster.carry()

    def wait(self, seconds: float = TIMEOUT) -> None:
        """Let time pass."""
        self.clock.advance(seconds)
        self.carry()

    def states(self) -> list[str]:
        """What has become of everybody, in the order in which they came."""
        return [sitter.state for sitter in self.sitters]

    def rest(self) -> None:
        """Have everything come to rest, and check that each user who is here has one seat."""
        for _ in range(3 * len(self.sitters) + 1):
            self.wait()
        for user in {sitter.user for sitter in self.sitters}:
            here = [sitter for sitter in self.sitters if sitter.user == user and sitter.is_here]
            holder = self.cluster.leases._holders.get(f"messenger.seat.{user}")
            assert [sitter.name for sitter in here] == ([] if holder is None else [holder]), (holder, here)
            assert [sitter.state for sitter in here] in ([], ["seated"])
        assert not self.clock.getDelayedCalls()

    def empty(self) -> None:
        """Everybody goes, and nothing is left."""
        for sitter in self.sitters:
            if sitter.is_here:
                sitter.go()
        self.carry()
        assert not self.clock.getDelayedCalls()
        assert not self.cluster.leases._holders
        assert not any(len(process.bus.local) + len(process.bus.gaps) for process in self.cluster.processes)


class SeatTests(SynchronousTestCase):
    """One step after the other; `places` says at which process who comes."""

    def each(self) -> list[tuple[int, int]]:
        """Where the older and the newcomer are."""
        return [(0, 0), (0, 1)]

    def test_free(self) -> None:
        """Who comes alone has the seat at once; each user has one."""
        row = Row()
        for user in (1, 2):
            row.come(user=user)
        self.assertEqual(row.states(), ["seated", "seated"])
        row.rest()
        row.empty()

    def test_older_lives(self) -> None:
        """It answers, and the newcomer is refused at once; how many ever come."""
        for older, newer in self.each():
            row = Row()
            row.come(older)
            for _ in range(5):
                row.come(newer)
            self.assertEqual(row.states(), ["seated"] + 5 * ["refused"])
            row.rest()
            row.empty()

    def test_older_is_silent(self) -> None:
        """It is cut, not before the time is over."""
        for older, newer in self.each():
            row = Row()
            row.come(older).alive = False
            row.come(newer)
            row.wait(TIMEOUT - 0.1)
            self.assertEqual(row.states(), ["seated", "waiting"])
            row.wait(0.1)
            self.assertEqual(row.states(), ["replaced", "seated"])
            row.rest()
            row.empty()

    def test_older_answers_late(self) -> None:
        """Within its time it keeps the seat."""
        row = Row()
        older = row.come()
        older.alive = False
        row.come(1)
        row.wait(TIMEOUT - 0.1)
        older.alive = True
        row.carry()
        self.assertEqual(row.states(), ["seated", "refused"])
        row.rest()
        row.empty()

    def test_older_leaves(self) -> None:
        """The newcomer has the seat as soon as it is free."""
        for older, newer in self.each():
            row = Row()
            first = row.come(older)
            first.alive = False
            row.come(newer)
            first.go()
            row.carry()
            self.assertEqual(row.states(), ["gone", "seated"])
            row.rest()
            row.empty()

    def test_older_leaves_before_it_is_asked(self) -> None:
        """Who hears that before it learns whom to ask does not wait for an answer."""
        row = Row()
        first = row.come()
        row.come(1, carry=False)
        first.go()
        row.cluster.processes[0].carry_one("leases")
        while row.cluster.processes[1].carry_one("bus"):
            pass
        row.carry()
        self.assertEqual(row.states(), ["gone", "seated"])
        row.empty()

    def test_older_is_there_until_the_newcomer_is(self) -> None:
        """It is cut when the newcomer is settled, not before, so that its user is never gone."""
        row = Row()
        older = row.come()
        older.alive = False
        newer = row.come(1)
        row.clock.advance(TIMEOUT)
        row.cluster.carry()
        self.assertEqual(row.states(), ["seated", "seated"])
        newer.settle()
        row.cluster.carry()
        self.assertEqual(row.states(), ["replaced", "seated"])
        newer.settle()
        row.rest()
        row.empty()

    def test_newcomer_leaves(self) -> None:
        """While it asks: the older stays what it was; when it has the seat but is not settled: both go."""
        for older, newer in self.each():
            for waits, states in ((False, ["seated", "gone"]), (True, ["replaced", "gone"])):
                row = Row()
                row.come(older).alive = False
                second = row.come(newer)
                if waits:
                    row.clock.advance(TIMEOUT)
                    row.cluster.carry()
                second.go()
                row.carry()
                self.assertEqual(row.states(), states)
                row.rest()
                row.empty()

    def test_leaves_before_the_answer(self) -> None:
        """A seat that was given to one who has left is given back, at either question."""
        row = Row()
        row.come(carry=False).go()
        row.carry()
        row.rest()
        row.come().alive = False
        newer = row.come(1)
        row.clock.advance(TIMEOUT)
        newer.go()
        row.carry()
        self.assertEqual(row.states(), ["gone", "replaced", "gone"])
        row.rest()
        row.empty()

    def test_many_at_once(self) -> None:
        """Of those who come together, and of those who wait for a silent one, one gets the seat."""
        row = Row()
        for number in range(6):
            row.come(number % PROCESSES, carry=False)
        row.carry()
        self.assertEqual(Counter(row.states()), {"seated": 1, "refused": 5})
        (holder,) = [sitter for sitter in row.sitters if sitter.is_here]
        holder.alive = False
        for number in range(6):
            row.come(number % PROCESSES, carry=False)
        row.carry()
        row.wait()
        self.assertEqual(holder.state, "replaced")
        self.assertEqual(Counter(row.states()), {"seated": 1, "refused": 10, "replaced": 1})
        row.rest()
        row.empty()

    def test_many_silent(self) -> None:
        """Each newcomer takes the seat of the one before."""
        row = Row()
        for number in range(5):
            row.come(number % PROCESSES).alive = False
            row.wait()
        self.assertEqual(row.states(), 4 * ["replaced"] + ["seated"])
        row.rest()
        row.empty()

    def test_asked_before_it_knows_that_it_has_the_seat(self) -> None:
        """It is asked as well, and if it answers the newcomer is one too many."""
        row = Row()
        row.come(carry=False)
        row.come(1, carry=False)
        other = row.cluster.processes[1]
        other.carry_one("leases")
        row.cluster.processes[0].carry_one("bus")
        for sitter in row.sitters:
            sitter.answer()
        other.carry_one("bus")
        row.carry()
        self.assertEqual(row.states(), ["seated", "refused"])
        row.empty()

    def test_replaced_before_it_knows_that_it_had_the_seat(self) -> None:
        """It does not take the seat after all."""
        row = Row()
        row.come(carry=False).alive = False
        row.come(1, carry=False)
        other, slow = row.cluster.processes[1], row.cluster.processes[0]
        other.carry_one("leases")
        row.clock.advance(TIMEOUT)
        other.carry_one("leases")
        row.sitters[1].settle()
        while slow.carry_one("bus"):
            pass
        self.assertEqual(row.states(), ["replaced", "seated"])
        row.rest()
        row.empty()

    def test_replaced_before_it_has_replaced(self) -> None:
        """Who takes the seat of one who had not settled leaves nobody over."""
        row = Row()
        row.come().alive = False
        row.come(1).alive = False
        row.clock.advance(TIMEOUT)
        row.cluster.carry()
        third = row.come(carry=False)
        row.cluster.carry()
        row.clock.advance(TIMEOUT)
        row.cluster.carry()
        third.settle()
        row.cluster.carry()
        self.assertEqual(row.states(), ["replaced", "replaced", "seated"])
        row.rest()
        row.empty()

    def test_gap(self) -> None:
        """A question that was lost is asked again; who is not told that it was replaced finds out."""
        row = Row()
        older = row.come()
        row.come(1, carry=False)
        row.cluster.processes[1].carry_one("leases")
        row.cluster.processes[0].lose()  # the question
        row.carry()
        self.assertEqual(row.states(), ["seated", "waiting"])
        row.cluster.processes[1].lose()
        row.carry()
        self.assertEqual(row.states(), ["seated", "refused"])
        older.alive = False
        third = row.come(1)
        row.clock.advance(TIMEOUT)
        row.cluster.carry()
        third.settle()
        row.cluster.processes[0].lose()  # that it is replaced
        row.carry()
        self.assertEqual(row.states(), ["replaced", "refused", "seated"])
        row.rest()
        row.empty()

    def test_another_lives(self) -> None:
        """Only the life of the one who was asked counts."""
        row = Row()
        row.come().alive = False
        row.come(1)
        first, second = row.come(user=2), row.come(user=3)
        for sitter in (first, second):
            row.cluster.processes[0].bus.publish(row.sitters[0].seat._topic, _News(Word.LIVES, sitter.name))
        row.carry()
        self.assertEqual(row.sitters[1].state, "waiting")
        row.wait()
        self.assertEqual(row.states()[:2], ["replaced", "seated"])
        row.rest()
        row.empty()

    def test_other_pongs(self) -> None:
        """They are not of this room."""
        row = Row()
        sitter = row.come()
        self.assertFalse(sitter.seat.pong(b"delivery-1"))
        self.assertFalse(sitter.seat.pong(b""))
        row.empty()

    def test_lost(self) -> None:
        """Who was cut off has its seats again, unless others sat down meanwhile: then it is replaced."""
        row = Row()
        for user in range(1, 41):
            row.come(user=user)
        row.cluster.forget_leases()
        row.come(1, user=1)
        self.assertEqual(row.states(), 41 * ["seated"])
        for seats in row.seats:
            seats.lost()
        row.carry()
        self.assertEqual(row.states(), ["replaced"] + 40 * ["seated"])
        self.assertEqual(row.come(1, user=2).state, "refused")
        row.rest()
        row.empty()

    def test_lost_and_left(self) -> None:
        """A seat that is claimed again for one who leaves meanwhile is free afterwards."""
        row = Row()
        sitter = row.come()
        row.cluster.forget_leases()
        row.seats[0].lost()
        sitter.go()
        row.seats[0].lost()
        row.carry()
        row.rest()
        row.empty()

    def test_lost_and_replaced(self) -> None:
        """A seat that is claimed again for one who is replaced meanwhile is free afterwards."""
        row = Row()
        older = row.come()
        row.cluster.forget_leases()
        row.seats[0].lost()
        here, there = row.cluster.processes
        there.bus.publish(older.seat._topic, _News(Word.REPLACE, older.name))
        here.carry_one("bus")
        self.assertEqual(older.state, "replaced")
        row.rest()
        row.empty()

    def test_out_of_reach(self) -> None:
        """Who can't ask fails, silently; who has a seat asks again until it is answered."""
        row = Row()
        older = row.come()
        leases: Any = row.cluster.processes[0].leases
        claim = leases.claim
        leases.claim = lambda *_, **__: fail(ClusterUnavailable("away"))
        self.failureResultOf(row.come(user=2).taking, ClusterUnavailable)
        row.sitters[1].go()
        row.cluster.processes[0].lose()
        row.seats[0].lost()
        row.clock.pump([1] * 3)
        self.assertEqual(older.state, "seated")
        leases.claim = claim
        row.cluster.forget_leases()
        self.assertEqual(row.come(1).state, "seated")
        row.clock.advance(1)
        row.carry()
        self.assertEqual(older.state, "replaced")
        row.rest()
        row.empty()
        leases.release = lambda *_: fail(ClusterUnavailable("the process ends"))
        row.come().go()

    def test_perhaps_taken(self) -> None:
        """A seat that was taken by one who could not learn that is the older one's again."""
        row = Row()
        older = row.come()
        older.alive = False
        leases: Any = row.cluster.processes[1].leases
        claim = leases.claim

        def loses_the_answer(name: str, holder: str, instead_of: str | None = None) -> Deferred[str]:
            answer: Deferred[str] = claim(name, holder, instead_of)
            return answer if instead_of is None else fail(ClusterUnavailable("away"))

        leases.claim = loses_the_answer
        newer = row.come(1)
        row.clock.advance(TIMEOUT)
        row.carry()
        self.failureResultOf(newer.taking, ClusterUnavailable)
        newer.go()
        older.alive = True
        row.carry()
        leases.claim = claim
        self.assertEqual(row.come(1).state, "refused")
        row.rest()
        row.empty()

    def test_leases_away(self) -> None:
        """Who can't ask fails; a seat that can't be given back is noted."""
        row = Row()
        row.come()
        leases: Any = row.cluster.processes[0].leases
        leases.claim = leases.release = lambda *_, **__: fail(RuntimeError("away"))
        self.failureResultOf(row.come().taking, RuntimeError)
        row.sitters[1].go()
        row.sitters[0].go()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertFalse(row.clock.getDelayedCalls())
        self.assertFalse(len(row.cluster.processes[0].bus.local))


STEPS = ("come", "come", "go", "silent", "settle", "wait", *(2 * ("bus", "leases", "answer")), "gap", "lost")

steps = st.lists(
    st.tuples(st.sampled_from(STEPS), st.integers(0, 19), st.integers(0, PROCESSES - 1)), max_size=80
)


def run(script: list[tuple[str, int, int]]) -> Counter[str]:
    """Run steps in any order, have everything come to rest, and return what has become of everybody."""
    row = Row()
    for what, number, process in script:
        process_there = row.cluster.processes[process]
        here = [sitter for sitter in row.sitters if sitter.is_here]
        sitter = here[number % len(here)] if here else None
        match what:
            case "come":
                row.come(process, 1 + number % 10 // 9, carry=False)
            case "bus" | "leases":
                process_there.carry_one(what)
            case "gap":
                if number % 4 == 0:
                    process_there.lose()
            case "lost":
                if number % 10 == 0:
                    row.cluster.forget_leases()
                    for seats in row.seats:
                        seats.lost()
            case "wait":
                row.clock.advance(number % 4)
            case "go" if sitter is not None:
                sitter.go()
            case "silent" if sitter is not None:
                sitter.alive = not sitter.alive
            case "settle" if sitter is not None:
                sitter.settle()
            case "answer" if sitter is not None:
                sitter.answer()
    row.rest()
    states = Counter(row.states())
    row.empty()
    return states


class PropertyTests(SynchronousTestCase):
    """Whatever happens, in whatever order: in the end one has the seat, if anybody is there."""

    @settings(max_examples=200)
    @given(steps)
    def test_any_order(self, script: list[tuple[str, int, int]]) -> None:
        """Exactly one connection of each user who is there has the seat, and nothing is left over."""
        run(script)

    def test_long_scripts(self) -> None:
        """So it is with long ones, and everything becomes of somebody."""
        chance = random.Random(7)
        states: Counter[str] = Counter()
        for _ in range(400):
            states += run(
                [(chance.choice(STEPS), chance.randrange(20), chance.randrange(PROCESSES)) for _ in range(80)]
            )
        self.assertEqual(set(states), {"seated", "refused", "replaced", "gone"})
        self.assertGreater(min(states.values()), 100, states)
