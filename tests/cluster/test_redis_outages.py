"""When Redis is killed, stopped, restarted, slow, or not there from the beginning; and how one logs in."""

from __future__ import annotations

import random
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred

from realtime.cluster import redis_connection, redis_operations, redis_protocol, redis_scripts
from realtime.cluster.bus import Topic
from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.redis_cluster import RedisCluster
from tests.cluster.kinds import OverRedis
from tests.logged import Logged


class Said(Struct):
    """A message."""

    text: str


SAID = Topic("said", Said)


class OutageTests(OverRedis):
    """Two processes."""

    def setUp(self) -> None:
        """Start them, with `two` listening and watching."""
        super().setUp()
        self.logged = Logged(self)
        self.lost: list[str] = []
        self.one = self.make_cluster()
        self.one.when_lost(lambda: self.lost.append("one"))
        self.two = self.make_cluster()
        self.heard: list[str] = []
        self.told: list[tuple[str, bool]] = []
        subscription = self.two.bus.subscribe(
            SAID, lambda said: self.heard.append(said.text), lambda: self.heard.append("gap")
        )
        self.carry_out(subscription.active)
        self.two.presence.watch("g", lambda member, present: self.told.append((member, present)))
        self.settle()

    def say(self, cluster: RedisCluster, text: str) -> None:
        """Publish."""
        cluster.bus.publish(SAID, Said(text))

    def available(self) -> bool:
        """Whether both processes are."""
        return self.one.is_available and self.two.is_available

    def unavailable(self) -> bool:
        """Whether neither process is."""
        return not (self.one.is_available or self.two.is_available)

    def fails(self, fired: Deferred[Any]) -> None:
        """Something fails as it should while Redis is away."""
        with self.assertRaises(ClusterUnavailable):
            self.carry_out(fired)

    def warnings(self) -> list[str]:
        """What an operator sees."""
        return [str(event["log_format"]) for event in self.logged.above_debug()]

    def test_restarted(self) -> None:
        """After a restart all is as before, but for the leases; who missed something learns it, once."""
        self.carry_out(self.one.presence.enter("g", "alice"))
        self.carry_out(self.one.leases.take("n", "alice"))
        self.settle()
        self.server.restart()
        self.until(self.unavailable)
        self.until(self.available)
        self.settle()
        self.until(lambda: self.lost == ["one"])
        self.assertEqual(self.heard, ["gap"])
        self.assertEqual(self.carry_out(self.two.presence.members("g")), {"alice"})
        self.assertEqual(self.told[-1], ("alice", True))
        self.assertIsNone(self.carry_out(self.two.leases.holder("n")))
        self.say(self.one, "hello")
        self.settle()
        self.assertEqual(self.heard, ["gap", "hello"])

    def test_away(self) -> None:
        """While Redis is away a process works by itself; what needs others fails, what is given back waits."""
        self.carry_out(self.two.presence.enter("g", "alice"))
        self.carry_out(self.two.leases.take("n", "alice"))
        self.settle()
        self.server.kill()
        self.until(self.unavailable)
        self.fails(self.two.check())
        self.patch(redis_operations, "WAIT_SECONDS", 0.2)
        self.say(self.two, "here")
        self.say(self.one, "lost")
        self.assertEqual(self.heard, ["here"])
        left, released = self.two.presence.leave("g", "alice"), self.two.leases.release("n", "alice")
        for fired in (
            self.two.presence.enter("g", "bob"),
            self.two.presence.members("g"),
            self.two.presence.is_present("g", "alice"),
            self.two.leases.take("n", "bob"),
            self.two.leases.claim("n", "bob"),
            self.two.leases.holder("n"),
            self.two.leases.holders(["n"]),
        ):
            self.fails(fired)
        self.assertFalse(left.called or released.called)
        self.server.start()
        self.assertTrue(self.carry_out(left))
        self.assertFalse(self.carry_out(released))
        self.until(self.available)
        self.assertTrue(self.carry_out(self.two.presence.enter("g", "bob")))
        self.settle()
        self.assertEqual(self.told, [("alice", True), ("alice", False), ("bob", True)])
        self.assertIn("gap", self.heard)
        self.carry_out(self.two.check())

    def test_said_once(self) -> None:
        """The log gets a line for each connection when Redis goes away, and one when it is back."""
        self.server.kill()
        self.until(self.unavailable)
        self.turn(1.0)
        self.assertEqual(sum("is away" in line for line in self.warnings()), 4)
        self.server.start()
        self.until(self.available)
        self.assertEqual(sum("is away" in line for line in self.warnings()), 4)
        self.assertEqual(sum("is back" in line for line in self.warnings()), 4)

    def test_stopped(self) -> None:
        """A Redis that stands still is noticed; what was under way is done once when it goes on."""
        self.server.pause()
        entered = self.one.presence.enter("g", "alice")
        took = self.one.leases.take("n", "alice")
        self.say(self.one, "perhaps")
        self.until(self.unavailable, 6.0)
        self.server.resume()
        self.until(self.available)
        self.assertTrue(self.carry_out(entered))
        self.assertIsNone(self.carry_out(took))
        self.settle()
        self.assertEqual(self.told, [("alice", True)])
        self.assertEqual(self.carry_out(self.two.presence.members("g")), {"alice"})
        self.assertTrue(self.carry_out(self.one.presence.leave("g", "alice")))
        self.assertIn("gap", self.heard)
        self.assertEqual(self.lost, [])

    def test_answers_are_lost(self) -> None:
        """What was done, but its answer was lost with the connection, is not done again."""
        self.patch(redis_connection, "_STEADY_SECONDS", 0.0)
        for number in range(20):
            member = str(number)
            entered = self.one.presence.enter("g", member)
            took = self.one.leases.take("n", member)
            protocol: Any = self.one._process._connection.protocol
            # The commands leave, and Redis carries them out; nothing of the answers is read.
            protocol.dataReceived = lambda _: None
            self.carry_out(self.two.leases.holder("n"))
            self.until(lambda member=member: self.carry_out(self.two.leases.holder("n")) == member)  # type: ignore[misc]
            protocol.abort()
            self.assertTrue(self.carry_out(entered))
            self.assertEqual(self.carry_out(took), str(number - 1) if number else None)
        self.settle()
        self.assertEqual(self.told, [(str(number), True) for number in range(20)])
        self.assertEqual(self.lost, [])

    def test_cut_again_and_again(self) -> None:
        """However often connections are cut, what was asked adds up."""
        self.patch(redis_connection, "_STEADY_SECONDS", 0.0)
        chance = random.Random(7)
        results: list[tuple[bool, Deferred[bool]]] = []
        for number in range(300):
            enters = number % 2 == 0
            done = self.one.presence.enter("g", "a") if enters else self.one.presence.leave("g", "a")
            results.append((enters, done))
            if chance.random() < 0.2:
                self.turn(chance.random() * 0.02)
            for cluster in (self.one, self.two):
                protocol: Any = cluster._process._connection.protocol
                if protocol is not None and chance.random() < 0.1:
                    protocol.abort()
        for _, done in results:
            self.assertTrue(self.carry_out(done))
        self.until(self.available)
        self.settle()
        self.assertEqual(self.told, [("a", True), ("a", False)] * 150)

    def test_not_there_from_the_beginning(self) -> None:
        """A process starts without Redis, works by itself, and joins when it comes."""
        self.server.kill()
        self.until(self.unavailable)
        from twisted.internet import reactor

        three = RedisCluster(self.server.url, reactor, prefix=self.prefix)
        self.clusters.append(three)
        three.start()
        gaps: list[str] = []
        subscription = three.bus.subscribe(
            SAID, lambda said: self.heard.append(f"three: {said.text}"), lambda: gaps.append("gap")
        )
        self.carry_out(subscription.active)  # it waits no longer than it must
        self.say(three, "alone")
        self.assertEqual(self.heard, ["three: alone"])
        self.assertEqual(gaps, [])
        self.server.start()
        self.until(lambda: self.available() and three.is_available)
        self.settle()
        self.assertEqual(gaps[:1], ["gap"])
        self.say(self.one, "hello")
        self.settle()
        self.assertIn("three: hello", self.heard)

    def test_stopped_while_away(self) -> None:
        """A process ends also without Redis; what waits fails."""
        left = self.one.presence
        self.carry_out(left.enter("g", "alice"))
        self.server.kill()
        self.until(self.unavailable)
        leaving = left.leave("g", "alice")
        self.clusters.remove(self.one)
        self.carry_out(self.one.stop())
        self.fails(leaving)
        self.fails(left.enter("g", "alice"))

    def test_too_much_waits(self) -> None:
        """What waits is bounded, and so is what is published to a Redis that does not read."""
        self.patch(redis_operations, "WAITING", 10)
        self.patch(redis_protocol, "_WRITABLE", 100_000)
        self.server.pause()
        waiting = [self.one.leases.holder("n") for _ in range(redis_scripts.WINDOW + 10)]
        self.fails(self.one.leases.holder("n"))
        for _ in range(30_000):
            self.say(self.one, "x" * 1000)
        protocol: Any = self.one._process._connection.protocol
        self.assertLess(protocol.transport._tempDataLen + len(protocol.transport.dataBuffer), 400_000)
        self.assertGreater(self.one.bus.unsent, 10_000)
        self.server.resume()
        self.until(self.available)
        for each in waiting:
            self.assertIsNone(self.carry_out(each))
        self.until(lambda: "gap" in self.heard)

    def test_flushed(self) -> None:
        """If everything in Redis is deleted, scripts too, processes find themselves dead and begin anew."""
        self.carry_out(self.one.presence.enter("g", "alice"))
        protocol: Any = self.one._process._connection.protocol
        self.carry_out(protocol.execute_command(b"SCRIPT", b"FLUSH"))
        self.carry_out(protocol.execute_command(b"FLUSHALL"))
        self.until(lambda: self.lost == ["one"])
        self.until(self.available)
        self.settle()
        self.assertEqual(self.carry_out(self.two.presence.members("g")), {"alice"})
        self.assertEqual(self.told[-1], ("alice", True))
        self.assertTrue(self.carry_out(self.one.presence.leave("g", "alice")))

    def test_out_of_memory(self) -> None:
        """A Redis that takes nothing more is waited for; what can be given back is, what is asked waits."""
        self.carry_out(self.one.presence.enter("g", "alice"))
        self.patch(redis_operations, "WAIT_SECONDS", 15.0)
        self.configure("maxmemory", "1")
        try:
            left, entered = self.one.presence.leave("g", "alice"), self.one.presence.enter("g", "bob")
            self.assertTrue(self.carry_out(left))
            self.until(self.unavailable)
            self.assertFalse(entered.called)
        finally:
            self.configure("maxmemory", "0")
        self.assertTrue(self.carry_out(entered))
        self.until(self.available)
        self.assertEqual(self.lost, [])

    def configure(self, name: str, value: str) -> None:
        """Set one of Redis's settings."""
        protocol: Any = self.two._process._connection.protocol
        self.carry_out(protocol.execute_command(b"CONFIG", b"SET", name, value))


class LoginTests(OverRedis):
    """Passwords, and what is told of them."""

    def connect(self, url: str) -> RedisCluster:
        """Start a process at some URL."""
        from twisted.internet import reactor

        cluster = RedisCluster(url, reactor, prefix=self.prefix)
        self.clusters.append(cluster)
        cluster.start()
        return cluster

    def test_user_and_database(self) -> None:
        """One logs in with a name and a password, to the database that is named; others are apart from it."""
        admin: Any = self.make_cluster()._process._connection.protocol
        rights = ("on", ">s3cret@word", "~*", "&*", "+@all")
        self.carry_out(admin.execute_command(b"ACL", b"SETUSER", b"tester", *rights))
        where = f"127.0.0.1:{self.server.port}"
        for database in (0, 5):
            cluster = self.connect(f"redis://tester:s3cret%40word@{where}/{database}")
            self.until(lambda cluster=cluster: cluster.is_available)  # type: ignore[misc]
            self.assertIsNone(self.carry_out(cluster.leases.take("n", f"holder {database}")))
        self.carry_out(admin.execute_command(b"ACL", b"DELUSER", b"tester"))
        self.server.restart()

    def test_refused(self) -> None:
        """A wrong password is told once for each connection, without the password, and tried again."""
        logged = Logged(self)
        cluster = self.connect(f"redis://tester:s3cret@127.0.0.1:{self.server.port}")
        self.until(lambda: len(logged.above_debug()) >= 2)
        self.turn(0.5)
        self.assertEqual(len(logged.above_debug()), 2)
        self.assertIn("WRONGPASS", str(logged.above_debug()[0]["reason"]))
        self.assertEqual(logged.holding("s3cret"), [])
        self.assertFalse(cluster.is_available)

    def test_no_redis(self) -> None:
        """What answers, but not as Redis does, is no Redis."""
        from twisted.internet import reactor
        from twisted.internet.protocol import Factory, Protocol

        class Babbling(Protocol):
            def connectionMade(self) -> None:
                assert self.transport is not None
                self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        listening: Any = reactor
        port = listening.listenTCP(0, Factory.forProtocol(Babbling), interface="127.0.0.1")
        self.patch(redis_connection, "_FIRST_DELAY", 5.0)
        cluster = self.connect(f"redis://127.0.0.1:{port.getHost().port}")
        self.turn(0.3)
        self.assertFalse(cluster.is_available)
        self.clusters.remove(cluster)
        self.carry_out(cluster.stop())
        self.carry_out(port.stopListening())
