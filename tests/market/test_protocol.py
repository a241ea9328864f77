"""market on the wire: before the upgrade, the forms, the heartbeat, and whatever else may come."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.accounts.authentication import Identity
from realtime.accounts.errors import IssuerUnavailable
from realtime.market.codec import Form
from realtime.storage.errors import StorageUnavailable
from tests.market.world import INTERVAL, TIMEOUT, Market, Trader
from tests.websocket.peers import BINARY, CONTINUATION, PING, TEXT, Frame, client_frame

ASK, CONVERSATIONS, CREATE, ALERT = 5, 6, 7, 16


class ProtocolTestCase(SynchronousTestCase):
    """A market with two users; at the end nothing may be left."""

    def setUp(self) -> None:
        """Build it."""
        self.market = Market()
        self.alice, self.bob = self.market.user("alice"), self.market.user("bob")

    def tearDown(self) -> None:
        """Go."""
        self.assertEqual(self.market.left_over(), {})


class AdmissionTests(ProtocolTestCase):
    """Before the upgrade."""

    def test_refused(self) -> None:
        """No token, or a wrong one: 401."""
        for token in (None, "wrong"):
            peer = self.market.shake(token)
            self.assertEqual((peer.status, peer.header("WWW-Authenticate")), (401, "Bearer"))

    def test_cookie(self) -> None:
        """A cookie's token counts for a page of this host or of a listed origin, and for no other's."""
        cookie = "Cookie: token=alice"
        for origin, status in (
            ("http://chat.example", 101),
            ("https://shop.example", 101),
            ("https://evil.example", 401),
            ("null", 401),
        ):
            peer = self.market.shake(None, None, cookie, f"Origin: {origin}")
            self.assertEqual(peer.status, status, origin)
        self.assertEqual(self.market.shake(None, None, cookie).status, 101)

    def test_away(self) -> None:
        """While tokens can't be checked: 503."""
        for away in (StorageUnavailable("away"), IssuerUnavailable("away")):
            self.market.authenticator.away = away
            self.assertEqual(self.market.shake("alice").status, 503)

    def test_fault(self) -> None:
        """A fault of ours is logged, and answered with 500."""
        self.market.authenticator.away = ZeroDivisionError()
        self.assertEqual(self.market.shake("alice").status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_waits(self) -> None:
        """The upgrade waits for the check; what a client sends meanwhile is taken after it."""
        held = self.market.authenticator.held = []
        peer = self.market.shake("alice", Form.TEXT.value)
        self.assertEqual(peer.response, "")
        peer.text(b'{"type": 5, "data": {}}\r\n\r\n')
        held[0].callback(Identity(self.alice, None))
        self.market.clock.advance(0)
        peer.read_response()
        self.assertEqual((peer.status, peer.header("Sec-WebSocket-Protocol")), (101, "market.json"))
        self.assertEqual(Trader(peer, Form.TEXT).one(), (CONVERSATIONS, []))

    def test_too_much_meanwhile(self) -> None:
        """Who sends too much before the answer is cut, and the check given up."""
        self.market.authenticator.held = []
        peer = self.market.shake("alice")
        for _ in range(3):
            peer.write(client_frame(TEXT, bytes(30_000)))
        self.market.clock.advance(0)
        self.assertTrue(peer.wire.aborted)
        self.assertEqual(self.market.authenticator.cancelled, 1)

    def test_gone_meanwhile(self) -> None:
        """Who goes away meanwhile is asked after no more."""
        self.market.authenticator.held = []
        self.market.shake("alice").go()
        self.assertEqual(self.market.authenticator.cancelled, 1)

    def test_too_slow_a_check(self) -> None:
        """A check that takes longer than a handshake may ends with it."""
        self.market.authenticator.held = []
        peer = self.market.shake("alice")
        self.market.clock.advance(10)
        self.market.clock.advance(0)
        self.assertTrue(peer.wire.aborted)
        self.assertEqual(self.market.authenticator.cancelled, 1)

    def test_too_many_connections(self) -> None:
        """One connection too many of a user is closed with 4429, and hears nothing."""
        self.market.parts.admission._per_user = 1
        self.market.enter("alice", Form.TEXT)
        self.assertEqual(self.market.enter("alice", Form.TEXT).one(), (-1, 4429))


class FormTests(ProtocolTestCase):
    """In which form one is spoken to."""

    def test_golden_frames(self) -> None:
        """The same packet in each form, to the byte."""
        expected = {
            Form.TEXT: Frame(TEXT, b'{"type":6,"data":[]}'),
            Form.BINARY: Frame(BINARY, b'\x06{"conversations":[]}'),
            Form.MSGPACK: Frame(BINARY, b"\x06\x81\xadconversations\x90"),
        }
        for form, frame in expected.items():
            trader = self.market.enter("alice", form)
            trader.send(ASK)
            self.market.clock.advance(0)
            self.assertEqual(trader.peer.frames(), [frame])

    def test_as_the_last_frame(self) -> None:
        """Without a subprotocol the form is that of the client's last frame."""
        trader = self.market.enter("alice", Form.TEXT, named=False)
        for form, opcode in ((Form.TEXT, TEXT), (Form.BINARY, BINARY), (Form.TEXT, TEXT)):
            trader.form = form
            trader.send(ASK)
            self.market.clock.advance(0)
            self.assertEqual([frame.opcode for frame in trader.peer.frames()], [opcode])

    def test_nothing_before_the_first_frame(self) -> None:
        """What it is to be told waits for a client's first frame, and keeps its order."""
        silent = self.market.enter("bob", Form.TEXT, named=False)
        author = self.market.enter("alice", Form.TEXT)
        for text in ("one", "two"):
            author.send(CREATE, {"msg": text, "to": self.bob.id})
        self.assertEqual(silent.packets(), [])
        silent.send(ASK)
        packets = silent.packets()
        self.assertEqual([opcode for opcode, _ in packets], [ALERT, ALERT, CONVERSATIONS])
        self.assertEqual([body["json"]["content"] for _, body in packets[:2]], ["one", "two"])

    def test_until_the_first_ping(self) -> None:
        """With the first PING, which is binary, comes what has waited."""
        silent = self.market.enter("bob", Form.BINARY, named=False)
        self.market.enter("alice", Form.TEXT).send(CREATE, {"msg": "Hello", "to": self.bob.id})
        self.market.clock.pump([0.1] * 51)
        opcodes = [opcode for opcode, _ in silent.packets()]
        self.assertEqual(sorted(opcodes[:2]), [1, ALERT])

    def test_too_much_waits(self) -> None:
        """A client that shows no form is not told without end."""
        silent = self.market.enter("bob", Form.BINARY, named=False)
        author = self.market.enter("alice", Form.TEXT)
        for number in range(257):
            author.send(CREATE, {"msg": str(number), "to": self.bob.id})
        self.assertEqual(silent.one(), (-1, 4430))

    def test_excluded_frames(self) -> None:
        """A kind of frame that the subprotocol excludes closes with 1003, a PONG's too."""
        for form in Form:
            peer = self.market.enter("alice", form).peer
            if form is Form.TEXT:
                peer.binary(b"\x02")
            else:
                peer.text(b'{"type":2,"data":"pong"}')
            self.assertEqual(Trader(peer, form).one(), (-1, 1003))

    def test_undecodable(self) -> None:
        """What is no packet closes with 1007."""
        for form, payload in (
            *((Form.BINARY, b""), (Form.BINARY, b"\x07{"), (Form.MSGPACK, b"\x07\xc1")),
            *((Form.TEXT, b"hello"), (Form.TEXT, b"{}"), (Form.TEXT, b"[7]")),
        ):
            trader = self.market.enter("alice", form)
            (trader.peer.text if form is Form.TEXT else trader.peer.binary)(payload)
            self.assertEqual(trader.one(), (-1, 1007), payload)


class HeartbeatTests(ProtocolTestCase):
    """PING and PONG."""

    def test_golden_pings(self) -> None:
        """One in each interval, in the client's form, and nothing else."""
        expected = {
            Form.TEXT: Frame(TEXT, b'{"type":1,"data":"ping"}'),
            Form.BINARY: Frame(BINARY, b"\x01"),
            Form.MSGPACK: Frame(BINARY, b"\x01"),
        }
        peers = {form: self.market.enter("alice", form).peer for form in Form}
        self.market.clock.pump([0.1] * 250)
        for form, frame in expected.items():
            came = peers[form].frames()
            self.assertEqual(set(came), {frame})
            self.assertIn(len(came), (4, 5))

    def test_alive(self) -> None:
        """Who answers stays, in whatever way it writes its PONG."""
        pongs = (b"\x02", b'\x02{"any":1}', b"\x02x")
        traders = [self.market.enter("alice", Form.BINARY) for _ in pongs]
        text = self.market.enter("alice", Form.TEXT)
        for _ in range(20):
            self.market.clock.pump([0.1] * int(INTERVAL * 10))
            for trader, pong in zip(traders, pongs, strict=True):
                trader.peer.binary(pong)
            text.peer.text(b'{"type": 2, "data": "pong"}')
        for trader in (*traders, text):
            self.assertNotIn(-1, [opcode for opcode, _ in trader.packets()])

    def test_too_many(self) -> None:
        """A flood of PONGs is one like any other, in whatever form: 4429."""
        self.market.left_over()
        self.market = Market(per_second=5)
        self.market.user("alice")
        for form in Form:
            trader = self.market.enter("alice", form)
            pong = client_frame(
                *((TEXT, b'{"type":2,"data":"pong"}') if form is Form.TEXT else (BINARY, b"\x02"))
            )
            trader.peer.write(pong * 10)
            trader.send(ASK)
            self.assertEqual(trader.packets(), [(-1, 4429)])
            quiet = self.market.enter("alice", form)
            quiet.peer.write(pong * 9)
            quiet.send(ASK)
            self.assertEqual(quiet.one()[0], CONVERSATIONS)

    def test_in_parts(self) -> None:
        """A PONG in several frames is one as well."""
        trader = self.market.enter("alice", Form.TEXT)
        for _ in range(20):
            self.market.clock.pump([0.1] * 20)
            trader.peer.write(client_frame(TEXT, b'{"type":2,', final=False))
            trader.peer.write(client_frame(CONTINUATION, b'"data":"pong"}'))
        self.assertNotIn(-1, [opcode for opcode, _ in trader.packets()])

    def test_dead(self) -> None:
        """Who does not is closed with 4408, whatever else it sends, and cut if it stays silent."""
        trader = self.market.enter("alice", Form.TEXT)
        for _ in range(int(TIMEOUT)):
            trader.send(ASK)
            self.market.clock.pump([0.1] * 10)
        self.assertNotIn(-1, [opcode for opcode, _ in trader.packets()])
        self.market.clock.pump([0.1] * 5)
        self.assertEqual(trader.packets()[-1], (-1, 4408))
        self.market.clock.pump([0.1] * 55)
        self.assertTrue(trader.peer.wire.aborted)


class GarbageTests(ProtocolTestCase):
    """Whatever comes is answered."""

    @settings(max_examples=150)
    @given(
        st.sampled_from(Form),
        st.lists(
            st.one_of(
                st.binary(max_size=40),
                st.builds(
                    lambda opcode, body: bytes([opcode]) + json.dumps(body).encode(),
                    st.integers(0, 255),
                    st.recursive(
                        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
                        lambda inner: (
                            st.lists(inner, max_size=3)
                            | st.dictionaries(
                                st.sampled_from(["conversation", "service", "msg", "to", "price", "message"]),
                                inner,
                            )
                        ),
                        max_leaves=5,
                    ),
                ),
            ),
            max_size=5,
        ),
    )
    def test_anything(self, form: Form, payloads: list[bytes]) -> None:
        """No fault of ours is logged, and an honest client is served beside it."""
        self.setUp()
        trader = self.market.enter("alice", form)
        for payload in payloads:
            if form is Form.TEXT:
                trader.peer.text(payload.decode("latin-1").encode())
            else:
                trader.peer.binary(payload)
        trader.peer.write(client_frame(PING, b""))
        self.market.clock.advance(0)
        honest = self.market.enter("bob", Form.TEXT)
        honest.send(ASK)
        self.assertEqual(honest.packets()[-1][0], CONVERSATIONS)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.tearDown()
