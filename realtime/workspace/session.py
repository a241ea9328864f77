"""What one workspace connection may do, and in which state. No I/O; the clock is handed in.

::

    UNAUTHENTICATED --auth--> AUTHENTICATING --accepted--> SERVING --token expired--> UNAUTHENTICATED
           ^                        |
           +--- refused, away ------+            any state --disconnected, lost--> OVER

While a token is checked, what comes is held: a client may send its first event right behind it. If another one
expires while its successor is checked, the session is unauthenticated until that is accepted.

Decisions where the document and workspace.md are silent:

- Whoever says what fails hears of it by the error pair; an acknowledgement that was asked for is given too.
- ``Temporarily unavailable`` is nobody's fault: such an ``auth`` is none of the five that may fail.
- A connection whose token has expired leaves its rooms, and is back in them after a new ``auth``.
- A private channel's creator hears of it by each connection that joins the channel's room.
- Whose account is removed while it is connected has an invalid token from then on, and is disconnected.
- How a user looks is no condition of anything: if other processes are out of reach an ``auth`` succeeds all the
  same, an ``online-status`` is temporarily unavailable, and both are told when they can be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from msgspec import UNSET, Raw
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.accounts.authentication import Identity
from realtime.accounts.errors import IssuerUnavailable, TokenInvalid
from realtime.accounts.store import User
from realtime.cluster.errors import ClusterUnavailable
from realtime.holding import Held
from realtime.storage.errors import Conflict, StorageUnavailable
from realtime.web.api import Refused
from realtime.workspace import messages
from realtime.workspace.attendance import Attendance
from realtime.workspace.messages import (
    ApiError,
    Authenticate,
    AuthSuccess,
    CreateChannel,
    ErrorReply,
    Malformed,
    OnlineStatus,
    SendMessage,
    SetStatus,
    StatusUpdated,
)
from realtime.workspace.parts import Parts, Peer

_FAILED_AUTHS: Final = 5
_GRACE: Final = 30.0
"""Seconds for a new ``auth`` after the token has expired."""

Acknowledge = Callable[[object], None]


@dataclass(frozen=True, slots=True)
class Event:
    """An event that came: its name, its first argument, and how to acknowledge it if that was asked for."""

    name: str
    payload: Raw
    acknowledge: Acknowledge | None

    def transaction(self) -> str | None:
        """Return the name under which its sender waits for an error."""
        return messages.transaction_of(self.payload)


class State(Enum):
    """Where a session stands."""

    UNAUTHENTICATED = auto()
    AUTHENTICATING = auto()
    SERVING = auto()
    OVER = auto()


_NEXT: Final = {
    State.UNAUTHENTICATED: {State.AUTHENTICATING, State.OVER},
    State.AUTHENTICATING: {State.UNAUTHENTICATED, State.SERVING, State.OVER},
    State.SERVING: {State.UNAUTHENTICATED, State.OVER},
    State.OVER: set[State](),
}


class Session:
    """The session of one connection; it begins when it is made."""

    __slots__ = (
        *("_attendance", "_auths_failed", "_held", "_is_checking", "_parts", "_peer", "_state", "_timer"),
        *("status", "token", "user"),
    )
    _log = Logger()

    def __init__(self, peer: Peer, parts: Parts) -> None:
        self._peer = peer
        self._parts = parts
        self._state = State.UNAUTHENTICATED
        self._auths_failed = 0
        self._is_checking = False
        self._held: Held[tuple[Event, int]] | None = None
        self._attendance: Attendance | None = None
        self.user: User | None = None
        self.token: str | None = None
        self.status = OnlineStatus.OFFLINE
        self._timer: IDelayedCall | None = None
        self._wait(parts.unauthenticated_timeout, self._too_late)

    # -- events --------------------------------------------------------------------------------

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms it is in."""
        return frozenset() if self._attendance is None else self._attendance.rooms

    def receive(self, event: Event, size: int) -> None:
        """One event came, of ``size`` bytes."""
        if self._state is State.OVER:
            return
        if self._is_checking:
            if self._held is None:
                self._held = Held()
            if not self._held.add((event, size), size):
                self.fail(event, messages.TOO_MANY_REQUESTS)
        else:
            self._take(event)

    def fail(self, event: Event, text: str) -> None:
        """Tell whoever sent an event that it failed: the bare text for its transaction first, then the pair."""
        if self._state is State.OVER:
            return
        transaction = event.transaction()
        if transaction is not None:
            self._peer.emit(f"socket-api-error-{transaction}", text)
        self._peer.emit("socket-api-error", ApiError(event.name, text))
        if event.acknowledge is not None:
            event.acknowledge(ErrorReply(text))

    async def resume(self, token: str, status: OnlineStatus) -> bool:
        """Be again who one was, after the connection was lost; whether the token is still good."""
        self._enter(State.AUTHENTICATING)
        self._is_checking = True
        try:
            identity = await self._parts.authenticator.authenticate(token)
            if self._is_over() or not self._peer.identify(identity.user.id):
                return False
            await self._serve(identity.user)
            if self._is_over():
                return False
            self.token = token
            self._expire_at(identity.expires)
            self._look_at_first(status)
        except (TokenInvalid, StorageUnavailable, IssuerUnavailable):
            self._go_out()
            if not self._is_over():
                self._enter(State.UNAUTHENTICATED)
            return False
        finally:
            self._take_held()
        return not self._is_over()

    def end(self) -> None:
        """The connection is over: let go of everything."""
        self._enter(State.OVER)
        self._held = None
        self._wait(None)
        self._go_out()

    # -- authentication ------------------------------------------------------------------------

    def _authenticate(self, event: Event, auth: Authenticate) -> None:
        self._is_checking = True
        if self._state is not State.SERVING:
            self._enter(State.AUTHENTICATING)
        token = auth.data if auth.data is not None else auth.token
        checked = self._parts.authenticator.authenticate(token)
        admitted = checked.addCallback(
            lambda identity: Deferred.fromCoroutine(self._admit(event, auth, identity))
        )
        admitted.addErrback(self._not_admitted, event).addBoth(lambda _: self._take_held())

    async def _admit(self, event: Event, auth: Authenticate, identity: Identity) -> None:
        if self._is_over():
            return
        user = identity.user
        if self.user is not None and self.user.id != user.id:
            if self._state is State.AUTHENTICATING:
                self._enter(State.UNAUTHENTICATED)
            self.fail(event, messages.OTHER_USER)
            return
        if self._state is not State.SERVING:
            self._enter(State.AUTHENTICATING)
            if self.user is None and not self._peer.identify(user.id):
                return
            await self._serve(user)
            if self._is_over():
                return
        self.user = user
        self.token = auth.data if auth.data is not None else auth.token
        self._auths_failed = 0
        self._expire_at(identity.expires)
        transaction = event.transaction()
        success = AuthSuccess(str(user.id), UNSET if transaction is None else transaction)
        self._peer.emit("auth-success", success)
        if event.acknowledge is not None:
            event.acknowledge(success)
        self._look_at_first(auth.online_status)

    async def _serve(self, user: User) -> None:
        self.user = user
        self._attendance = Attendance(self._peer, self._parts, user)
        await self._attendance.go_in()
        if not self._is_over():
            self._enter(State.SERVING)

    def _not_admitted(self, failure: Failure, event: Event) -> None:
        if self._is_over():
            return
        if self._state is State.AUTHENTICATING:
            self._go_out()
            self._enter(State.UNAUTHENTICATED)
        if failure.check(TokenInvalid, Conflict):
            self.fail(event, messages.INVALID_TOKEN)
            self._auths_failed += 1
            if self._auths_failed >= _FAILED_AUTHS:
                self._peer.disconnect()
            return
        self._note(failure)
        self.fail(event, messages.UNAVAILABLE)

    def _take_held(self) -> None:
        self._is_checking = False
        held, self._held = self._held, None
        for event, size in held.take() if held is not None else ():
            self.receive(event, size)

    def _expire_at(self, expires: float | None) -> None:
        if expires is None:
            self._wait(None)
        else:
            self._wait(max(0.0, expires - self._parts.clock.seconds()), self._expired)

    async def _look(self, status: OnlineStatus) -> None:
        self.status = status
        if self._attendance is not None:
            await self._attendance.look(status)

    def _look_at_first(self, status: OnlineStatus) -> None:
        Deferred.fromCoroutine(self._look(status)).addErrback(self._note)

    def _go_out(self) -> None:
        attendance, self._attendance = self._attendance, None
        if attendance is not None:
            attendance.go_out()

    def _expired(self) -> None:
        self._go_out()
        self._enter(State.UNAUTHENTICATED)
        self.fail(Event("auth", Raw(b"{}"), None), messages.TOKEN_EXPIRED)
        self._wait(_GRACE, self._too_late)

    def _too_late(self) -> None:
        self._peer.disconnect()

    # -- what an authenticated connection asks for ---------------------------------------------

    def _take(self, event: Event) -> None:
        if self._state is not State.SERVING and event.name != "auth":
            self.fail(event, messages.NOT_AUTHENTICATED)
            return
        if event.name not in messages.SHAPES:
            self.fail(event, messages.UNKNOWN_EVENT)
            return
        try:
            read = messages.decode(event.name, event.payload)
        except Malformed:
            self.fail(event, messages.invalid_format(event.name))
            return
        match read:
            case Authenticate():
                self._authenticate(event, read)
            case CreateChannel():
                self._answer(event, self._create(read))
            case SendMessage():
                self._answer(event, self._say(read))
            case SetStatus():
                self._answer(event, self._set_status(read))

    async def _create(self, create: CreateChannel) -> object:
        try:
            return await self._parts.administration.create_channel(
                self._who(), create.workspace_id, create.name, create.is_private
            )
        except Refused as refused:
            return None if refused.status == 404 else ErrorReply(messages.NOT_ALLOWED)

    async def _say(self, send: SendMessage) -> object:
        said = await self._parts.channels.say(self._who(), send, self._now())
        if said is None:
            return None
        if said.is_new:
            self._parts.hub.say(said)
        return said.message

    async def _set_status(self, status: SetStatus) -> object:
        await self._look(status.online_status)
        return StatusUpdated(str(self._who().id), status.online_status)

    def _answer(self, event: Event, work: Any) -> None:
        """Do what an event asks for, and acknowledge it. ``None`` says that there is no such thing.

        Who asks may be gone, with its account: then it is disconnected.
        """

        def done(result: object) -> None:
            if result is None:
                self.fail(event, messages.NOT_FOUND)
            elif isinstance(result, ErrorReply):
                self.fail(event, result.error)
            elif event.acknowledge is not None and not self._is_over():
                event.acknowledge(result)

        def failed(failure: Failure) -> None:
            if failure.check(TokenInvalid):
                self.fail(event, messages.INVALID_TOKEN)
                self._peer.disconnect()
                return
            self._note(failure)
            self.fail(event, messages.UNAVAILABLE)

        Deferred.fromCoroutine(work).addCallback(done).addErrback(failed)

    # -- the rest ------------------------------------------------------------------------------

    def _who(self) -> User:
        if self.user is None:
            raise RuntimeError("not authenticated")
        return self.user

    def _now(self) -> int:
        return int(self._parts.clock.seconds() * 1000)

    def _note(self, failure: Failure) -> None:
        if not failure.check(StorageUnavailable, IssuerUnavailable, ClusterUnavailable):
            self._log.failure(
                "workspace: connection {connection} failed", failure, connection=self._peer.number
            )

    def _wait(self, seconds: float | None, then: Callable[[], None] | None = None) -> None:
        """Replace the one time limit that a session is under."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        if seconds is not None and then is not None:
            self._timer = self._parts.clock.callLater(seconds, then)

    def _is_over(self) -> bool:
        return self._state is State.OVER

    def _enter(self, state: State) -> None:
        if state is self._state:
            return
        if state not in _NEXT[self._state]:
            raise RuntimeError(f"from {self._state} to {state}")
        self._state = state
