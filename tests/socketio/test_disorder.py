"""Clients that keep no rules, and a server that does as it likes: nothing breaks, nothing stays."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import LogLevel

from realtime.socketio import engine_packets
from realtime.socketio.engine_packets import Group
from tests.socketio.world import PATH, Client, EngineTestCase
from tests.websocket.peers import BINARY, TEXT, Peer, client_frame, handshake_request

STEPS = st.one_of(
    st.tuples(
        st.sampled_from(
            [
                *("poll", "poll", "poll_on_the_same", "drop_poll", "begin_post", "end_post", "drop_post"),
                *("probe", "probe", "drop_websocket", "send", "send_much", "close", "abort", "turn", "wait"),
            ]
        ),
        st.just(b""),
    ),
    st.tuples(
        st.sampled_from(["post", "speak", "speak", "speak_bytes"]),
        st.sampled_from(
            [
                *(
                    b"2probe",
                    b"5",
                    b"5",
                    b"3",
                    b"2",
                    b"1",
                    b"6",
                    b"0",
                    b"4x",
                    b"4x\x1e4y",
                    b"4close",
                    b"bAQ==",
                    b"",
                ),
                *(b"4\xff", b"4" + b"x" * 2000, b"2:4x", b"1:3", b"1:2", b"1:1", b"6:4close", b"\x00\x01\xff2"),
            ]
        ),
    ),
)


class DisorderTests(EngineTestCase):
    """One session that everything is done to."""

    @settings(deadline=None, max_examples=150)
    @given(st.lists(STEPS, max_size=25), st.booleans())
    def test_anything(self, steps: list[tuple[str, bytes]], old: bool) -> None:
        """In any order; afterwards there is no session, no timer, no request, and nothing in the log."""
        self.configure(send_buffer_bytes=2000, per_second=20.0)
        story = Story(self, self.polling(version=3 if old else 4))
        for step, data in steps:
            getattr(story, step)(*([data] if step in ("post", "speak", "speak_bytes") else []))
        self.tearDown()
        self.assertEqual([each for each in self.logged.events if each["log_level"] > LogLevel.info], [])
        self.assertEqual(len(self.application.reasons), len(self.application.sessions))


class Story:
    """What may be done to a session."""

    def __init__(self, test: EngineTestCase, client: Client) -> None:
        self.test = test
        self.client = client
        self.polls: list[Peer] = []
        self.posts: list[Peer] = []
        self.websockets: list[Peer] = []

    def poll(self) -> None:
        """Ask for packets."""
        self.polls.append(self.client.poll())

    def poll_on_the_same(self) -> None:
        """Ask for packets twice on the connection that asked last."""
        for peer in self.polls[-1:]:
            peer.write(f"GET {PATH}?{self.client.named} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * 2)

    def drop_poll(self) -> None:
        """Cut the connection that asked first."""
        for peer in self.polls[:1]:
            peer.go()
            self.polls.remove(peer)

    def post(self, body: bytes) -> None:
        """Bring something."""
        kind = "application/octet-stream" if body[:1] == b"\x00" else "text/plain"
        response = self.client.post(body, f"Content-Type: {kind}")
        self.test.assertIn(response.status, (200, 400, 413))

    def begin_post(self) -> None:
        """Begin to bring something."""
        peer = self.test.peer()
        head = f"POST {PATH}?{self.client.named} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
        peer.write(head.encode() + b"3:4")
        self.posts.append(peer)

    def end_post(self) -> None:
        """Bring the rest."""
        for peer in self.posts[:1]:
            peer.write(b"xy")
            self.posts.remove(peer)

    def drop_post(self) -> None:
        """Cut the connection that has begun to."""
        for peer in self.posts[:1]:
            peer.go()
            self.posts.remove(peer)

    def probe(self) -> None:
        """Open a WebSocket for the session."""
        peer = self.test.peer()
        version = self.client.version
        target = f"{PATH}?EIO={version}&transport=websocket&sid={self.client.sid}"
        peer.write(handshake_request(target) + client_frame(TEXT, b"2probe"))
        self.websockets.append(peer)

    def speak(self, payload: bytes) -> None:
        """Send text on the first WebSocket that there is."""
        for peer in [each for each in self.websockets if not each.wire.gone][:1]:
            peer.write(client_frame(TEXT, payload))

    def speak_bytes(self, payload: bytes) -> None:
        """Send bytes on the last."""
        for peer in self.websockets[-1:]:
            peer.write(client_frame(BINARY, payload))

    def drop_websocket(self) -> None:
        """Cut the first."""
        for peer in [each for each in self.websockets if not each.wire.gone][:1]:
            peer.go()

    def send(self) -> None:
        """The server sends a group."""
        self.client.session.send(Group(b"4x", (b"y",)))

    def send_much(self) -> None:
        """The server sends more than may wait."""
        for _ in range(3):
            self.client.session.send(engine_packets.message("x" * 1500))

    def close(self) -> None:
        """The server closes the session."""
        self.client.session.close()

    def abort(self) -> None:
        """The server cuts it."""
        self.client.session.abort()

    def turn(self) -> None:
        """A turn of the reactor ends."""
        self.test.clock.advance(0)

    def wait(self) -> None:
        """A heartbeat or two pass."""
        for _ in range(13):
            self.test.clock.advance(1)
