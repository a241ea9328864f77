"""Categories 1 to 5: framing, pings and pongs, reserved bits, opcodes, fragmentation."""

import pytest

from tests.websocket.peers import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, client_frame
from tests.websocket.suite import Case

_HELLO = client_frame(TEXT, b"Hello, world!")
_ECHO = Frame(TEXT, b"Hello, world!")
_SIZES = (0, 125, 126, 127, 128, 65535, 65536, 100_000)


def _part(opcode: int, payload: bytes, *, final: bool = False) -> bytes:
    return client_frame(opcode, payload, final=final)


def _reserved(opcode: int, bits: int, payload: bytes = b"Hello, world!") -> bytes:
    frame = client_frame(opcode, payload)
    return bytes([frame[0] | bits << 4]) + frame[1:]


_FRAMING = [
    Case(f"1.{kind}.{number}", [client_frame(opcode, letter * size)], [Frame(opcode, letter * size)])
    for kind, opcode, letter in ((1, TEXT, b"*"), (2, BINARY, b"\xfe"))
    for number, size in enumerate(_SIZES, 1)
]

_BYTES = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
_TEN = [b"payload-%d" % number for number in range(10)]
_PINGS = [
    Case("2.1", [client_frame(PING)], [Frame(PONG, b"")]),
    Case("2.2", [client_frame(PING, b"Hello, world!")], [Frame(PONG, b"Hello, world!")]),
    Case("2.3", [client_frame(PING, _BYTES)], [Frame(PONG, _BYTES)]),
    Case("2.4, 2.6", [client_frame(PING, b"\xfe" * 125)], [Frame(PONG, b"\xfe" * 125)]),
    Case("2.5", [client_frame(PING, b"\xfe" * 126)], code=1002),
    Case("2.7", [client_frame(PONG)]),
    Case("2.8", [client_frame(PONG, b"unsolicited")]),
    Case("2.9", [client_frame(PONG, b"unsolicited"), client_frame(PING, b"ping")], [Frame(PONG, b"ping")]),
    Case("2.10, 2.11", [client_frame(PING, each) for each in _TEN], [Frame(PONG, each) for each in _TEN]),
]

_RESERVED_BITS = [
    Case("3.1", [_reserved(TEXT, 1)], code=1002),
    *(
        Case(number, [_HELLO, _reserved(TEXT, bits), client_frame(PING)], [_ECHO], 1002)
        for number, bits in (("3.2", 2), ("3.3", 3), ("3.4", 4))
    ),
    Case("3.5", [_reserved(BINARY, 5, _BYTES)], code=1002),
    Case("3.6", [_reserved(PING, 6)], code=1002),
    Case("3.7", [_reserved(CLOSE, 7, b"\x03\xe8")], code=1002),
]

_OPCODES = [
    case
    for kind, first in ((1, 3), (2, 11))
    for case in (
        Case(f"4.{kind}.1", [client_frame(first)], code=1002),
        Case(f"4.{kind}.2", [client_frame(first + 1, b"reserved opcode payload")], code=1002),
        Case(f"4.{kind}.3", [_HELLO, client_frame(first + 2), client_frame(PING)], [_ECHO], 1002),
        Case(f"4.{kind}.4", [_HELLO, client_frame(first + 3, b"reserved"), client_frame(PING)], [_ECHO], 1002),
        Case(f"4.{kind}.5", [_HELLO, client_frame(first + 4, b"reserved"), client_frame(PING)], [_ECHO], 1002),
    )
]

_BEGIN, _END = _part(TEXT, b"fragment1"), _part(CONTINUATION, b"fragment2", final=True)
_JOINED = Frame(TEXT, b"fragment1fragment2")
_STRAY = [_part(CONTINUATION, b"non-continuation payload", final=True), _HELLO]
_STRAY_OPEN = [_part(CONTINUATION, b"non-continuation payload"), _HELLO]
_PINGED_BY = [
    *(_part(TEXT, b"fragment1"), _part(CONTINUATION, b"fragment2"), client_frame(PING, b"pongme 1!")),
    *(_part(CONTINUATION, b"fragment3"), _part(CONTINUATION, b"fragment4"), client_frame(PING, b"pongme 2!")),
    _part(CONTINUATION, b"fragment5", final=True),
]
_PONGED = [
    *(Frame(PONG, b"pongme 1!"), Frame(PONG, b"pongme 2!")),
    Frame(TEXT, b"fragment1fragment2fragment3fragment4fragment5"),
]
_FRAGMENTATION = [
    Case("5.1", [_part(PING, b"fragment1"), _END], code=1002),
    Case("5.2", [_part(PONG, b"fragment1"), _END], code=1002),
    Case("5.3, 5.4, 5.5", [_BEGIN, _END], [_JOINED]),
    Case("5.6, 5.7, 5.8", [_BEGIN, client_frame(PING, b"ping"), _END], [Frame(PONG, b"ping"), _JOINED]),
    Case("5.9, 5.10, 5.11", _STRAY, code=1002),
    Case("5.12, 5.13, 5.14", _STRAY_OPEN, code=1002),
    Case("5.15", [_BEGIN, _END, _part(CONTINUATION, b"fragment3"), _HELLO], [_JOINED], 1002),
    Case("5.16", [_part(CONTINUATION, b"fragment1"), _BEGIN, _END] * 2, code=1002),
    Case("5.17", [_part(CONTINUATION, b"fragment1", final=True), _BEGIN, _END] * 2, code=1002),
    Case("5.18", [_BEGIN, client_frame(TEXT, b"fragment2")], code=1002),
    Case("5.19, 5.20", _PINGED_BY, _PONGED),
]

_CASES = [*_FRAMING, *_PINGS, *_RESERVED_BITS, *_OPCODES, *_FRAGMENTATION]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.number)
def test_case(case: Case) -> None:
    """What comes is what the RFC asks for."""
    case.check()
