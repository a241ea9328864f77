"""One client in one namespace: what it is sent, its rooms, its acknowledgements.

A session of Engine.IO carries one socket for each namespace that its client has joined. What is sent while the
namespace has not accepted the client yet waits for the answer to its CONNECT, which comes first; on a WebSocket
by itself, a moment before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from realtime.closing import CloseCode
from realtime.socketio import packets
from realtime.socketio.engine_packets import Group
from realtime.socketio.engine_session import Session
from realtime.websocket.handshake import Handshake

if TYPE_CHECKING:
    from realtime.socketio.namespace import Namespace

MOST_ACKNOWLEDGEMENTS: Final = 1000
"""Acknowledgements that one client may owe us; a client that gives none should not fill our memory."""


class NotAcknowledged(Exception):
    """A client has not acknowledged an event: in time, or before it was gone."""


class Socket:
    """A client in a namespace. Handlers may keep in ``data`` what they like.

    ``id`` is public; ``number`` is the session's, for log lines. ``auth`` is what CONNECT brought.
    """

    __slots__ = (
        *("_ack_id", "_acks", "_is_over", "_namespace", "_session", "_waiting", "auth", "data", "handshake"),
        *("id", "is_recovered", "leaves_with", "position", "private_id", "rooms"),
    )

    def __init__(
        self, namespace: Namespace, session: Session, handshake: Handshake, auth: dict[str, Any]
    ) -> None:
        self._namespace = namespace
        self._session = session
        self.handshake = handshake
        self.auth = auth
        self.id = token_urlsafe(15)
        self.private_id: str | None = None
        self.is_recovered = False
        self.leaves_with: CloseCode | None = None
        self.position = 0
        self.data: Any = None
        self.rooms: dict[str, int] = {}  # with each, where in the log of events it was joined
        self._waiting: list[Group] | None = []
        self._is_over = False
        self._ack_id = 0
        self._acks: dict[int, tuple[Deferred[list[Any]], IDelayedCall]] = {}

    # -- for handlers --------------------------------------------------------------------------

    @property
    def number(self) -> int:
        """The session's number."""
        return self._session.number

    @property
    def revision(self) -> int:
        """The revision of Engine.IO that the client speaks: 4, or 3 for a 2.x client."""
        return self._session.revision

    def emit(self, event: str, *arguments: Any) -> None:
        """Send an event; once the socket is over, to a client that comes back, and to no other."""
        self._namespace.emit_to(self, event, arguments)

    def emit_with_acknowledgement(self, event: str, *arguments: Any, timeout: float) -> Deferred[list[Any]]:
        """Send an event; fires with what the client acknowledges it with.

        Fails with `NotAcknowledged` after ``timeout`` seconds, or when the socket is over. Such an event is not
        sent again to a client that comes back.
        """
        acknowledged: Deferred[list[Any]] = Deferred()
        if self._is_over or not self._session.is_open:
            acknowledged.errback(NotAcknowledged("the client is gone"))
            return acknowledged
        if len(self._acks) >= MOST_ACKNOWLEDGEMENTS:
            acknowledged.errback(NotAcknowledged("too many are awaited"))
            return acknowledged
        self._ack_id += 1
        ack_id = self._ack_id
        timer = self._namespace.clock.callLater(timeout, self._not_acknowledged, ack_id)
        self._acks[ack_id] = acknowledged, timer
        self.send(packets.event(event, arguments, namespace=self._namespace.name, ack_id=ack_id))
        return acknowledged

    def join(self, room: str) -> None:
        """Get what is told to a room from now on."""
        self._namespace.join(self, room)

    def leave(self, room: str) -> None:
        """Get no more of it."""
        self._namespace.leave(self, room)

    def disconnect(self, code: CloseCode = CloseCode.DONE) -> None:
        """Send a DISCONNECT, behind what was sent before, and close the session if no namespace is in use."""
        self._namespace.disconnect(self, code)

    def identify(self, user_id: int) -> bool:
        """Count the session for a user; ``False``: one too many."""
        return self._session.identify(user_id)

    # -- for the namespace ---------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The session that carries it."""
        return self._session

    def send(self, group: Group) -> None:
        """Send a packet, or have it wait for the answer to CONNECT; nothing once the socket is over."""
        if self._is_over:
            return
        if self._waiting is None:
            self._session.send(group)
        else:
            self._waiting.append(group)

    def accept(self, answers: Sequence[Group]) -> bool:
        """Send the answer to CONNECT with what belongs to it; whether something else still waits."""
        for group in answers:
            self._session.send(group)
        if not self._waiting or self._session.connection is None:
            self.release()
        return self._waiting is not None

    def release(self) -> None:
        """Send what has waited."""
        waiting, self._waiting = self._waiting, None
        for group in waiting or ():
            self._session.send(group)

    def acknowledger(self, ack_id: int) -> Callable[..., None]:
        """Return what acknowledges an event of the client's, once."""
        given = False

        def acknowledge(*arguments: Any) -> None:
            nonlocal given
            if not given:
                given = True
                self.send(packets.ack(arguments, ack_id, namespace=self._namespace.name))

        return acknowledge

    def acknowledged(self, ack_id: int, arguments: list[Any]) -> None:
        """Take an acknowledgement; one that nobody awaits is passed over."""
        awaited = self._acks.pop(ack_id, None)
        if awaited is not None:
            awaited[1].cancel()
            awaited[0].callback(arguments)

    def end(self) -> None:
        """Send nothing any more, and fail what is still awaited."""
        self._is_over = True
        self._waiting = None
        acks, self._acks = self._acks, {}
        for acknowledged, timer in acks.values():
            timer.cancel()
            acknowledged.errback(NotAcknowledged("the client is gone"))

    def _not_acknowledged(self, ack_id: int) -> None:
        acknowledged, _ = self._acks.pop(ack_id)
        acknowledged.errback(NotAcknowledged("not in time"))
