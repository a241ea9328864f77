"""market's connection and factory: packets in, session called, packets out.

A client that has named its form by a subprotocol is spoken to in it from the beginning. One that has not is
spoken to in the form of its last frame. Before its first there is none: what it is to be told waits, until the
first PING at the latest, with which the form is the binary one.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from realtime.accounts.authentication import Authenticator, Identity
from realtime.accounts.errors import IssuerUnavailable, TokenInvalid
from realtime.accounts.store import User
from realtime.closing import CloseCode
from realtime.market import codec
from realtime.market.codec import SUBPROTOCOLS, BadPacket, Form, Undecodable
from realtime.market.exchange import Exchange, Told
from realtime.market.heartbeat import Heartbeat
from realtime.market.messages import Ping, Pong, ServerMessage
from realtime.market.session import Session
from realtime.storage.errors import StorageUnavailable
from realtime.websocket.connection import Connection
from realtime.websocket.factory import ConnectionFactory, Rules, Surroundings
from realtime.websocket.handshake import Handshake

_MOST_WAITING: Final = 256
"""Messages that wait for a client to show its form. In the few seconds until the first PING there are fewer."""


class MarketConnection(Connection):
    """A connection at ``/market``. It is the session's peer, and what the heartbeat asks."""

    factory: MarketFactory
    ponged = 0.0
    heartbeat_slot = 0
    _user: User
    _subprotocol: str | None = None
    _form: Form | None = None
    _session: Session | None = None
    _waiting: list[ServerMessage | Told] | None = None

    # -- the connection's life -----------------------------------------------------------------

    def accept(self, handshake: Handshake) -> Deferred[None]:
        """Check the token before the upgrade."""
        checked = self.factory.authenticator.authenticate(handshake.token)
        return checked.addCallbacks(self._admitted, self._not_admitted)

    def _admitted(self, identity: Identity) -> None:
        self._user = identity.user

    def _not_admitted(self, failure: Failure) -> Failure:
        if failure.check(TokenInvalid):
            self.factory.count_refused("token")
            self.refuse(401)
        if failure.check(StorageUnavailable, IssuerUnavailable):
            self.refuse(503)
        return failure

    def opened(self, handshake: Handshake) -> None:
        """Begin a session."""
        factory = self.factory
        self._subprotocol = handshake.choose_subprotocol(factory.subprotocols)
        if self._subprotocol in SUBPROTOCOLS:
            self._form = Form(self._subprotocol)
        user = self._user
        del self._user
        if not self.identify(user.id):
            return
        self.ponged = factory.clock.seconds()
        factory.heartbeat.watch(self)
        self._session = Session(self, factory.exchange, user)

    def received(self, payload: bytes, binary: bool) -> None:
        """Give a packet to the session."""
        form, session = self._form_of(binary), self._session
        if form is None or session is None:
            return
        if codec.is_pong(payload, binary):
            self.ponged = self.heard
            return
        try:
            message = codec.decode(form, payload)
        except BadPacket as bad:
            session.receive_bad(bad)
        except Undecodable:
            self.close(CloseCode.INVALID_PAYLOAD)
        else:
            if isinstance(message, Pong):
                self.ponged = self.heard
            else:
                session.receive(message)

    def ended(self) -> None:
        """End the session."""
        session, self._session = self._session, None
        if session is not None:
            self.factory.heartbeat.forget(self)
            session.end()

    # -- what is sent --------------------------------------------------------------------------

    def tell(self, message: ServerMessage) -> None:
        """See `session.Peer`."""
        if self._form is None:
            self._wait(message)
        else:
            self.send_frame(self.factory.exchange.packets.frame(self._form, message))

    def pass_on(self, told: Told) -> None:
        """See `session.Peer`."""
        if self._form is None:
            self._wait(told)
        else:
            for frame in self.factory.exchange.packets.told(self._form, told):
                self.send_frame(frame)

    def ask_pong(self) -> None:
        """Send a PING; to a client that has not shown its form yet, in the binary one."""
        if self._form is None:
            self._speak(Form.BINARY)
        if self._form is not None:
            self.send_frame(self.factory.pings[self._form])

    def no_pong(self) -> None:
        """End a connection whose client is not there any more."""
        self.close(CloseCode.NO_PONG)

    def _form_of(self, binary: bool) -> Form | None:
        """Return the form of a frame that came, which is spoken from now on; closes if it is excluded."""
        form = self._form
        if form is None or form.is_binary is not binary:
            form = codec.form_of_frame(self._subprotocol, binary)
            if form is None:
                self.close(CloseCode.UNSUPPORTED_FRAME)
            else:
                self._speak(form)
        return form

    def _wait(self, what: ServerMessage | Told) -> None:
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(what)
        if len(self._waiting) > _MOST_WAITING:
            self.close(CloseCode.SLOW_READER)

    def _speak(self, form: Form) -> None:
        """Go on in a form, with what has waited for one."""
        self._form = form
        waiting, self._waiting = self._waiting, None
        for each in waiting or ():
            if isinstance(each, Told):
                self.pass_on(each)
            else:
                self.tell(each)


class MarketFactory(ConnectionFactory):
    """Makes market's connections."""

    protocol = MarketConnection  # type: ignore[assignment]  # Twisted asks for a bare Factory
    subprotocols = SUBPROTOCOLS

    def __init__(
        self,
        surroundings: Surroundings,
        rules: Rules,
        *,
        authenticator: Authenticator,
        exchange: Exchange,
        heartbeat: Heartbeat,
    ) -> None:
        super().__init__("market", surroundings, rules)
        self.authenticator = authenticator
        self.exchange = exchange
        self.heartbeat = heartbeat
        self.pings = {form: exchange.packets.frame(form, Ping()) for form in Form}
