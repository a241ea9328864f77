"""A load test on a clock, with participants of the test's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.client import ConnectionEnded, Ended, RequestFailed
from realtime.loadtest.load import Load, Result, Second
from realtime.loadtest.scenarios import Cast
from realtime.loadtest.schedule import Schedule


class FakeClient:
    """A client, as far as a load test looks at it."""

    def __init__(self) -> None:
        self.is_connected = False
        self.is_closed = False
        self.told: list[Callable[[Ended], object]] = []

    def listen(self, kind: type[Any], listener: Callable[[Any], object]) -> Callable[[], None]:
        """Keep who is to be told of the end."""
        self.told.append(listener)
        return lambda: None

    def close(self) -> Deferred[None]:
        """Note it."""
        self.is_closed = True
        return succeed(None)

    def start(self) -> Deferred[None]:
        """Be connected at once."""
        self.is_connected = True
        return succeed(None)


class FakeParticipant:
    """Sends when it is told to; the test says what arrives when."""

    def __init__(self, clock: Clock, delay: float) -> None:
        self.client: Any = FakeClient()
        self.clock = clock
        self.delay = delay
        self.sent: list[tuple[float, str]] = []
        self.received: Callable[[str], None] = lambda text: None
        self.outcome: Callable[[], Deferred[Any] | None] = lambda: None

    @property
    def is_ready(self) -> bool:
        """While it is connected."""
        return bool(self.client.is_connected)

    def start(self) -> Deferred[Any]:
        """Connect."""
        started: Deferred[Any] = self.client.start()
        return started

    def send(self, text: str) -> Deferred[Any] | None:
        """Have it arrive after a while."""
        self.sent.append((self.clock.seconds(), text))
        self.clock.callLater(self.delay, self.received, text)
        return self.outcome()


class LoadTests(SynchronousTestCase):
    """Two participants, ten messages a second for ten seconds after a ramp of two."""

    def setUp(self) -> None:
        """Ready to run."""
        self.clock = Clock()
        self.clock.advance(1000)
        self.seconds: list[Second] = []
        self.load = Load(Schedule(2, 2.0, 10.0, 10.0), self.clock, self.seconds.append)
        self.participants = [FakeParticipant(self.clock, 0.1) for _ in range(2)]
        for each in self.participants:
            each.received = self.load.received
        self.helper: Any = FakeClient()

    def run_through(self, step: float = 0.01) -> Result:
        """Run it to its end."""
        done = Deferred.fromCoroutine(self.load.run(Cast(self.participants, [self.helper])))
        for _ in range(int(30 / step)):
            self.clock.advance(step)
        result: Result = self.successResultOf(done)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertTrue(all(each.client.is_closed for each in self.participants))
        self.assertTrue(self.helper.is_closed)
        return result

    def test_all_is_well(self) -> None:
        """Everything is sent at its time, by one after the other, and arrives."""
        result = self.run_through()
        self.assertEqual((result.sent, result.received, result.lost, result.unsent), (110, 110, 0, 0))
        self.assertEqual(result.connected, 2)
        self.assertLess(abs((result.latency.p99 or 0) - 110), 12)
        self.assertLess(abs(result.received_a_second - 10.0), 0.2)
        self.assertEqual(result.errors, {})
        self.assertEqual(len(self.participants[0].sent) // 10, len(self.participants[1].sent) // 10)
        self.assertEqual(self.participants[0].sent[0][1].rpartition(" ")[2], "1")
        self.assertEqual([(each.sent, each.received) for each in self.seconds[5:8]], [(10, 10)] * 3)
        self.assertEqual(self.seconds, result.seconds)

    def test_a_slow_moment_counts(self) -> None:
        """What could not be sent in time counts from when it should have been, and not only what was first."""
        held_up = self.clock.callLater(6.0, lambda: None)
        done = Deferred.fromCoroutine(self.load.run(Cast(self.participants, [self.helper])))
        while held_up.active():
            self.clock.advance(0.01)
        self.clock.rightNow += 3.0  # three seconds in which this process does nothing
        for _ in range(2000):
            self.clock.advance(0.01)
        result: Result = self.successResultOf(done)
        self.assertEqual((result.sent, result.received), (110, 110))
        self.assertGreater(result.latency.p95 or 0, 2000)
        self.assertGreater(result.lateness.p95 or 0, 2000)
        self.assertLess(result.latency.p50 or 0, 150)

    def test_what_does_not_arrive(self) -> None:
        """Is told, after a while of waiting; what comes twice, or is another test's, is not counted."""
        lazy = self.participants[1]
        lazy.received = lambda text: None

        def twice(text: str) -> None:
            for each in (text, text, "x 50", "x 51", "x"):
                self.load.received(each)

        self.participants[0].received = twice
        result = self.run_through()
        self.assertEqual((result.sent, result.lost), (110, len(lazy.sent)))
        self.assertEqual(result.received, len(self.participants[0].sent))

    def test_nobody_can_send(self) -> None:
        """A message without a connection is not sent, and not forgotten."""
        for each in self.participants:
            each.client.start = lambda: Deferred()
        result = self.run_through()
        self.assertEqual((result.sent, result.unsent, result.connected), (0, 110, 0))
        self.assertEqual(result.latency.count, 0)

    def test_errors(self) -> None:
        """Are counted by what they are, once each; our own closing is none."""
        first, second = self.participants
        first.outcome = lambda: fail(RequestFailed(6, "Too many."))
        self.clock.callLater(3.0, lambda: second.client.told[0](Ended(ConnectionEnded(4401))))
        second.client.close = lambda: succeed(second.client.told[0](Ended(ConnectionEnded(1000))))
        done = Deferred.fromCoroutine(self.load.run(Cast(self.participants, [self.helper])))
        for _ in range(3000):
            self.clock.advance(0.01)
        result: Result = self.successResultOf(done)
        self.assertEqual(result.errors, {"RequestFailed 6": len(first.sent), "ConnectionEnded 4401": 1})
        self.assertEqual(result.received, len(second.sent))
        in_the_fourth = [text for at, text in first.sent if 1003 < at <= 1004]
        self.assertEqual(self.seconds[3].errors, len(in_the_fourth))
        self.assertEqual(
            sum(each.errors for each in self.seconds[:4]), len([1 for at, _ in first.sent if at <= 1004]) + 1
        )
