"""What the connections of one protocol on one daemon share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autobahn.twisted.websocket import WebSocketServerFactory
from prometheus_client import Counter
from twisted.internet.interfaces import IReactorTime

from realtime.limiting import Rate
from realtime.operations.metrics import Metrics, close_code_label
from realtime.websocket import compression
from realtime.websocket.admission import Admission
from realtime.websocket.handshake import HandshakePolicy
from realtime.websocket.incoming import LONGEST
from realtime.websocket.keepalive import Keepalive
from realtime.websocket.outgoing import Turn
from realtime.websocket.stock import with_options


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits that a connection is under. Times are in seconds."""

    message_bytes: int
    rate: Rate
    send_buffer_bytes: int
    handshake_timeout: float
    unauthenticated_timeout: float
    closing_timeout: float = 5.0
    """A peer that has not finished the closing handshake by then never will."""
    compression: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The parts of the daemon that every connection uses, whatever its protocol."""

    clock: IReactorTime
    turn: Turn
    keepalive: Keepalive
    admission: Admission
    handshakes: HandshakePolicy
    metrics: Metrics


class ConnectionFactory(WebSocketServerFactory):
    """Makes the connections of one protocol.

    ``name`` is the protocol's, ``subprotocols`` are the ``Sec-WebSocket-Protocol`` values it knows.
    """

    subprotocols: Sequence[str] = ()
    noisy = False

    def __init__(self, name: str, surroundings: Surroundings, rules: Rules) -> None:
        super().__init__(server="realtime", reactor=surroundings.clock)
        self.name = name
        self.rules = rules
        self.clock = surroundings.clock
        self.turn = surroundings.turn
        self.keepalive = surroundings.keepalive
        self.admission = surroundings.admission
        self.handshakes = surroundings.handshakes
        self._metrics = surroundings.metrics
        self.longest_ordinary = min(LONGEST, rules.message_bytes)
        self._open = self._metrics.connections.labels(protocol=name)
        self._opened = self._metrics.connections_opened_total.labels(protocol=name)
        self._closed: dict[str, Counter] = {}
        self.messages_received = self._metrics.messages_received_total.of(name)
        self.messages_sent = self._metrics.messages_sent_total.of(name)
        self.setProtocolOptions(
            versions=[13],  # RFC 6455's own; a draft before it had another header for the origin
            # Only one of the two is looked at for inflated messages, only the other for frames.
            maxMessagePayloadSize=rules.message_bytes,
            maxFramePayloadSize=rules.message_bytes,
            failByDrop=False,  # the peer is told the code
            webStatus=False,
            openHandshakeTimeout=0,  # these two run on a clock of Autobahn's own;
            closeHandshakeTimeout=0,  # the connection's timer takes their place
            perMessageCompressionAccept=compression.accept if rules.compression else None,
            allowNullOrigin=True,  # origins are judged by the connection
        )
        self.protocol = with_options(self.protocol, self)

    def count_opened(self) -> None:
        """Count a connection that opened."""
        self._open.inc()
        self._opened.inc()

    def count_closed(self, code: int | None) -> None:
        """Count a connection that ended, by its close code."""
        self._open.dec()
        label = close_code_label(code)
        if label not in self._closed:
            closed = self._metrics.connections_closed_total
            self._closed[label] = closed.labels(protocol=self.name, code=label)
        self._closed[label].inc()

    def count_refused(self, reason: str) -> None:
        """Count something that was refused to a peer."""
        self._metrics.refused_total.labels(reason=reason).inc()
