"""messenger's connection and factory: frames in, session called, frames out.

What many are told is built once and goes out as one room's frame; for those who named a public key it is
sealed, for each by itself: nothing of that can be shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from msgspec import UNSET
from msgspec.structs import replace as with_changes

from realtime.messenger import messages
from realtime.messenger.hall import Member
from realtime.messenger.messages import ServerMessage
from realtime.messenger.parts import Parts
from realtime.messenger.session import Session
from realtime.operations.metrics import Tally
from realtime.websocket import frames
from realtime.websocket.connection import Connection
from realtime.websocket.factory import ConnectionFactory, Rules, Surroundings
from realtime.websocket.handshake import Handshake
from realtime.websocket.rooms import Room

if TYPE_CHECKING:
    from realtime.messenger.sealing import ClientKey

TOKEN_HEADER: Final = "authtoken"
"""The header that holds the token (document 003); header names are in lower case here."""

KEY_HEADER: Final = "authkey"
"""The header that may hold the client's public key, to which answers are sealed."""


class MessengerConnection(Connection):
    """A connection at ``/messenger``: text frames. It is the session's peer."""

    factory: MessengerFactory
    key: ClientKey | None = None
    _session: Session | None = None

    def opened(self, handshake: Handshake) -> None:
        """Begin a session."""
        self._session = Session(self, self.factory.parts)
        self._session.begin(handshake.token, handshake.headers.get(KEY_HEADER))

    def received(self, payload: bytes, binary: bool) -> None:
        """Give a frame to the session."""
        if self._session is None:
            return
        if binary:
            self._session.receive_binary()
        else:
            self._session.receive(payload)

    def onPong(self, payload: bytes) -> None:
        """Give a pong to the session: it may prove that something has arrived."""
        super().onPong(payload)
        if self._session is not None:
            self._session.pong(payload)

    def unauthenticated(self) -> None:
        """Say why, and close."""
        if self._session is not None:
            self._session.too_late()

    def ended(self) -> None:
        """End the session."""
        session, self._session = self._session, None
        if session is not None:
            session.end()

    # -- the session's peer --------------------------------------------------------------------

    def tell(self, message: ServerMessage) -> None:
        """Send a message as a text frame."""
        self.send(messages.encode(self._sealed(message)))

    def seal_for(self, key: ClientKey) -> None:
        """See `parts.Peer`."""
        self.key = key

    def _sealed(self, message: ServerMessage) -> ServerMessage:
        data = message.server_data
        if self.key is None or data is UNSET:
            return message
        return with_changes(message, server_data=self.key.seal(messages.encode(data)))


class RoomAudience:
    """Everybody in the hall of this process; ``sent`` counts messages. See `hall.Audience`."""

    def __init__(self, sent: Tally) -> None:
        self._open = Room(sent)
        self._sealed: dict[MessengerConnection, None] = {}

    def welcome(self, members: Sequence[Member], message: ServerMessage) -> None:
        """See `hall.Audience.welcome`."""
        frame = None
        for member in members:
            if not isinstance(member, MessengerConnection):
                raise TypeError("not a connection of messenger's")
            if member.key is not None:
                member.tell(message)
                self._sealed[member] = None
            else:
                if frame is None:
                    frame = _frame(message)
                member.send_frame(frame)
                self._open.join(member)

    def leave(self, member: Member) -> None:
        """See `hall.Audience.leave`."""
        if isinstance(member, MessengerConnection):
            self._sealed.pop(member, None)
            self._open.leave(member)

    def tell(self, message: ServerMessage, but: Member | None = None) -> None:
        """See `hall.Audience.tell`."""
        if isinstance(but, MessengerConnection) and but in self._open:
            self._open.leave(but)
            self._open.send_frame(_frame(message))
            self._open.join(but)
        elif len(self._open):
            self._open.send_frame(_frame(message))
        for member in list(self._sealed):
            if member is not but:
                member.tell(message)


def _frame(message: ServerMessage) -> bytes:
    return frames.text(messages.encode(message))


class MessengerFactory(ConnectionFactory):
    """Makes messenger's connections."""

    protocol = MessengerConnection  # type: ignore[assignment]  # Twisted asks for a bare Factory

    def __init__(self, surroundings: Surroundings, rules: Rules, parts: Parts) -> None:
        handshakes = surroundings.handshakes
        tokens = handshakes.tokens.with_header(TOKEN_HEADER)
        own = replace(surroundings, handshakes=replace(handshakes, tokens=tokens))
        super().__init__("messenger", own, rules)
        self.parts = parts
