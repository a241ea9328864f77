"""A WebSocket client for tests, and a transport between it and a connection, all in memory.

The transport does what TCP does as far as a connection can tell: it asks its producer to pause when it
has enough, keeps what a slow reader leaves unread, and tells of its end a moment later, on the clock.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocolFactory, IPushProducer
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from realtime.closing import CloseCode
from realtime.http.address import TrustedProxies
from realtime.http.credentials import TokenPlaces
from realtime.http.origins import OriginPolicy
from realtime.limiting import Rate
from realtime.operations.metrics import Metrics
from realtime.websocket.admission import Admission
from realtime.websocket.connection import Connection
from realtime.websocket.factory import ConnectionFactory, Rules, Surroundings
from realtime.websocket.handshake import Handshake, HandshakePolicy
from realtime.websocket.keepalive import Keepalive
from realtime.websocket.outgoing import Turn

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, section 1.3


class Frame(NamedTuple):
    """A frame as it came from the server."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """The code of a close frame."""
        return int.from_bytes(self.payload[:2], "big")


def client_frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, mask: bytes = b"\x01\x02\x03\x04"
) -> bytes:
    """A masked frame."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", final << 7 | opcode, 0x80 | length)
    elif length < 65536:
        head = struct.pack("!BBH", final << 7 | opcode, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", final << 7 | opcode, 0x80 | 127, length)
    masks = (mask * (length // 4 + 1))[:length]
    return head + mask + (int.from_bytes(payload) ^ int.from_bytes(masks)).to_bytes(length)


def close_frame(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """A client's close frame."""
    return client_frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def server_frames(data: bytes) -> tuple[list[Frame], bytes]:
    """The whole frames that ``data`` begins with, and the rest."""
    frames = []
    while len(data) >= 2:
        assert data[0] & 0xF0 == 0x80, "a frame of ours is whole and has no reserved bits"
        length, start = data[1], 2
        assert length < 128, "a server does not mask"
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(data[2:10], "big"), 10
        if len(data) < start + length:
            break
        frames.append(Frame(data[0] & 15, data[start : start + length]))
        data = data[start + length :]
    return frames, data


def handshake_request(
    path: str = "/support", headers: Sequence[str] = (), *, without: str = "", method: str = "GET"
) -> bytes:
    """An opening handshake; ``without`` leaves one header out."""
    lines = [
        *("Host: chat.example", "Upgrade: websocket", "Connection: keep-alive, Upgrade"),
        *(f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13"),
    ]
    kept = [line for line in lines if not without or not line.startswith(without)]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *kept, *headers])
    return f"{head}\r\n\r\n".encode("latin-1")


class Wire(StringTransport):
    """The transport. While ``slow``, the reader at its end takes nothing."""

    aborted = False
    gone = False
    slow = False
    writes = 0

    def __init__(self, clock: Clock, peer: Any) -> None:
        super().__init__(peerAddress=peer)
        self.clock = clock
        self.unread: list[bytes] = []
        self.end: Any = None

    def write(self, data: bytes) -> None:
        """Take bytes; ask for a pause if they are not read."""
        if self.gone or self.disconnecting:
            return
        self.writes += 1
        if not self.slow:
            super().write(data)
            return
        self.unread.append(data)
        if self.producer is not None:
            self.producer.pauseProducing()

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Take a producer, which must be of the kind that can be paused."""
        assert streaming
        super().registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Let the producer go, if there is one, as TCP does."""
        self.producer = None

    def read_on(self) -> None:
        """Take what was left unread, and from now on everything."""
        self.slow = False
        unread, self.unread = self.unread, []
        super().write(b"".join(unread))
        if self.producer is not None:
            self.producer.resumeProducing()
        if self.disconnecting:
            self._end(ConnectionDone())

    def loseConnection(self) -> None:
        """Close once everything is read."""
        if not self.disconnecting:
            self.disconnecting = True
            if not self.unread:
                self._end(ConnectionDone())

    def abortConnection(self) -> None:
        """Close at once."""
        self.aborted = True
        self._end(ConnectionAborted())

    def _end(self, reason: Exception) -> None:
        if self.end is None:
            self.end = self.clock.callLater(0, self.lost, reason)

    def lost(self, reason: Exception) -> None:
        """Tell the protocol that the connection is gone."""
        if not self.gone:
            self.gone = True
            self.disconnected = True
            if self.end is not None and self.end.active():
                self.end.cancel()
            if self.producer is not None:
                self.producer.stopProducing()
            protocol: Any = self.protocol
            protocol.connectionLost(Failure(reason))

    protocol: Any = None


class Peer:
    """A client at the other end of a wire."""

    def __init__(self, factory: IProtocolFactory, clock: Clock, address: Any = "192.0.2.1") -> None:
        peer = IPv4Address("TCP", address, 50123) if isinstance(address, str) else address
        self.clock = clock
        self.wire = Wire(clock, peer)
        self.wire.protocol = factory.buildProtocol(peer)
        self.wire.protocol.makeConnection(self.wire)
        self.response = ""

    @property
    def connection(self) -> Any:
        """The connection at the server's end."""
        return self.wire.protocol

    def write(self, data: bytes) -> None:
        """Send bytes, and let the turn in which they arrive end."""
        if not self.wire.gone:
            self.wire.protocol.dataReceived(data)
            self.clock.advance(0)

    def shake(self, path: str = "/support", *headers: str) -> Peer:
        """Do the opening handshake."""
        self.write(handshake_request(path, headers))
        self.read_response()
        return self

    def read_response(self) -> str:
        """Take the answer to the handshake off the wire."""
        head, end, rest = self.wire.value().partition(b"\r\n\r\n")
        self.response = (head + end).decode()
        self.wire.clear()
        StringTransport.write(self.wire, rest)
        return self.response

    @property
    def status(self) -> int:
        """The status of the answer to the handshake."""
        return int(self.response.split(" ", 2)[1])

    def header(self, name: str) -> str | None:
        """A header of the answer to the handshake."""
        for line in self.response.split("\r\n")[1:]:
            if line.lower().startswith(f"{name.lower()}:"):
                return line.partition(":")[2].strip()
        return None

    def text(self, payload: bytes) -> None:
        """Send a text message."""
        self.write(client_frame(TEXT, payload))

    def binary(self, payload: bytes) -> None:
        """Send a whole binary message."""
        self.write(client_frame(BINARY, payload))

    def frames(self) -> list[Frame]:
        """The frames that came since this was last asked; no part of a frame is left over."""
        frames, rest = server_frames(self.wire.value())
        assert rest == b"", rest
        self.wire.clear()
        return frames

    def texts(self) -> list[bytes]:
        """The text messages that came since this was last asked; nothing else did."""
        frames = self.frames()
        assert all(frame.opcode == TEXT for frame in frames), frames
        return [frame.payload for frame in frames]

    def go(self) -> None:
        """Be gone without a word."""
        self.wire.lost(ConnectionLost())


class Recording(Connection):
    """A protocol that writes down what it is told, and does what messages ask for."""

    factory: RecordingFactory

    def accept(self, handshake: Handshake) -> Deferred[None] | None:
        """Refuse, fail over, or wait, as a path asks for."""
        if handshake.path == "/refused":
            self.refuse(404)
        if handshake.path == "/raises":
            raise ZeroDivisionError
        if handshake.path != "/waits":
            return None
        judging: Deferred[int] = Deferred(self.factory.given_up.append)
        self.factory.judging.append(judging)
        return judging.addCallback(self._judge)

    def _judge(self, status: int) -> None:
        if status != 101:
            self.refuse(status)

    def opened(self, handshake: Handshake) -> None:
        """Note the handshake."""
        self.factory.handshakes_read.append(handshake)
        self.told: list[Any] = ["opened"]
        self.ends = 0
        self.factory.opened.append(self)
        if handshake.path == "/opened-raises":
            raise ZeroDivisionError

    def received(self, payload: bytes, binary: bool) -> None:
        """Note the message, and obey."""
        self.told.append((payload, binary))
        word, _, rest = payload.partition(b" ")
        if word == b"raise":
            raise ZeroDivisionError
        if word == b"say":
            self.send(rest)
        elif word == b"close":
            self.close(next(code for code in CloseCode if code == int(rest)))
        elif word == b"user":
            self.identify(int(rest))

    def exceeded(self, payload: bytes, binary: bool) -> None:
        """Note it, and do what the base class does unless the factory is patient."""
        self.told.append(("exceeded", payload))
        if not self.factory.patient:
            super().exceeded(payload, binary)

    def ended(self) -> None:
        """Note it, and try to send, which must do nothing."""
        self.ends += 1
        self.told.append("ended")
        self.send(b"too late")
        self.close(CloseCode.DONE)
        if self.factory.ended_raises:
            raise ZeroDivisionError


class RecordingFactory(ConnectionFactory):
    """Makes recording connections."""

    protocol = Recording  # type: ignore[assignment]
    subprotocols = ("support.v1", "support.v2")
    patient = False
    ended_raises = False

    def __init__(self, surroundings: Surroundings, rules: Rules) -> None:
        super().__init__("support", surroundings, rules)
        self.opened: list[Recording] = []
        self.judging: list[Deferred[int]] = []
        self.given_up: list[Deferred[int]] = []
        self.handshakes_read: list[Handshake] = []


@dataclass
class Settings:
    """What tests vary of the rules."""

    message_bytes: int = 1000
    per_second: float = 50.0
    send_buffer_bytes: int = 1000
    per_address: int = 0
    per_user: int = 0
    origins: Sequence[str] = ("*",)
    proxies: Sequence[str] = ()
    interval: float = 30.0
    timeout: float = 20.0
    compression: bool = False
    clock: Clock = field(default_factory=Clock)


def surroundings(settings: Settings) -> Surroundings:
    """The parts of a daemon that connections use."""
    clock, origins = settings.clock, OriginPolicy(settings.origins)
    return Surroundings(
        clock=clock,
        turn=Turn(clock),
        keepalive=Keepalive(clock, settings.interval, settings.timeout),
        admission=Admission(per_address=settings.per_address, per_user=settings.per_user),
        handshakes=HandshakePolicy(
            origins=origins,
            proxies=TrustedProxies(settings.proxies),
            tokens=TokenPlaces(origins=origins),
        ),
        metrics=Metrics(),
    )


def connection_rules(settings: Settings) -> Rules:
    """Rules with times that are easy to tell apart."""
    return Rules(
        message_bytes=settings.message_bytes,
        rate=Rate(settings.per_second, 2 * settings.per_second),
        send_buffer_bytes=settings.send_buffer_bytes,
        handshake_timeout=10,
        unauthenticated_timeout=40,
        closing_timeout=5,
        compression=settings.compression,
    )


def recording_factory(settings: Settings, parts: Surroundings | None = None) -> RecordingFactory:
    """A factory of recording connections."""
    return RecordingFactory(parts or surroundings(settings), connection_rules(settings))
