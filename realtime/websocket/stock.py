"""Autobahn's server protocol, with those of its habits changed that don't suit a server of ours.

Everything here is about Autobahn, and nothing about our limits and protocols: that is `connection`'s. What
is private in Autobahn is touched here and nowhere else; if it looks different one day (see `versions`), the
short ways are left out.

- It logs through arguments that are formatted whether anybody reads them or not, and quotes its peers:
  it is silent here; who connects and why it ends is logged by us, in one line.
- Its timers run on a clock of its own: they are off (see `factory`), and `connection` has one.
- It copies its options and its first state into every connection, some fifty attributes, and keeps what only
  the handshake needed: options and first state are the class's here, and the rest is let go.
- What it sends goes where it is told to (`outgoing`), so that all frames keep their order.
- An error answer to a handshake is a whole HTTP answer, and quotes nothing of the request.
"""

from __future__ import annotations

import re
from collections import deque
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.protocol import TrafficStats
from autobahn.websocket.utf8validator import Utf8Validator
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from realtime.websocket import versions
from realtime.websocket.outgoing import Outgoing
from realtime.websocket.state import FIRST_STATE, NOT_NEEDED

# What str.splitlines, by which Autobahn takes a head apart, counts as the end of a line beside CR LF.
# A client could write a header with it that the proxy before us did not see; and the last of these
# bytes is a part of many letters in UTF-8.
_NOT_LINE_ENDS = re.compile(rb"\r(?!\n)|(?<!\r)\n|[\x0b\x0c\x1c-\x1e\x85]")
_ORDINARY = bytes(range(0x20, 0x7F)) + b"\r\n\t"


class _Silent:
    """Stands in for Autobahn's logger."""

    def _ignore(self, *args: object, **kwargs: object) -> None:
        pass

    debug = trace = info = warn = error = failure = critical = _ignore


class _Nobody:
    """Stands in for the Deferreds of Autobahn's that nobody here waits for."""

    def callback(self, result: object) -> None:
        pass


class StockConnection(WebSocketServerProtocol):
    """The connection as Autobahn has it; ``outgoing`` takes what it sends.

    Autobahn's options are attributes of the class that a factory makes of it (see `with_options`).
    """

    CONFIG_ATTRS = []  # noqa: RUF012 - they are not copied
    is_open = is_closed = _Nobody()
    trafficStats = TrafficStats()
    send_queue: deque[Any] = deque()  # noqa: RUF012
    _validator: Utf8Validator | None = None
    transport: Any  # a TCP, UNIX or TLS transport, from connectionMade on
    log = _Silent()
    outgoing: Outgoing | None = None
    _isMessageCompressed: bool
    utf8validateIncomingCurrentMessage: bool

    def __init__(self) -> None:
        """Leave out what Autobahn makes for applications of another kind."""
        if not versions.AUTOBAHN_FITS:
            super().__init__()

    @property
    def utf8validator(self) -> Utf8Validator:
        """The validator of the texts that Autobahn's parser reads, made for the first of them."""
        if self._validator is None:
            self._validator = Utf8Validator()
        return self._validator

    @utf8validator.setter
    def utf8validator(self, validator: Utf8Validator) -> None:
        """Wait for the first text."""

    def connectionMade(self) -> None:
        """Begin, without the details of the transport that nobody here asks for."""
        with suppress(AttributeError, OSError):  # a UNIX socket has no such thing
            self.transport.setTcpNoDelay(True)
        if versions.AUTOBAHN_FITS:
            self.state = self.STATE_CONNECTING  # all the rest is the class's
        else:
            self._connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End; of what Autobahn does there is a use for nothing else."""
        if versions.AUTOBAHN_FITS:
            self.state = self.STATE_CLOSED
        else:
            self._connectionLost(str(reason.value))

    def _onOpen(self) -> None:
        self.onOpen()

    def processHandshake(self) -> None:
        """Take a head whose lines end with CR LF alone."""
        head, end, rest = self.data.partition(b"\r\n\r\n")
        if end:
            if not head.count(b"\r\n") == head.count(b"\r") == head.count(b"\n") or head.translate(
                None, _ORDINARY
            ):
                self.data = _NOT_LINE_ENDS.sub(b"?", head) + end + rest
            super().processHandshake()

    @property
    def is_between_frames(self) -> bool:
        """Whether the next byte to come begins a message, and none is ever compressed."""
        return (
            versions.AUTOBAHN_FITS
            and not self.data
            and self.current_frame is None
            and not self.inside_message
            and self._perMessageCompress is None
        )

    @property
    def compresses(self) -> bool:
        """Whether messages may be compressed (from the end of the handshake on)."""
        return self._perMessageCompress is not None

    def send_deflated(self, payload: bytes) -> None:
        """Send a text message compressed; ``sendMessage`` would hold it against the limit for what comes in."""
        deflate: Any = self._perMessageCompress
        deflate.start_compress_message()
        data = deflate.compress_message_data(payload) + deflate.end_compress_message()
        self.sendFrame(opcode=self.MESSAGE_TYPE_TEXT, payload=data, rsv=4)

    def onFrameData(self, payload: bytes) -> None:
        """Step over the rest of a compressed message that is too large or broken.

        Autobahn would stay where it is, and keep all that comes after it until the connection is cut.
        """
        if super().onFrameData(payload) is False:
            self._isMessageCompressed = False
            self.utf8validateIncomingCurrentMessage = False

    def forget_handshake(self) -> None:
        """Let go of what only the handshake needed, and of what the class says as well.

        By a list of what to drop: a list of what to keep would break the first frame that needs
        something it forgot.
        """
        if not versions.AUTOBAHN_FITS:
            return
        # A new one: a dictionary that has held more stays as large as it was.
        self.__dict__ = {
            name: value
            for name, value in self.__dict__.items()
            if name not in NOT_NEEDED and (name not in FIRST_STATE or value != FIRST_STATE[name])
        }

    def dataReceived(self, data: bytes) -> None:
        """Take bytes from the transport; none once it is to be closed."""
        if self.state != self.STATE_CLOSED:
            self._dataReceived(data)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Take bytes from Autobahn: handshake and control frames keep their place in the queue."""
        if self.outgoing is not None:
            self.outgoing.write(data)

    def dropConnection(self, abort: bool = False) -> None:
        """Close the transport when what is queued has been sent.

        Never at once, though Autobahn asks for that at the end of a closing handshake: our own close
        frame may still wait for the end of the turn.
        """
        if self.outgoing is not None:
            self.outgoing.force()
        super().dropConnection(abort=False)

    def abort(self) -> None:
        """Cut the connection without a word, whatever state it is in."""
        self.wasClean = False
        self.state = self.STATE_CLOSED
        self.transport.abortConnection()

    def _protocol_violation(self, reason: str) -> bool:
        """Fail the connection, and read no further: Autobahn would keep a control frame of any size."""
        super()._protocol_violation(reason)
        return True

    def onCloseFrame(self, code: Any, reasonRaw: Any) -> bool:
        """Take the peer's close frame; after a wrong one too there is nothing more to wait for."""
        is_wrong = bool(super().onCloseFrame(code, reasonRaw))
        if is_wrong:
            self.dropConnection()
        return is_wrong

    def failHandshake(
        self, reason: str, code: int = 400, responseHeaders: list[tuple[str, str]] | None = None
    ) -> None:
        """Answer a handshake with an HTTP error, in full.

        Autobahn's reason may hold parts of the request, a token among them: the standard phrase
        goes out instead. A 401 says what is missing (RFC 9110, section 15.5.2).
        """
        headers = [("Content-Length", "0"), ("Connection", "close"), *(responseHeaders or [])]
        if code == HTTPStatus.UNAUTHORIZED:
            headers.append(("WWW-Authenticate", "Bearer"))
        self.sendHttpErrorResponse(code, HTTPStatus(code).phrase, headers)
        self.dropConnection(abort=False)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Nothing: `connectionLost` has the last word."""


for _name, _first in FIRST_STATE.items():
    setattr(StockConnection, _name, _first)


def with_options(connection: type[Any], options: Any) -> type[Any]:
    """Return a class of connection that has the protocol options of a factory of Autobahn's, and itself."""
    names = WebSocketServerProtocol.CONFIG_ATTRS
    values = {name: getattr(options, name) for name in names if name != "trackTimings"}
    # A function would be taken for a method.
    static = {name: staticmethod(value) if callable(value) else value for name, value in values.items()}
    return type(connection.__name__, (connection,), {**static, "factory": options})
