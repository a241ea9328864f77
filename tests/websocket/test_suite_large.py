"""Category 9: large messages, many parts, many messages; the sizes are scaled to what a test may take."""

import pytest
from twisted.internet.task import Clock

from tests.websocket.peers import BINARY, CONTINUATION, TEXT, Frame, client_frame
from tests.websocket.suite import client

_SIZES = (65_536, 262_144, 1_048_576, 4_194_304)
_MIDDLE = 262_144


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def _echoed(opcode: int, payload: bytes, pieces: list[bytes]) -> None:
    clock = Clock()
    peer = client(clock, longest=len(payload))
    for piece in pieces:
        peer.write(piece)
    assert peer.frames() == [Frame(opcode, payload)]
    peer.go()
    assert not clock.getDelayedCalls()


@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize(("opcode", "letter"), [(TEXT, b"*"), (BINARY, b"\xfe")], ids=["9.1", "9.2"])
def test_one_frame(opcode: int, letter: bytes, size: int) -> None:
    """A large message in one frame, as it may come from a socket."""
    frame = client_frame(opcode, letter * size)
    _echoed(opcode, letter * size, _pieces(frame, 65_536))


@pytest.mark.parametrize("size", [64, 256, 1024, 4096, 16_384, 65_536, _MIDDLE])
@pytest.mark.parametrize(("opcode", "letter"), [(TEXT, b"*"), (BINARY, b"\xfe")], ids=["9.3", "9.4"])
def test_parts(opcode: int, letter: bytes, size: int) -> None:
    """A message in many frames."""
    payload = letter * _MIDDLE
    parts = _pieces(payload, size)
    frames = [
        client_frame(CONTINUATION if number else opcode, part, final=number == len(parts) - 1)
        for number, part in enumerate(parts)
    ]
    _echoed(opcode, payload, _pieces(b"".join(frames), 65_536))


@pytest.mark.parametrize("size", [64, 128, 256, 512, 1024, 2048])
@pytest.mark.parametrize(("opcode", "letter"), [(TEXT, b"*"), (BINARY, b"\xfe")], ids=["9.5", "9.6"])
def test_small_reads(opcode: int, letter: bytes, size: int) -> None:
    """A message in one frame that comes bit by bit."""
    payload = letter * _MIDDLE
    _echoed(opcode, payload, _pieces(client_frame(opcode, payload), size))


@pytest.mark.parametrize("size", [0, 16, 64, 256, 1024, 4096])
@pytest.mark.parametrize(("opcode", "letter"), [(TEXT, b"*"), (BINARY, b"\xfe")], ids=["9.7", "9.8"])
def test_round_trips(opcode: int, letter: bytes, size: int) -> None:
    """Many messages, one after the other."""
    clock = Clock()
    peer = client(clock)
    frame = client_frame(opcode, letter * size)
    for _ in range(200):
        peer.write(frame)
        assert peer.frames() == [Frame(opcode, letter * size)]
    peer.go()


def test_too_large() -> None:
    """One byte more than a server takes is 1009, in one frame and in parts; the limit itself is not."""
    limit = 10_000
    for frames in (
        [client_frame(BINARY, bytes(limit + 1))],
        [client_frame(BINARY, bytes(limit), final=False), client_frame(CONTINUATION, b"x")],
    ):
        clock = Clock()
        peer = client(clock, longest=limit)
        peer.write(client_frame(BINARY, bytes(limit)))
        assert peer.frames() == [Frame(BINARY, bytes(limit))]
        peer.write(b"".join(frames))
        assert [frame.code for frame in peer.frames()] == [1009]
        peer.go()
        assert not clock.getDelayedCalls()
