"""The stock Autobahn protocol and ours, given the same bytes, and what is to be seen of each.

Both serve the same application, which sends every message back and closes when it is told goodbye.
Autobahn's has the options that ours has: the same limits, and it tells the peer the code (``failByDrop``
off). Its logger is silenced and its clock is the tests'; nothing else of it is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock

from realtime.closing import CloseCode
from realtime.websocket import frames
from realtime.websocket.compression import accept
from realtime.websocket.connection import Connection
from realtime.websocket.factory import ConnectionFactory
from realtime.websocket.handshake import Handshake
from tests.websocket.peers import Settings, Wire, connection_rules, surroundings
from tests.websocket.streams import GOODBYE, Case

_PEER = IPv4Address("TCP", "192.0.2.1", 50123)
_END = CloseCode.REPLACED


class _Silent:
    def _ignore(self, *args: object, **kwargs: object) -> None:
        pass

    debug = trace = info = warn = error = failure = critical = _ignore


@dataclass(frozen=True)
class Outcome:
    """What was to be seen: by the application, by the peer, and of the connection's end."""

    messages: list[tuple[bytes, bool]]
    sent: bytes
    local_code: int | None
    remote_code: int | None
    clean: bool
    dropped: bool
    violated: bool
    """Whether the client broke a rule of the protocol, before or after the close frame."""


class _Stock(WebSocketServerProtocol):
    log = _Silent()
    violated = False

    def onConnect(self, request: Any) -> None:
        self.messages: list[tuple[bytes, bool]] = []

    def _protocol_violation(self, reason: str) -> bool:
        self.violated = True
        return super()._protocol_violation(reason)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        # Autobahn goes on to deliver messages after the application has closed; ours does not.
        if self.state != self.STATE_OPEN:
            return
        self.messages.append((payload, isBinary))
        if payload.startswith(GOODBYE):
            self.sendClose(int(_END), _END.reason)
        else:
            self.sendMessage(payload, isBinary)


class _Ours(Connection):
    violated = False

    def _protocol_violation(self, reason: str) -> bool:
        self.violated = True
        return super()._protocol_violation(reason)

    def accept(self, handshake: Handshake) -> None:
        self.messages: list[tuple[bytes, bool]] = []

    def received(self, payload: bytes, binary: bool) -> None:
        self.messages.append((payload, binary))
        if payload.startswith(GOODBYE):
            self.close(_END)
        elif binary:
            self.send_frame(frames.binary(payload))
        else:
            self.send(payload)


class _OurFactory(ConnectionFactory):
    protocol = _Ours  # type: ignore[assignment]


def stock_outcome(case: Case) -> Outcome:
    """Return what is to be seen of Autobahn's own protocol."""
    clock = Clock()
    factory = WebSocketServerFactory(server="realtime", reactor=clock)
    factory.protocol = _Stock
    factory.setProtocolOptions(
        versions=[13],
        maxMessagePayloadSize=case.longest,
        maxFramePayloadSize=case.longest,
        failByDrop=False,
        openHandshakeTimeout=0,
        closeHandshakeTimeout=0,
        perMessageCompressionAccept=accept if case.compressed else None,
    )
    return _outcome(factory, clock, case)


def our_outcome(case: Case) -> Outcome:
    """Return what is to be seen of ours."""
    # Neither the rate nor the bound for slow readers is Autobahn's: they are out of reach here.
    settings = Settings(
        message_bytes=case.longest, per_second=1e9, send_buffer_bytes=2**40, compression=case.compressed
    )
    factory = _OurFactory("support", surroundings(settings), connection_rules(settings))
    return _outcome(factory, settings.clock, case)


def _outcome(factory: Any, clock: Clock, case: Case) -> Outcome:
    wire = Wire(clock, _PEER)
    wire.protocol = connection = factory.buildProtocol(_PEER)
    connection.makeConnection(wire)
    for piece in case.pieces:
        if not wire.gone:
            connection.dataReceived(piece)
            clock.advance(0)
    outcome = Outcome(
        messages=getattr(connection, "messages", []),
        sent=wire.value(),
        local_code=connection.localCloseCode,
        remote_code=connection.remoteCloseCode,
        clean=connection.wasClean,
        dropped=wire.gone,
        violated=connection.violated,
    )
    wire.lost(ConnectionError())
    assert not clock.getDelayedCalls()
    return outcome


def difference(case: Case) -> str | None:
    """Return what is different between the stock protocol and ours, or ``None``."""
    stock, ours = stock_outcome(case), our_outcome(case)
    names = ["messages", "sent", "local_code", "violated"]
    if case.compressed:
        # Ours sends some messages uncompressed, and reads on after one that it can't inflate.
        names = ["messages", "local_code"]
    elif not stock.violated:
        # After a violation Autobahn steps over the frame and reads on, ours reads no further: what the
        # peer answers is not heard. Up to there, and after every other fault, all must be the same.
        names += ["remote_code", "clean", "dropped"]
    for name in names:
        expected, found = getattr(stock, name), getattr(ours, name)
        if expected != found:
            return f"{name}: Autobahn {expected!r:.500}, ours {found!r:.500}"
    return None
