"""talk over its WebSocket protocol: frames in, frames out, whatever they are."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.accounts.store import User
from realtime.closing import CloseCode
from realtime.limiting import Rate
from realtime.talk.protocol import TalkFactory
from realtime.websocket.factory import Rules
from tests.documents import talk as document
from tests.talk.world import ANSWER, TALK, World
from tests.websocket.peers import BINARY, CLOSE, TEXT, Frame, Peer, Settings, client_frame, surroundings


class Server:
    """A listening talk, in memory."""

    def __init__(self, per_second: float = 1000) -> None:
        self.world = World()
        self.parts = surroundings(Settings(clock=self.world.clock, interval=10_000))
        rules = Rules(
            message_bytes=65_536,
            rate=Rate(per_second, 2 * per_second),
            send_buffer_bytes=1_000_000,
            handshake_timeout=10,
            unauthenticated_timeout=30,
        )
        self.factory = TalkFactory(self.parts, rules, self.world.lobby)
        self.world.tokens.users = {"viper": User(5, "viper", False), "bob": User(6, "bob", False)}

    def connect(self, token: str | None) -> Peer:
        """Open a connection."""
        headers = [] if token is None else [f"Authorization: Bearer {token}"]
        return Peer(self.factory, self.world.clock).shake("/talk", *headers)

    def pair(self) -> tuple[Peer, Peer, str]:
        """Two who are matched, and what their match is called; they have read it."""
        viper, bob = self.connect("viper"), self.connect("bob")
        for peer in (viper, bob):
            say(peer, "find", json.loads(document.FIND))
        match_id = json.loads(bob.texts()[0])["payload"]["match_id"]
        viper.texts()
        return viper, bob, match_id

    def left_over(self) -> dict[str, int]:
        """What is still there after a moment."""
        self.world.clock.advance(10)
        return {**self.world.left_over(), **({"connections": n} if (n := len(self.parts.admission)) else {})}


def say(peer: Peer, event: str, payload: Any) -> None:
    """Send an event."""
    peer.text(json.dumps({"event": event, "payload": payload}).encode())


def drawn(event: str, payload: str, match_id: str) -> Frame:
    """An event of the document as it is sent, with the match id that it has here."""
    written = json.loads(payload)
    if "match_id" in written:
        written["match_id"] = match_id
    return Frame(TEXT, json.dumps({"event": event, "payload": written}, separators=(",", ":")).encode())


def codes(peer: Peer) -> list[Any]:
    """What a peer was sent, in short: events, an error by its code, a close by its number."""
    peer.clock.advance(0)
    short: list[Any] = []
    for frame in peer.frames():
        if frame.opcode == CLOSE:
            short.append(frame.code)
        else:
            read = json.loads(frame.payload)
            short.append(read["payload"]["code"] if read["event"] == "error" else read["event"])
    return short


class ProtocolTests(SynchronousTestCase):
    """From the wire to the session and back."""

    def setUp(self) -> None:
        """Make a server."""
        self.server = Server()

    def test_the_documents_story(self) -> None:
        """The document's events are answered with its events, in text frames, byte for byte."""
        viper, bob = self.server.connect("viper"), self.server.connect("bob")
        for peer in (viper, bob):
            say(peer, "find", json.loads(document.FIND))
        (match,) = bob.frames()
        match_id = json.loads(match.payload)["payload"]["match_id"]
        self.assertEqual(match, drawn("match", document.MATCH, match_id))
        viper.frames()
        for peer in (viper, bob):
            say(peer, "confirm", {"match_id": match_id})
        for peer in (viper, bob):
            self.assertEqual(peer.frames(), [Frame(TEXT, b'{"event":"chat-start"}')])
        say(viper, "message", json.loads(document.MESSAGE))
        self.assertEqual(bob.frames(), [drawn("message", document.MESSAGE, match_id)])
        self.assertEqual(viper.frames(), [])
        self.server.world.clock.advance(TALK)
        for peer in (viper, bob):
            self.assertEqual(peer.frames(), [drawn("chat-stop", document.CHAT_STOP, match_id)])
        for peer in (viper, bob):
            say(peer, "answers", json.loads(document.ANSWERS) | {"match_id": match_id})
        for peer in (viper, bob):
            answers, close = peer.frames()
            self.assertEqual(answers, drawn("answers", document.ANSWERS, match_id))
            self.assertEqual((close.opcode, close.code), (CLOSE, CloseCode.DONE))
        self.assertEqual(self.server.left_over(), {})

    def test_no_token_and_a_wrong_one(self) -> None:
        """The upgrade is accepted, ``error`` is sent, and the connection closed with 4401."""
        for token in (None, "wrong"):
            self.assertEqual(codes(self.server.connect(token)), ["unauthorized", CloseCode.NOT_AUTHENTICATED])
        self.assertEqual(self.server.left_over(), {})

    def test_a_token_that_is_not_checked_in_time(self) -> None:
        """The connection is closed with 4401."""
        self.server.world.tokens.held = True
        peer = self.server.connect("viper")
        self.server.world.clock.advance(30)
        self.assertEqual(codes(peer), [CloseCode.NOT_AUTHENTICATED])
        self.server.world.tokens.answer()
        self.assertEqual(self.server.left_over(), {})

    def test_an_idle_connection_stays(self) -> None:
        """Once the token is accepted, no time is up."""
        peer = self.server.connect("viper")
        self.server.world.clock.advance(29)
        say(peer, "find", {"score": 1, "questions": []})
        self.server.world.clock.advance(2)
        self.assertEqual(codes(peer), [])

    def test_a_binary_frame(self) -> None:
        """Is of a kind that this protocol has no use for; a partner is told that the sender has left."""
        viper, bob, _ = self.server.pair()
        viper.write(client_frame(BINARY, b"{}"))
        self.assertEqual(codes(viper), [CloseCode.UNSUPPORTED_FRAME])
        self.assertEqual(codes(bob), ["partner-left", CloseCode.DONE])
        self.assertEqual(self.server.left_over(), {})

    def test_too_many_messages(self) -> None:
        """Are closed with 4429; a partner is told that the sender has left."""
        self.server = Server(per_second=5)
        viper, bob, match_id = self.server.pair()
        for peer in (viper, bob):
            say(peer, "confirm", {"match_id": match_id})
        for _ in range(10):
            say(viper, "message", {"message": "Hi"})
        self.assertEqual(codes(viper), ["chat-start", CloseCode.TOO_MANY_REQUESTS])
        self.assertEqual(codes(bob), ["chat-start", *["message"] * 8, "partner-left", CloseCode.DONE])
        self.assertEqual(self.server.left_over(), {})

    def test_a_message_that_crossed_chat_stop(self) -> None:
        """Is answered with ``error``, and both may still answer."""
        viper, bob, match_id = self.server.pair()
        for peer in (viper, bob):
            say(peer, "confirm", {"match_id": match_id})
        self.server.world.clock.advance(TALK)
        say(viper, "message", {"message": "Bye"})
        self.assertEqual(codes(viper), ["chat-start", "chat-stop", "not-allowed"])
        for peer in (viper, bob):
            say(peer, "answers", json.loads(document.ANSWERS) | {"match_id": match_id})
        self.assertEqual(codes(viper), ["answers", CloseCode.DONE])
        self.assertEqual(codes(bob), ["chat-start", "chat-stop", "answers", CloseCode.DONE])

    def test_a_newer_connection(self) -> None:
        """Replaces the older one."""
        older = self.server.connect("viper")
        newer = self.server.connect("viper")
        self.assertEqual((codes(older), codes(newer)), (["replaced", CloseCode.REPLACED], []))

    def test_the_end(self) -> None:
        """A connection that is lost, in whatever phase, leaves nothing behind."""
        idle = self.server.connect("viper")
        idle.go()
        self.assertEqual(self.server.left_over(), {})
        for seconds in (0.0, 1.0):
            viper, bob, match_id = self.server.pair()
            for peer in (viper, bob):
                say(peer, "confirm", {"match_id": match_id})
            self.server.world.clock.advance(TALK * seconds)
            viper.go()
            self.assertEqual(codes(bob)[-2:], ["partner-left", CloseCode.DONE])
            self.assertEqual(self.server.left_over(), {})
            self.server.world.clock.advance(1000)


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)
payloads = st.fixed_dictionaries(
    {},
    optional={
        "score": values,
        "questions": st.lists(st.fixed_dictionaries({"id": values, "question": values}), max_size=3),
        "match_id": values,
        "answers": st.lists(st.fixed_dictionaries({"question_id": values, "answer": values}), max_size=3),
        "message": values,
    },
)
events = st.builds(
    lambda name, key, payload: json.dumps({"event": name, key: payload}).encode("utf-8", "replace"),
    st.sampled_from(["find", "confirm", "message", "answers", "error", ""]) | values,
    st.sampled_from(["payload", "data", "x"]),
    payloads | values,
)
frames = st.tuples(st.just(TEXT), events | st.text().map(str.encode)) | st.tuples(
    st.integers(0, 15), st.binary(max_size=200)
)


class FuzzTests(SynchronousTestCase):
    """Arbitrary frames: always an event or a close code of the table, never a traceback."""

    @settings(max_examples=300, deadline=None)
    @given(st.sampled_from(["idle", "matched", "talking", "answering"]), st.lists(frames, max_size=20))
    def test_any_frames(self, phase: str, sent: list[tuple[int, bytes]]) -> None:
        """Whatever is sent, what comes back is well-formed, and nothing is left over."""
        server = Server()
        if phase == "idle":
            peer, other = server.connect("viper"), server.connect("bob")
        else:
            peer, other, match_id = server.pair()
            if phase != "matched":
                for each in (peer, other):
                    say(each, "confirm", {"match_id": match_id})
            if phase == "answering":
                server.world.clock.advance(TALK)
        for opcode, payload in sent:
            peer.write(client_frame(opcode, payload))
        for each in (peer, other):
            for frame in each.frames():
                if frame.opcode == TEXT:
                    event = json.loads(frame.payload)
                    self.assertEqual(
                        list(event), ["event"] if event["event"] == "chat-start" else ["event", "payload"]
                    )
                elif frame.opcode == CLOSE and frame.payload:
                    self.assertIn(frame.code, list(CloseCode))
        server.world.clock.advance(TALK + ANSWER)
        server.world.clock.advance(TALK + ANSWER)
        for each in (peer, other):
            each.go()
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(server.left_over(), {})
