"""Category 6: texts are UTF-8, and one that is not is refused at the byte that shows it."""

import pytest
from twisted.internet.task import Clock

from tests.websocket.peers import CONTINUATION, TEXT, Frame, client_frame
from tests.websocket.suite import Case, client

_GREEK = "Hello-\u00b5@\u00df\u00f6\u00e4\u00fc\u00e0\u00e1-UTF-8!!".encode()
_KOSME = "\u03ba\u1f79\u03c3\u03bc\u03b5".encode()


def _in_parts(*parts: bytes) -> list[bytes]:
    last = len(parts) - 1
    return [
        client_frame(CONTINUATION if number else TEXT, part, final=number == last)
        for number, part in enumerate(parts)
    ]


def _bytewise(text: bytes) -> list[bytes]:
    return _in_parts(*(text[i : i + 1] for i in range(len(text))))


_MESSAGES = [
    Case("6.1.1", [client_frame(TEXT)], [Frame(TEXT, b"")]),
    Case("6.1.2", _in_parts(b"", b"", b""), [Frame(TEXT, b"")]),
    Case("6.1.3", _in_parts(b"", b"middle frame payload", b""), [Frame(TEXT, b"middle frame payload")]),
    Case("6.2.1", [client_frame(TEXT, _GREEK)], [Frame(TEXT, _GREEK)]),
    Case("6.2.2", _in_parts(_GREEK[:8], _GREEK[8:]), [Frame(TEXT, _GREEK)]),
    Case("6.2.3", _bytewise(_GREEK), [Frame(TEXT, _GREEK)]),
    Case("6.2.4", _bytewise(_KOSME), [Frame(TEXT, _KOSME)]),
    Case("6.3.1", [client_frame(TEXT, _KOSME + b"\xed\xa0\x80edited")], code=1007),
    Case("6.3.2", _bytewise(_KOSME + b"\xed\xa0\x80edited"), code=1007),
]

_VALID = {
    "6.5": [_KOSME],
    "6.6, whole letters": [_KOSME[:2], _KOSME[:5], _KOSME[:7], _KOSME[:9], _KOSME],
    "6.7": [b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"],
    "6.9": [b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"],
    "6.11": [b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf"],
    "6.22": [
        *(f"{chr(plane << 16 | 0xFFFE)}".encode() for plane in range(17)),
        *(f"{chr(plane << 16 | 0xFFFF)}".encode() for plane in range(17)),
    ],
    "6.23": ["\ufff9\ufffa\ufffb\ufffc\ufffd".encode()],
}

_INVALID = {
    "6.6, parts of letters": [_KOSME[:n] for n in (1, 3, 4, 6, 8, 10)],
    "6.8": [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"],
    "6.10": [b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"],
    "6.11.5": [b"\xf4\x90\x80\x80"],
    "6.12": [*(b"\x80\xbf\x80\xbf\x80\xbf"[:n] for n in range(1, 7)), b"\xbf", bytes(range(0x80, 0xC0))],
    "6.13": [
        *(
            b" ".join(bytes([first]) for first in range(*firsts)) + b" "
            for firsts in ((0xC0, 0xE0), (0xE0, 0xF0))
        ),
        *(
            b" ".join(bytes([first]) for first in range(*firsts)) + b" "
            for firsts in ((0xF0, 0xF8), (0xF8, 0xFC))
        ),
        b"\xfc \xfd ",
    ],
    "6.14": [
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xdf",
        b"\xef\xbf",
        b"\xf7\xbf\xbf",
        b"\xfd\xbf\xbf\xbf\xbf",
    ],
    "6.15": [b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf"],
    "6.16": [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"],
    "6.17": [b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf"],
    "6.18": [b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf"],
    "6.19": [b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80"],
    "6.20": [
        f"{chr(surrogate)}".encode("utf-8", "surrogatepass")
        for surrogate in (0xD800, 0xDB7F, 0xDB80, 0xDBFF, 0xDC00, 0xDF80, 0xDFFF)
    ],
    "6.21": [
        f"{chr(high)}{chr(low)}".encode("utf-8", "surrogatepass")
        for high in (0xD800, 0xDB7F, 0xDB80, 0xDBFF)
        for low in (0xDC00, 0xDFFF)
    ],
}


@pytest.mark.parametrize("case", _MESSAGES, ids=lambda case: case.number)
def test_messages(case: Case) -> None:
    """Empty parts, and letters that stand across parts, are no fault."""
    case.check()


@pytest.mark.parametrize("number", _VALID)
def test_valid(number: str) -> None:
    """Valid texts come back as they are."""
    for text in _VALID[number]:
        Case(number, [client_frame(TEXT, text)], [Frame(TEXT, text)]).check()
        Case(number, _bytewise(text), [Frame(TEXT, text)]).check()


@pytest.mark.parametrize("number", _INVALID)
def test_invalid(number: str) -> None:
    """All others are refused, whole and in parts."""
    for text in _INVALID[number]:
        Case(number, [client_frame(TEXT, text)], code=1007).check()
        Case(number, _bytewise(text), code=1007).check()


@pytest.mark.parametrize(
    ("number", "good", "bad"),
    [("6.4.1", _KOSME, b"\xf4\x90\x80\x80"), ("6.4.2", _KOSME + b"\xf4", b"\x90")],
)
def test_fails_at_the_part(number: str, good: bytes, bad: bytes) -> None:
    """A part that can't be UTF-8 any more is refused before the message has ended."""
    clock = Clock()
    peer = client(clock)
    peer.write(client_frame(TEXT, good, final=False))
    assert peer.frames() == []
    peer.write(client_frame(CONTINUATION, bad, final=False))
    assert [frame.code for frame in peer.frames()] == [1007]
    peer.go()


@pytest.mark.parametrize(
    ("number", "good", "bad"),
    [("6.4.3", _KOSME, b"\xf4\x90\x80\x80"), ("6.4.4", _KOSME + b"\xf4", b"\x90")],
)
def test_fails_within_a_frame(number: str, good: bytes, bad: bytes) -> None:
    """So is what has come of a frame, before the rest of it."""
    clock = Clock()
    peer = client(clock)
    frame = client_frame(TEXT, good + bad + b"edited")
    before = 6 + len(good)
    peer.write(frame[:before])
    assert peer.frames() == []
    peer.write(frame[before : before + len(bad)])
    assert [frame.code for frame in peer.frames()] == [1007]
    peer.go()
