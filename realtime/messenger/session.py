"""What one messenger connection may do, and in which state. No I/O; the clock is handed in.

::

    UNAUTHENTICATED --token--> AUTHENTICATING --accepted, seated, shown who is there--> SERVING
                                                       any state --close, lost--> OVER

The token is the handshake's, or that of an AUTH_MESSAGE; until there is one, whatever comes is discarded.
While it is checked, and an older connection of the user is asked whether it lives, what comes is held.

Decisions where the document and messenger.md are silent:

- Who can't be seated, or counted as there, as other processes can't be reached, is closed with 1013 as well.
- What can't be stored now has no error of its own here. The connection is closed with 1013: the client learns
  that something was not taken, and a dialog has no outcome that might turn out wrong.
- Once authenticated, a connection stays what it is: another AUTH_MESSAGE is discarded.
- Frames that are discarded before there is a token are not counted; the time limit ends such a connection.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, Final

from msgspec import Raw
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.accounts.errors import IssuerUnavailable, TokenInvalid
from realtime.accounts.store import User
from realtime.closing import CloseCode
from realtime.cluster.errors import ClusterUnavailable
from realtime.holding import Held
from realtime.limiting import FaultCounter
from realtime.messenger import messages
from realtime.messenger.mailbox import Mailbox
from realtime.messenger.messages import Authenticate, Error, Undecodable
from realtime.messenger.parts import Parts, Peer
from realtime.messenger.sealing import ClientKey, NotOpened
from realtime.messenger.seat import Seat
from realtime.messenger.serving import Serving
from realtime.messenger.visit import Visit
from realtime.storage.errors import Conflict, StorageUnavailable

_FAULTS: Final = 50
_FAULTS_SECONDS: Final = 60.0


class State(Enum):
    """Where a session stands."""

    UNAUTHENTICATED = auto()
    AUTHENTICATING = auto()
    SERVING = auto()
    OVER = auto()


_NEXT: Final = {
    State.UNAUTHENTICATED: {State.AUTHENTICATING, State.OVER},
    State.AUTHENTICATING: {State.SERVING, State.OVER},
    State.SERVING: {State.OVER},
    State.OVER: set[State](),
}


class Session:
    """The session of one connection; `begin` starts it. It is the occupant of its user's seat."""

    __slots__ = (
        *("_faults", "_has_key", "_held", "_mailbox", "_parts", "_peer", "_seat", "_serving", "_state"),
        *("_user", "_visit"),
    )
    _log = Logger()

    def __init__(self, peer: Peer, parts: Parts) -> None:
        self._peer = peer
        self._parts = parts
        self._state = State.UNAUTHENTICATED
        self._faults: FaultCounter | None = None
        self._held: Held[bytes] | None = None
        self._has_key = False
        self._user: User
        self._seat: Seat | None = None
        self._visit: Visit | None = None
        self._serving: Serving | None = None
        self._mailbox: Mailbox | None = None

    # -- events --------------------------------------------------------------------------------

    def begin(self, token: str | None, key: str | None) -> None:
        """The connection is open; ``token`` and the public ``key`` are what the handshake held, unchecked."""
        if key is not None and not self._take_key(key):
            return
        if token is not None:
            self._authenticate(token)

    def receive(self, payload: bytes) -> None:
        """One text frame came."""
        if self._state is State.AUTHENTICATING:
            if self._held is None:
                self._held = Held()
            if not self._held.add(payload, len(payload)):
                self._peer.close(CloseCode.TOO_MANY_REQUESTS)
        elif self._state is not State.OVER:
            self._take(payload)

    def receive_binary(self) -> None:
        """One binary frame came, which no message is."""
        self.discard()

    def pong(self, payload: bytes) -> None:
        """One pong came."""
        if self._seat is not None and self._seat.pong(payload):
            return
        if self._mailbox is not None:
            self._mailbox.pong(payload)

    def too_late(self) -> None:
        """No token was accepted in time."""
        self._not_authenticated(messages.TOKEN_INVALID, CloseCode.NOT_AUTHENTICATED)

    def ping(self, name: bytes) -> None:
        """See `seat.Occupant`."""
        self._peer.ping(name)

    def replaced(self) -> None:
        """See `seat.Occupant`."""
        self._peer.close(CloseCode.REPLACED)

    def end(self) -> None:
        """The connection is over: let go of everything."""
        was_serving = self._state is State.SERVING
        self._enter(State.OVER)
        self._held = None
        if self._mailbox is not None:
            self._mailbox.end()
        if self._visit is not None:
            self._visit.leave()
        if self._seat is not None:
            self._seat.leave()
        if was_serving:
            went = self._parts.store.went(self._user.id, int(self._parts.clock.seconds()))
            went.addErrback(lambda failure: self.note(failure))

    # -- the way in ----------------------------------------------------------------------------

    def _authenticate(self, token: str) -> None:
        sealing = self._parts.sealing
        if sealing is not None and sealing.is_required and not self._has_key:
            self._not_authenticated(messages.KEY_NEEDED, CloseCode.POLICY_VIOLATION)
            return
        self._enter(State.AUTHENTICATING)
        Deferred.fromCoroutine(self._admit(token)).addErrback(self._not_admitted)

    async def _admit(self, token: str) -> None:
        parts, peer = self._parts, self._peer
        identity = await parts.authority.authenticate(token)
        if self._is_over():
            return
        user = self._user = identity.user
        seat = self._seat = Seat(parts.seats, user.id, f"{parts.process}.{peer.number}", self)
        if not await seat.take():
            if not self._is_over():
                self._not_authenticated(messages.ALREADY_CONNECTED, CloseCode.REPLACED)
            return
        profile, picture = await parts.store.came(user.id, int(parts.clock.seconds()), identity.profile)
        if profile is None:
            raise TokenInvalid("the account is gone")
        if picture and picture != profile.avatar:
            # The outside server's has taken its place. If this fails it is tried again with the next picture.
            parts.avatars.remove_unless_used(picture).addErrback(lambda _: None)
        if self._is_over():
            return
        visit = self._visit = Visit(parts.hall, user.id, peer)
        await visit.count(profile)
        seat.settle()  # who was here before goes, and makes room among the user's connections
        if self._is_over() or not peer.identify(user.id) or not await visit.enter():
            return
        self._enter(State.SERVING)
        self._serving = Serving(peer, parts, user.id, self)
        mailbox = self._mailbox = Mailbox(parts.office, user.id, peer, parts.time)
        await mailbox.start()
        held, self._held = self._held, None
        for payload in held.take() if held is not None else ():
            self.receive(payload)

    def _not_admitted(self, failure: Failure) -> None:
        if self._is_over():
            return
        if failure.check(TokenInvalid, Conflict):
            self._not_authenticated(messages.TOKEN_INVALID, CloseCode.NOT_AUTHENTICATED)
            return
        if not failure.check(StorageUnavailable, IssuerUnavailable, ClusterUnavailable):
            self.note(failure)
        self._peer.close(CloseCode.TRY_AGAIN_LATER)

    def _not_authenticated(self, error: Error, code: CloseCode) -> None:
        self._peer.tell(messages.not_authenticated(error))
        self._peer.close(code)

    def _take_key(self, named: dict[str, Any] | str) -> bool:
        """Seal what is sent from now on; ``False``: that is no key, and the connection is closed."""
        if self._parts.sealing is None:
            return True  # what is not sealed here needs no key
        try:
            key = ClientKey.parse(named)
        except ValueError:
            self._not_authenticated(messages.KEY_NEEDED, CloseCode.POLICY_VIOLATION)
            return False
        self._peer.seal_for(key)
        self._has_key = True
        return True

    # -- messages ------------------------------------------------------------------------------

    def _take(self, payload: bytes) -> None:
        is_long = len(payload) > messages.LONGEST_MESSAGE
        try:
            envelope = messages.open_envelope(payload)
            if is_long and (envelope.type != "SAVE_AVATAR" or self._state is State.UNAUTHENTICATED):
                self._peer.close(CloseCode.MESSAGE_TOO_BIG)
                return
            message = messages.decode(envelope, self._opened(envelope))
        except (Undecodable, NotOpened):
            if is_long:
                self._peer.close(CloseCode.MESSAGE_TOO_BIG)
            else:
                self.discard()
            return
        if self._serving is not None:
            self._serving.obey(message)
        elif isinstance(message, Authenticate) and (message.key is None or self._take_key(message.key)):
            self._authenticate(message.token)

    def _opened(self, envelope: messages.Envelope) -> bytes | Raw:
        """Return what ``serverData`` holds, opened if it is sealed."""
        sealed, sealing = envelope.sealed, self._parts.sealing
        if sealing is None or (sealed is None and not sealing.is_required):
            return envelope.server_data
        if sealed is None:
            raise NotOpened("not sealed")
        return sealing.sealer.open(sealed)

    # -- faults --------------------------------------------------------------------------------

    def not_stored(self, failure: Failure) -> None:
        """Close: what was asked for can't be done."""
        if failure.check(Conflict):
            code = CloseCode.NOT_AUTHENTICATED  # the account is gone
        else:
            code = CloseCode.TRY_AGAIN_LATER
            if not failure.check(StorageUnavailable):
                self.note(failure)
        self._peer.close(code)

    def discard(self) -> None:
        """Pass over what can't be obeyed, and count it."""
        self._parts.discarded()
        if self._state is State.SERVING:
            if self._faults is None:
                self._faults = FaultCounter(_FAULTS, _FAULTS_SECONDS)
            if self._faults.add(self._parts.clock.seconds()):
                self._peer.close(CloseCode.POLICY_VIOLATION)

    def note(self, failure: Failure) -> None:
        """Log a fault that is ours."""
        if not failure.check(StorageUnavailable):
            self._log.failure(
                "messenger: connection {connection} failed", failure, connection=self._peer.number
            )

    def _is_over(self) -> bool:
        """Whether the connection ended, perhaps while something was waited for."""
        return self._state is State.OVER

    def _enter(self, state: State) -> None:
        if state not in _NEXT[self._state]:
            raise RuntimeError(f"from {self._state} to {state}")
        self._state = state
