"""What every bus keeps to. `BusTests` is for all implementations; each has a class of its own below."""

from __future__ import annotations

from msgspec import Struct
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster.bus import Bus, MemoryBus, Subscription, Topic
from tests.cluster.kinds import InMemory, Kind, OverRedis


class Said(Struct):
    """A message."""

    text: str


class Counted(Struct):
    """A message of another type."""

    number: int


SAID = Topic("said", Said)
OTHER = Topic("other", Said)
COUNTED = Topic("counted", Counted)


class BusTests(Kind):
    """Holds for one process, whatever is behind its bus."""

    bus: Bus

    def make_bus(self) -> Bus:
        """A bus of the kind under test."""
        raise NotImplementedError

    def setUp(self) -> None:
        """Make a bus, and a list of what is heard."""
        super().setUp()
        self.bus = self.make_bus()
        self.heard: list[str] = []

    def listen(self, name: str, topic: Topic[Said] = SAID) -> Subscription:
        """Write down what is heard on a topic, under a name."""
        return self.bus.subscribe(topic, lambda said: self.heard.append(f"{name}: {said.text}"))

    def say(self, *texts: str, topic: Topic[Said] = SAID) -> None:
        """Publish."""
        for text in texts:
            self.bus.publish(topic, Said(text))

    def check(self, *heard: str) -> None:
        """What was heard, in order."""
        assert self.heard == list(heard), self.heard

    def test_every_listener_hears(self) -> None:
        """Every listener of a topic hears what is published on it, and nothing else."""
        self.listen("a")
        self.listen("b")
        self.listen("c", OTHER)
        self.say("hello")
        self.say("bye", topic=OTHER)
        self.check("a: hello", "b: hello", "c: bye")

    def test_nobody_listens(self) -> None:
        """What nobody listens to is gone."""
        self.say("hello")
        self.listen("a")
        self.check()

    def test_order(self) -> None:
        """What is published is heard in that order, across topics."""
        self.listen("a")
        self.listen("a", OTHER)
        for number in range(10):
            self.say(str(number), topic=OTHER if number % 3 else SAID)
        self.check(*(f"a: {number}" for number in range(10)))

    def test_active(self) -> None:
        """Once a subscription is active nothing is missed; another listener of the topic is so at once."""
        self.carry_out(self.listen("a").active)
        self.say("hello")
        self.check("a: hello")
        fired: list[None] = []
        self.listen("b").active.addCallback(fired.append)
        assert fired == [None]

    def test_the_message_itself(self) -> None:
        """A listener gets a message of the topic's type."""
        numbers: list[Counted] = []
        self.bus.subscribe(COUNTED, numbers.append)
        self.bus.publish(COUNTED, Counted(7))
        assert numbers == [Counted(7)]

    def test_published_by_a_listener(self) -> None:
        """What a listener publishes is heard after everybody has heard what it had heard itself."""

        def answer(said: Said) -> None:
            self.heard.append(f"a: {said.text}")
            if len(said.text) < 3:
                self.say(said.text + "1", said.text + "2", topic=SAID if said.text else OTHER)
                self.heard.append(f"a said: {said.text}")

        self.bus.subscribe(SAID, answer)
        self.listen("b")
        self.say("xx")
        self.check("a: xx", "a said: xx", "b: xx", "a: xx1", "b: xx1", "a: xx2", "b: xx2")

    def test_cancelled(self) -> None:
        """A subscription that was cancelled hears nothing more; once is enough."""
        first, _ = self.listen("a"), self.listen("b")
        self.say("one")
        first.cancel()
        first.cancel()
        self.say("two")
        self.check("a: one", "b: one", "b: two")

    def test_cancelled_during_delivery(self) -> None:
        """Who is cancelled by an earlier listener of the same message does not hear it."""
        subscriptions: list[Subscription] = []

        def stop_all(said: Said) -> None:
            self.heard.append(said.text)
            for subscription in subscriptions:
                subscription.cancel()

        subscriptions.append(self.bus.subscribe(SAID, stop_all))
        subscriptions.append(self.listen("b"))
        self.listen("c")
        self.say("one", "two")
        self.check("one", "c: one", "c: two")

    def test_subscribed_during_delivery(self) -> None:
        """Who subscribes while a message is delivered hears the next one."""

        def join(said: Said) -> None:
            if said.text == "one":
                self.listen("new")

        self.bus.subscribe(SAID, join)
        self.say("one", "two")
        self.check("new: two")

    def test_same_listener_twice(self) -> None:
        """Two subscriptions of one listener are two."""
        listener = lambda said: self.heard.append(said.text)  # noqa: E731
        first = self.bus.subscribe(SAID, listener)
        self.bus.subscribe(SAID, listener)
        self.say("one")
        first.cancel()
        self.say("two")
        self.check("one", "one", "two")

    def test_a_listener_that_raises(self) -> None:
        """It is logged, the others hear the message, and the bus goes on."""

        def fail(said: Said) -> None:
            raise ZeroDivisionError

        self.bus.subscribe(SAID, fail)
        self.listen("b")
        self.say("one", "two")
        self.check("b: one", "b: two")
        assert isinstance(self, SynchronousTestCase)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)


class MemoryBusTests(BusTests, InMemory):
    """The bus of a single process."""

    def make_bus(self) -> MemoryBus:
        """Make one."""
        return MemoryBus()

    def test_no_topic_is_left(self) -> None:
        """A topic that nobody listens to any more takes no memory."""
        bus = self.make_bus()
        subscriptions = [
            bus.subscribe(Topic(f"topic {number % 50}", Said), self.heard.append)  # type: ignore[arg-type]
            for number in range(100)
        ]
        self.assertEqual(len(bus), 50)
        for subscription in subscriptions:
            subscription.cancel()
        self.assertEqual(len(bus), 0)

    def test_active_at_once(self) -> None:
        """A subscription is active from its beginning."""
        assert self.listen("a").active.called


class RedisBusTests(BusTests, OverRedis):
    """The bus of several processes, seen from one."""

    def make_bus(self) -> Bus:
        """Make one."""
        return self.make_cluster().bus
