"""Frames on their way out: order, one write a turn, and the bound for a slow reader."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from realtime.websocket.outgoing import LARGEST_BATCH, Batch, Outgoing, Turn


class Transport(StringTransport):
    """Keeps writes apart."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Take one write."""
        self.writes.append(data)


class OutgoingTestCase(SynchronousTestCase):
    """Has a queue with a bound of 100 bytes."""

    def setUp(self) -> None:
        """Build it."""
        self.clock = Clock()
        self.turn = Turn(self.clock)
        self.transport = Transport()
        self.overflows = 0
        self.outgoing = self.make()

    def make(self) -> Outgoing:
        """A queue."""
        return Outgoing(self.transport, self.turn, 100, self)

    def too_slow(self) -> None:
        """Count."""
        self.overflows += 1


class TurnTests(OutgoingTestCase):
    """One write for each connection and turn."""

    def test_one_write_a_turn(self) -> None:
        """What is sent in one turn leaves in one write at its end, in order."""
        for frame in (b"a", b"b", b"c"):
            self.outgoing.write(frame)
        self.assertEqual(self.transport.writes, [])
        self.clock.advance(0)
        self.assertEqual(self.transport.writes, [b"abc"])
        self.outgoing.write(b"d")
        self.clock.advance(0)
        self.assertEqual(self.transport.writes, [b"abc", b"d"])

    def test_one_call_for_all(self) -> None:
        """However many connections write, one delayed call ends the turn, and none is left after."""
        queues = [self.make() for _ in range(50)]
        for queue in queues * 3:
            queue.write(b"x")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(0)
        self.assertEqual(self.transport.writes, [b"xxx"] * 50)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_frame_is_not_copied(self) -> None:
        """A frame that is alone in its turn is handed on as it is."""
        frame = bytes(1000)
        self.outgoing.write(frame)
        self.clock.advance(0)
        self.assertIs(self.transport.writes[0], frame)

    def test_a_turn_is_bounded(self) -> None:
        """More than the bound leaves within the turn, and whoever turns out to be slow has no more kept."""
        for _ in range(3):
            self.outgoing.write(bytes(50))
        self.assertEqual(self.transport.writes, [])
        self.outgoing.write(bytes(50))
        self.assertEqual(list(map(len, self.transport.writes)), [150])
        self.outgoing.pauseProducing()
        for _ in range(4):
            self.outgoing.write(bytes(50))
        self.clock.advance(0)
        self.assertEqual((self.overflows, len(self.transport.writes)), (1, 1))

    def test_batches_are_bounded(self) -> None:
        """The same holds for what a room says; a large batch is closed."""
        batch = Batch(bytes(LARGEST_BATCH))
        self.assertTrue(self.outgoing.take(batch))
        self.assertTrue(batch.is_open)
        batch.add(b"x")
        self.assertFalse(batch.is_open)
        self.assertTrue(self.outgoing.take(Batch(b"y")))
        self.assertEqual(list(map(len, self.transport.writes)), [LARGEST_BATCH + 1])
        self.clock.advance(0)
        self.assertEqual(self.transport.writes[1:], [b"y"])

    def test_a_large_turn_is_not_slow(self) -> None:
        """What is sent in one turn to a reader that keeps up does not count against the bound."""
        for _ in range(50):
            self.outgoing.write(bytes(50))
        self.clock.advance(0)
        self.assertEqual((self.overflows, len(b"".join(self.transport.writes))), (0, 2500))


class PauseTests(OutgoingTestCase):
    """While the transport has enough."""

    def test_is_a_push_producer(self) -> None:
        """It is what a transport expects of its producer."""
        self.assertTrue(verifyObject(IPushProducer, self.outgoing))

    def test_waits_and_goes_on(self) -> None:
        """Frames wait while the transport wants a pause, and leave in order and at once after it."""
        self.outgoing.write(b"a")
        self.outgoing.pauseProducing()
        self.outgoing.write(b"b")
        self.clock.advance(0)
        self.assertEqual(self.transport.writes, [])
        self.outgoing.resumeProducing()
        self.assertEqual(self.transport.writes, [b"ab"])
        self.outgoing.write(b"c")
        self.clock.advance(0)
        self.assertEqual(self.transport.writes, [b"ab", b"c"])

    def test_forced(self) -> None:
        """What must leave before the transport is closed leaves during a pause too."""
        self.outgoing.pauseProducing()
        self.outgoing.write(b"a")
        self.outgoing.flush()
        self.assertEqual(self.transport.writes, [])
        self.outgoing.force()
        self.assertEqual(self.transport.writes, [b"a"])

    def test_stopped(self) -> None:
        """When the transport is gone nothing is written, nothing overflows."""
        self.outgoing.write(b"a")
        self.outgoing.stopProducing()
        for _ in range(10):
            self.outgoing.write(bytes(60))
        self.clock.advance(0)
        self.assertEqual((self.transport.writes, self.overflows), ([], 0))

    @given(steps=st.lists(st.sampled_from("wwwwpre")))
    def test_order(self, steps: list[str]) -> None:
        """Whatever the transport asks for meanwhile, frames arrive in the order they were sent."""
        self.setUp()
        sent = b""
        for number, step in enumerate(steps):
            if step == "w":
                self.outgoing.write(bytes([number % 256]))
                sent += bytes([number % 256])
            elif step == "p":
                self.outgoing.pauseProducing()
            elif step == "r":
                self.outgoing.resumeProducing()
            else:
                self.clock.advance(0)
        self.outgoing.resumeProducing()
        self.clock.advance(0)
        self.assertEqual(b"".join(self.transport.writes), sent)


class OverflowTests(OutgoingTestCase):
    """Counted is what was queued before the newest frame."""

    def setUp(self) -> None:
        """Have the transport ask for a pause."""
        super().setUp()
        self.outgoing.pauseProducing()

    def test_one_huge_frame(self) -> None:
        """One frame alone, however large, never overflows."""
        self.outgoing.write(bytes(10_000_000))
        self.assertEqual(self.overflows, 0)

    def test_exactly_the_bound(self) -> None:
        """As much as the bound may wait; the frame after that still passes, the next does not."""
        self.outgoing.write(bytes(100))
        self.outgoing.write(b"x")
        self.assertEqual(self.overflows, 0)
        self.outgoing.write(b"y")
        self.clock.advance(0)
        self.assertEqual(self.overflows, 1)

    def test_the_frame_after_a_huge_one(self) -> None:
        """A huge frame that still waits when the next one comes was queued before it."""
        self.outgoing.write(bytes(101))
        self.outgoing.write(b"x")
        self.clock.advance(0)
        self.assertEqual(self.overflows, 1)

    def test_once(self) -> None:
        """It is told once, and not in the middle of a turn: sending never calls back."""
        for _ in range(10):
            self.outgoing.write(bytes(101))
        self.assertEqual(self.overflows, 0)
        for _ in range(3):
            self.clock.advance(0)
            self.outgoing.write(bytes(101))
        self.assertEqual(self.overflows, 1)

    def test_read_on_in_the_same_turn(self) -> None:
        """Once frames were dropped it stays too slow, even if the transport can take more at once."""
        self.outgoing.write(bytes(101))
        self.outgoing.write(b"x")
        self.outgoing.resumeProducing()
        self.assertEqual((self.overflows, self.transport.writes), (1, []))
        self.clock.advance(0)
        self.assertEqual(self.overflows, 1)

    def test_what_waited_is_dropped(self) -> None:
        """What waited is dropped; what is sent when it has been told leaves as usual."""
        self.outgoing.write(bytes(101))
        self.outgoing.write(b"x")
        self.clock.advance(0)
        self.outgoing.write(b"close")
        self.outgoing.resumeProducing()
        self.assertEqual(self.transport.writes, [b"close"])

    def test_read_in_time(self) -> None:
        """A reader that is slow but gets along is never too slow."""
        for _ in range(100):
            self.outgoing.write(bytes(60))
            self.outgoing.write(bytes(60))
            self.outgoing.resumeProducing()
            self.outgoing.pauseProducing()
        self.assertEqual(self.overflows, 0)
        self.assertEqual(len(b"".join(self.transport.writes)), 12_000)


class BatchTests(OutgoingTestCase):
    """Frames that several queues share."""

    def test_grows_while_it_stands_last(self) -> None:
        """What is added to a batch leaves in its place, and the same bytes go to all."""
        other = self.make()
        batch = Batch(b"1")
        self.assertTrue(self.outgoing.take(batch) and other.take(batch))
        batch.add(b"2")
        self.clock.advance(0)
        first, second = self.transport.writes
        self.assertEqual(first, b"12")
        self.assertIs(first, second)

    def test_closed_by_what_comes_behind_it(self) -> None:
        """A frame or another batch behind it closes a batch: it would get before them."""
        first, second = Batch(b"1"), Batch(b"3")
        self.outgoing.take(first)
        self.outgoing.write(b"2")
        self.assertFalse(first.is_open)
        self.outgoing.take(second)
        self.outgoing.take(Batch(b"4"))
        self.assertFalse(second.is_open)
        self.clock.advance(0)
        self.assertEqual(self.transport.writes, [b"1234"])

    def test_closed_by_the_end_of_the_turn(self) -> None:
        """What has been written takes no more."""
        batch = Batch(b"1")
        self.outgoing.take(batch)
        self.clock.advance(0)
        self.assertFalse(batch.is_open)

    def test_none_during_a_pause(self) -> None:
        """While frames wait they are counted one by one."""
        self.outgoing.pauseProducing()
        self.assertFalse(self.outgoing.take(Batch(b"1")))
        self.outgoing.resumeProducing()
        self.clock.advance(0)
        self.assertEqual(self.transport.writes, [])

    def test_a_pause_counts_what_waits(self) -> None:
        """A batch that has to wait takes no more, and counts."""
        batch = Batch(bytes(60))
        self.outgoing.take(batch)
        batch.add(bytes(60))
        self.outgoing.pauseProducing()
        self.assertFalse(batch.is_open)
        self.outgoing.write(b"x")
        self.clock.advance(0)
        self.assertEqual(self.overflows, 1)
