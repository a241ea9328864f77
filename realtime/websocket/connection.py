"""One client's WebSocket connection: the base class of every protocol's own.

Autobahn checks the handshake and parses the frames. This class adds the rules that hold for all
protocols, and narrows what a protocol has to know to three events and three verbs:

    opened(handshake)           the handshake is done
    received(payload, binary)   one whole message, within the rate
    ended()                     it is over: closed by either side or lost; called once after opened

    send(payload)               one text message
    send_frame(frame)           a frame built by ``frames``, shared by many receivers
    close(code)                 the closing handshake, with a code of the one table

Time is the clock's that was handed in. How Autobahn is made to fit is `stock`'s matter.
"""

from __future__ import annotations

import itertools
from typing import Any, NoReturn, cast

from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.closing import CloseCode
from realtime.websocket import frames
from realtime.websocket.factory import ConnectionFactory
from realtime.websocket.handshake import Handshake
from realtime.websocket.incoming import whole_message
from realtime.websocket.outgoing import Outgoing
from realtime.websocket.stock import StockConnection

_numbers = itertools.count(1)

_SMALL_FRAGMENT = 1024
"""Bytes. A shorter part of a message costs as much as a message does, and counts as one."""

_Accepted = tuple[str | None, dict[str, str]]
"""The subprotocol, and further headers of the answer."""

_NO_CODE = 1005
"""Stands for the code of a close frame that has none (RFC 6455, section 7.1.5)."""


class Connection(StockConnection):
    """A WebSocket connection under the rules of its factory.

    ``number`` is the connection's own within the process, for log lines. ``heard`` is when anything
    last came from the peer.
    """

    factory: ConnectionFactory
    _log = Logger()

    number = 0
    heard = 0.0
    keepalive_slot = 0
    handshake: Handshake | None = None
    _address: str | None = None
    _user_id: int | None = None
    _timer: IDelayedCall | None = None
    _judging: Deferred[Any] | None = None
    _drained = 0.0
    _pongs_awaited = 0
    _is_open = False

    # -- for the protocols to override ---------------------------------------------------------

    def accept(self, handshake: Handshake) -> Deferred[None] | None:
        """Judge the handshake before the upgrade; :meth:`refuse` answers with an HTTP error.

        The handshake waits for a Deferred, which is cancelled if the client goes away meanwhile.
        """
        return None

    def opened(self, handshake: Handshake) -> None:
        """The connection is open."""

    def received(self, payload: bytes, binary: bool) -> None:
        """One whole message came, within the rate."""

    def unauthenticated(self) -> None:
        """No identity was proved within the time for it."""
        self.close(CloseCode.NOT_AUTHENTICATED)

    def exceeded(self, payload: bytes, binary: bool) -> None:
        """One whole message came, beyond the rate; a protocol may have an error for it."""
        self.close(CloseCode.TOO_MANY_REQUESTS)

    def ended(self) -> None:
        """The connection was open and is over; nothing more can be sent."""

    # -- for the protocols to call -------------------------------------------------------------

    def send(self, payload: bytes) -> None:
        """Send a text message, ``payload`` in UTF-8; nothing once the connection is over."""
        if not self.compresses:
            self.send_frame(frames.text(payload))
        elif self._is_open:
            self.factory.messages_sent.count += 1
            self.send_deflated(payload)

    def send_frame(self, frame: bytes) -> None:
        """Send a frame as it is; nothing once the connection is over.

        It goes out uncompressed, which RFC 7692 allows: to compress it for each receiver would cost
        what it saves to encode it once.
        """
        if self._is_open and self.outgoing is not None:
            self.factory.messages_sent.count += 1
            self.outgoing.write(frame)

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping of at most 125 bytes, behind what was sent before; nothing once it is over."""
        if self._is_open:
            self._pongs_awaited += 1
            self.sendData(frames.ping(payload))

    def close(self, code: CloseCode) -> None:
        """Close with ``code``; a peer that does not answer is cut after ``closing_timeout``."""
        if self._is_open:
            self.sendCloseFrame(code=int(code), reasonUtf8=code.reason.encode())

    def close_going_away(self) -> None:
        """Close because the server stops."""
        self.close(CloseCode.GOING_AWAY)

    def identify(self, user_id: int) -> bool:
        """Count the connection for its user and end its unauthenticated time.

        Returns ``False``, after closing with 4429, if the user has too many connections already.
        """
        if not self._is_open:
            return False
        if self._user_id is None:
            if not self.factory.admission.identify(user_id):
                self.factory.count_refused("connections")
                self.close(CloseCode.TOO_MANY_REQUESTS)
                return False
            self._user_id = user_id
            self._set_timer(None)
        return True

    def refuse(self, status: int) -> NoReturn:
        """Answer the handshake with an HTTP status (in :meth:`accept`)."""
        raise ConnectionDeny(status, "")

    # -- opening -------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Begin to wait for the handshake."""
        super().connectionMade()
        self.number = next(_numbers)
        rules = self.factory.rules
        self.outgoing = Outgoing(self.transport, self.factory.turn, rules.send_buffer_bytes, self)
        self._set_timer(rules.handshake_timeout)

    def onConnect(self, request: ConnectionRequest) -> Any:
        """Judge a handshake that is a correct one, and choose the subprotocol: `_Accepted`, or a Deferred."""
        factory = self.factory
        handshake = Handshake.read(request, factory.handshakes, self._peer_host())
        if not factory.handshakes.origins.allows(handshake.origin, handshake.headers.get("host")):
            factory.count_refused("origin")
            self.refuse(403)
        if not factory.admission.admit(self, handshake.address):
            factory.count_refused("connections")
            self.refuse(429)
        self._address = handshake.address
        self.handshake = handshake
        accepted: _Accepted = handshake.choose_subprotocol(factory.subprotocols), {}
        try:
            judging = self.accept(handshake)
        except ConnectionDeny:
            raise
        except Exception:
            self._failed()
            self.refuse(500)
        if judging is None:
            return accepted
        self._judging = judging
        return judging.addBoth(self._judged, accepted)

    def _judged(self, result: Failure | None, accepted: _Accepted) -> _Accepted | Failure:
        del self._judging
        if not isinstance(result, Failure):
            return accepted
        if result.check(ConnectionDeny, CancelledError):
            return result
        self._failed(result)
        return Failure(ConnectionDeny(500, ""))

    def onOpen(self) -> None:
        """Start what runs while the connection is open."""
        handshake, self.handshake = cast(Handshake, self.handshake), None
        self.forget_handshake()
        self._is_open = True
        self.heard = self.factory.clock.seconds()
        self.factory.keepalive.watch(self)
        self.transport.registerProducer(self.outgoing, True)
        self._set_timer(self.factory.rules.unauthenticated_timeout)
        self.factory.count_opened()
        self._call(self.opened, handshake)

    def _peer_host(self) -> str:
        # A UNIX socket's peer has no host: it is whoever may open the socket, the proxy.
        return cast(str, getattr(self.transport.getPeer(), "host", "127.0.0.1"))

    # -- receiving -----------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Take bytes from the transport: ordinary frames here, all others in Autobahn's parser."""
        if self._judging is not None:
            self._keep(data)
            return
        if self._is_open and self.is_between_frames:
            begin, longest = 0, self.factory.longest_ordinary
            while self._is_open:
                message = whole_message(data, begin, longest)
                if message is None:
                    break
                payload, binary, begin = message
                self.onMessage(payload, binary)
            if begin == len(data):
                return
            data = data[begin:]
        super().dataReceived(data)

    def _keep(self, data: bytes) -> None:
        """Keep what a client sends before it knows whether it may, for when the handshake is done."""
        self.data += data
        if len(self.data) > self.factory.rules.message_bytes:
            self.abort()

    def onMessageFrameBegin(self, length: int) -> None:
        """Hold small parts of a message against the rate: by their number they would get round it."""
        if length < _SMALL_FRAGMENT and not self.current_frame.fin:
            self._within_rate()
        super().onMessageFrameBegin(length)

    def onMessageEnd(self) -> None:
        """Take a whole message from the frame parser."""
        data, self.message_data = self.message_data, []
        if self._is_open and not self.failedByMe:
            self.onMessage(data[0] if len(data) == 1 else b"".join(data), self.message_is_binary)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Hold a message against the rate and pass it on."""
        factory = self.factory
        now = self.heard = factory.clock.seconds()
        factory.messages_received.count += 1
        drained = factory.rules.rate.use(self._drained, now)
        if drained is not None:
            self._drained = drained
            try:
                self.received(payload, isBinary)
            except Exception:
                self._fail()
        else:
            factory.count_refused("rate")
            self._call(self.exceeded, payload, isBinary)

    def onPing(self, payload: bytes) -> None:
        """Answer a ping, within the rate: each costs an answer."""
        if self._within_rate():
            self.sendPong(payload)

    def onPong(self, payload: bytes) -> None:
        """Note that the peer lives. One that was asked for counts against no rate."""
        if self._pongs_awaited:
            self._pongs_awaited -= 1
            self.heard = self.factory.clock.seconds()
        else:
            self._within_rate()

    def _within_rate(self) -> bool:
        """Hold a frame that is no message against the rate; closes and returns false beyond it."""
        now = self.heard = self.factory.clock.seconds()
        drained = self.factory.rules.rate.use(self._drained, now)
        if drained is not None:
            self._drained = drained
            return True
        if self._is_open:
            self.factory.count_refused("rate")
            self.close(CloseCode.TOO_MANY_REQUESTS)
        return False

    def _call(self, method: Any, *arguments: object) -> None:
        """Call the protocol; a fault in it is ours, and ends this connection alone."""
        try:
            method(*arguments)
        except Exception:
            self._fail()

    def _fail(self) -> None:
        self._failed()
        self.close(CloseCode.TRY_AGAIN_LATER)

    def _failed(self, failure: Failure | None = None) -> None:
        self._log.failure(
            "{protocol}: connection {connection} failed",
            failure,
            protocol=self.factory.name,
            connection=self.number,
        )

    # -- sending -------------------------------------------------------------------------------

    def ask_alive(self) -> None:
        """Send a ping, whose pong shows that the peer lives."""
        self.ping()

    def presumed_dead(self) -> None:
        """End a connection that stayed silent after a ping."""
        self.close(CloseCode.NO_PONG)

    def too_slow(self) -> None:
        """End a connection whose reader leaves too much unread; what waited for it has been dropped."""
        self.factory.count_refused("slow-reader")
        self.close(CloseCode.SLOW_READER)

    # -- closing -------------------------------------------------------------------------------

    def sendCloseFrame(
        self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False
    ) -> None:
        """Send a close frame, and end the connection for the protocol at once.

        All ways to close lead here: ours, Autobahn's for a protocol violation, and the answer to
        the peer's close frame.
        """
        if self.state != self.STATE_OPEN:
            return
        super().sendCloseFrame(code, reasonUtf8, isReply)
        self._set_timer(self.factory.rules.closing_timeout)
        self._end((self.remoteCloseCode or _NO_CODE) if isReply else code)

    def dropConnection(self, abort: bool = False) -> None:
        """Close the transport, which is cut if it can't be flushed within ``closing_timeout``."""
        super().dropConnection(abort)
        if self._address is not None:
            self._set_timer(self.factory.rules.closing_timeout)

    def _max_message_size_exceeded(self, msg_size: int, max_msg_size: int, reason: str) -> None:
        """Fail the connection for a message that is too big."""
        self.factory.count_refused("size")
        super()._max_message_size_exceeded(msg_size, max_msg_size, reason)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Let go of everything."""
        super().connectionLost(reason)
        self._end(None)
        self._set_timer(None)
        if self.outgoing is not None:
            self.outgoing.stopProducing()
            self.outgoing = None
        if self._address is not None:
            self.factory.admission.leave(self, self._address)
            self._address = None
        if self._judging is not None:
            self._judging.cancel()  # last: the refusal that comes of it has nowhere to go now

    def _end(self, code: int | None) -> None:
        if not self._is_open:
            return
        self._is_open = False
        self.factory.keepalive.forget(self)
        if self._user_id is not None:
            self.factory.admission.forget(self._user_id)
            self._user_id = None
        self.factory.count_closed(code)
        self._log.debug(
            "{protocol}: connection {connection} of {address} closed with {code}",
            protocol=self.factory.name,
            connection=self.number,
            address=self._address,
            code=code,
        )
        self._call(self.ended)

    def _set_timer(self, seconds: float | None) -> None:
        """Replace the one time limit that a connection is under at any moment."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if seconds is not None:
            self._timer = self.factory.clock.callLater(seconds, self._time_is_up)
        elif self._timer is not None:
            del self._timer  # an idle connection has none, and its class says so

    def _time_is_up(self) -> None:
        del self._timer
        if self._is_open:
            self.factory.count_refused("unauthenticated")
            self._call(self.unauthenticated)
        else:
            self.abort()
