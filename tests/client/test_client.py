"""What all clients have in common: starting, ending, listeners, tokens."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from realtime.client import (
    Connected,
    ConnectionEnded,
    Disconnected,
    Ended,
    MarketClient,
    Options,
    TooManyPending,
)
from realtime.client.errors import ClientError, NotConnected
from realtime.client.market import Error, Form
from tests.client.world import ONE_SECOND, World

_ERROR = b'\x00{"opcode": 9, "code": "not-found", "message": "No."}'


class ClientTests(SynchronousTestCase):
    """A client of market, the simplest."""

    def setUp(self) -> None:
        """A client that connects."""
        self.world = World()
        self.client = self.world.make(MarketClient)

    def test_starting(self) -> None:
        """Fires when the server serves us; a second time at once."""
        started = self.client.start()
        self.assertNoResult(started)
        self.assertFalse(self.client.is_connected)
        self.world.answer()
        self.successResultOf(started)
        self.successResultOf(self.client.start())
        self.assertTrue(self.client.is_connected)
        self.assertEqual(len(self.world.attempts), 1)

    def test_ending(self) -> None:
        """Whoever waits is told, and whoever comes."""
        started, next_error = self.client.start(), self.client.next(Error)
        self.successResultOf(self.client.close())
        for each in (started, next_error, self.client.conversations()):
            self.assertEqual(self.failureResultOf(each, ConnectionEnded).value.code, 1000)
        self.assertRaises(ConnectionEnded, self.client.opened, 1)

    def test_happenings(self) -> None:
        """What becomes of the connection is told in order."""
        told: list[object] = []
        for kind in (Connected, Disconnected, Ended):
            self.client.listen(kind, told.append)
        self.world.answer().ear.lost(1001)
        self.world.again().ear.lost(4409)
        first, lost, again, replaced, ended = told
        self.assertEqual(
            (first, lost, again, replaced),
            (Connected(False), Disconnected(1001), Connected(True), Disconnected(4409)),
        )
        assert isinstance(ended, Ended)
        assert isinstance(ended.error, ConnectionEnded)
        self.assertEqual(ended.error.code, 4409)

    def test_starting_again(self) -> None:
        """One that has ended may be started anew."""
        self.successResultOf(self.client.close())
        started = self.client.start()
        self.world.answer()
        self.successResultOf(started)

    def test_listeners(self) -> None:
        """All of a type are told, in order, until they want no more; one that raises harms nobody."""
        told: list[int] = []

        def breaks(_: Error) -> None:
            raise ZeroDivisionError

        async def breaks_later(_: Error) -> None:
            raise ZeroDivisionError

        self.client.listen(Error, breaks)
        self.client.listen(Error, breaks_later)
        end = self.client.listen(Error, lambda _: told.append(1))
        self.client.listen(Error, lambda _: told.append(2))
        line = self.world.answer()
        line.says(_ERROR)
        end()
        line.says(_ERROR)
        self.assertEqual(told, [1, 2, 2])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 4)

    def test_next(self) -> None:
        """One message, and no listener is left behind, also if nobody waits any more."""
        line = self.world.answer()
        first, unwanted = self.client.next(Error), self.client.next(Error)
        unwanted.addErrback(lambda _: None).cancel()
        line.says(_ERROR)
        line.says(_ERROR)
        self.assertEqual(self.successResultOf(first).code, "not-found")
        self.assertEqual([*self.client._listeners.values()], [(), ()])

    def test_nothing_is_sent_without_a_connection(self) -> None:
        """What nobody answers is of no use later."""
        self.assertRaises(NotConnected, self.client.opened, 1)

    def test_bounds(self) -> None:
        """Neither requests nor what waits for its turn grow without end."""
        client = self.world.make(MarketClient, most_pending=2, messages_per_second=1.0)
        self.world.answer()
        for _ in range(3):
            client.opened(1)
        self.assertRaises(TooManyPending, client.opened, 1)
        client.say("a", to=1).addErrback(lambda _: None)
        client.say("b", to=1).addErrback(lambda _: None)
        self.failureResultOf(client.say("c", to=1), TooManyPending)

    def test_nonsense(self) -> None:
        """A server that can't be understood is left."""
        ended = self.client.next(Ended)
        line = self.world.answer()
        line.says(b"nonsense")
        self.assertEqual(line.closed, 1000)
        line.ear.lost(1006)
        self.assertIsInstance(self.successResultOf(ended).error, ClientError)

    def test_tokens(self) -> None:
        """In the header that the protocol names; a function is asked at each connection."""
        tokens = ["one", "two"]
        client = MarketClient(
            "ws://x",
            lambda: succeed(tokens.pop(0)),
            form=Form.TEXT,
            options=Options(reconnection=ONE_SECOND),
            reactor=self.world.clock,
            dial=self.world.dial,
        )
        client.start()
        first = self.world.answer()
        self.assertEqual(first.opening.headers, {"Authorization": "Bearer one"})
        self.assertEqual(first.opening.subprotocols, ("market.json",))
        self.assertNotIn("one", repr(first.opening))
        first.ear.lost(1006)
        self.assertEqual(self.world.again().opening.headers, {"Authorization": "Bearer two"})

    def test_tokens_that_would_be_more_than_a_header(self) -> None:
        """Are refused before anything is sent."""
        for token in ("q\r\nX: y", " q", "ä"):
            client = MarketClient("ws://x", token, reactor=self.world.clock, dial=self.world.dial)
            started: Deferred[None] = client.start()
            error = self.failureResultOf(started, ClientError).value
            self.assertNotIn(token, str(error))
        self.assertEqual(len(self.world.attempts), 1)
