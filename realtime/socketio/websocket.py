"""Engine.IO's WebSocket: a session's transport from the first, or the one that it goes over to.

It is a connection like those of all protocols, under the same rules, but that its session is what is admitted,
identified and timed.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

from autobahn.websocket.types import ConnectionDeny
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from realtime.closing import CloseCode
from realtime.socketio.deadlines import Deadlines
from realtime.socketio.elsewhere import Elsewhere
from realtime.socketio.engine import Engine, Refusal, Refused, first
from realtime.socketio.engine_context import Application, EngineRules
from realtime.socketio.engine_session import Session
from realtime.socketio.tunnel import Tunnel
from realtime.websocket.admission import Admission
from realtime.websocket.connection import Connection
from realtime.websocket.factory import ConnectionFactory, Surroundings
from realtime.websocket.handshake import Handshake

_OPENING_SECONDS: Final = 0.01
"""Between the answer to a handshake and the packet that opens the session. Programs that begin to listen when
their WebSocket is open, as the official test suites do, miss what comes in the same piece."""


class EngineConnection(Connection):
    """A WebSocket of a session: its transport, or on the way to that."""

    factory: EngineFactory
    _session: Session | None = None
    _refusal: Refusal | None = None
    _begins = False
    _opening: Handshake | None = None
    """That of a session which is about to begin."""
    _extra_at: str | None = None
    """The address of one that its session has no use for. It counts by itself, until it is gone."""
    passed_on_from: str | None = None
    """The client's host, if another process has passed the connection on."""

    def accept(self, handshake: Handshake) -> Deferred[None] | None:
        """Find the session of the handshake, or make one; one of another process has the whole connection."""
        try:
            self._find_session(handshake)
        except Refused as refused:
            elsewhere = self.factory.elsewhere
            if elsewhere is not None and refused.refusal is Refusal.UNKNOWN_SESSION:
                owner = elsewhere.owner(handshake.query)
                if owner is not None and self.passed_on_from is None:
                    return self._pass_on(elsewhere, owner, handshake)
            self._refuse_as(refused.refusal)
        return None

    def _refuse_as(self, refusal: Refusal) -> NoReturn:
        self._refusal = refusal
        self.refuse(refusal.status)

    def _pass_on(self, elsewhere: Elsewhere, owner: str, handshake: Handshake) -> Deferred[None]:
        """Give the connection to the process that holds its session."""
        admission, address = self.factory.engine.admission, handshake.address
        tunnel = Tunnel(
            elsewhere,
            owner,
            first(handshake.query, "sid"),
            clock=self.factory.clock,
            admission=admission,
            address=address,
        )
        if not admission.admit(tunnel, address):
            self.factory.count_refused("connections")
            self._refuse_as(Refusal.TOO_MANY)
        opening = tunnel.open(self._peer_host())
        # It never fires but to refuse: when the way is open, this connection is none any more.
        judging: Deferred[None] = Deferred(lambda _: opening.cancel())

        def opened(far: Any) -> None:
            near, said = self.transport, self.http_request_data + self.data
            self.data = b""
            self.connectionLost()
            tunnel.join(near, said, far)

        def not_opened(_: Failure) -> None:
            tunnel.end()
            self._refusal = Refusal.UNKNOWN_SESSION
            if not judging.called:
                judging.errback(ConnectionDeny(self._refusal.status, ""))

        opening.addCallbacks(opened, not_opened)
        return judging

    def _peer_host(self) -> str:
        return super()._peer_host() if self.passed_on_from is None else self.passed_on_from

    def _find_session(self, handshake: Handshake) -> None:
        engine = self.factory.engine
        if engine.transport_of(handshake.query) != "websocket":
            raise Refused(Refusal.BAD_REQUEST)
        session = engine.named(handshake.query)
        if session is None:
            self._session = engine.admit(handshake.query, handshake.address, self)
            self._begins = True
        elif session.probe(self):
            self._session = session
        elif engine.admission.admit(self, handshake.address):
            # Refused before the upgrade it would be an error that clients don't expect.
            self._extra_at = handshake.address
        else:
            self.factory.count_refused("connections")
            raise Refused(Refusal.TOO_MANY)

    def failHandshake(
        self, reason: str, code: int = 400, responseHeaders: list[tuple[str, str]] | None = None
    ) -> None:
        """Answer a handshake with an HTTP error, and with Engine.IO's own if it is one."""
        refusal = self._refusal
        if refusal is None:
            super().failHandshake(reason, code, responseHeaders)
            return
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(refusal.body))),
            ("Connection", "close"),
        ]
        self.sendHttpErrorResponse(code, refusal.message, headers)
        self.sendData(refusal.body)
        self.dropConnection(abort=False)

    def opened(self, handshake: Handshake) -> None:
        """Begin the session, if it is a new one."""
        self._set_timer(None)  # who has to prove an identity, and until when, is the application's matter
        if self._session is None:
            self.close(CloseCode.POLICY_VIOLATION)
        elif self._begins:
            self._opening = handshake
            self.factory.openings.start(self)

    def begin(self) -> None:
        """Begin the session, if it has not begun."""
        handshake = self._opening
        if handshake is not None and self._session is not None:
            del self._opening  # an idle connection has none, and its class says so
            self.factory.engine.begin(self._session, handshake)

    def received(self, payload: bytes, binary: bool) -> None:
        """Give a message to the session."""
        if self._opening is not None:
            self.begin()
        if self._session is not None:
            self._session.receive(self, payload, binary=binary)

    def exceeded(self, payload: bytes, binary: bool) -> None:
        """Give a message that is beyond the rate to the session."""
        if self._opening is not None:
            self.begin()
        if self._session is not None:
            self._session.receive(self, payload, binary=binary, exceeds=True)

    def take_over(self, drained: float) -> None:
        """Go on with the session's rate."""
        self._drained = max(self._drained, drained)

    def ended(self) -> None:
        """Tell the session."""
        self._opening = None
        if self._session is not None:
            self._session.ended(self, cleanly=not self.failedByMe)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Let go of the session."""
        super().connectionLost(reason)
        session, self._session = self._session, None
        if session is not None:
            session.ended(self, cleanly=True)  # it may never have been open
            session.lost(self)
        if self._extra_at is not None:
            self.factory.engine.admission.leave(self, self._extra_at)
            self._extra_at = None


class EngineFactory(ConnectionFactory):
    """Makes the WebSockets of an engine, and the engine; ``elsewhere`` are the sessions of other processes."""

    protocol = EngineConnection  # type: ignore[assignment]  # Twisted asks for a bare Factory

    def __init__(
        self,
        name: str,
        surroundings: Surroundings,
        rules: EngineRules,
        application: Application,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        super().__init__(name, surroundings, rules.connections)
        self.admission = Admission()  # what counts is sessions, which the engine admits
        self.elsewhere = elsewhere
        self.engine = Engine(
            surroundings, rules, application, self, "" if elsewhere is None else elsewhere.name
        )
        if elsewhere is not None:
            elsewhere.add(self)
        self.openings: Deadlines[EngineConnection] = Deadlines(
            surroundings.clock, _OPENING_SECONDS, lambda connection, _: connection.begin()
        )

    def build_passed_on(self, peer: str) -> Any:
        """Make a connection that another process passes on, from a client at the host ``peer``."""
        connection: Any = self.buildProtocol(None)
        connection.passed_on_from = peer
        return connection
