"""support over its WebSocket protocol: frames in, frames out, whatever they are."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.closing import CloseCode
from realtime.limiting import Rate
from realtime.support.protocol import SupportFactory
from realtime.websocket.factory import Rules
from tests.documents import support as document
from tests.support.world import START, World
from tests.websocket.peers import BINARY, CLOSE, TEXT, Frame, Peer, Settings, client_frame, surroundings

MESSAGE_BYTES = 65_536


class Server:
    """A listening support, in memory."""

    def __init__(self, per_second: float = 1000) -> None:
        self.world = World()
        self.parts = surroundings(Settings(clock=self.world.clock))
        rules = Rules(
            message_bytes=MESSAGE_BYTES,
            rate=Rate(per_second, 2 * per_second),
            send_buffer_bytes=1_000_000,
            handshake_timeout=10,
            unauthenticated_timeout=30,
        )
        self.factory = SupportFactory(self.parts, rules, self.world.parts)
        self.alice = self.world.user("alice")
        self.world.database.query("UPDATE users SET token = 'QWERTYUIOP'")

    def connect(self, *, authenticated: bool = True, path: str = "/support") -> Peer:
        """Open a connection."""
        peer = Peer(self.factory, self.world.clock).shake(path)
        if authenticated:
            peer.text(document.AUTH_REQUEST.encode())
            peer.frames()
        return peer

    def close(self) -> None:
        """End it."""
        self.world.database.close()


class ProtocolTests(SynchronousTestCase):
    """From the wire to the session and back."""

    def setUp(self) -> None:
        """Make a server."""
        self.server = Server()
        self.addCleanup(self.server.close)

    def test_the_documents_story(self) -> None:
        """The document's requests are answered with its replies, in text frames, byte for byte."""
        self.server.world.database.query(
            "INSERT INTO messages (user_id, invader_name, message, created, is_from_support) VALUES"
            " (1, '', 'Message from Client', datetime(?, 'unixepoch'), 0),"
            " (1, 'Operator1', 'Message from Operator', datetime(?, 'unixepoch'), 1)",
            *(START, START),
        )
        peer = self.server.connect(authenticated=False)
        peer.text(document.AUTH_REQUEST.encode())
        self.assertEqual(peer.frames(), [Frame(TEXT, in_one_line(document.AUTH_REPLY))])
        tab = self.server.connect()
        peer.text(b'{"method": "message.send", "params": ["Message from Client"], "id": 3}')
        self.assertEqual(peer.frames(), [Frame(TEXT, in_one_line(document.SEND_REPLY))])
        pushed = json.loads(document.SEND_REPLY) | {"id": None}
        self.assertEqual([json.loads(text) for text in tab.texts()], [pushed])
        peer.text(b'{"method": "message.send", "params": [5], "id": 1}')
        self.assertEqual(peer.frames(), [Frame(TEXT, in_one_line(document.INCORRECT_ARGUMENT_REPLY))])

    def test_a_wrong_token(self) -> None:
        """No frame but the close frame."""
        peer = self.server.connect(authenticated=False)
        peer.text(b'{"method": "message.auth", "params": ["wrong"], "id": 1}')
        (frame,) = peer.frames()
        self.assertEqual((frame.opcode, frame.code), (CLOSE, CloseCode.NOT_AUTHENTICATED))

    def test_no_authentication_in_time(self) -> None:
        """The connection is closed with 4401."""
        peer = self.server.connect(authenticated=False)
        self.server.world.clock.advance(30)
        self.server.world.clock.advance(0)
        self.assertEqual([frame.code for frame in peer.frames()], [CloseCode.NOT_AUTHENTICATED])

    def test_a_binary_frame(self) -> None:
        """Is of a kind that this protocol has no use for."""
        for authenticated in (True, False):
            peer = self.server.connect(authenticated=authenticated)
            peer.write(client_frame(BINARY, b"{}"))
            self.assertEqual([frame.code for frame in peer.frames()], [CloseCode.UNSUPPORTED_FRAME])

    def test_too_many_requests(self) -> None:
        """Error 6, and the connection stays."""
        server = Server(per_second=5)
        self.addCleanup(server.close)
        peer = server.connect()
        for number in range(12):
            peer.text(b'{"method": "message.history", "params": [], "id": %d}' % number)
        answers = [json.loads(text) for text in peer.texts()]
        codes = [answer["error"] and answer["error"]["code"] for answer in answers]
        self.assertEqual(codes, [None] * 9 + [6] * 3)
        server.world.clock.advance(1)
        peer.text(b'{"method": "message.history", "params": [], "id": 1}')
        self.assertEqual([json.loads(text)["error"] for text in peer.texts()], [None])

    def test_the_handshakes_token(self) -> None:
        """Reaches the session."""
        peer = self.server.connect(authenticated=False, path="/support?token=QWERTYUIOP")
        peer.text(b'{"method": "message.auth", "params": [], "id": 1}')
        self.assertEqual(peer.texts(), [in_one_line(document.AUTH_REPLY_EMPTY)])

    def test_the_end(self) -> None:
        """A connection that is lost leaves nothing behind."""
        peer = self.server.connect()
        peer.go()
        self.assertEqual((len(self.server.world.bus), len(self.server.parts.admission)), (0, 0))
        self.assertEqual(self.server.world.clock.getDelayedCalls(), [])


def in_one_line(drawn: str) -> bytes:
    """A frame of the document as it is sent."""
    return json.dumps(json.loads(drawn), separators=(",", ":")).encode()


ids = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
params = st.lists(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    max_size=4,
)
methods = st.sampled_from(
    [
        *("message.auth", "message.send", "message.operatorSend", "message.history"),
        *("message.conversations", "message.assign", "message.release", "message.seen", "", "x"),
    ]
)
requests = st.builds(
    lambda method, params, request_id: json.dumps(
        {"method": method, "params": params, "id": request_id}
    ).encode("utf-8", "replace"),
    methods | st.integers() | st.none(),
    params | st.text(max_size=3) | st.none(),
    ids,
)
frames = st.tuples(st.just(TEXT), requests | st.text().map(str.encode)) | st.tuples(
    st.integers(0, 15), st.binary(max_size=200)
)


class FuzzTests(SynchronousTestCase):
    """Arbitrary frames: always an answer or a close code of the table, never a traceback."""

    @settings(max_examples=300, deadline=None)
    @given(st.booleans(), st.booleans(), st.lists(frames, max_size=20))
    def test_any_frames(self, authenticated: bool, is_admin: bool, sent: list[tuple[int, bytes]]) -> None:
        """Whatever is sent, what comes back is well-formed and nothing is left over."""
        server = Server()
        if is_admin:
            server.world.database.query("UPDATE users SET is_admin = 1")
        peer = server.connect(authenticated=authenticated)
        for opcode, payload in sent:
            peer.write(client_frame(opcode, payload))
            for frame in peer.frames():
                if frame.opcode == TEXT:
                    answer = json.loads(frame.payload)
                    self.assertEqual(list(answer), ["error", "result", "id"])
                    self.assertIn(None, (answer["error"], answer["result"]))
                elif frame.opcode == CLOSE and frame.payload:
                    self.assertIn(frame.code, list(CloseCode))
        other = server.connect()
        other.text(b'{"method": "message.history", "params": [1], "id": 1}')
        (answer,) = [json.loads(text) for text in other.texts()]
        self.assertEqual(answer["error"], None, "nobody else is harmed")
        for each in (peer, other):
            each.go()
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual((len(server.world.bus), len(server.parts.admission)), (0, 0))
        server.close()
