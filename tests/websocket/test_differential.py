"""Nothing is bent: ours and the stock Autobahn protocol do the same with the same bytes."""

from random import Random
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.websocket.incoming import whole_message
from tests.websocket.differential import difference, stock_outcome
from tests.websocket.peers import BINARY, CLOSE, CONTINUATION, PING, TEXT, client_frame, handshake_request
from tests.websocket.streams import Case, case

_HELLO = handshake_request("/support")


class DifferentialTests(SynchronousTestCase):
    """The same messages, the same bytes on the wire, the same close codes."""

    @settings(max_examples=150, deadline=None)
    @given(st.randoms(use_true_random=False))
    def test_any_stream(self, random: Random) -> None:
        """Whatever a client sends, and however the network cuts it."""
        each = case(random)
        found = difference(each)
        self.assertIsNone(found, f"{found}\n{each}")

    def test_seeded(self) -> None:
        """The same, for streams that are the same each time."""
        for seed in range(600):
            found = difference(case(Random(seed), compression=seed % 2 == 1))
            self.assertIsNone(found, f"seed {seed}: {found}")

    def test_cut_at_every_place(self) -> None:
        """A stream with something of everything, in two pieces, cut at each place there is."""
        data = b"".join(
            (
                client_frame(TEXT, "h\u00e9llo".encode()),
                client_frame(BINARY, bytes(200)),
                client_frame(TEXT, b"a\xe2", final=False),
                client_frame(PING, b"between"),
                client_frame(CONTINUATION, b"\x82\xac"),
                client_frame(TEXT, b""),
                client_frame(CLOSE, b"\x03\xe8bye"),
            )
        )
        for place in range(len(data) + 1):
            self.assertIsNone(difference(Case(1000, False, [_HELLO, data[:place], data[place:]])), place)
            self.assertIsNone(difference(Case(1000, False, [_HELLO + data[:place], data[place:]])), place)

    def test_that_it_would_be_seen(self) -> None:
        """The streams reach what they are for, or the comparison would show nothing."""
        outcomes = [stock_outcome(case(Random(seed))) for seed in range(300)]
        codes = {each.local_code for each in outcomes}
        self.assertLessEqual({None, 1000, 1002, 1007, 1009, 4409}, codes)
        self.assertGreater(sum(len(each.messages) for each in outcomes), 300)
        self.assertGreater(sum(each.local_code == 1000 and each.clean for each in outcomes), 20)

    def test_a_difference_is_found(self) -> None:
        """Where ours is made to differ, that is noticed."""

        def shouted(data: bytes, start: int, longest: int) -> tuple[bytes, bool, int] | None:
            found = whole_message(data, start, longest)
            return found and (found[0].upper(), *found[1:])

        with patch("realtime.websocket.connection.whole_message", shouted):
            found = difference(Case(1000, False, [_HELLO, client_frame(TEXT, b"hello")]))
        self.assertIn("messages", found or "")
