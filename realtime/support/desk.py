"""The desk: where a message goes once it is stored, and who has which conversation.

Every connection of a customer listens to the customer's topic, every connection of an operator to
the operators'. A conversation that an operator has taken is a lease that lasts while the operator is
online: its messages are then for that operator's connections, otherwise for all operators'. When an
operator's last connection ends, its conversations return to the pool, and what is unanswered in them
goes out to the operators who are there: it had been shown to nobody else.
"""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_hex

from msgspec import Struct, structs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.accounts.store import User
from realtime.cluster.bus import Bus, Subscription, Topic
from realtime.cluster.leases import Leases
from realtime.cluster.presence import Presence
from realtime.storage.errors import StorageUnavailable
from realtime.support.messages import Conversation, Message, OperatorMessage
from realtime.support.store import SupportStore

_OPERATORS = "support.operators"


class Posted(Struct, frozen=True):
    """A message was stored, or has returned to the pool with its conversation.

    ``author`` is the user who wrote it, ``origin`` the connection it came by; ``assigned_to`` is the
    operator who has the conversation, if one has.
    """

    message: OperatorMessage
    author: int
    origin: str
    assigned_to: int | None


class Changed(Struct, frozen=True):
    """A conversation was taken, given back or marked as read; ``origin`` is the connection."""

    conversation: Conversation
    origin: str


_TO_OPERATORS = Topic("support.operators", Posted)
_CHANGES = Topic("support.conversations", Changed)


def _to_customer(customer: int) -> Topic[Posted]:
    return Topic(f"support.customer.{customer}", Posted)


def _lease(customer: int) -> str:
    return f"support.conversation.{customer}"


class Desk:
    """What all support connections of a process share."""

    _log = Logger()

    def __init__(
        self,
        *,
        store: SupportStore,
        bus: Bus,
        presence: Presence,
        leases: Leases,
        clock: IReactorTime,
    ) -> None:
        self.store = store
        self._bus = bus
        self._presence = presence
        self._leases = leases
        self._clock = clock
        self._process = token_hex(8)

    def origin(self, connection: int) -> str:
        """Return the name of a connection that no other in the cluster has."""
        return f"{self._process}.{connection}"

    # -- listening -----------------------------------------------------------------------------

    def follow_customer(
        self, customer: User, posted: Callable[[Posted], None], gap: Callable[[], None]
    ) -> Subscription:
        """Hear what is said in a customer's conversation."""
        return self._bus.subscribe(_to_customer(customer.id), posted, gap)

    def follow_operators(self, posted: Callable[[Posted], None], gap: Callable[[], None]) -> Subscription:
        """Hear what is said in all conversations."""
        return self._bus.subscribe(_TO_OPERATORS, posted, gap)

    def follow_changes(self, changed: Callable[[Changed], None]) -> Subscription:
        """Hear who takes and gives back which conversation."""
        return self._bus.subscribe(_CHANGES, changed)

    def operator_entered(self, operator: User) -> Deferred[bool]:
        """Count an operator's connection."""
        return self._presence.enter(_OPERATORS, str(operator.id))

    def operator_left(self, operator: User) -> Deferred[None]:
        """Take an operator's connection back; with the last one, give back its conversations."""
        return Deferred.fromCoroutine(self._operator_left(operator))

    async def _operator_left(self, operator: User) -> None:
        if not await self._presence.leave(_OPERATORS, str(operator.id)):
            return
        for name in await self._leases.release_all(str(operator.id)):
            customer = int(name.rpartition(".")[2])
            try:
                await self._return_to_pool(customer, operator)
            except StorageUnavailable:
                # They are shown at the next operator's auth; the conversation is free already.
                self._log.warn("support: an operator's conversation was returned unseen")

    async def _return_to_pool(self, customer: int, operator: User) -> None:
        for message in await self.store.unanswered(customer):
            self._bus.publish(_TO_OPERATORS, Posted(message, customer, "", None))
        conversation = await self.store.conversation(customer)
        if conversation is not None:
            self._bus.publish(_CHANGES, Changed(conversation, ""))

    # -- saying --------------------------------------------------------------------------------

    def say(self, customer: User, text: str, origin: str) -> Deferred[Message]:
        """Store a customer's message and send it out; fires with it."""
        created = int(self._clock.seconds())

        def stored(message_id: int) -> Message:
            message = OperatorMessage(message_id, text, "", False, created, customer.id, customer.name)
            self._send_out(message, customer.id, origin)
            return as_customer_sees(message)

        return self.store.add_from_customer(customer.id, text, created).addCallback(stored)

    def answer(self, operator: User, customer: int, text: str, origin: str) -> Deferred[OperatorMessage | None]:
        """Store an operator's message and send it out; fires with it, or ``None``: no such user."""
        created = int(self._clock.seconds())

        def stored(result: tuple[int, str] | None) -> OperatorMessage | None:
            if result is None:
                return None
            message_id, customer_name = result
            message = OperatorMessage(message_id, text, operator.name, True, created, customer, customer_name)
            self._send_out(message, operator.id, origin)
            return message

        written = self.store.add_from_operator(customer, operator.name, text, created)
        return written.addCallback(stored)

    def _send_out(self, message: OperatorMessage, author: int, origin: str) -> None:
        """Push a stored message. Its author is answered whatever becomes of that: it is stored."""

        def send(holder: str | None) -> None:
            posted = Posted(message, author, origin, None if holder is None else int(holder))
            self._bus.publish(_to_customer(message.user_id), posted)
            self._bus.publish(_TO_OPERATORS, posted)

        self._leases.holder(_lease(message.user_id)).addErrback(self._unassigned).addCallback(send)

    def _unassigned(self, failure: Failure) -> None:
        """Who has a conversation can't be known now: it is for all operators."""
        self._log.warn("support: leases can't be read: {kind}", kind=type(failure.value).__name__)

    # -- conversations -------------------------------------------------------------------------

    async def conversations(self, before: int, count: int) -> list[Conversation]:
        """Return conversations, most recent first, each with the operator who has it."""
        found = await self.store.conversations(before, count)
        holders = await self._leases.holders([_lease(each.user_id) for each in found])
        return [_held(each, holders.get(_lease(each.user_id))) for each in found]

    async def assign(self, operator: User, customer: int, origin: str) -> Conversation | None:
        """Give a conversation to an operator, whoever has it now; ``None``: there is none."""
        conversation = await self.store.conversation(customer)
        if conversation is None:
            return None
        holder = str(operator.id)
        await self._leases.take(_lease(customer), holder)
        if holder not in await self._presence.members(_OPERATORS):
            # The operator left meanwhile, and has given back its conversations already.
            await self._leases.release(_lease(customer), holder)
            return None
        return self._tell(_held(conversation, holder), origin)

    async def release(self, operator: User, customer: int, origin: str) -> Conversation | None:
        """Give back a conversation that an operator has; ``None``: it has no such one."""
        conversation = await self.store.conversation(customer)
        if conversation is None or not await self._leases.release(_lease(customer), str(operator.id)):
            return None
        return self._tell(conversation, origin)

    async def mark_seen(self, customer: int, origin: str) -> Conversation | None:
        """Mark a conversation as read; ``None``: there is none."""
        conversation = await self.store.mark_seen(customer)
        if conversation is None:
            return None
        return self._tell(_held(conversation, await self._leases.holder(_lease(customer))), origin)

    def _tell(self, conversation: Conversation, origin: str) -> Conversation:
        self._bus.publish(_CHANGES, Changed(conversation, origin))
        return conversation


def as_customer_sees(message: OperatorMessage) -> Message:
    """Return a message without what only operators are told."""
    return Message(
        message.message_id,
        message.message_text,
        message.invader_name,
        message.is_from_support,
        message.created,
    )


def _held(conversation: Conversation, holder: str | None) -> Conversation:
    return structs.replace(conversation, assigned_to=None if holder is None else int(holder))
