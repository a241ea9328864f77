"""Engine.IO on a WebSocket from the first: handshake, packets, faults, and every way to end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime.closing import CloseCode
from realtime.socketio import engine_packets
from realtime.socketio.engine_context import Reason
from realtime.socketio.engine_packets import Group
from tests.socketio.world import PATH, EngineTestCase
from tests.websocket.peers import BINARY, TEXT, Frame, client_frame, close_frame, handshake_request

HANDSHAKE = "EIO=4&transport=websocket"


class HandshakeTests(EngineTestCase):
    """How a session begins."""

    def test_open(self) -> None:
        """The first message opens the session; there is nothing to upgrade to."""
        for path in ("/socket.io", "/socket.io/"):
            peer = self.websocket(f"{HANDSHAKE}&t=x", path=path)
            sid = self.application.sessions[-1].sid
            self.assertEqual(
                peer.texts(),
                [
                    f'0{{"sid":"{sid}","upgrades":[],"pingInterval":25000,"pingTimeout":20000,'
                    '"maxPayload":1000}'.encode()
                ],
            )
        self.assertEqual(len(self.parts.admission), 2)

    def test_by_itself(self) -> None:
        """The opening comes a moment after the answer to the handshake, or when the client says something."""
        for hurry in (False, True):
            peer = self.peer().shake(f"{PATH}?{HANDSHAKE}")
            self.assertEqual((peer.status, peer.frames(), self.application.sessions), (101, [], []))
            if hurry:
                peer.text(b"4x")
                self.assertEqual(peer.texts()[1:], [b"4x"])
            else:
                self.clock.advance(0.01)
                self.clock.advance(0)
                self.assertEqual(len(peer.texts()), 1)
            self.assertEqual(len(self.application.sessions), 1)
            peer.go()
            self.application.sessions.clear()
            self.application.reasons.clear()

    def test_gone_before_the_opening(self) -> None:
        """A client that is gone by then, or a server that stops, has never had a session."""
        self.peer().shake(f"{PATH}?{HANDSHAKE}").go()
        peer = self.peer().shake(f"{PATH}?{HANDSHAKE}")
        peer.write(close_frame())
        stopped = self.peer().shake(f"{PATH}?{HANDSHAKE}")
        for connection in self.parts.admission:
            connection.close_going_away()
        self.clock.advance(0)
        self.assert_closed(stopped, CloseCode.GOING_AWAY)
        self.clock.advance(1)
        self.assertEqual((self.application.sessions, self.application.reasons), ([], []))

    def test_older_revision(self) -> None:
        """Revision 3 has no maxPayload."""
        peer = self.websocket("EIO=3&transport=websocket")
        sid = self.application.sessions[-1].sid
        opening = f'0{{"sid":"{sid}","upgrades":[],"pingInterval":25000,"pingTimeout":20000}}'
        self.assertEqual(peer.texts(), [opening.encode()])

    def test_what_the_application_is_told(self) -> None:
        """What every WebSocket's handshake says."""
        self.websocket(f"{HANDSHAKE}&room=a&token=secret", "Origin: http://a")
        (handshake,) = self.application.handshakes
        self.assertEqual((handshake.origin, handshake.token), ("http://a", "secret"))
        self.assertEqual(handshake.query["room"], ["a"])
        self.assertEqual(self.logged.holding("secret", self.application.sessions[0].sid), [])

    def test_refused(self) -> None:
        """Before the upgrade, with the message as the body."""
        client = self.polling()
        for query, status, body in (
            ("EIO=4", 400, '{"code":0,"message":"Transport unknown"}'),
            ("EIO=4&transport=abc", 400, '{"code":0,"message":"Transport unknown"}'),
            (f"{HANDSHAKE}&sid=abc", 400, '{"code":1,"message":"Session ID unknown"}'),
            ("EIO=4&transport=polling", 400, '{"code":3,"message":"Bad request"}'),
            (client.named, 400, '{"code":3,"message":"Bad request"}'),
            ("transport=websocket", 400, '{"code":5,"message":"Unsupported protocol version"}'),
            ("EIO=5&transport=websocket", 400, '{"code":5,"message":"Unsupported protocol version"}'),
        ):
            peer = self.peer().shake(f"{PATH}?{query}")
            self.assertEqual((peer.status, peer.wire.value()), (status, body.encode()))
            self.assertEqual(peer.header("content-type"), "application/json")
            self.assertEqual(peer.header("content-length"), str(len(body)))
            self.assertTrue(peer.wire.gone)
        self.assertEqual(len(self.engine), 1)

    def test_refused_by_the_connection(self) -> None:
        """What every WebSocket is refused for: no key, a page that may not connect."""
        self.configure(connections={"origins": ["http://good"]})
        peer = self.peer()
        peer.write(handshake_request(f"{PATH}?{HANDSHAKE}", without="Sec-WebSocket-Key"))
        peer.read_response()
        self.assertEqual((peer.status, peer.header("content-length")), (400, "0"))
        self.assertEqual(self.peer().shake(f"{PATH}?{HANDSHAKE}", "Origin: http://bad").status, 403)
        self.assertEqual(len(self.parts.admission), 0)

    def test_gone_in_the_middle(self) -> None:
        """A client that is gone before it is answered leaves nothing, nor did it ever have a session."""
        peer = self.peer()
        peer.wire.protocol.dataReceived(handshake_request(f"{PATH}?{HANDSHAKE}")[:-1])
        peer.go()
        self.assertEqual(self.application.sessions, [])

    def test_fault_of_ours(self) -> None:
        """An application that fails ends the session alone, and is logged."""
        self.application.greeting = "raise"
        peer = self.websocket()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assert_closed(peer, CloseCode.TRY_AGAIN_LATER)


class PacketTests(EngineTestCase):
    """Packets both ways."""

    def test_echo(self) -> None:
        """Text and bytes."""
        peer, _ = self.on_websocket()
        peer.text("4hé€😀".encode())
        peer.binary(b"\x01\x02\x03\x04")
        peer.text(b"4")
        peer.binary(b"")
        self.assertEqual(
            peer.frames(),
            [
                *(Frame(TEXT, "4hé€😀".encode()), Frame(BINARY, b"\x01\x02\x03\x04")),
                *(Frame(TEXT, b"4"), Frame(BINARY, b"")),
            ],
        )
        self.assertEqual(self.application.got, ["hé€😀", b"\x01\x02\x03\x04", "", b""])

    def test_older_revision(self) -> None:
        """In revision 3 a binary message begins with its type."""
        peer, _ = self.on_websocket(version=3)
        peer.binary(b"\x04\x01\x02")
        peer.text(b"4x")
        peer.text(b"2")
        peer.text(b"2probe")
        self.assertEqual(
            peer.frames(),
            [
                *(Frame(BINARY, b"\x04\x01\x02"), Frame(TEXT, b"4x")),
                *(Frame(TEXT, b"3"), Frame(TEXT, b"3probe")),
            ],
        )

    def test_groups_stay_together(self) -> None:
        """What belongs together is sent together."""
        peer, session = self.on_websocket()
        session.send(Group(b"452-[]", (b"a", b"b")))
        session.send(engine_packets.message("next"))
        self.clock.advance(0)
        self.assertEqual(
            peer.frames(),
            [Frame(TEXT, b"452-[]"), Frame(BINARY, b"a"), Frame(BINARY, b"b"), Frame(TEXT, b"4next")],
        )

    def test_ignored(self) -> None:
        """Packets that a client has no use for are passed over."""
        peer, _ = self.on_websocket()
        for packet in (b"0", b"5", b"6", b"3", b"4x"):
            peer.text(packet)
        self.assertEqual(peer.texts(), [b"4x"])

    def test_websocket_pings(self) -> None:
        """The pings of the WebSocket itself are answered by the WebSocket itself."""
        peer, _ = self.on_websocket()
        peer.write(client_frame(9, b"x"))
        self.assertEqual(peer.frames(), [Frame(10, b"x")])


class EndTests(EngineTestCase):
    """Every way to end, at once and not by a time-out."""

    def assert_ended(self, reason: Reason) -> None:
        """The session is over, for this reason, and not to be found."""
        self.assertEqual(self.application.reasons, [reason])
        self.assertEqual(len(self.engine), 0)

    def test_malformed(self) -> None:
        """What is no packet, and what the server alone sends."""
        for frame in (b"", b"7", b"abc", "٤".encode(), b"2", b"2probe"):
            peer, _ = self.on_websocket()
            peer.text(frame)
            self.assert_closed(peer, CloseCode.POLICY_VIOLATION)
            self.assert_ended(Reason.PARSE_ERROR)
            self.application.reasons.clear()
            self.application.sessions.clear()

    def test_malformed_older(self) -> None:
        """The same in revision 3."""
        for kind, payload in ((TEXT, b"3"), (TEXT, b""), (BINARY, b""), (BINARY, b"\x03x")):
            peer, _ = self.on_websocket(version=3)
            peer.write(client_frame(kind, payload))
            self.assert_closed(peer, CloseCode.POLICY_VIOLATION)
            self.assertEqual(self.application.reasons[-1], Reason.PARSE_ERROR)

    def test_too_long(self) -> None:
        """A message of as many bytes as maxPayload says is taken, one more is not."""
        peer, _ = self.on_websocket()
        peer.text(b"4" + b"x" * 999)
        peer.binary(b"x" * 1000)
        self.assertEqual(len(peer.frames()), 2)
        peer.binary(b"x" * 1001)
        self.assert_closed(peer, CloseCode.MESSAGE_TOO_BIG)
        self.assert_ended(Reason.TRANSPORT_ERROR)

    def test_not_utf8(self) -> None:
        """Text that is not UTF-8."""
        peer, _ = self.on_websocket()
        peer.text(b"4\xff")
        self.assert_closed(peer, CloseCode.INVALID_PAYLOAD)
        self.assert_ended(Reason.TRANSPORT_ERROR)

    def test_close_packet(self) -> None:
        """A client that says it goes is closed at once."""
        peer, _ = self.on_websocket()
        peer.text(b"1")
        self.assert_closed(peer, CloseCode.DONE)
        self.assert_ended(Reason.TRANSPORT_CLOSE)

    def test_close_frame(self) -> None:
        """So is one that closes the WebSocket."""
        peer, _ = self.on_websocket()
        peer.write(close_frame())
        self.assert_closed(peer, CloseCode.DONE)
        self.assert_ended(Reason.TRANSPORT_CLOSE)

    def test_lost(self) -> None:
        """Or vanishes."""
        peer, _ = self.on_websocket()
        peer.go()
        self.assert_ended(Reason.TRANSPORT_CLOSE)

    def test_by_the_server(self) -> None:
        """What was sent before arrives; nothing is taken any more."""
        peer, session = self.on_websocket()
        session.send(engine_packets.message("bye"))
        session.close(CloseCode.NOT_AUTHENTICATED)
        peer.text(b"4too late")
        self.clock.advance(0)
        self.assertEqual(self.assert_closed(peer, CloseCode.NOT_AUTHENTICATED), [Frame(TEXT, b"4bye")])
        self.assertEqual(self.application.got, [])
        self.assert_ended(Reason.FORCED_CLOSE)
        self.assertEqual(
            len(self.parts.admission), 1
        )  # the connection is there until the client has closed, too
        peer.write(close_frame())
        self.clock.advance(0)
        self.assertEqual(len(self.parts.admission), 0)

    def test_stopping(self) -> None:
        """Sessions are among those that are closed when the server stops, and cut."""
        peer, session = self.on_websocket()
        self.assertEqual(list(self.parts.admission), [session])
        session.close_going_away()
        self.clock.advance(0)
        self.assert_closed(peer, CloseCode.GOING_AWAY)
        self.assert_ended(Reason.SERVER_SHUTTING_DOWN)
        session.abort()
        self.clock.advance(0)
        self.assertTrue(peer.wire.gone)
        self.assertEqual(len(self.parts.admission), 0)

    def test_fault_of_ours(self) -> None:
        """An application that fails over a message ends the session alone."""
        peer, _ = self.on_websocket()
        peer.text(b"4raise")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assert_closed(peer, CloseCode.TRY_AGAIN_LATER)

    def test_slow_reader(self) -> None:
        """A client that leaves too much unread is closed as everywhere."""
        peer, session = self.on_websocket()
        peer.wire.slow = True
        for _ in range(30):
            session.send(engine_packets.message("x" * 1000))
            self.clock.advance(0)
        self.assert_ended(Reason.TRANSPORT_CLOSE)
        peer.wire.read_on()
        self.clock.advance(0)
        self.assert_closed(peer, CloseCode.SLOW_READER)

    def test_rate(self) -> None:
        """What comes beyond the rate is the application's to answer."""
        self.configure(per_second=2.0)
        peer, _ = self.on_websocket()
        for number in range(6):
            peer.text(b"4%d" % number)
        self.assertEqual(self.application.beyond, ["4", "5"])
        self.assertEqual(self.application.reasons, [])
        peer.text(b"3")
        self.assert_ended(Reason.FORCED_CLOSE)
        self.assertEqual(peer.frames()[-1].code, CloseCode.TOO_MANY_REQUESTS)


class HeartbeatTests(EngineTestCase):
    """Who lives."""

    def test_ping(self) -> None:
        """A ping comes an interval after the opening and after each pong."""
        peer, _ = self.on_websocket()
        for _ in range(3):
            self.clock.advance(24.5)
            self.assertEqual(peer.texts(), [])
            self.clock.advance(0.5)
            self.clock.advance(0)
            self.assertEqual(peer.texts(), [b"2"])
            peer.text(b"4a message is no pong")
            peer.texts()
            self.clock.advance(19)
            peer.text(b"3")
        self.assertEqual(self.application.reasons, [])

    def test_no_pong(self) -> None:
        """Without a pong the session is over."""
        peer, _ = self.on_websocket()
        self.clock.advance(25)
        self.clock.advance(20)
        self.clock.advance(0)
        self.assertEqual(self.assert_closed(peer, CloseCode.NO_PONG), [Frame(TEXT, b"2")])
        self.assertEqual(self.application.reasons, [Reason.PING_TIMEOUT])

    def test_pongs_that_nobody_asked_for(self) -> None:
        """They change nothing."""
        peer, _ = self.on_websocket()
        self.clock.advance(20)
        peer.text(b"3")
        self.clock.advance(5)
        self.clock.advance(0)
        self.assertEqual(peer.texts(), [b"2"])

    def test_silent_old_client(self) -> None:
        """In revision 3 it is the client that pings."""
        peer, _ = self.on_websocket(version=3)
        self.clock.advance(44)
        peer.text(b"2")
        self.clock.advance(44)
        self.assertEqual(peer.texts(), [b"3"])
        self.clock.advance(1)
        self.clock.advance(0)
        self.assert_closed(peer, CloseCode.NO_PONG)


class PropertyTests(EngineTestCase):
    """Whatever comes, it is one session's matter."""

    @given(
        st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), st.binary(max_size=20)), max_size=8), st.booleans()
    )
    def test_garbage(self, messages: list[tuple[int, bytes]], old: bool) -> None:
        """Any messages are answered or end the session, without a traceback, and leave nothing."""
        self.configure()
        peer, _ = self.on_websocket(version=3 if old else 4)
        for kind, payload in messages:
            peer.write(client_frame(kind, payload))
        peer.go()
        self.assertEqual(len(self.application.reasons), 1)
        self.assert_nothing_left()
        self.assertEqual(self.logged.above_debug(), [])
