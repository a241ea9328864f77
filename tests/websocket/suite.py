"""An echo server over our connection, and what the cases of the Autobahn testsuite have in common.

The cases are written from RFC 6455 and RFC 7692, under the numbers that the testsuite gave to what they
are about. Each runs with what the client sends in one piece, frame by frame, and cut into small pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from twisted.internet.task import Clock

from realtime.websocket import frames
from realtime.websocket.connection import Connection
from realtime.websocket.factory import ConnectionFactory
from tests.websocket.peers import CLOSE, Frame, Peer, Settings, close_frame, connection_rules, surroundings

NORMAL = Frame(CLOSE, b"\x03\xe8")


class Echo(Connection):
    """Sends back what it gets."""

    def received(self, payload: bytes, binary: bool) -> None:
        """Send it back."""
        if binary:
            self.send_frame(frames.binary(payload))
        else:
            self.send(payload)


class EchoFactory(ConnectionFactory):
    """Makes connections that send back what they get."""

    protocol = Echo  # type: ignore[assignment]


def client(clock: Clock, *headers: str, longest: int = 1_000_000, compression: bool = False) -> Peer:
    """A client whose handshake with an echo server is done."""
    settings = Settings(
        message_bytes=longest,
        per_second=1e9,
        send_buffer_bytes=2**40,
        compression=compression,
        clock=clock,
    )
    return Peer(EchoFactory("echo", surroundings(settings), connection_rules(settings)), clock).shake(
        "/", *headers
    )


@dataclass(frozen=True)
class Case:
    """What a client sends (``frames``), what comes back, and the close code that ends it.

    With code 1000 the client closes after its frames, unless it did already; with any other the server does.
    """

    number: str
    frames: Sequence[bytes]
    answers: Sequence[Frame] = field(default=())
    code: int = 1000
    closes: bool = True

    def ways(self) -> list[list[bytes]]:
        """The pieces in which what is sent may arrive."""
        sent = [*self.frames, close_frame()] if self.code == 1000 and self.closes else list(self.frames)
        whole = b"".join(sent)
        size = 1 if len(whole) < 2000 else 997
        return [[whole], sent, [whole[i : i + size] for i in range(0, len(whole), size)]]

    def check(self) -> None:
        """Send, and compare what comes."""
        for pieces in self.ways():
            clock = Clock()
            peer = client(clock)
            for piece in pieces:
                peer.write(piece)
            *answers, last = peer.frames()
            assert answers == list(self.answers)
            assert (last.opcode, last.code) == (CLOSE, self.code)
            if self.code == 1000:
                assert last == NORMAL
                assert peer.wire.gone
                assert not peer.wire.aborted
            peer.go()
            assert not clock.getDelayedCalls()
