"""What one talk connection may do, and in which state. No I/O; the clock is handed in.

::

    AUTHENTICATING --token accepted--> IDLE --find--> QUEUED --matched--> TALKING
          |                             |               |                    |
          +-----------------------------+---------------+--------------------+--closed, lost--> OVER

Talking is the matter of the `conversation`, which has phases of its own. The token is the handshake's, and
is checked as soon as the connection is open; what arrives meanwhile is held.

Decisions where the document and talk.md are silent:

- A connection replaces the user's others once its own token is accepted, not before.
- Errors after which a connection stays are the peer's faults: fifty in a minute close it with 1008.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.accounts.errors import IssuerUnavailable, TokenInvalid
from realtime.accounts.store import User
from realtime.closing import CloseCode
from realtime.cluster.bus import Subscription
from realtime.holding import Held
from realtime.limiting import FaultCounter
from realtime.storage.errors import StorageUnavailable
from realtime.talk import messages
from realtime.talk.conversation import Engagement
from realtime.talk.lobby import Arrived, Lobby
from realtime.talk.messages import ClientMessage, Error, Find, Malformed, ServerMessage
from realtime.talk.pool import Seeker

_FAULTS: Final = 50
_FAULTS_SECONDS: Final = 60.0


class Peer(Protocol):
    """The connection, as far as a session needs it."""

    number: int

    def tell(self, message: ServerMessage) -> None:
        """Send a message, in the form that the transport has for it; nothing once it is closed."""

    def close(self, code: CloseCode) -> None:
        """Close the connection, which ends the session before this returns; once is enough."""

    def identify(self, user_id: int) -> bool:
        """Count the connection for its user; ``False``: one too many, and closed."""


class State(Enum):
    """Where a session stands."""

    AUTHENTICATING = auto()
    IDLE = auto()
    QUEUED = auto()
    TALKING = auto()
    OVER = auto()


_NEXT: Final = {
    State.AUTHENTICATING: {State.IDLE, State.OVER},
    State.IDLE: {State.QUEUED, State.OVER},
    State.QUEUED: {State.TALKING, State.OVER},
    State.TALKING: {State.OVER},
    State.OVER: set[State](),
}


class Session:
    """The session of one connection; `begin` starts it. It is a conversation's `Participant`."""

    __slots__ = (
        *("_arrived", "_conversation", "_faults", "_held", "_lobby", "_peer", "_state", "_subscription"),
        *("_ticket", "_user"),
    )
    _log = Logger()

    def __init__(self, peer: Peer, lobby: Lobby) -> None:
        self._peer = peer
        self._lobby = lobby
        self._state = State.AUTHENTICATING
        self._held: Held[ClientMessage | Malformed] | None = None
        self._faults: FaultCounter | None = None
        self._subscription: Subscription | None = None
        self._arrived: Arrived | None = None
        self._user: User
        self._ticket: str
        self._conversation: Engagement

    # -- events --------------------------------------------------------------------------------

    def begin(self, token: str | None) -> None:
        """The connection is open; ``token`` is what the handshake held, not checked yet."""
        Deferred.fromCoroutine(self._admit(token)).addErrback(self._not_admitted)

    def receive(self, message: ClientMessage | Malformed, size: int) -> None:
        """One message came, which was read from ``size`` bytes."""
        if self._state is State.TALKING:
            self._conversation.receive(self, message)
        elif self._state is State.AUTHENTICATING:
            self._hold(message, size)
        elif self._state is State.IDLE and isinstance(message, Find):
            self._seek(message)
        elif self._state is not State.OVER:
            malformed = isinstance(message, Malformed)
            self.finish(messages.BAD_REQUEST if malformed else messages.NOT_ALLOWED)

    def end(self) -> None:
        """The connection is over: let go of everything."""
        before = self._state
        self._enter(State.OVER)
        self._held = None
        if self._subscription is not None:
            self._subscription.cancel()
        if before is State.QUEUED:
            self._lobby.leave(self._ticket)
        elif before is State.TALKING:
            self._conversation.leave(self)

    # -- what the lobby and the conversation make of it ----------------------------------------

    def join(self, conversation: Engagement) -> None:
        """Take part in a conversation."""
        self._enter(State.TALKING)
        self._conversation = conversation

    def tell(self, message: ServerMessage) -> None:
        """See :meth:`Participant.tell`."""
        self._peer.tell(message)

    def refuse(self, error: Error) -> None:
        """See :meth:`Participant.refuse`."""
        self._peer.tell(error)
        if self._faults is None:
            self._faults = FaultCounter(_FAULTS, _FAULTS_SECONDS)
        if self._faults.add(self._lobby.clock.seconds()):
            self._peer.close(CloseCode.POLICY_VIOLATION)

    def finish(self, error: Error | None) -> None:
        """See :meth:`Participant.finish`."""
        if error is None:
            self._peer.close(CloseCode.DONE)
        else:
            self._peer.tell(error)
            self._peer.close(messages.CLOSE_CODES[error])

    # -- the way there -------------------------------------------------------------------------

    async def _admit(self, token: str | None) -> None:
        identity = await self._lobby.authenticator.authenticate(token)
        if self._is_over():
            return  # before it listens: the end has passed, and nobody would make it stop
        self._user = identity.user
        self._subscription = self._lobby.follow(self._user.id, self._heard, self._announce)
        await self._subscription.active
        if self._is_over():
            return
        self._arrived = self._lobby.arrival()
        self._announce()
        # An older connection has given way by now, and does not count any more.
        if self._is_over() or not self._peer.identify(self._user.id):
            return
        self._enter(State.IDLE)
        held, self._held = self._held, None
        if held is not None:
            for message in held.take():
                self.receive(message, 0)

    def _not_admitted(self, failure: Failure) -> None:
        if failure.check(TokenInvalid):
            self.finish(messages.UNAUTHORIZED)
            return
        if not failure.check(StorageUnavailable, IssuerUnavailable):
            self._log.failure("talk: connection {connection} failed", failure, connection=self._peer.number)
        self.finish(messages.UNAVAILABLE)

    def _hold(self, message: ClientMessage | Malformed, size: int) -> None:
        if self._held is None:
            self._held = Held()
        if not self._held.add(message, size):
            self._peer.close(CloseCode.TOO_MANY_REQUESTS)

    def _heard(self, arrived: Arrived) -> None:
        if self._arrived is None or arrived == self._arrived:
            return  # it was there before, and will hear of this one; or it is this one
        if arrived > self._arrived:
            self.finish(messages.REPLACED)
        else:
            self._announce()  # it has not heard of this one

    def _announce(self) -> None:
        if self._arrived is not None:
            self._lobby.announce(self._user.id, self._arrived)

    def _seek(self, find: Find) -> None:
        self._enter(State.QUEUED)
        self._ticket = self._lobby.name(self._peer.number)
        user = self._user
        self._lobby.seek(Seeker(self._ticket, user.id, user.name, find.score, find.questions), self)

    def _is_over(self) -> bool:
        """Whether the connection ended, perhaps while something was waited for."""
        return self._state is State.OVER

    def _enter(self, state: State) -> None:
        if state not in _NEXT[self._state]:
            raise RuntimeError(f"from {self._state} to {state}")
        self._state = state
