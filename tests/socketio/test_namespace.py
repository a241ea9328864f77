"""A namespace under stress: what waits, what comes too often, who is gone, and ids of older clients."""

from __future__ import annotations

from twisted.internet.defer import CancelledError

from realtime.socketio.engine_context import Reason
from realtime.socketio.socket import MOST_WAITING, NotAcknowledged
from tests.socketio.namespaces import Player, ServerTestCase, WatchedServer


class WaitingTests(ServerTestCase):
    """What is sent before a client is let in, or just after."""

    def test_too_much(self) -> None:
        """A handler that takes its time while rooms are busy does not fill our memory."""
        self.configure(send_buffer_bytes=1_000_000)
        player = self.connect('0{"how":"wait"}')
        self.root.sockets[0].join("a")
        for number in range(MOST_WAITING + 1):
            self.namespaces["/"].to("a", "told", number)
        self.root.admitting[0].callback(None)
        self.assertEqual(player.heard(), ['4{"message":"Temporarily unavailable"}'])
        self.assertEqual(len(self.root.reasons), 1)
        self.assertEqual(len(player.ask('0{"how":"quiet"}')), 1)

    def test_as_much_as_may(self) -> None:
        """As much as may wait comes, and after that what is told in the moment of being let in."""
        self.configure(send_buffer_bytes=1_000_000)
        player = self.connect('0{"how":"wait"}')
        socket = self.root.sockets[0]
        for number in range(MOST_WAITING - 1):
            socket.emit("told", number)
        self.root.admitting[0].callback(None)
        for number in range(3):
            socket.emit("after", number)
        heard = player.heard()
        self.assertEqual(len(heard), 1 + MOST_WAITING + 3)
        self.assertEqual(heard[-3:], [f'2["after",{number}]' for number in range(3)])

    def test_joining_too_late(self) -> None:
        """Whoever is over joins no room."""
        self.connect().peer.go()
        self.root.sockets[0].join("a")
        self.assertEqual(len(self.namespaces["/"]), 0)


class RateTests(ServerTestCase):
    """What comes beyond the rate."""

    def test_comings_and_goings(self) -> None:
        """Who joins and leaves all the time is closed."""
        self.configure(per_second=4.0)
        player = self.connect('0{"how":"quiet"}')
        player.heard()
        for _ in range(6):
            player.say("1", '0{"how":"quiet"}')
        self.assert_ended(player, Reason.FORCED_CLOSE)

    def test_acknowledgements(self) -> None:
        """An acknowledgement that we asked for is taken, however many there are; another one is not."""
        self.configure(per_second=4.0)
        player = self.connect('0{"how":"quiet"}')
        socket = self.root.sockets[0]
        awaited = [socket.emit_with_acknowledgement("x", timeout=5) for _ in range(20)]
        player.heard()
        player.say(*(f"3{number}[{number}]" for number in range(1, 21)))
        self.assertEqual([self.successResultOf(each) for each in awaited], [[n] for n in range(1, 21)])
        player.say("31[]")
        self.assert_ended(player, Reason.FORCED_CLOSE)


class AcknowledgementTests(ServerTestCase):
    """Events that are to be acknowledged, and are not."""

    def test_given_up(self) -> None:
        """Whoever asked may give up; what comes then is passed over."""
        player = self.connect()
        acknowledged = self.root.sockets[0].emit_with_acknowledgement("x", timeout=5)
        acknowledged.cancel()
        self.failureResultOf(acknowledged, CancelledError)
        player.say("31[1]")
        self.assertEqual(self.application.reasons, [])

    def test_what_cannot_be_written(self) -> None:
        """An event that JSON can't hold awaits nothing, nor is it sent; the next one is."""
        player = self.connect('0{"how":"quiet"}')
        player.heard()
        socket = self.root.sockets[0]
        for value in (float("nan"), object()):
            with self.assertRaises((TypeError, ValueError)):
                socket.emit_with_acknowledgement("x", value, timeout=5)
            with self.assertRaises((TypeError, ValueError)):
                self.namespaces["/"].to(socket.id, "x", value)
        acknowledged = socket.emit_with_acknowledgement("x", timeout=5)
        self.assertEqual(player.heard(), ['21["x"]'])
        self.clock.advance(5)
        self.failureResultOf(acknowledged, NotAcknowledged)

    def test_after_leaving(self) -> None:
        """An acknowledgement that comes when the client has left the namespace goes nowhere."""
        player = self.connect('0{"how":"wait"}')
        self.root.admitting[0].callback(None)
        player.say("0/custom")
        player.heard()
        acknowledge = self.root.sockets[0]
        player.say("1")
        acknowledge.acknowledger(1)("late")
        self.assertEqual(player.heard(), [])


class OldClientTests(ServerTestCase):
    """Clients of Socket.IO 2.x."""

    def test_ids(self) -> None:
        """They make their socket's id of the session's, and so do we."""
        player = self.player(3)
        player.say("0/custom")
        sid = self.application.sessions[0].sid
        self.assertEqual((self.root.sockets[0].id, self.custom.sockets[0].id), (sid, f"/custom#{sid}"))
        player.heard()
        self.namespaces["/custom"].to(f"/custom#{sid}", "x")
        self.assertEqual(player.heard(), ['2/custom,["x"]'])


class WithoutRootTests(ServerTestCase):
    """A server without a namespace ``/``."""

    def make_application(self) -> WatchedServer:
        """A server that has ``/custom`` alone."""
        super().make_application()
        return WatchedServer([self.namespaces["/custom"]], clock=self.clock, connect_timeout=45)

    def test_old_client(self) -> None:
        """A 2.x client is told that it is in ``/``, as always; what it says there is for nobody."""
        player = Player(self, self.websocket("EIO=3&transport=websocket"))
        self.assertEqual(player.peer.texts()[1:], [b"40"])
        self.assertEqual(player.ask('2["x"]', "1"), [])
        self.assertEqual(len(player.ask("0/custom")), 2)

    def test_old_client_that_wants_nothing_else(self) -> None:
        """It is closed in time."""
        player = self.player(3)
        for _ in range(44):
            self.clock.advance(1)
            player.peer.text(b"2")
        player.peer.frames()
        self.clock.advance(1)
        self.assert_ended(player, Reason.FORCED_CLOSE)
        self.assertEqual(self.application.reasons, [Reason.FORCED_CLOSE])

    def test_todays_client(self) -> None:
        """One of today's is refused, and what it says there all the same breaks the rules."""
        player = self.player()
        self.assertEqual(player.ask("0"), ['4{"message":"Invalid namespace"}'])
        player.say('2["x"]')
        self.assert_ended(player)
