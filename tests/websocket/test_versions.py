"""The libraries look as expected, and where they don't everything goes their own way."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from autobahn.websocket.protocol import WebSocketProtocol
from twisted.trial.unittest import SynchronousTestCase

from realtime.websocket import connection, versions
from tests.logged import Logged
from tests.websocket.connections import ConnectionTestCase
from tests.websocket.peers import CONTINUATION, PING, PONG, TEXT, Frame, client_frame
from tests.websocket.suite import Case


class VersionsTests(SynchronousTestCase):
    """What is looked at."""

    def test_these(self) -> None:
        """The versions that are installed are known."""
        self.assertEqual((versions.AUTOBAHN_FITS, versions.TWISTED_FITS), (True, True))

    def test_missing(self) -> None:
        """A method or a name in it that isn't there is noticed."""
        cases: list[tuple[str, set[str], bool]] = [
            ("processData", {"current_frame"}, True),
            ("processData", {"current_frame", "frame_of_tomorrow"}, False),
            ("process_data", set(), False),
            ("STATE_OPEN", set(), False),
        ]
        for method, names, expected in cases:
            self.assertIs(versions.fits({(WebSocketProtocol, method): names}), expected, (method, names))

    def assert_unknown(self, method: str, of_tomorrow: Callable[..., None]) -> None:
        """With another method an Autobahn is not known, which is told of once, at the import."""
        self.addCleanup(importlib.reload, versions)  # after the patch is taken back
        self.patch(WebSocketProtocol, method, of_tomorrow)
        logged = Logged(self)
        importlib.reload(versions)
        self.assertEqual((versions.AUTOBAHN_FITS, versions.TWISTED_FITS), (False, True))
        self.assertEqual(len(logged.above_debug()), 1)

    def test_another_parser(self) -> None:
        """A parser that doesn't keep its state where ours looks for it is noticed."""

        def parse(connection: Any) -> None:
            connection.state_of_tomorrow = 1

        self.assert_unknown("processData", parse)

    def test_more_state(self) -> None:
        """An attribute that connections get and that is not known here is noticed."""

        def made(connection: Any) -> None:
            for known in (connection.CONFIG_ATTRS, connection.setTrackTimings, connection.openHandshakeTimeout):
                assert known
            connection.attribute_of_tomorrow = 1

        self.assert_unknown("_connectionMade", made)


class AutobahnsOwnWayTests(ConnectionTestCase):
    """A connection without the shortcuts."""

    def setUp(self) -> None:
        """Have an Autobahn that is not known."""
        self.patch(versions, "AUTOBAHN_FITS", False)

        def never(*arguments: Any) -> None:
            raise AssertionError

        self.patch(connection, "whole_message", never)
        super().setUp()

    def test_works(self) -> None:
        """Messages, a fragmented one among them, a ping and the closing handshake: all as usual."""
        cases = (
            Case("1.1.2", [client_frame(TEXT, b"hello")], [Frame(TEXT, b"hello")]),
            Case("2.2", [client_frame(PING, b"hello")], [Frame(PONG, b"hello")]),
            Case(
                "5.3",
                [client_frame(TEXT, b"a", final=False), client_frame(CONTINUATION, b"b")],
                [Frame(TEXT, b"ab")],
            ),
        )
        for case in cases:
            case.check()

    def test_keeps_its_state(self) -> None:
        """Nothing is dropped that an Autobahn of another kind may need."""
        peer = self.open()
        self.assertIn("http_headers", peer.connection.__dict__)
