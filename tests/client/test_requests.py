"""Requests, their answers, and what becomes of them when a connection is lost."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from realtime.client.errors import ClientError, ConnectionEnded, ConnectionLost, TooManyPending
from realtime.client.requests import Requests


class RequestsTests(SynchronousTestCase):
    """All of them on the wire at a time."""

    def setUp(self) -> None:
        """Five at most."""
        self.requests: Requests[int, str] = Requests(5)
        self.sent: list[bytes] = []

    def add(self, key: int, *, again: bool = False) -> Deferred[str]:
        """A request whose frame is its key."""
        return self.requests.add(key, b"%d" % key, again=again)

    def test_answers(self) -> None:
        """Each gets its own, in whatever order they come, once."""
        self.requests.opened(self.sent.append)
        one, two = self.add(1), self.add(2)
        self.assertEqual(self.sent, [b"1", b"2"])
        self.assertTrue(self.requests.failed(2, ClientError("no")))
        self.assertTrue(self.requests.answered(1, "yes"))
        self.assertFalse(self.requests.answered(1, "yes"))
        self.assertEqual(self.successResultOf(one), "yes")
        self.failureResultOf(two, ClientError)
        self.assertEqual(len(self.requests), 0)

    def test_wait_for_a_connection(self) -> None:
        """In order."""
        self.add(2)
        self.add(1)
        self.requests.opened(self.sent.append)
        self.assertEqual(self.sent, [b"2", b"1"])

    def test_lost(self) -> None:
        """What was sent fails, but what may be sent again; that goes first over the next one."""
        self.requests.opened(self.sent.append)
        unknown, kept = self.add(1), self.add(2, again=True)
        self.requests.lost()
        waits = self.add(3)
        self.failureResultOf(unknown, ConnectionLost)
        self.assertNoResult(kept)
        self.sent.clear()
        self.requests.opened(self.sent.append)
        self.assertEqual(self.sent, [b"2", b"3"])
        self.requests.answered(2, "at last")
        self.assertEqual(self.successResultOf(kept), "at last")
        self.assertNoResult(waits)
        self.requests.lost()
        self.failureResultOf(waits, ConnectionLost)

    def test_asked_again_by_who_is_told(self) -> None:
        """Who repeats a request as it fails has it wait for the next connection."""
        self.requests.opened(self.sent.append)
        self.add(1).addErrback(lambda _: self.add(7))
        self.requests.lost()
        self.assertEqual(self.sent, [b"1"])
        self.requests.opened(self.sent.append)
        self.assertEqual(self.sent, [b"1", b"7"])
        self.requests.answered(7, "")

    def test_ended(self) -> None:
        """All fail, and so does what comes; until there is a connection again."""
        one = self.add(1, again=True)
        self.requests.ended(ConnectionEnded(4401))
        self.assertEqual(self.failureResultOf(one, ConnectionEnded).value.code, 4401)
        self.failureResultOf(self.add(2), ConnectionEnded)
        self.requests.opened(self.sent.append)
        self.add(3)
        self.assertEqual(self.sent, [b"3"])

    def test_too_many(self) -> None:
        """The sixth is not taken, until one is answered."""
        self.requests.opened(self.sent.append)
        for key in range(5):
            self.add(key)
        self.failureResultOf(self.add(5), TooManyPending)
        self.requests.answered(0, "")
        self.assertNoResult(self.add(6))

    def test_one_key_for_two(self) -> None:
        """Would get one answer for both."""
        self.add(1)
        self.assertRaises(ValueError, self.add, 1)

    def test_cancelled(self) -> None:
        """Is forgotten, and its answer ignored."""
        self.requests.opened(self.sent.append)
        one = self.add(1)
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.assertFalse(self.requests.answered(1, "late"))


class TurnsTests(SynchronousTestCase):
    """One on the wire at a time."""

    def setUp(self) -> None:
        """With a connection."""
        self.requests: Requests[int, str] = Requests(5, window=1)
        self.sent: list[bytes] = []
        self.requests.opened(self.sent.append)

    def add(self, key: int) -> Deferred[str]:
        """A request whose frame is its key."""
        return self.requests.add(key, b"%d" % key)

    def test_one_after_the_other(self) -> None:
        """The next is sent when the one before it is answered."""
        one, two = self.add(1), self.add(2)
        self.assertEqual(self.sent, [b"1"])
        self.assertEqual(self.requests.oldest, 1)
        self.requests.answered(1, "a")
        self.assertEqual(self.sent, [b"1", b"2"])
        self.requests.failed(2, ClientError("no"))
        self.assertEqual(self.successResultOf(one), "a")
        self.failureResultOf(two, ClientError)
        self.assertIsNone(self.requests.oldest)

    def test_cancelled(self) -> None:
        """One that is on the wire keeps its place, or its answer would be taken for the next one's."""
        one, two = self.add(1), self.add(2)
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.assertEqual(self.sent, [b"1"])
        self.assertEqual(self.requests.oldest, 1)
        self.requests.answered(1, "late")
        self.requests.answered(2, "two's own")
        self.assertEqual(self.successResultOf(two), "two's own")

    def test_lost(self) -> None:
        """The one on the wire fails; the others go over the next connection, one after the other."""
        one = self.add(1)
        self.add(2)
        self.add(3)
        self.requests.lost()
        self.failureResultOf(one, ConnectionLost)
        self.sent.clear()
        self.requests.opened(self.sent.append)
        self.assertEqual(self.sent, [b"2"])
