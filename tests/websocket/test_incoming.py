"""The fast way in: ordinary frames are taken, and no others."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.websocket.incoming import LONGEST, whole_message
from tests.websocket.peers import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, client_frame

masks = st.binary(min_size=4, max_size=4)


class WholeMessageTests(SynchronousTestCase):
    """What is taken."""

    @given(st.binary(max_size=LONGEST), masks, st.binary(max_size=20), st.binary(max_size=20))
    def test_binary(self, payload: bytes, mask: bytes, before: bytes, after: bytes) -> None:
        """A whole frame anywhere in what came, with whatever stands before and after it."""
        data = before + client_frame(BINARY, payload, mask=mask) + after
        self.assertEqual(whole_message(data, len(before), LONGEST), (payload, True, len(data) - len(after)))

    @given(st.text(max_size=300), masks)
    def test_text(self, text: str, mask: bytes) -> None:
        """Any text."""
        frame = client_frame(TEXT, text.encode(), mask=mask)
        self.assertEqual(whole_message(frame, 0, LONGEST), (text.encode(), False, len(frame)))

    def test_lengths(self) -> None:
        """Up to the longest, in both ways to write a length."""
        for length in (0, 1, 2, 3, 4, 5, 125, 126, 127, 1000, LONGEST):
            payload = bytes(range(256)) * 6
            frame = client_frame(BINARY, payload[:length])
            self.assertEqual(whole_message(frame, 0, LONGEST), (payload[:length], True, len(frame)))


class LeftAloneTests(SynchronousTestCase):
    """What is left to Autobahn's parser."""

    def test_not_all_here(self) -> None:
        """Every part of a frame that is not the whole of it."""
        for frame in (client_frame(TEXT, b"hello"), client_frame(TEXT, b"x" * 200)):
            for length in range(len(frame)):
                self.assertIsNone(whole_message(frame[:length], 0, LONGEST), length)

    def test_out_of_the_ordinary(self) -> None:
        """Fragments, control frames, reserved bits, unmasked, too long, not UTF-8, oddly written."""
        hello = client_frame(TEXT, b"hello")
        for frame in (
            client_frame(TEXT, b"hello", final=False),
            client_frame(CONTINUATION, b"hello"),
            *(client_frame(opcode, b"hello") for opcode in (3, 7, CLOSE, PING, PONG, 11, 15)),
            *(bytes([hello[0] | bit]) + hello[1:] for bit in (0x10, 0x20, 0x40)),
            bytes([hello[0], hello[1] & 0x7F]) + hello[2:],
            client_frame(BINARY, b"x" * (LONGEST + 1)),
            client_frame(BINARY, b"x" * 70_000),
            *(client_frame(TEXT, bad) for bad in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82")),
            hello[:1] + b"\xfe\x00\x05" + hello[2:],
        ):
            self.assertIsNone(whole_message(frame, 0, LONGEST), frame[:8])

    def test_longer_than_is_asked_for(self) -> None:
        """The caller's bound counts."""
        frame = client_frame(TEXT, b"hello")
        self.assertIsNotNone(whole_message(frame, 0, 5))
        self.assertIsNone(whole_message(frame, 0, 4))
