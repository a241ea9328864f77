"""What one support connection may do, and in which state. No I/O; the clock is handed in.

::

    UNAUTHENTICATED --message.auth--> AUTHENTICATING --token accepted--> SERVING
          ^                                |
          +------ database away (7) -------+          any state --close, lost--> OVER

Until the first authentication is answered, requests that arrive are held: a client may send its first
message right behind its token.

Decisions where the document and support.md are silent:

- ``message.auth`` without a token uses the handshake's (header, cookie, ``?token=``), if it had one.
- ``message.auth`` again: the same user is answered again, another user is error 3.
- ``message.send`` by an operator is error 3: an operator has no conversation of its own.
- At authentication, the newest message that an operator is shown makes its conversation the current
  one, as a push would: a client that knows only the document can answer what waited for it.
- Who answers has read what was asked: it counts as seen.
- Error 7 is not the peer's fault, and does not count towards the 50 that close a connection.
- While Redis is away taking and giving back conversations are error 7; an operator may come, and the list of
  conversations shows what this process knows of who has which. What was wrong in it is pushed afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from msgspec import Raw
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.accounts.authentication import Authenticator, Identity
from realtime.accounts.errors import IssuerUnavailable, TokenInvalid
from realtime.closing import CloseCode
from realtime.cluster.errors import ClusterUnavailable
from realtime.holding import Held
from realtime.limiting import FaultCounter
from realtime.storage.errors import Conflict, StorageUnavailable
from realtime.support import messages
from realtime.support.customer import Customer
from realtime.support.desk import Desk
from realtime.support.messages import Request
from realtime.support.operator import Operator
from realtime.support.participants import Participant, Pushes, Refused, Result

_FAULTS: Final = 50
_FAULTS_SECONDS: Final = 60.0


class Peer(Protocol):
    """The connection, as far as a session needs it."""

    number: int

    def send(self, payload: bytes) -> None:
        """Send a text message."""

    def send_frame(self, frame: bytes) -> None:
        """Send a frame that others get as well."""

    def close(self, code: CloseCode) -> None:
        """Close the connection, which ends the session before this returns."""

    def identify(self, user_id: int) -> bool:
        """Count the connection for its user; ``False``: one too many, and closed."""


class State(Enum):
    """Where a session stands."""

    UNAUTHENTICATED = auto()
    AUTHENTICATING = auto()
    SERVING = auto()
    OVER = auto()


_NEXT: Final = {
    State.UNAUTHENTICATED: {State.AUTHENTICATING, State.OVER},
    State.AUTHENTICATING: {State.UNAUTHENTICATED, State.SERVING, State.OVER},
    State.SERVING: {State.OVER},
    State.OVER: set[State](),
}


@dataclass(frozen=True, slots=True)
class Parts:
    """What the sessions of a process share."""

    authenticator: Authenticator
    desk: Desk
    pushes: Pushes
    clock: IReactorTime
    history_bytes: int


class Session:
    """The session of one connection. ``token`` is what the handshake held, not checked yet."""

    __slots__ = (
        *("_faults", "_held", "_participant", "_parts", "_peer", "_state", "_token"),
        *("origin",),
    )
    _log = Logger()

    def __init__(self, peer: Peer, parts: Parts, token: str | None) -> None:
        self._peer = peer
        self._parts = parts
        self._token = token
        self._state = State.UNAUTHENTICATED
        self._faults: FaultCounter | None = None
        self._participant: Participant | None = None
        self._held: Held[bytes] | None = None
        self.origin = parts.desk.origin(peer.number)

    # -- events --------------------------------------------------------------------------------

    def receive(self, payload: bytes) -> None:
        """One text frame came."""
        if self._state is State.AUTHENTICATING:
            self._hold(payload)
        elif self._state is not State.OVER:
            try:
                request = messages.decode(payload)
            except messages.ParseError:
                self._fail(messages.PARSE_ERROR, messages.NULL)
            else:
                self._handle(request)

    def receive_too_many(self, payload: bytes) -> None:
        """One text frame came, beyond the rate."""
        if self._state is not State.SERVING:
            self._peer.close(CloseCode.TOO_MANY_REQUESTS)
            return
        try:
            request_id = messages.decode(payload).id
        except messages.ParseError:
            request_id = messages.NULL
        self._fail(messages.TOO_MANY_REQUESTS, request_id)

    def end(self) -> None:
        """The connection is over: let go of everything."""
        was_serving = self._state is State.SERVING
        self._enter(State.OVER)
        self._held = None
        participant, self._participant = self._participant, None
        if participant is not None:
            participant.end()
            if was_serving and participant.user.is_admin:
                self._parts.desk.operator_left(participant.user)

    def send_frame(self, frame: bytes) -> None:
        """Send a push."""
        self._peer.send_frame(frame)

    # -- requests ------------------------------------------------------------------------------

    def _handle(self, request: Request) -> None:
        if request.method == "message.auth":
            self._authenticate(request)
            return
        participant = self._participant
        if participant is None:
            self._peer.close(CloseCode.NOT_AUTHENTICATED)
            return
        name = request.method
        method = participant.methods.get(name) if type(name) is str else None
        if method is None:
            self._fail(messages.UNKNOWN_METHOD, request.id)
            return
        try:
            answer = method(participant, request.params)
        except Refused as refused:
            self._fail(refused.error, request.id)
            return
        answer.addCallback(self._succeed, request.id)
        answer.addErrback(self._answer_failure, request.id)

    def _succeed(self, result: Result, request_id: Raw) -> None:
        self._peer.send(messages.encode_result(result, request_id))

    def _answer_failure(self, failure: Failure, request_id: Raw) -> None:
        reason = failure.value
        if isinstance(reason, Refused):
            self._fail(reason.error, request_id)
        elif isinstance(reason, Conflict):
            # The only row that a request leans on is its own user's: the account is gone.
            self._peer.close(CloseCode.NOT_AUTHENTICATED)
        else:
            self._unavailable(failure, request_id)

    def _unavailable(self, failure: Failure, request_id: Raw) -> None:
        if not failure.check(StorageUnavailable, IssuerUnavailable, ClusterUnavailable):
            self._report(failure)
        self._peer.send(messages.encode_error(messages.TEMPORARILY_UNAVAILABLE, request_id))

    def _fail(self, error: messages.Error, request_id: Raw) -> None:
        self._peer.send(messages.encode_error(error, request_id))
        if self._faults is None:
            self._faults = FaultCounter(_FAULTS, _FAULTS_SECONDS)
        if self._faults.add(self._parts.clock.seconds()):
            self._peer.close(CloseCode.POLICY_VIOLATION)

    def _report(self, failure: Failure) -> None:
        self._log.failure("support: connection {connection} failed", failure, connection=self._peer.number)

    def _is_over(self) -> bool:
        """Whether the connection ended, perhaps while something was waited for."""
        return self._state is State.OVER

    def _enter(self, state: State) -> None:
        if state not in _NEXT[self._state]:
            raise RuntimeError(f"from {self._state} to {state}")
        self._state = state

    # -- authentication ------------------------------------------------------------------------

    def _authenticate(self, request: Request) -> None:
        given = messages.parameters(request.params, str, optional=1)
        token = given and (given[0] if given[0] is not None else self._token)
        if not token:
            self._peer.close(CloseCode.NOT_AUTHENTICATED)
            return
        if self._participant is None:
            self._enter(State.AUTHENTICATING)
            flow = self._admit(token, request.id)
        else:
            flow = self._admit_again(self._participant, token, request.id)
        Deferred.fromCoroutine(flow).addErrback(self._not_admitted, request.id)

    async def _admit(self, token: str, request_id: Raw) -> None:
        identity = await self._parts.authenticator.authenticate(token)
        if self._is_over():
            return  # before it listens: the end has passed, and nobody would make it stop
        participant = self._participant = self._participant_for(identity)
        found = await participant.follow()
        # Either way over, and the participant ended by `end`.
        if self._is_over() or not self._peer.identify(identity.user.id):
            return
        self._enter(State.SERVING)
        self._token = None
        if identity.user.is_admin:
            self._parts.desk.operator_entered(identity.user)
        self._succeed({"messages": found or None}, request_id)
        participant.begin(found)
        self._release_held()

    async def _admit_again(self, participant: Participant, token: str, request_id: Raw) -> None:
        identity = await self._parts.authenticator.authenticate(token)
        if identity.user.id != participant.user.id:
            self._fail(messages.PERMISSION_DENIED, request_id)
        else:
            self._succeed({"messages": await participant.read() or None}, request_id)

    def _not_admitted(self, failure: Failure, request_id: Raw) -> None:
        if self._is_over():
            return
        if failure.check(TokenInvalid):
            self._peer.close(CloseCode.NOT_AUTHENTICATED)
            return
        self._unavailable(failure, request_id)
        if self._state is State.AUTHENTICATING:
            if self._participant is not None:
                self._participant.end()
                self._participant = None
            self._enter(State.UNAUTHENTICATED)
            self._release_held()

    def _participant_for(self, identity: Identity) -> Participant:
        parts = self._parts
        kind: type[Participant] = Operator if identity.user.is_admin else Customer
        return kind(identity.user, self, parts.desk, parts.pushes, parts.history_bytes)

    def _hold(self, payload: bytes) -> None:
        if self._held is None:
            self._held = Held()
        if not self._held.add(payload, len(payload)):
            self._peer.close(CloseCode.TOO_MANY_REQUESTS)

    def _release_held(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            for payload in held.take():
                self.receive(payload)
