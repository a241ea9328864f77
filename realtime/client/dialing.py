"""Lines of Autobahn's: WebSocket over TCP or TLS.

Autobahn's timers run on a clock of its own and are off; what takes too long is cut by who waits for it, on the
clock handed in. Its logger would write handshakes down, tokens and all: it is silent.
"""

from __future__ import annotations

from typing import Any, Final

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import connectionDone
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure

from realtime.client.line import Dial, Ear, HandshakeRefused, Line, Opening

_CLOSING_SECONDS: Final = 5.0
"""For the server to end a connection that either side is closing."""

_ABNORMAL: Final = 1006


class _Silent:
    def _ignore(self, *args: object, **kwargs: object) -> None:
        pass

    debug = trace = info = warn = error = failure = critical = _ignore


class _WebSocket(WebSocketClientProtocol):
    """One connection: `Line` to who has opened it."""

    log = _Silent()

    def __init__(self, ear: Ear, reactor: Any) -> None:
        super().__init__()
        self.opened: Deferred[Line] = Deferred(lambda _: self.abort())
        self._ear = ear
        self._reactor = reactor
        self._closing: IDelayedCall | None = None
        self._is_open = False

    # -- what Autobahn tells -------------------------------------------------------------------

    def onOpen(self) -> None:
        self._is_open = True
        self.opened.callback(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self._ear.received(payload, isBinary)

    def onPing(self, payload: bytes) -> None:
        self._ear.pinged(payload)

    def onPong(self, payload: bytes) -> None:
        self._ear.heard()

    def sendCloseFrame(
        self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False
    ) -> None:
        """All ways to close lead here: give the server a while to end the connection."""
        if self._closing is None and self._is_open:
            self._closing = self._reactor.callLater(_CLOSING_SECONDS, self.abort)
        super().sendCloseFrame(code, reasonUtf8, isReply)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop the clock."""
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        super().connectionLost(reason)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if self._is_open:
            # What the server has said counts, however the connection then came to its end.
            self._ear.lost(self.remoteCloseCode or (1005 if wasClean else _ABNORMAL))
        elif not self.opened.called:
            self.opened.errback(HandshakeRefused(self._status()))

    def _status(self) -> int:
        words = getattr(self, "http_status_line", "").split()
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0

    # -- Line ----------------------------------------------------------------------------------

    def send(self, payload: bytes, binary: bool) -> None:
        self.sendMessage(payload, binary)

    def ping(self) -> None:
        if self.state == self.STATE_OPEN:
            self.sendPing()

    def pong(self, payload: bytes) -> None:
        if self.state == self.STATE_OPEN:
            self.sendPong(payload)

    def close(self, code: int) -> None:
        self.sendClose(code)

    def abort(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()


def dialer(reactor: Any, longest_message: int, endpoint: IStreamClientEndpoint | None = None) -> Dial:
    """Return what opens lines on a reactor.

    A message of more bytes than ``longest_message`` ends a line with 1009. With an ``endpoint`` it connects
    there, whatever host the URL names: through a UNIX socket, or a TLS of one's own.
    """

    def dial(opening: Opening, ear: Ear) -> Deferred[Line]:
        factory: Any = WebSocketClientFactory(
            opening.url,
            headers=dict(opening.headers),
            protocols=list(opening.subprotocols),
            useragent=None,
            reactor=reactor,
        )
        factory.noisy = False
        factory.protocol = lambda: _WebSocket(ear, reactor)
        factory.setProtocolOptions(
            failByDrop=False,
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            serverConnectionDropTimeout=0,
            maxMessagePayloadSize=longest_message,
            maxFramePayloadSize=longest_message,
        )
        there: Any = endpoint
        if there is None:
            there = HostnameEndpoint(reactor, factory.host, factory.port)
            if factory.isSecure:
                there = wrapClientTLS(optionsForClientTLS(factory.host), there)
        connected: Deferred[Any] = there.connect(factory)
        return connected.addCallback(lambda protocol: protocol.opened)

    return dial
