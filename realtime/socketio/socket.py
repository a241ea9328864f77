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
from realtime.socketio.recovery import Membership, Strand
from realtime.websocket.handshake import Handshake

if TYPE_CHECKING:
    from realtime.socketio.namespace import Namespace

MOST_ACKNOWLEDGEMENTS: Final = 1000
"""Acknowledgements that one client may owe us; a client that gives none should not fill our memory."""

MOST_WAITING: Final = 1000
"""Packets that may wait until a client is let in: what busy rooms say while a handler takes its time."""


class NotAcknowledged(Exception):
    """A client has not acknowledged an event: in time, or before it was gone."""


class Socket:
    """A client in a namespace. Handlers may keep in ``data`` what they like.

    ``id`` is public, but for a 2.x client's, whose protocol makes it of the session's secret; ``number`` is the
    session's, for log lines. ``auth`` is what CONNECT brought. ``rooms`` has for each room where in the log of
    events it was joined.
    """

    __slots__ = (
        *("_ack_id", "_acks", "_is_accepted", "_is_over", "_namespace", "_overflowed", "_session", "_waiting"),
        *("auth", "data", "handshake", "id", "is_recovered", "leaves_with", "own", "past", "position"),
        *("private_id", "rooms"),
    )

    def __init__(
        self, namespace: Namespace, session: Session, handshake: Handshake, auth: dict[str, Any]
    ) -> None:
        self._namespace = namespace
        self._session = session
        self.handshake = handshake
        self.auth = auth
        self.id = ""
        self.private_id: str | None = None
        self.is_recovered = False
        self.leaves_with: CloseCode | None = None
        self.position = 0
        self.data: Any = None
        self.rooms: dict[str, int] = {}
        self.own: Strand | None = None
        self.past: tuple[Membership, ...] = ()
        self._waiting: list[tuple[Group, str | None]] | None = []
        self._overflowed = False
        self._is_accepted = False
        self._is_over = False
        self._ack_id = 0
        self._acks: dict[int, tuple[Deferred[list[Any]], IDelayedCall]] | None = None
        self.begin()

    def begin(self) -> None:
        """Take an id of its own."""
        revision, name = self._session.revision, self._namespace.name
        if revision == 3:
            self.id = self._session.sid if name == "/" else f"{name}#{self._session.sid}"
        else:
            self.id = token_urlsafe(15)

    # -- for handlers --------------------------------------------------------------------------

    @property
    def number(self) -> int:
        """The session's number."""
        return self._session.number

    @property
    def revision(self) -> int:
        """The revision of Engine.IO that the client speaks: 4, or 3 for a 2.x client."""
        return self._session.revision

    @property
    def is_over(self) -> bool:
        """Whether it is out of the namespace: nothing can be sent any more."""
        return self._is_over

    def emit(self, event: str, *arguments: Any) -> None:
        """Send an event; once the socket is over, to a client that comes back, and to no other."""
        self._namespace.emit_to(self, event, arguments)

    def emit_with_acknowledgement(self, event: str, *arguments: Any, timeout: float) -> Deferred[list[Any]]:
        """Send an event; fires with what the client acknowledges it with.

        Fails with `NotAcknowledged` after ``timeout`` seconds, or when the socket is over. Such an event is not
        sent again to a client that comes back.
        """
        acks = self._acks = {} if self._acks is None else self._acks
        ack_id = self._ack_id + 1
        acknowledged: Deferred[list[Any]] = Deferred(lambda _: self._cancelled(ack_id))
        if self._is_over or not self._session.is_open:
            acknowledged.errback(NotAcknowledged("the client is gone"))
            return acknowledged
        if len(acks) >= MOST_ACKNOWLEDGEMENTS:
            acknowledged.errback(NotAcknowledged("too many are awaited"))
            return acknowledged
        group = packets.event(event, arguments, namespace=self._namespace.name, ack_id=ack_id)
        self._ack_id = ack_id
        timer = self._namespace.clock.callLater(timeout, self._not_acknowledged, ack_id)
        acks[ack_id] = acknowledged, timer
        self.send(group)
        return acknowledged

    def join(self, room: str) -> None:
        """Get what is told to a room from now on."""
        self._namespace.join(self, room)

    def leave(self, room: str) -> None:
        """Get no more of it."""
        self._namespace.leave(self, room)

    def begin_anew(self) -> None:
        """Be nobody who has been here before: with another id, in no rooms, nothing missed.

        For a handler's ``connect`` that does not like a client that comes back.
        """
        self._namespace.begin_anew(self)

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

    @property
    def is_waiting(self) -> bool:
        """Whether what is sent has to wait."""
        return self._waiting is not None

    @property
    def is_accepted(self) -> bool:
        """Whether it was let in."""
        return self._is_accepted

    @property
    def has_overflowed(self) -> bool:
        """Whether too much has waited: some of it is lost."""
        return self._overflowed

    def send(self, group: Group, room: str | None = None) -> None:
        """Send a packet, told to a room or to it alone, or have it wait; nothing once the socket is over."""
        if self._is_over:
            return
        if self._waiting is None:
            self._session.send(group)
        elif len(self._waiting) < MOST_WAITING:
            self._waiting.append((group, room))
        elif self._is_accepted:
            self.release()
            self._session.send(group)
        else:
            self._overflowed = True

    @property
    def waiting(self) -> list[tuple[Group, str | None]]:
        """What waits, each with the room that it was told to."""
        return self._waiting or []

    @waiting.setter
    def waiting(self, waiting: list[tuple[Group, str | None]]) -> None:
        self._waiting = waiting

    def forget_waiting(self) -> None:
        """Drop what waits."""
        self._waiting = []
        self._overflowed = False

    def accept(self, answers: Sequence[Group]) -> bool:
        """Send the answer to CONNECT with what belongs to it; whether something else still waits.

        What was told meanwhile to rooms that it is in no more is not for it.
        """
        for group in answers:
            self._session.send(group)
        self._is_accepted = True
        rooms = self.rooms
        self._waiting = [each for each in self._waiting or () if each[1] is None or each[1] in rooms]
        if not self._waiting or self._session.connection is None:
            self.release()
        return self._waiting is not None

    def release(self) -> None:
        """Send what has waited."""
        waiting, self._waiting = self._waiting, None
        for group, _ in waiting or ():
            self._session.send(group)

    def acknowledger(self, ack_id: int) -> Callable[..., None]:
        """Return what acknowledges an event of the client's, once."""
        given = False

        def acknowledge(*arguments: Any) -> None:
            nonlocal given
            if not given:
                group = packets.ack(arguments, ack_id, namespace=self._namespace.name)
                given = True
                self.send(group)

        return acknowledge

    def awaits(self, ack_id: int) -> bool:
        """Whether an acknowledgement is awaited."""
        return self._acks is not None and ack_id in self._acks

    def acknowledged(self, ack_id: int, arguments: list[Any]) -> None:
        """Take an acknowledgement; one that nobody awaits is passed over."""
        acknowledged = self._forget(ack_id)
        if acknowledged is not None:
            acknowledged.callback(arguments)

    def end(self) -> None:
        """Send nothing any more, and fail what is still awaited."""
        self._is_over = True
        self._waiting = None
        for ack_id in list(self._acks or ()):
            acknowledged = self._forget(ack_id)
            if acknowledged is not None:
                acknowledged.errback(NotAcknowledged("the client is gone"))

    def _not_acknowledged(self, ack_id: int) -> None:
        acknowledged = self._forget(ack_id)
        if acknowledged is not None:
            acknowledged.errback(NotAcknowledged("not in time"))

    def _cancelled(self, ack_id: int) -> None:
        self._forget(ack_id)

    def _forget(self, ack_id: int) -> Deferred[list[Any]] | None:
        awaited = None if self._acks is None else self._acks.pop(ack_id, None)
        if awaited is None:
            return None
        acknowledged, timer = awaited
        if timer.active():
            timer.cancel()
        return acknowledged
