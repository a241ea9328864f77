"""Frames as bytes."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.websocket import frames
from tests.websocket.peers import BINARY, PING, TEXT, Frame, server_frames


class FramesTests(SynchronousTestCase):
    """What a client reads from what we write."""

    def test_samples(self) -> None:
        """The samples of RFC 6455, section 5.7."""
        self.assertEqual(frames.text(b"Hello"), bytes.fromhex("810548656c6c6f"))
        self.assertEqual(frames.ping(b"Hello"), bytes.fromhex("890548656c6c6f"))
        self.assertEqual(frames.binary(b"x" * 256), bytes.fromhex("827e0100") + b"x" * 256)
        self.assertEqual(frames.binary(b"x" * 65536), bytes.fromhex("827f0000000000010000") + b"x" * 65536)

    def test_each_form_of_length(self) -> None:
        """At the borders between the three forms of length the shortest is taken."""
        for length, head in ((0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10)):
            self.assertEqual(len(frames.text(b"x" * length)), head + length)

    @given(payload=st.binary(max_size=300))
    def test_read_back(self, payload: bytes) -> None:
        """What is framed is read back as it was."""
        data = frames.text(payload) + frames.binary(payload) + frames.ping(payload[:125])
        expected = [Frame(TEXT, payload), Frame(BINARY, payload), Frame(PING, payload[:125])]
        self.assertEqual(server_frames(data), (expected, b""))
