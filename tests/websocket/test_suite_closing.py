"""Category 7: the closing handshake."""

import struct

import pytest
from twisted.internet.task import Clock

from tests.websocket.peers import CLOSE, CONTINUATION, PING, TEXT, Frame, client_frame, close_frame
from tests.websocket.suite import Case, client

_HELLO = client_frame(TEXT, b"Hello, world!")
_ECHO = Frame(TEXT, b"Hello, world!")
_LONG = b"BAsd7&jh23" * 26_215

_SEQUENCES = [
    Case("7.1.1", [_HELLO], [_ECHO]),
    Case("7.1.2", [close_frame(), close_frame()], closes=False),
    Case("7.1.3", [close_frame(), client_frame(PING)], closes=False),
    Case("7.1.4", [close_frame(), _HELLO], closes=False),
    Case(
        "7.1.5",
        [
            client_frame(TEXT, b"fragment1", final=False),
            close_frame(),
            client_frame(CONTINUATION, b"fragment2"),
        ],
        closes=False,
    ),
    Case(
        "7.1.6",
        [client_frame(TEXT, _LONG), _HELLO, close_frame(), client_frame(PING)],
        [Frame(TEXT, _LONG), _ECHO],
        closes=False,
    ),
]

_PAYLOADS = [
    Case("7.3.1", [close_frame(None)], closes=False),
    Case("7.3.2", [client_frame(CLOSE, b"a")], code=1002),
    Case("7.3.3", [close_frame(1000)], closes=False),
    Case("7.3.4", [close_frame(1000, b"Hello, world!")], closes=False),
    Case("7.3.5", [close_frame(1000, b"*" * 123)], closes=False),
    Case("7.3.6", [close_frame(1000, b"*" * 124)], code=1002),
    Case("7.5.1", [close_frame(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited")], code=1007),
]

_ALLOWED = (*(1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999),)
_FORBIDDEN = (0, 999, 1004, 1005, 1006, 1014, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
_CODES = [
    *(Case(f"7.7, {code}", [close_frame(code)], closes=False) for code in _ALLOWED),
    *(Case(f"7.9, {code}", [close_frame(code)], code=1002) for code in _FORBIDDEN),
    *(Case(f"7.9, {code}, with a reason", [close_frame(code, b"why")], code=1002) for code in _FORBIDDEN),
]


@pytest.mark.parametrize("case", [*_SEQUENCES, *_PAYLOADS, *_CODES], ids=lambda case: case.number)
def test_case(case: Case) -> None:
    """A close frame is answered with 1000 or with why it can't be right; nothing is read after it."""
    case.check()


@pytest.mark.parametrize("code", _FORBIDDEN)
def test_closed_after_a_wrong_close_frame(code: int) -> None:
    """A peer that closed with a code that it may not use has closed: it is not waited for."""
    clock = Clock()
    peer = client(clock)
    peer.write(client_frame(CLOSE, struct.pack("!H", code)))
    assert [frame.code for frame in peer.frames()] == [1002]
    assert peer.wire.gone
    assert not peer.wire.aborted
    assert not clock.getDelayedCalls()
