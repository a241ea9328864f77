"""talk's WebSocket connection and factory: bytes in, session called, bytes out."""

from __future__ import annotations

from realtime.closing import CloseCode
from realtime.talk import messages
from realtime.talk.lobby import Lobby
from realtime.talk.messages import ServerMessage
from realtime.talk.session import Session
from realtime.websocket.connection import Connection
from realtime.websocket.factory import ConnectionFactory, Rules, Surroundings
from realtime.websocket.handshake import Handshake


class TalkConnection(Connection):
    """A connection at ``/talk``: text frames only."""

    factory: TalkFactory
    _session: Session | None = None

    def opened(self, handshake: Handshake) -> None:
        """Begin a session."""
        self._session = Session(self, self.factory.lobby)
        self._session.begin(handshake.token)

    def received(self, payload: bytes, binary: bool) -> None:
        """Give a text frame to the session."""
        if binary:
            self.close(CloseCode.UNSUPPORTED_FRAME)
        elif self._session is not None:
            self._session.receive(messages.decode(payload), len(payload))

    def tell(self, message: ServerMessage) -> None:
        """Send a message as a text frame."""
        self.send(messages.encode(message))

    def ended(self) -> None:
        """End the session."""
        session, self._session = self._session, None
        if session is not None:
            session.end()


class TalkFactory(ConnectionFactory):
    """Makes talk's connections."""

    protocol = TalkConnection  # type: ignore[assignment]  # Twisted asks for a bare Factory

    def __init__(self, surroundings: Surroundings, rules: Rules, lobby: Lobby) -> None:
        super().__init__("talk", surroundings, rules)
        self.lobby = lobby
