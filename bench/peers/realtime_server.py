"""Ours: the connection that all protocols share, its limits, and JSON read and written for each message."""

from __future__ import annotations

import gc
from typing import Any

import msgspec
from msgspec import Struct
from twisted.internet import reactor
from twisted.internet.protocol import Factory
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from realtime.http.address import TrustedProxies
from realtime.http.credentials import TokenPlaces
from realtime.http.origins import OriginPolicy
from realtime.limiting import Rate
from realtime.operations.metrics import Metrics
from realtime.websocket import frames
from realtime.websocket.admission import Admission
from realtime.websocket.connection import Connection
from realtime.websocket.factory import ConnectionFactory, Rules, Surroundings
from realtime.websocket.front_door import FrontDoorFactory
from realtime.websocket.handshake import Handshake, HandshakePolicy
from realtime.websocket.keepalive import Keepalive
from realtime.websocket.outgoing import Turn
from realtime.websocket.polling import poll_directly
from realtime.websocket.rooms import Room
from realtime.websocket.transport import hold_a_storm, send_at_once


class Payload(Struct):
    """What is said."""

    message: str


class Message(Struct):
    """As the protocols draw theirs."""

    event: str
    payload: Payload


_decode = msgspec.json.Decoder(Message).decode
_encode = msgspec.json.Encoder().encode


class Peer(Connection):
    """A connection in one of the three modes."""

    factory: PeerFactory
    _mode = ""
    _other: Peer | None = None

    def opened(self, handshake: Handshake) -> None:
        """Find out what it is for."""
        self._mode = handshake.query["mode"][0]
        if self._mode == "relay":
            pair = handshake.query["pair"][0]
            self._other = self.factory.waiting.pop(pair, None)
            if self._other is None:
                self.factory.waiting[pair] = self
            else:
                self._other._other = self
        elif handshake.query.get("role") == ["receiver"]:
            self.factory.room.join(self)

    def received(self, payload: bytes, binary: bool) -> None:
        """Read the message, and send it where it belongs."""
        answer = _encode(_decode(payload))
        if self._mode == "echo":
            self.send(answer)
        elif self._mode == "relay":
            if self._other is not None:
                self._other.send(answer)
        else:
            self.factory.room.send_frame(frames.text(answer))

    def ended(self) -> None:
        """Leave."""
        self.factory.room.leave(self)
        self._other = None


class PeerFactory(ConnectionFactory):
    """Makes them."""

    protocol = Peer  # type: ignore[assignment]

    def __init__(self, surroundings: Surroundings, rules: Rules) -> None:
        super().__init__("bench", surroundings, rules)
        self.waiting: dict[str, Peer] = {}
        self.room = Room(self.messages_sent)


def main() -> None:
    """Serve until a signal comes."""
    clock: Any = reactor
    # As in the daemon: nothing is written below "info".
    level = LogLevelFilterPredicate(LogLevel.info)
    observer = FilteringLogObserver(textFileLogObserver(open("server.log.events", "w")), [level])  # noqa: SIM115
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    origins = OriginPolicy(["*"])
    surroundings = Surroundings(
        clock=clock,
        turn=Turn(clock),
        keepalive=Keepalive(clock, 30, 20),
        admission=Admission(),
        handshakes=HandshakePolicy(origins, TrustedProxies([]), TokenPlaces(origins=origins)),
        metrics=Metrics(),
    )
    rules = Rules(
        message_bytes=65_536,
        rate=Rate(1e9, burst=2e9),
        send_buffer_bytes=1_048_576,
        handshake_timeout=10,
        unauthenticated_timeout=3600,
    )
    factory = PeerFactory(surroundings, rules)
    door = FrontDoorFactory({"/": factory}, Factory(), clock, timeout=10, longest=16_384)
    port = clock.listenTCP(0, door, interface="127.0.0.1")
    hold_a_storm(send_at_once(port))
    poll_directly(clock)
    gc.collect()
    gc.freeze()
    print(f"listening on {port.getHost().port}", flush=True)
    clock.run()


if __name__ == "__main__":
    main()
