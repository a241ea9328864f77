"""support's connection and factory: bytes in, session called, bytes out."""

from __future__ import annotations

from realtime.closing import CloseCode
from realtime.support.session import Parts, Session
from realtime.websocket.connection import Connection
from realtime.websocket.factory import ConnectionFactory, Rules, Surroundings
from realtime.websocket.handshake import Handshake


class SupportConnection(Connection):
    """A connection at ``/support``: text frames only."""

    factory: SupportFactory
    _session: Session | None = None

    def opened(self, handshake: Handshake) -> None:
        """Begin a session."""
        self._session = Session(self, self.factory.parts, handshake.token)

    def received(self, payload: bytes, binary: bool) -> None:
        """Give a text frame to the session."""
        if binary:
            self.close(CloseCode.UNSUPPORTED_FRAME)
        elif self._session is not None:
            self._session.receive(payload)

    def exceeded(self, payload: bytes, binary: bool) -> None:
        """Let the session answer what was too much."""
        if binary:
            self.close(CloseCode.UNSUPPORTED_FRAME)
        elif self._session is not None:
            self._session.receive_too_many(payload)

    def ended(self) -> None:
        """End the session."""
        session, self._session = self._session, None
        if session is not None:
            session.end()


class SupportFactory(ConnectionFactory):
    """Makes support's connections."""

    protocol = SupportConnection  # type: ignore[assignment]  # Twisted asks for a bare Factory

    def __init__(self, surroundings: Surroundings, rules: Rules, parts: Parts) -> None:
        super().__init__("support", surroundings, rules)
        self.parts = parts
