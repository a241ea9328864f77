"""Frames on their way out: order, one write a turn, and the bound for a slow reader."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from realtime.websocket.outgoing import Outgoing, Turn


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
        return Outgoing(self.transport, self.turn, 100, self.overflow)

    def overflow(self) -> None:
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
        self.outgoing.flush(forced=True)
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
        self.assertEqual(self.overflows, 1)

    def test_the_frame_after_a_huge_one(self) -> None:
        """A huge frame that still waits when the next one comes was queued before it."""
        self.outgoing.write(bytes(101))
        self.outgoing.write(b"x")
        self.assertEqual(self.overflows, 1)

    def test_once(self) -> None:
        """It is told once."""
        for _ in range(10):
            self.outgoing.write(bytes(101))
        self.assertEqual(self.overflows, 1)

    def test_discard(self) -> None:
        """What waits can be dropped; what is sent after that leaves as usual."""
        self.outgoing.write(bytes(101))
        self.outgoing.discard()
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
