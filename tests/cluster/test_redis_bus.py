"""The bus between processes, over a real Redis; when Redis is away, see `test_redis_outages`."""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct, msgpack
from twisted.internet.defer import Deferred

from realtime.cluster import redis_bus, redis_channels
from realtime.cluster.bus import Topic
from realtime.cluster.redis_cluster import RedisCluster
from tests.cluster.kinds import OverRedis
from tests.logged import Logged


class Said(Struct):
    """A message."""

    text: str


class Later(Struct):
    """The same of another version."""

    text: list[int]


class Event(Struct):
    """Holds ready-made JSON."""

    name: str
    payload: Raw
    inner: tuple[Said, ...] = ()


SAID = Topic("said", Said)
OTHER = Topic("other", Said)


class RedisBusTests(OverRedis):
    """Two processes: `one` publishes, `two` listens."""

    def setUp(self) -> None:
        """Start them."""
        super().setUp()
        self.one, self.two = self.make_cluster(), self.make_cluster()
        self.heard: list[str] = []

    def listen(self, cluster: RedisCluster, name: str, topic: Topic[Said] = SAID) -> Any:
        """Write down what is heard in a process, and its gaps; be sure that it is."""
        subscription = cluster.bus.subscribe(
            topic,
            lambda said: self.heard.append(f"{name}: {said.text}"),
            lambda: self.heard.append(f"{name} gap"),
        )
        self.carry_out(subscription.active)
        return subscription

    def numbers(self) -> tuple[int, int]:
        """How many channels Redis carries to the two, and how many clients hear that of SAID."""
        protocol: Any = self.one._process._connection.protocol
        channel = self.one._process._names.topic("said")
        [_, number] = self.carry_out(protocol.execute_command(b"PUBSUB", b"NUMSUB", channel))
        channels = self.carry_out(protocol.execute_command(b"PUBSUB", b"CHANNELS", f"{self.prefix}:*"))
        return len(channels), number

    def test_carried(self) -> None:
        """What one process publishes every listener hears, once; the publisher's own at once."""
        self.listen(self.one, "one")
        for name in ("two a", "two b"):
            self.listen(self.two, name)
        self.one.bus.publish(SAID, Said("hello"))
        self.assertEqual(self.heard, ["one: hello"])
        self.settle()
        self.assertEqual(sorted(self.heard), ["one: hello", "two a: hello", "two b: hello"])

    def test_order(self) -> None:
        """What one process publishes arrives in that order, across topics, whoever publishes beside it."""
        self.listen(self.two, "two")
        self.listen(self.two, "two", OTHER)
        for number in range(500):
            self.one.bus.publish(OTHER if number % 3 else SAID, Said(str(number)))
            self.two.bus.publish(SAID, Said("x"))
        self.settle()
        self.assertEqual([each for each in self.heard if "x" not in each], [f"two: {n}" for n in range(500)])

    def test_one_write(self) -> None:
        """What is published in one turn leaves in one write."""
        protocol: Any = self.one._process._connection.protocol
        writes: list[int] = []
        written = protocol.transport.writeSomeData

        def write(data: bytes) -> Any:
            writes.append(len(data))
            return written(data)

        self.settle()
        self.patch(protocol.transport, "writeSomeData", write)
        for number in range(100):
            self.one.bus.publish(SAID, Said(str(number)))
        self.until(lambda: bool(writes))
        self.settle()
        self.assertLess(sum(writes[1:]), 500)  # the questions of `settle`
        self.assertGreater(writes[0], 5000)

    def test_nobody_hears_too_much(self) -> None:
        """Redis carries to a process what somebody there listens to; a while after the last it does no more."""
        self.patch(redis_channels, "LINGER_SECONDS", 0.2)
        before, _ = self.numbers()
        subscriptions = [self.listen(self.two, "two") for _ in range(3)]
        self.assertEqual(self.numbers(), (before + 1, 1))
        for subscription in subscriptions:
            self.assertEqual(self.numbers()[1], 1)
            subscription.cancel()
        self.one.bus.publish(SAID, Said("hello"))
        self.settle()
        self.assertEqual(self.heard, [])
        self.until(lambda: self.numbers() == (before, 0))
        self.assertIsNone(self.two._channels.get(self.two._process._names.topic("said")))

    def test_flapping(self) -> None:
        """A listener that comes and goes asks nothing of Redis, and hears when it is there."""
        protocol: Any = self.two._channels._connection.protocol
        asked: list[list[bytes]] = []
        self.listen(self.two, "two").cancel()
        self.patch(protocol, "listen", asked.append)
        self.patch(protocol, "ignore", asked.append)
        for _ in range(100):
            subscription = self.two.bus.subscribe(SAID, lambda said: self.heard.append(said.text))
            self.assertTrue(subscription.active.called)
            subscription.cancel()
        self.listen(self.two, "two")
        self.turn(0.01)
        self.one.bus.publish(SAID, Said("hello"))
        self.settle()
        self.assertEqual((asked, self.heard), ([], ["two: hello"]))

    def test_subscribed_together(self) -> None:
        """What is subscribed to in one turn is asked for at once."""
        protocol: Any = self.two._channels._connection.protocol
        asked: list[int] = []
        listen = protocol.listen

        def counted(names: list[bytes]) -> None:
            asked.append(len(names))
            listen(names)

        self.patch(protocol, "listen", counted)
        subscriptions = [self.two.bus.subscribe(Topic(f"t{number}", Said), print) for number in range(2500)]
        for subscription in subscriptions:
            self.carry_out(subscription.active)
        self.assertEqual(asked, [1000, 1000, 500])

    def test_another_version(self) -> None:
        """What can't be decoded is dropped, counted, and logged once, without its text."""
        logged = Logged(self)
        self.listen(self.two, "two")
        for _ in range(3):
            self.one.bus.publish(Topic("said", Later), Later([1]))
        self.one.bus.publish(SAID, Said("hello"))
        self.settle()
        self.assertEqual(self.heard, ["two: hello"])
        self.assertEqual(self.two.bus.undecodable, 3)
        self.assertEqual(len(logged.above_debug()), 1)

    def test_ready_made_json(self) -> None:
        """A message that holds JSON as it is arrives as it is."""
        events: list[Event] = []
        topic = Topic("events", Event)
        self.carry_out(self.two.bus.subscribe(topic, events.append).active)
        event = Event("x", Raw(b'{"a":[1,"\xc3\xa9"]}'), (Said("y"),))
        self.one.bus.publish(topic, event)
        self.settle()
        self.assertEqual(events, [event])

    def test_a_publisher_is_cut_off(self) -> None:
        """Whose messages may be lost tells the others of a gap on those topics, and on no others."""
        self.listen(self.two, "two")
        self.listen(self.two, "other", OTHER)
        self.listen(self.one, "one")
        protocol: Any = self.one._process._connection.protocol
        protocol.abort()
        self.until(lambda: self.one._process._connection.protocol is None)
        self.one.bus.publish(SAID, Said("lost"))
        self.until(lambda: self.one.is_available)
        self.one.bus.publish(SAID, Said("hello"))
        self.settle()
        self.assertEqual([each for each in self.heard if "one" in each], ["one: lost", "one: hello"])
        self.assertEqual([each for each in self.heard if "one" not in each], ["two gap", "two: hello"])
        self.assertEqual(self.one.bus.unsent, 1)

    def test_a_publisher_is_cut_off_for_long(self) -> None:
        """If what was lost is too much to keep, everybody is told of a gap."""
        self.patch(redis_bus, "_MISSED", 10)
        self.listen(self.two, "two")
        self.listen(self.one, "one")
        protocol: Any = self.one._process._connection.protocol
        protocol.abort()
        self.until(lambda: self.one._process._connection.protocol is None)
        for number in range(100):
            self.one.bus.publish(Topic(f"t{number}", Said), Said("lost"))
        self.until(lambda: self.one.is_available)
        self.settle()
        self.assertEqual(self.heard, ["two gap"])

    def test_a_gap_that_raises(self) -> None:
        """It is logged; the others hear of the gap."""

        def fail() -> None:
            raise ZeroDivisionError

        self.carry_out(self.two.bus.subscribe(SAID, print, fail).active)
        self.listen(self.two, "two")
        channel = self.one._process._names.topic("said")
        self.one._process.publish(channel, self.one.bus.name)
        self.settle()
        self.assertEqual(self.heard, ["two gap"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_cancelled_while_waiting(self) -> None:
        """Who ends while it waits to be active is let go all the same."""
        subscription = self.two.bus.subscribe(SAID, print)
        active: Deferred[None] = subscription.active
        subscription.cancel()
        self.carry_out(active)

    def test_what_crosses_is_small(self) -> None:
        """A message is its publisher's name and MessagePack."""
        encode, decode = redis_bus._codec(Said)
        self.assertEqual(encode(Said("x")), msgpack.encode({"text": "x"}))
        self.assertEqual(decode(memoryview(encode(Said("x")))), Said("x"))
        self.assertEqual(len(self.one.bus.name), 8)
