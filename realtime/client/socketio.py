"""A client of Socket.IO 5 over WebSocket (Engine.IO 4), in namespace ``/``, with connection state recovery.

::

    <- 0{"sid": …}          open
    -> 40{"pid", "offset"}  CONNECT: who we were, and what we have seen last
    <- 40{"sid", "pid"}     let in; by the same pid, we get what we have missed
    <- 42["event", …]       events; with the offset behind their argument
    -> 421["event", …]      an event, to be acknowledged
    <- 431[…]               its acknowledgement
    <- 2                    ping
    -> 3                    pong
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Raw, Struct
from twisted.internet.defer import Deferred

from realtime.client.client import Client
from realtime.client.errors import ClientError, RequestFailed
from realtime.client.line import Opening
from realtime.client.requests import Requests
from realtime.socketio import packets
from realtime.socketio.engine_packets import PONG, PacketType, read_text
from realtime.socketio.packets import Assembler, Kind, Limits

_PATH: Final = "/socket.io/"
_QUERY: Final = "EIO=4&transport=websocket"
_LIMITS: Final = Limits()


class _LetIn(Struct):
    sid: str
    pid: str | None = None


class _Refused(Struct):
    message: str = ""


_read_let_in = msgspec.json.Decoder(_LetIn).decode
_read_refused = msgspec.json.Decoder(_Refused).decode
_read_arguments = msgspec.json.Decoder(list[Raw]).decode
_read_name = msgspec.json.Decoder(str).decode
_read_offset = msgspec.json.Decoder(str).decode
_write = msgspec.json.Encoder().encode


class SocketIOClient(Client):
    """What Socket.IO has of a client; subclasses say what its events mean.

    ``url`` may leave out the path, ``/socket.io/``. ``is_recovered``: nothing was missed between the connection
    before this one and it.
    """

    def _prepare(self) -> None:
        self.is_recovered = False
        self._private_id: str | None = None
        self._offset: str | None = None
        self._numbers = count(1)
        self._assembler = Assembler(_LIMITS)
        self._greetings: Requests[int, Raw] = Requests(self._most_pending)
        self._requests: Requests[int, Raw] = Requests(self._most_pending)

    # -- for subclasses ------------------------------------------------------------------------

    def _let_in(self) -> None:
        """The namespace has let us in. Call `_serve` when what it asks for is done."""
        self._serve()

    def _event(self, name: str, payload: Raw) -> None:
        """An event came, with its first argument."""

    def _emit(self, name: str, payload: Any, *, greets: bool = False) -> Deferred[Raw]:
        """Send an event; fires with what it is acknowledged with. ``greets``: before `_serve`."""
        number = next(self._numbers)
        text = packets.event(name, [payload], ack_id=number).text
        assert text is not None
        return (self._greetings if greets else self._requests).add(number, text)

    # -- the connection ------------------------------------------------------------------------

    def _opening(self, token: str) -> Opening:
        parts = urlsplit(self.url)
        path = parts.path if parts.path.strip("/") else _PATH
        return Opening(urlunsplit((parts.scheme, parts.netloc, path, _QUERY, "")))

    def _opened(self) -> None:
        self._assembler = Assembler(_LIMITS)

    def _received(self, payload: bytes, binary: bool) -> None:
        if binary:
            raise ValueError("no event of ours is binary")
        packet = read_text(payload.decode())
        text = str(packet.data)
        match packet.type:
            case PacketType.OPEN:
                self._connect()
            case PacketType.PING:
                self._connection.send(PONG.text or b"")
            case PacketType.MESSAGE if text[:1] == Kind.CONNECT_ERROR.value:
                refused = _read_refused(text[1:])
                self._connection.fail(RequestFailed("connect", refused.message))
            case PacketType.MESSAGE:
                self._take(text)

    def _connect(self) -> None:
        known = {"pid": self._private_id, "offset": self._offset}
        given = {name: value for name, value in known.items() if value is not None}
        self._connection.send(b"40" + (_write(given) if given else b""))

    def _take(self, text: str) -> None:
        if text[:2] == "0{":  # to the assembler, which is the server's, what a client is told has no payload
            self._take_let_in(text[1:])
            return
        packet = self._assembler.add(text)
        if packet is None or packet.namespace != "/":
            raise ValueError("no packet of ours")
        if packet.kind is Kind.EVENT:
            self._take_event(_read_arguments(packet.json))
        elif packet.kind is Kind.ACK and packet.ack_id is not None:
            arguments = _read_arguments(packet.json)
            requests = self._requests if packet.ack_id in self._requests else self._greetings
            requests.answered(packet.ack_id, arguments[0] if arguments else Raw(b"null"))
        # After a DISCONNECT the server closes the connection, with a code that says more.

    def _take_let_in(self, json: str) -> None:
        let_in = _read_let_in(json)
        self.is_recovered = self._private_id is not None and let_in.pid == self._private_id
        if not self.is_recovered:
            self._private_id, self._offset = let_in.pid, None
        self._greetings.opened(self._connection.send)
        self._let_in()

    def _take_event(self, arguments: Sequence[Raw]) -> None:
        if not arguments:
            raise ValueError("an event without a name")
        name = _read_name(arguments[0])
        if self._private_id is not None and len(arguments) > 2:
            # All events of ours have one argument; what is behind it is the offset.
            self._offset = _read_offset(arguments[2])
        self._event(name, arguments[1] if len(arguments) > 1 else Raw(b"null"))

    def _served(self) -> None:
        self._requests.opened(self._connection.send)

    def _lost(self) -> None:
        self._greetings.lost()
        self._requests.lost()

    def _ended(self, error: ClientError) -> None:
        self._greetings.ended(error)
        self._requests.ended(error)
