"""What one market connection may do. No I/O; the clock is handed in.

The token is checked before the upgrade: a session knows from the beginning whose it is, and has no states but
to be there and to be over. A request is answered as soon as what it asks for is stored; then others are told.

Decisions where the document and market.md are silent:

- A refused message is answered with STATUS MSG, every other request with ERROR.
- What is refused to a peer is its fault, and twenty in a minute close with 1008. The database's absence is not.
- Who takes a step hears of it as the other party does, on all connections: there is no answer beside that.
- After a gap between processes a connection is told what it missed, as if it had just happened (`catching_up`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.accounts.store import User
from realtime.closing import CloseCode
from realtime.cluster.bus import Subscription
from realtime.limiting import FaultCounter
from realtime.market import messages, opcodes
from realtime.market.catching_up import Knowledge
from realtime.market.codec import BadPacket
from realtime.market.exchange import Exchange, Told
from realtime.market.messages import (
    AskConversations,
    ClientMessage,
    Conversation,
    CreateMessage,
    CreateService,
    Fault,
    OpenConversation,
    Pong,
    ReportConversation,
    ReportMessage,
    ReturnConversations,
    ServerMessage,
    ServiceStep,
)
from realtime.market.showing import newest_that_fit
from realtime.market.store import Created, Seen, Step
from realtime.storage.errors import Conflict, StorageUnavailable

T = TypeVar("T")

_FAULTS: Final = 20
_FAULTS_SECONDS: Final = 60.0


class Peer(Protocol):
    """The connection, as far as a session needs it."""

    number: int

    def tell(self, message: ServerMessage) -> None:
        """Send a message, in the form that the client speaks."""

    def pass_on(self, told: Told) -> None:
        """Send what many are told."""

    def close(self, code: CloseCode) -> None:
        """Close the connection, which ends the session before this returns."""


class Session:
    """The session of one connection of ``user``."""

    __slots__ = (
        *("_collected", "_creating", "_exchange", "_faults", "_has_gap", "_is_over", "_knowledge", "_origin"),
        *("_peer", "_subscription", "user"),
    )
    _log = Logger()

    def __init__(self, peer: Peer, exchange: Exchange, user: User) -> None:
        self.user = user
        self._peer = peer
        self._exchange = exchange
        self._origin = exchange.origin(peer.number)
        self._faults: FaultCounter | None = None
        self._is_over = False
        self._knowledge = Knowledge(user.id, exchange.now())
        self._creating = 0
        self._has_gap = False
        self._collected: list[Told] | None = None
        self._subscription: Subscription = exchange.follow(user.id, self._told, self._gap)

    # -- events --------------------------------------------------------------------------------

    def receive(self, message: ClientMessage) -> None:
        """One packet came."""
        store, user, now = self._exchange.store, self.user, self._exchange.now()
        match message:
            case Pong():
                pass
            case CreateMessage():
                self._create(message, now)
            case AskConversations():
                self._answer(message, Deferred.fromCoroutine(self._show(message)))
            case OpenConversation():
                opened = store.open(user.id, message.conversation)
                self._answer(message, opened.addCallback(self._opened, message))
            case ReportConversation() | ReportMessage():
                self._answer(message, store.report(user.id, message, now))
            case _:
                self._step(message, now)

    def receive_bad(self, bad: BadPacket) -> None:
        """One packet came that can't be obeyed."""
        self._refuse(bad.opcode, bad.fault)

    def end(self) -> None:
        """The connection is over: hear nothing more."""
        self._is_over = True
        self._collected = None
        self._subscription.cancel()

    # -- requests ------------------------------------------------------------------------------

    def _create(self, request: CreateMessage, now: int) -> None:
        if not messages.is_sayable(request.content):
            self._not_stored(request, messages.BAD_REQUEST)
            return
        self._creating += 1
        created = self._exchange.store.create(self.user, request, now)
        created.addBoth(self._no_more_creating)
        created.addCallback(self._created, request)
        created.addErrback(self._unavailable, lambda: self._not_stored(request, messages.UNAVAILABLE))

    def _no_more_creating(self, outcome: T) -> T:
        self._creating -= 1
        return outcome

    def _created(self, created: Created | Fault, request: CreateMessage) -> None:
        if isinstance(created, Fault):
            self._not_stored(request, created)
            return
        if not self._is_over:
            self._knowledge.learn(created.message)
            self._peer.tell(messages.stored(created.message, request.temporary_id))
        if created.is_new:
            self._exchange.said(self.user.id, created, self._origin)

    def _not_stored(self, request: CreateMessage, fault: Fault) -> None:
        if not self._is_over:
            self._peer.tell(messages.not_stored(request, fault))
            self._count(fault)

    async def _show(self, request: AskConversations) -> None:
        await self._subscription.active  # what is said from now on is told, and what was before is found
        fitting = await self._read(request)
        if not self._is_over:
            for conversation in fitting:
                for message in conversation.messages:
                    self._knowledge.learn(message)
            self._peer.tell(ReturnConversations(fitting))

    async def _read(self, request: AskConversations) -> tuple[Conversation, ...]:
        found = await self._exchange.store.conversations(self.user.id, request.before, request.limit)
        return newest_that_fit(tuple(found), self._exchange.history_bytes)

    def _opened(self, seen: Seen | Fault, request: OpenConversation) -> Fault | None:
        if isinstance(seen, Fault):
            return seen
        self._exchange.seen(request.conversation, seen)
        return None

    def _step(self, request: CreateService | ServiceStep, now: int) -> None:
        def stepped(step: Step | Fault) -> Fault | None:
            if isinstance(step, Fault):
                return step
            self._exchange.stepped(step)
            return None

        self._answer(request, self._exchange.store.step(self.user.id, request, now).addCallback(stepped))

    # -- answers -------------------------------------------------------------------------------

    def _answer(self, request: ClientMessage, outcome: Deferred[Fault | None]) -> None:
        """Answer a request that has no reply of its own, if it failed."""
        opcode = opcodes.of(request)

        def settled(fault: Fault | None) -> None:
            if fault is not None:
                self._refuse(opcode, fault)

        outcome.addCallback(settled)
        outcome.addErrback(self._unavailable, lambda: self._refuse(opcode, messages.UNAVAILABLE))

    def _refuse(self, opcode: int, fault: Fault) -> None:
        if not self._is_over:
            self._peer.tell(fault.of(opcode))
            self._count(fault)

    def _count(self, fault: Fault) -> None:
        if fault is messages.UNAVAILABLE:
            return
        if self._faults is None:
            self._faults = FaultCounter(_FAULTS, _FAULTS_SECONDS)
        if self._faults.add(self._exchange.clock.seconds()) and not self._is_over:
            self._peer.close(CloseCode.POLICY_VIOLATION)

    def _unavailable(self, failure: Failure, tell: Callable[[], None]) -> None:
        if failure.check(Conflict):
            # The only row that a request leans on is its own user's: the account is gone.
            if not self._is_over:
                self._peer.close(CloseCode.NOT_AUTHENTICATED)
            return
        if not failure.check(StorageUnavailable):
            self._log.failure("market: connection {connection} failed", failure, connection=self._peer.number)
        tell()

    # -- what others do ------------------------------------------------------------------------

    def _told(self, told: Told) -> None:
        if self._collected is not None:
            self._collected.append(told)
        elif told.origin != self._origin:
            news = self._knowledge.news_of(told)
            if news is not None:
                self._peer.pass_on(news)

    def _gap(self) -> None:
        """Something may have been lost on the way here: look into the database for it."""
        if not self._has_gap:
            self._has_gap = True
            self._exchange.catching_up.run(self._catch_up)

    async def _catch_up(self) -> bool:
        if self._is_over:
            return True
        if self._collected is not None:
            return False  # still looking, after an earlier gap
        self._has_gap = False
        self._collected = []  # what is told meanwhile comes after what is found
        try:
            found = await self._read(AskConversations())
        except Exception:
            self._has_gap = True
            self._go_on()
            raise
        if self._is_over:
            return True
        missed, is_all = self._knowledge.missed(found, but_own=self._creating > 0)
        for told in missed:
            self._peer.pass_on(told)
        self._go_on()
        return is_all

    def _go_on(self) -> None:
        collected, self._collected = self._collected or [], None
        for told in collected:
            self._told(told)
