"""Categories 12 and 13: permessage-deflate, with what clients may offer; and what must not be let in."""

import zlib

import pytest
from twisted.internet.task import Clock

from realtime.websocket import frames
from tests.websocket.peers import BINARY, CLOSE, CONTINUATION, PING, TEXT, Peer, client_frame, close_frame
from tests.websocket.streams import OFFER, deflated
from tests.websocket.suite import client

_COMPRESSED = 0x40
_OFFERS = {
    "13.1": "permessage-deflate",
    "13.2": "permessage-deflate; server_no_context_takeover",
    "13.3": "permessage-deflate; server_max_window_bits=9",
    "13.4": "permessage-deflate; server_max_window_bits=15",
    "13.5": "permessage-deflate; server_max_window_bits=9; server_no_context_takeover",
    "13.6": "permessage-deflate; server_max_window_bits=15; server_no_context_takeover",
    "13.7": "permessage-deflate; client_max_window_bits, permessage-deflate; server_max_window_bits=9",
    "browsers'": "permessage-deflate; client_max_window_bits",
}
_SIZES = (0, 16, 64, 256, 1024, 4096, 8192, 16_384, 32_768, 65_536, 131_072)


def _text(size: int) -> bytes:
    words = b'{"id": %d, "method": "message.send", "params": ["some text %d"]}'
    return b"".join(words % (number, number * 7919) for number in range(size // 55 + 1))[:size]


def _flagged(frame: bytes) -> bytes:
    return bytes([frame[0] | _COMPRESSED]) + frame[1:]


def _sent(peer: Peer, bits: int, *, takeover: bool) -> list[bytes]:
    """Read compressed text frames as a client does that keeps ``bits`` of a window."""
    inflater = zlib.decompressobj(-bits)
    data, texts = peer.wire.value(), []
    peer.wire.clear()
    while data:
        assert data[0] == 0x80 | _COMPRESSED | TEXT
        length, start = data[1], 2
        if length >= 126:
            start = 4 if length == 126 else 10
            length = int.from_bytes(data[2:start])
        if not takeover:
            inflater = zlib.decompressobj(-bits)
        texts.append(inflater.decompress(data[start : start + length] + b"\x00\x00\xff\xff"))
        data = data[start + length :]
    return texts


@pytest.mark.parametrize("number", _OFFERS)
def test_offers(number: str) -> None:
    """Messages of all sizes, in one frame and in parts, with what each client asks for."""
    offer = _OFFERS[number]
    first = offer.split(",")[0]
    clock = Clock()
    peer = client(clock, f"Sec-WebSocket-Extensions: {offer}", compression=True)
    agreed = peer.header("Sec-WebSocket-Extensions")
    expected = first.replace("client_max_window_bits", "client_max_window_bits=9")
    assert agreed is not None
    assert set(agreed.split("; ")) == set(expected.split("; "))
    bits = 9 if "server_max_window_bits=9" in first else 15
    compressor = zlib.compressobj(wbits=-9)  # a client with context takeover, and the smallest window
    texts, received = [], []
    for size in _SIZES:
        for fragment in (0, 256):
            payload = (compressor.compress(_text(size)) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
            parts = (
                [payload[i : i + fragment] for i in range(0, len(payload), fragment)] if fragment else [payload]
            )
            for index, part in enumerate(parts):
                opcode = CONTINUATION if index else TEXT
                frame = client_frame(opcode, part, final=index == len(parts) - 1)
                peer.write(frame if index else _flagged(frame))
            texts.append(_text(size))
    received = _sent(peer, bits, takeover="server_no_context_takeover" not in first)
    assert received == texts
    peer.write(close_frame())
    assert [frame.code for frame in peer.frames()] == [1000]
    assert peer.wire.gone
    assert not clock.getDelayedCalls()


def test_not_compressed() -> None:
    """A client need not compress; frames made for many go out as they are; control frames never are."""
    clock = Clock()
    peer = client(clock, OFFER, compression=True)
    peer.write(client_frame(TEXT, b"plain"))
    assert _sent(peer, 15, takeover=True) == [b"plain"]
    peer.connection.send_frame(frames.text(b"for all"))
    peer.write(client_frame(PING, b"?"))
    assert [frame.payload for frame in peer.frames()] == [b"for all", b"?"]
    peer.write(_flagged(client_frame(PING, b"?")))
    assert [frame.code for frame in peer.frames()] == [1002]
    peer.go()


def test_off() -> None:
    """Without the setting, or without being asked, nothing is agreed to."""
    assert client(Clock(), OFFER).header("Sec-WebSocket-Extensions") is None
    assert client(Clock(), compression=True).header("Sec-WebSocket-Extensions") is None


@pytest.mark.parametrize("size", [1001, 1002, 1100, 1300, 100_000, 50_000_000])
@pytest.mark.parametrize("piece", [1, 3, 1000, 1_000_000])
def test_bomb(size: int, piece: int) -> None:
    """What inflates to more than a message may have is 1009; then the close frame is heard and answered."""
    clock = Clock()
    peer = client(clock, OFFER, longest=1000, compression=True)
    bomb = _flagged(client_frame(BINARY, deflated(bytes(size))[:900]))
    for start in range(0, len(bomb), piece):
        peer.write(bomb[start : start + piece])
    (frame,) = peer.frames()
    assert (frame.opcode, frame.code) == (CLOSE, 1009)
    peer.write(client_frame(BINARY, bytes(500)) + close_frame(1009))
    assert peer.wire.gone
    assert not clock.getDelayedCalls()


def test_longest() -> None:
    """A message that inflates to exactly the limit is let in, however it is cut."""
    for piece in (1, 3, 1000):
        clock = Clock()
        peer = client(clock, OFFER, longest=1000, compression=True)
        data = _flagged(client_frame(TEXT, deflated(b"x" * 1000)))
        for start in range(0, len(data), piece):
            peer.write(data[start : start + piece])
        assert _sent(peer, 15, takeover=True) == [b"x" * 1000]
        peer.go()


@pytest.mark.parametrize(
    ("payload", "code"), [(b"\xff\xff\xff", 1007), (b"\x07", 1007), (deflated(b"\xff"), 1007)]
)
def test_broken(payload: bytes, code: int) -> None:
    """What can't be inflated, or is no UTF-8 then, is 1007."""
    clock = Clock()
    peer = client(clock, OFFER, compression=True)
    peer.write(_flagged(client_frame(TEXT, payload)))
    assert [frame.code for frame in peer.frames()] == [code]
    for _ in range(100):
        peer.write(client_frame(BINARY, bytes(10_000)))
    assert len(peer.connection.data) < 20_000
    peer.write(close_frame(code))
    assert peer.wire.gone


def test_what_is_larger_than_may_come_in() -> None:
    """Our own messages are not held to the limit for what clients send."""
    peer = client(clock := Clock(), OFFER, longest=1000, compression=True)
    peer.connection.send(_text(100_000))
    clock.advance(0)
    assert _sent(peer, 15, takeover=True) == [_text(100_000)]
    peer.go()
