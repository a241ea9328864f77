"""The pool of several processes when something goes wrong: two who lead, the dead, a Redis that is away.

What pools do when all is well is tested in `test_pool`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from realtime.cluster import redis_operations, redis_process
from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.redis_tickets import Waiting
from realtime.talk.cluster_pool import ClusterPool
from realtime.talk.matchmaker import SharedClock
from realtime.talk.pool import Seeker
from tests.talk.pools import ADDRESSES, START, OverPools
from tests.talk.test_pool import Recorder


class ClusterPoolTestCase(OverPools):
    """Two processes, whose lives are short, with a pool each; the first one's matchmaker leads."""

    def setUp(self) -> None:
        """Start them."""
        super().setUp()
        self.patch(redis_process, "LIFE_SECONDS", 0.7)
        self.patch(redis_process, "HEARTBEAT_SECONDS", 0.2)
        self.clock = Clock()
        self.clock.advance(START)
        self.one, self.two = (self.make_pool(address) for address in ADDRESSES)
        self.made = Recorder(self.clock, [self.one, self.two], self.settle)
        self.made.enter("first", 1000, 1e9)
        self.made.leave("first")
        self.made.enter("second", 1001, 1e9)
        self.made.leave("second")
        self.assertTrue(self.one.matchmaker.leads)
        self.assertFalse(self.two.matchmaker.leads)

    def told(self) -> list[tuple[Any, ...]]:
        """What was told, without the moments."""
        return [each[1:] for each in self.made.told]

    def wait_until_told(self, *told: tuple[Any, ...]) -> None:
        """Let real time pass, and that of the pools as well, until it was told that."""

        def is_told() -> bool:
            self.clock.advance(0.1)
            return len(self.made.told) >= len(told)

        self.until(is_told)
        self.assertEqual(sorted(self.told()), sorted(told))

    def protocol(self) -> Any:
        """A connection to Redis."""
        return self.clusters[-1]._process._connection.protocol


class MatchmakerTests(ClusterPoolTestCase):
    """Who decides."""

    def test_two_who_lead(self) -> None:
        """Each is told once, whatever two matchmakers decide at the same moments."""
        self.two._claim = lambda: None  # type: ignore[method-assign]
        self.two.matchmaker.lead()
        self.two.matchmaker.resign = lambda: None  # type: ignore[method-assign]
        self.settle()
        for number in range(100):
            self.made.enter(f"seeker {number}", number % 70, (number * 37 % 100) / 10)
            self.made.pass_time(number * 7919 % 13 / 10)
            self.assertTrue(self.one.matchmaker.leads and self.two.matchmaker.leads)
        self.made.advance(61)
        told = [name for each in self.told() for name in each]
        self.assertEqual(sorted(told), sorted(f"seeker {number}" for number in range(100)))
        self.assertEqual(self.tickets_left(), [])

    def test_a_ghost(self) -> None:
        """Somebody who is not there any more is no partner; who was to meet it meets another."""
        self.made.enter("a", 1)
        self.made.leave("a")
        self.one.matchmaker._came(Waiting(f"{ADDRESSES[0]}.a", 1, 0.5, START, frozenset()))
        self.assertEqual(len(self.one.matchmaker), 1)
        self.made.enter("b", 2)
        self.assertEqual(self.told(), [])
        self.assertEqual(len(self.one.matchmaker), 1)
        self.made.enter("c", 3)
        self.assertEqual(self.told(), [("b", "c")])

    def test_one_takes_over(self) -> None:
        """When the process that leads dies, another goes on with all who wait, since when they have waited."""
        self.made.enter("gone", 1, 0.1)
        self.made.enter("a", 2, 0.9)
        self.made.pass_time(30)
        self.kill(self.made_clusters[0])
        self.until(lambda: self.two.matchmaker.leads, 5.0)
        self.settle()
        self.assertEqual(len(self.two.matchmaker), 1)
        self.two.enter(self.made.seeker("b", 3, 1.4))
        self.wait_until_told(("a", "b"))

    def test_it_can_not_be_read(self) -> None:
        """What waits is read with the next beat if it could not be; until then nobody is matched."""
        read = self.one.matchmaker._tickets.all

        async def fail() -> list[Waiting]:
            raise ClusterUnavailable("for a moment")

        self.one.matchmaker._tickets.all = fail  # type: ignore[method-assign]
        self.one.matchmaker._load()
        self.made.enter("a", 1)
        self.made.enter("b", 2)
        self.assertEqual(self.told(), [])
        self.one.matchmaker._tickets.all = read  # type: ignore[method-assign]
        self.made.pass_time(2)
        self.assertEqual(self.told(), [("a", "b")])

    def test_it_ends_in_order(self) -> None:
        """When it ends without dying, another leads at its next beat."""
        self.made.enter("gone", 1, 0.1)
        self.made.enter("a", 2, 0.9)
        self.one.leave(f"{ADDRESSES[0]}.gone")
        self.clusters.remove(self.made_clusters[0])
        self.carry_out(self.made_clusters[0].stop())
        self.made.pass_time(2)
        self.assertTrue(self.two.matchmaker.leads)
        self.assertEqual(len(self.two.matchmaker), 1)

    def test_the_tickets_of_the_dead(self) -> None:
        """Go with their process: nobody is matched with them."""
        self.made.enter("first", 5, 100.0)
        for number in range(450):
            self.two.enter(self.made.seeker(f"b{number}", 2000 + number, 1000.0 * number, process=1))
        self.settle()
        self.assertEqual(len(self.one.matchmaker), 451)
        self.kill(self.made_clusters[1])
        self.until(lambda: len(self.one.matchmaker) == 1, 5.0)
        self.one.leave(f"{ADDRESSES[0]}.first")
        self.settle()
        self.assertEqual(self.tickets_left(), [])


class MissedTests(ClusterPoolTestCase):
    """What is not told in time, or not at all."""

    def mute(self, pool: ClusterPool) -> None:
        """Let a process not hear what becomes of its seekers."""
        name = self.clusters[0]._process._names.outcomes(pool._address)
        channels = self.made_clusters[self.pools.index(pool)]._channels
        channel: Any = channels.get(name)
        channel._listener = lambda _: None
        self.gap = lambda: channel.carried(after_gap=True)

    def test_an_outcome_is_missed(self) -> None:
        """It is kept until its process has asked for it, as it does after a gap."""
        self.made.enter("a", 1, 0.0)
        self.mute(self.two)
        self.made.enter("b", 2, 0.0)
        self.assertEqual((self.told(), self.made.told_to_second), ([("a", "b")], []))
        self.gap()
        self.settle()
        self.assertEqual((self.told(), len(self.made.told_to_second)), ([("a", "b")], 1))
        self.made.pass_time(2)
        self.assertEqual(self.tickets_left(), [])

    def test_taken_back_too_late(self) -> None:
        """Who leaves as it has just been matched is told as one of the pair, so that the other gets to know."""
        self.made.enter("x", 5, 50.0)
        self.made.enter("a", 1, 0.0)
        self.mute(self.two)
        self.made.enter("b", 2, 0.0)
        self.assertEqual(self.told(), [])
        self.two.leave(f"{ADDRESSES[1]}.a")
        self.settle()
        self.assertEqual(self.told(), [("a", "b")])
        self.assertEqual(len(self.made.told_to_second), 1)

    def test_late(self) -> None:
        """Whatever is wrong, nobody waits longer than ten seconds after its time."""
        self.one.matchmaker._tickets.give_up = lambda ticket: self.one._tickets.now()  # type: ignore
        self.made.enter("a", 1)
        self.made.advance(69)
        self.assertEqual(self.told(), [])
        self.made.advance(2)
        self.assertEqual(self.told(), [("a", "unavailable")])


class AwayTests(ClusterPoolTestCase):
    """When Redis is away, restarted, or has lost everything."""

    def away(self) -> bool:
        """Whether no process reaches it."""
        return not any(cluster.is_available for cluster in self.clusters)

    def test_restarted(self) -> None:
        """Who waits is not lost, and has waited since it came; who comes later finds it."""
        self.made.enter("a", 1, 0.0)
        self.made.enter("b", 2, 100.0)
        self.made.pass_time(30)
        self.server.restart()  # without its data
        self.until(self.away)
        self.until(lambda: sum(map(len, (self.one.matchmaker, self.two.matchmaker))) == 2)
        self.settle()
        self.assertEqual(self.told(), [])
        self.made.enter("c", 3, 0.5)  # 0.5 is within reach when the two have waited 53.3 s together
        self.wait_until_told(("a", "c"))
        self.assertLess(abs(self.made.now - 41.7), 0.3)

    def test_flushed(self) -> None:
        """The same if only its data is lost."""
        for number in range(450):
            self.made.enter(f"seeker {number}", number, 1000.0 * number)
        self.carry_out(self.protocol().execute_command(b"FLUSHALL"))
        self.until(lambda: sum(map(len, (self.one.matchmaker, self.two.matchmaker))) == 450)
        self.assertNotEqual(self.one.matchmaker.leads, self.two.matchmaker.leads)
        self.made.advance(61)
        self.assertEqual(len(self.told()), 225)

    def test_away(self) -> None:
        """Who comes is told that it is unavailable; who waits goes on, and is found when Redis is back."""
        self.patch(redis_operations, "WAIT_SECONDS", 0.3)
        self.made.enter("a", 1)
        self.server.kill()
        self.until(self.away)
        self.two.enter(self.made.seeker("b", 2, process=1))
        self.until(lambda: self.told() == [("b", "unavailable")])
        self.clock.advance(2)
        self.turn(0.5)
        self.assertEqual((len(self.one), len(self.two)), (1, 0))
        self.server.start()
        self.until(lambda: not self.away())
        self.made.told.clear()
        self.two.enter(self.made.seeker("c", 3, process=1))
        self.wait_until_told(("a", "c"))

    def test_away_for_longer(self) -> None:
        """Who has waited ten seconds longer than it should is told that it is unavailable."""
        self.made.enter("a", 1)
        self.server.kill()
        self.until(self.away)
        self.clock.advance(69.9)
        self.assertEqual(self.told(), [])
        self.clock.advance(2)
        self.assertEqual(self.told(), [("a", "unavailable")])

    def test_stopped(self) -> None:
        """What was under way when Redis stood still is done once."""
        self.made.enter("a", 1, 0.0)
        self.made.enter("x", 9, 900.0)
        self.server.pause()
        for number in range(2, 6):
            self.one.enter(self.made.seeker(f"b{number}", number, 0.0, process=0))
        self.until(self.away, 6.0)
        self.server.resume()
        self.wait_until_told(("a", "b2"), ("b3", "b4"))


class SharedClockTests(OverPools):
    """The time of all machines."""

    def test_two_machines(self) -> None:
        """However wrong their clocks are, two who come at the same time have waited as long."""
        self.clock = Clock()
        for address, wrong in (("one", -3600.0), ("two", 7200.0)):
            clock = Clock()
            clock.advance(START + wrong)
            cluster = self.make_cluster()
            pool = ClusterPool(
                *(cluster, address, lambda: self.matcher(anyone=True)),
                clock=clock,
                find_timeout=60.0,
                rematch_after=300.0,
            )
            pool.enter(Seeker(f"{address}.a", len(address), "", 1000.0 * wrong, ()), waited=20.0)
            self.settle()
        now = self.carry_out(cluster.tickets.now())
        tickets = self.carry_out(Deferred.fromCoroutine(cluster.tickets.all()))
        self.assertEqual(len(tickets), 2)
        for ticket in tickets:
            self.assertLess(abs(ticket.since - (now - 20)), 2)

    def test_how_far_ahead(self) -> None:
        """It reads what Redis's clock did, and goes on with the machine's own."""
        clock = Clock()
        clock.advance(50)
        shared = SharedClock(clock)
        self.assertEqual(shared.seconds(), 50)
        shared.hear(1000.0)
        clock.advance(7)
        self.assertEqual(shared.seconds(), 1007)
