"""A connection that is made again when it is lost: states, timers, what is told."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from realtime.client.connection import Connection, State, Timing
from realtime.client.errors import ClientError, ConnectionEnded, SignInRefused
from realtime.client.line import HandshakeRefused, Opening
from realtime.client.reconnection import Reconnection
from realtime.limiting import Rate
from tests.client.world import ONE_SECOND, World


class Recorder:
    """A handler that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def line_opened(self) -> None:
        """See `Handler`."""
        self.told.append("opened")

    def line_received(self, payload: bytes, binary: bool) -> None:
        """See `Handler`."""
        self.told.append(payload)

    def line_pinged(self, payload: bytes) -> None:
        """See `Handler`."""
        self.told.append(("pinged", payload))

    def line_lost(self, code: int) -> None:
        """See `Handler`."""
        self.told.append(code)

    def line_ended(self, error: ClientError) -> None:
        """See `Handler`."""
        self.told.append(error)

    def take(self) -> list[Any]:
        """What it was told since it was asked last."""
        told, self.told = self.told, []
        return told


class ConnectionTests(SynchronousTestCase):
    """One connection, over lines of the test's."""

    def setUp(self) -> None:
        """A connection that has not begun."""
        self.world = World()
        self.clock = self.world.clock
        self.handler = Recorder()
        self.opening: Deferred[Opening] = succeed(Opening("ws://x"))
        self.connection = self.make()

    def make(self, reconnection: Reconnection = ONE_SECOND, rate: Rate | None = None) -> Connection:
        """Another connection."""
        return Connection(
            lambda: self.opening,
            self.handler,
            self.world.dial,
            self.clock,
            reconnection,
            Timing(opening=10, silence=30, patience=5),
            rate,
            Random(7),
        )

    def tearDown(self) -> None:
        """No timer is left when it is over."""
        closed = self.connection.close()
        for line in self.world.lines[-1:]:
            if line.closed is not None:
                line.ear.lost(1006)
        self.successResultOf(closed)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_opens(self) -> None:
        """What comes is told, what is sent goes out."""
        self.connection.start()
        self.assertIs(self.connection.state, State.CONNECTING)
        line = self.world.answer()
        self.connection.send(b"out")
        line.says(b"in")
        line.ear.pinged(b"who")
        self.assertEqual(line.sent, [b"out"])
        self.assertEqual(self.handler.take(), ["opened", b"in", ("pinged", b"who")])

    def test_comes_back(self) -> None:
        """After a loss it is made again, within the delay."""
        self.connection.start()
        self.world.answer().ear.lost(1001)
        self.assertIs(self.connection.state, State.WAITING)
        self.assertEqual(len(self.world.attempts), 1)
        self.clock.advance(1.0)
        self.world.answer()
        self.assertEqual(self.handler.take(), ["opened", 1001, "opened"])

    def test_ends_for_good(self) -> None:
        """Where another attempt would repeat the fault, there is none."""
        for code in (4401, 4409, 1000):
            self.connection.start()
            self.world.answer().ear.lost(code)
            self.clock.advance(1000)
            _, lost, error = self.handler.take()
            self.assertEqual((lost, error.code), (code, code))
        self.assertEqual(len(self.world.attempts), 3)

    def test_refused_handshakes(self) -> None:
        """A status that will not change ends it, another does not; nor does what is no HTTP."""
        self.connection.start()
        for error in (HandshakeRefused(503), HandshakeRefused(0), ConnectionRefusedError()):
            self.world.refuse(error)
            self.assertIs(self.connection.state, State.WAITING)
            self.clock.advance(60)
        self.world.refuse(HandshakeRefused(401))
        (ended,) = self.handler.take()
        self.assertEqual(ended.code, 4401)

    def test_delays_grow_until_it_is_served(self) -> None:
        """A connection that is closed as soon as it is made is no success."""
        self.connection = self.make(Reconnection(first=1.0, longest=1000.0, attempts=5))
        self.connection.start()
        for _ in range(4):
            self.world.answer().ear.lost(1013)
            self.clock.advance(1000)
        self.world.answer()
        self.connection.settled()
        self.world.lines[-1].ear.lost(1013)
        self.assertIs(self.connection.state, State.WAITING)
        self.clock.advance(1.0)
        for _ in range(4):
            self.world.answer().ear.lost(1013)
            self.clock.advance(1000)
        self.assertIs(self.connection.state, State.CLOSED)
        self.assertEqual(self.handler.take()[-1].code, 1013)
        self.connection.start()
        self.world.refuse(OSError())
        self.assertIs(self.connection.state, State.WAITING, "who starts it again has all attempts again")

    def test_takes_too_long(self) -> None:
        """An attempt is given up after a while, and counts as one that failed."""
        self.connection.start()
        self.clock.advance(9.9)
        self.assertIs(self.connection.state, State.CONNECTING)
        self.clock.advance(0.1)
        self.assertIs(self.connection.state, State.WAITING)

    def test_no_opening(self) -> None:
        """Who can't say what to ask for is asked again, unless it has a reason that stays."""
        self.opening = fail(OSError())
        self.connection.start()
        self.assertIs(self.connection.state, State.WAITING)
        self.opening = fail(SignInRefused())
        self.clock.advance(1.0)
        (ended,) = self.handler.take()
        self.assertIsInstance(ended, SignInRefused)

    def test_silence(self) -> None:
        """A silent server is asked; one that does not answer is dead, anything that it says is an answer."""
        self.connection.start()
        line = self.world.answer()
        self.clock.advance(20)
        line.says(b"something")
        self.clock.advance(29)
        self.assertEqual(line.pings, 0)
        self.clock.advance(1)
        self.assertEqual(line.pings, 1)
        self.clock.advance(4)
        line.ear.heard()
        self.clock.advance(29)
        self.assertEqual(line.pings, 1)
        self.clock.advance(1)
        self.assertEqual(line.pings, 2)
        self.clock.advance(5)
        self.assertEqual(self.handler.take()[-1], 1006)
        self.assertIs(self.connection.state, State.WAITING)

    def test_closing(self) -> None:
        """Fires when the line is gone; nothing is told meanwhile, and no other is made."""
        self.connection.start()
        line = self.world.answer()
        closed = self.connection.close()
        self.assertEqual(line.closed, 1000)
        line.says(b"too late")
        line.ear.pinged(b"too late")
        self.assertNoResult(closed)
        line.ear.lost(1006)
        self.successResultOf(closed)
        _, code, error = self.handler.take()
        self.assertEqual((code, type(error), error.code), (1006, ConnectionEnded, 1000))

    def test_closing_before_it_is_open(self) -> None:
        """An attempt, or the wait for one, ends at once."""
        self.connection.start()
        self.successResultOf(self.connection.close())
        self.assertTrue(self.world.attempts[0][2].called)
        self.connection.start()
        self.world.refuse(OSError())
        self.successResultOf(self.connection.close())
        self.assertEqual(len(self.world.attempts), 2)

    def test_failing(self) -> None:
        """The first reason is the one that is told."""
        self.connection.start()
        line = self.world.answer()
        self.connection.fail(ClientError("first"))
        self.connection.fail(ClientError("second"))
        line.ear.lost(1001)
        self.assertEqual(str(self.handler.take()[-1]), "first")

    def test_sends_at_a_rate(self) -> None:
        """A burst at once, the rest in turn, nothing to the next connection."""
        self.connection = self.make(rate=Rate(2.0, burst=3))
        self.connection.start()
        line = self.world.answer()
        for number in range(6):
            self.connection.send(b"%d" % number)
        self.assertEqual(line.sent, [b"0", b"1", b"2"])
        self.assertEqual(self.connection.waiting, 3)
        self.clock.advance(0.51)
        self.assertEqual(line.sent[3:], [b"3"])
        self.connection.send(b"6")
        self.clock.advance(0.5)
        self.assertEqual(line.sent[3:], [b"3", b"4"])
        line.ear.lost(1006)
        self.assertEqual(self.connection.waiting, 0)
        self.clock.advance(1)
        following = self.world.answer()
        for _ in range(3):
            self.connection.send(b"new")
        self.assertEqual(following.sent, [b"new"] * 3)
