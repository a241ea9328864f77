"""talk over Socket.IO: events in, session called, events out.

The event's one argument is the payload: an object or, as clients in the field send it, a string that holds
the JSON of one. A client is answered in the form that it used last; until it has used one, with objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec import Raw

from realtime.closing import CloseCode
from realtime.socketio.namespace import Acknowledge
from realtime.socketio.packets import Event
from realtime.socketio.socket import Socket
from realtime.talk import messages
from realtime.talk.lobby import Lobby
from realtime.talk.messages import ServerMessage
from realtime.talk.session import Session


class _Peer:
    """A socket, as its session sees it."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self.number = socket.number
        self.writes_text = False

    def tell(self, message: ServerMessage) -> None:
        """See `session.Peer`."""
        payload = messages.payload_of(message)
        if payload is None:
            self._socket.emit(message.event)
        else:
            self._socket.emit(message.event, payload.decode() if self.writes_text else Raw(payload))

    def close(self, code: CloseCode) -> None:
        """See `session.Peer`."""
        self._socket.disconnect(code)

    def identify(self, user_id: int) -> bool:
        """See `session.Peer`."""
        if self._socket.identify(user_id):
            return True
        self._socket.disconnect(CloseCode.TOO_MANY_REQUESTS)
        return False


class _Place:
    """What a socket has of ours."""

    def __init__(self, peer: _Peer, session: Session) -> None:
        self.peer = peer
        self.session = session


class TalkHandler:
    """The handler of a namespace where talk is served."""

    events: ClassVar[Mapping[str, Sequence[Any]]] = {event: [Raw] for event in messages.CLIENT_EVENTS}

    def __init__(self, lobby: Lobby) -> None:
        self._lobby = lobby

    def connect(self, socket: Socket) -> None:
        """Begin a session with the handshake's token, or that of CONNECT."""
        peer = _Peer(socket)
        session = Session(peer, self._lobby)
        socket.data = _Place(peer, session)
        token = socket.auth.get("token")
        session.begin(token if isinstance(token, str) and token else socket.handshake.token)

    def received(self, socket: Socket, event: Event, acknowledge: Acknowledge | None) -> None:
        """Give an event to the session. An acknowledgement says no more than that it has come."""
        place = _place(socket)
        first = event.arguments[0] if event.arguments else None
        raw = bytes(first) if isinstance(first, Raw) else msgspec.json.encode(first)
        place.peer.writes_text = raw[:1] == b'"'
        place.session.receive(messages.from_event(str(event.name), raw), len(raw))
        if acknowledge is not None:
            acknowledge()

    def exceeded(self, socket: Socket, event: Event, acknowledge: Acknowledge | None) -> None:
        """Close: talk has no error for it."""
        socket.disconnect(CloseCode.TOO_MANY_REQUESTS)

    def disconnected(self, socket: Socket, reason: str) -> None:
        """End the session."""
        _place(socket).session.end()


def _place(socket: Socket) -> _Place:
    if not isinstance(socket.data, _Place):
        raise TypeError("a socket that was not let in")
    return socket.data
