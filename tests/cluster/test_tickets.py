"""Tickets of several processes, over a real Redis: each has one outcome, and belongs to one that lives."""

from __future__ import annotations

from typing import Any

from msgspec import msgpack
from twisted.internet.defer import Deferred, gatherResults

from realtime.cluster.redis_cluster import RedisCluster
from realtime.cluster.redis_scripts import BURY, JOIN
from realtime.cluster.redis_ticket_scripts import WAIT
from realtime.cluster.redis_tickets import Outcome, Waiting
from tests.cluster.kinds import OverRedis

NOW = 1_790_000_000.25
KEEP = 300.0
MOST = 8


class TicketTests(OverRedis):
    """Two processes."""

    def setUp(self) -> None:
        """Start them."""
        super().setUp()
        self.one, self.two = self.make_cluster(), self.make_cluster()

    def wait(self, cluster: RedisCluster, name: str, user: int, score: float = 0.5) -> Outcome | None:
        """A ticket comes to a process, where its contents are its name."""
        ticket = Waiting(name, user, score, NOW - 1, frozenset())
        return self.carry_out(cluster.tickets.wait(ticket, "there", name.encode(), NOW, KEEP))

    def pair(self, cluster: RedisCluster, name: str, first: str, second: str) -> Any:
        """A process makes a pair."""
        return self.carry_out(cluster.tickets.pair(name, first, second, NOW, KEEP, MOST))

    def all(self) -> list[Waiting]:
        """All that wait, by name."""
        found = self.carry_out(Deferred.fromCoroutine(self.two.tickets.all()))
        return sorted(found, key=lambda each: each.id)

    def test_what_is_kept(self) -> None:
        """Whoever asks finds what was said of a ticket, to the microsecond and the last bit of the score."""
        for number, score in enumerate((0.1, -1e300, 5e-324, 3.0, 1e15 + 0.5)):
            self.assertIsNone(self.wait(self.one, f"t{number}", 2**53 - number, score))
        self.assertEqual(
            self.all(),
            [
                Waiting(f"t{number}", 2**53 - number, score, NOW - 1, frozenset())
                for number, score in enumerate((0.1, -1e300, 5e-324, 3.0, 1e15 + 0.5))
            ],
        )

    def test_many(self) -> None:
        """Each is found once, however many there are."""
        waits = [
            self.one.tickets.wait(Waiting(f"t{n}", n, 0.5, NOW, frozenset()), "there", b"", NOW, KEEP)
            for n in range(1000)
        ]
        self.carry_out(gatherResults(waits))
        self.assertEqual({each.id for each in self.all()}, {f"t{n}" for n in range(1000)})
        self.assertEqual(len(self.all()), 1000)

    def test_one_outcome(self) -> None:
        """Of those who would make pairs of one ticket at the same moment one does, the others are told."""
        for name in ("a", "b", "c", "d"):
            self.wait(self.one, name, ord(name))
        pairs = [
            each.tickets.pair(f"with {other}", *("a", other), NOW, KEEP, MOST)
            for each, other in ((self.one, "b"), (self.two, "c"), (self.one, "d"))
        ]
        found = self.carry_out(gatherResults(pairs))
        self.assertEqual(sorted(map(str, found)), sorted([str((False, True))] * 2 + ["None"]))
        self.assertEqual(len(self.all()), 2)
        self.assertEqual(self.pair(self.one, "none", "nobody", "no one"), (False, False))

    def test_until_it_is_withdrawn(self) -> None:
        """An outcome is what a ticket is answered until its process says that it knows."""
        self.wait(self.one, "a", 1)
        self.wait(self.two, "b", 2)
        self.wait(self.two, "c", 3)
        self.assertIsNone(self.pair(self.two, "p", "a", "b"))
        self.carry_out(self.one.tickets.give_up("c"))
        pair, alone = Outcome("p", ("a", "b")), Outcome(None, ("c",))
        self.assertEqual(self.wait(self.one, "a", 1), pair)
        self.assertEqual(
            self.carry_out(self.one.tickets.standing(["a", "b", "c", "d"])), [pair, pair, alone, False]
        )
        self.assertEqual(self.carry_out(self.one.tickets.withdraw("a", "c", "d")), [pair, alone, None])
        self.assertEqual(self.carry_out(self.one.tickets.withdraw("a", "c", "d")), [None] * 3)
        self.assertEqual(self.carry_out(self.one.tickets.standing(["a", "b"])), [False, pair])
        self.assertIsNone(self.wait(self.one, "a", 1))
        self.assertEqual(self.carry_out(self.one.tickets.standing(["a"])), [True])

    def test_giving_up_too_late(self) -> None:
        """Nobody is told that nobody was found when somebody was, or when it has left."""
        self.wait(self.one, "a", 1)
        self.wait(self.one, "b", 2)
        self.pair(self.one, "p", "a", "b")
        for name in ("a", "nobody"):
            self.carry_out(self.one.tickets.give_up(name))
        self.assertEqual(
            self.carry_out(self.one.tickets.standing(["a", "nobody"])), [Outcome("p", ("a", "b")), False]
        )

    def test_who_met(self) -> None:
        """Users of a pair have met, as have those that were said to have: for some seconds."""
        self.wait(self.one, "a", 1)
        self.wait(self.one, "b", 2)
        self.pair(self.one, "p", "a", "b")
        self.carry_out(self.one.tickets.met(1, 3, NOW - 10, KEEP, MOST))
        self.wait(self.two, "c", 1)
        self.assertEqual(self.all()[0].recent, {2, 3})
        later = self.two.tickets.wait(Waiting("d", 1, 0.5, NOW, frozenset()), "", b"", NOW + KEEP - 10, KEEP)
        self.carry_out(later)
        self.assertEqual(self.all()[1].recent, {2})

    def test_another_life(self) -> None:
        """What a process has entered again is not taken back with its former life."""
        script: Any = self.one._process._run
        lives = ["0" * 16, "1" * 16]
        for life in lives:
            self.carry_out(script(JOIN, life, 60_000))
            self.carry_out(script(WAIT, life, 1, "a", "there", 1, "0.5", 0, 0, 0, "contents"))
        self.carry_out(script(BURY, lives[0], 1))
        self.assertEqual([each.id for each in self.all()], ["a"])
        keys = self.carry_out(self.protocol().execute_command(b"KEYS", f"{self.prefix}:*tickets:{lives[0]}"))
        self.assertEqual(keys, [])
        self.carry_out(script(BURY, lives[1], 1))
        self.assertEqual(self.all(), [])

    def test_outcomes_of_another_life(self) -> None:
        """Nor is the outcome that it has found meanwhile."""
        script: Any = self.one._process._run
        lives = ["0" * 16, "1" * 16]
        self.wait(self.two, "b", 2)
        for life in lives:
            self.carry_out(script(JOIN, life, 60_000))
            self.carry_out(script(WAIT, life, 1, "a", "there", 1, "0.5", 0, 0, 0, "contents"))
        self.pair(self.two, "p", "a", "b")
        self.carry_out(script(BURY, lives[0], 1))
        self.assertEqual(self.carry_out(self.two.tickets.standing(["a"])), [Outcome("p", ("contents", "b"))])
        lives.append("2" * 16)
        self.carry_out(script(JOIN, lives[2], 60_000))
        self.carry_out(script(WAIT, lives[2], 1, "a", "there", 1, "0.5", 0, 0, 0, "contents"))
        self.assertEqual(
            len(self.carry_out(self.protocol().execute_command(b"KEYS", f"*tickets:{lives[2]}"))), 1
        )
        self.carry_out(script(BURY, lives[2], 1))
        self.assertEqual(self.carry_out(self.two.tickets.standing(["a"])), [False])
        self.carry_out(script(BURY, lives[1], 1))

    def test_nothing_is_left(self) -> None:
        """Of tickets that have gone nothing is left, but who met, and that not for ever."""
        for number in range(20):
            self.wait(self.one, f"t{number}", number)
        for number in range(0, 20, 2):
            self.pair(self.two, str(number), f"t{number}", f"t{number + 1}")
        self.carry_out(self.one.tickets.withdraw(*(f"t{number}" for number in range(20))))
        keys = self.carry_out(self.protocol().execute_command(b"KEYS", f"{self.prefix}:*"))
        kinds = {key.split(b":")[2] for key in keys}
        self.assertLessEqual(kinds, {b"processes", b"answers", b"met"})
        for key in keys:
            if key.split(b":")[2] == b"met":
                left = self.carry_out(self.protocol().execute_command(b"PTTL", key))
                self.assertTrue(0 < left <= KEEP * 1000)

    def test_what_cannot_be_read(self) -> None:
        """What another version says of tickets is passed over; what follows is heard."""
        told: list[Outcome] = []
        self.carry_out(self.one.tickets.hear_outcomes("there", told.append, lambda: None))
        channel = self.one._process._names.outcomes("there")
        for payload in (b"\xc1", msgpack.encode({"a": 1}), msgpack.encode([])):
            self.carry_out(self.protocol().execute_command(b"PUBLISH", channel, payload))
        self.wait(self.two, "a", 1)
        self.carry_out(self.two.tickets.give_up("a"))
        self.settle()
        self.assertEqual(told, [Outcome(None, ("a",))])
        self.assertEqual(self.flushLoggedErrors(), [])

    def protocol(self) -> Any:
        """A connection to Redis."""
        return self.two._process._connection.protocol
