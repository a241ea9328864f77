"""The desk: where a message goes once it is stored.

Every connection of a customer listens to the customer's topic, every connection of an operator to the
operators'. The messages of a conversation that an operator has taken (`assignments`) are for that operator's
connections, those of others for all operators'. When a conversation returns to the pool, what is unanswered in
it goes out to the operators who are there: it had been shown to nobody else.

Storing a message needs no Redis. While that is away, everybody hears what is said at the own process, and each
connection looks afterwards into the database for what was said elsewhere (`participants`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from secrets import token_hex

from msgspec import Struct, structs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.accounts.store import User
from realtime.cluster.bus import Subscription, Topic
from realtime.cluster.catching_up import CatchingUp
from realtime.cluster.cluster import Cluster
from realtime.support.assignments import Assignments
from realtime.support.messages import MESSAGES_AT_ONCE, Conversation, Message, OperatorMessage
from realtime.support.store import LATEST, SupportStore


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


class Desk:
    """What all support connections of a process share."""

    _log = Logger()

    def __init__(self, *, store: SupportStore, cluster: Cluster, clock: IReactorTime) -> None:
        self.store = store
        self.catching_up = CatchingUp(clock)
        self._bus = cluster.bus
        self._clock = clock
        self._process = token_hex(8)
        self._assignments = Assignments(
            cluster,
            clock,
            returned=self._return_to_pool,
            changed=self._tell_how_it_stands,
            follow=self._follow_assignments,
        )

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

    def follow_changes(self, changed: Callable[[Changed], None], gap: Callable[[], None]) -> Subscription:
        """Hear who takes and gives back which conversation."""
        return self._bus.subscribe(_CHANGES, changed, gap)

    def _follow_assignments(self, changed: Callable[[int, int | None], None]) -> Subscription:
        def hear(event: Changed) -> None:
            changed(event.conversation.user_id, event.conversation.assigned_to)

        return self._bus.subscribe(_CHANGES, hear)

    def operator_entered(self, operator: User) -> None:
        """Count an operator's connection."""
        self._assignments.entered(operator.id)

    def operator_left(self, operator: User) -> None:
        """Take an operator's connection back; with the last one its conversations return to the pool."""
        self._assignments.left(operator.id)

    async def _return_to_pool(self, customer: int) -> None:
        for message in await self.store.unanswered(customer):
            self._bus.publish(_TO_OPERATORS, Posted(message, customer, "", None))
        conversation = await self.store.conversation(customer)
        if conversation is not None:
            self._tell(conversation, "")

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
        customer = message.user_id
        self._bus.publish(_to_customer(customer), Posted(message, author, origin, None))

        def to_operators(holder: int | None) -> None:
            self._bus.publish(_TO_OPERATORS, Posted(message, author, origin, holder))

        self._assignments.holder_soon(customer).addCallback(to_operators).addErrback(self._not_pushed)

    def _not_pushed(self, failure: Failure) -> None:
        self._log.failure("support: a message was not pushed to operators", failure)

    # -- conversations -------------------------------------------------------------------------

    async def conversations(self, before: int, count: int) -> tuple[list[Conversation], bool]:
        """Return conversations, most recent first, each with the operator who has it.

        And whether that is known: while Redis is away, who has which is what this process knows of it.
        """
        found = await self.store.conversations(before, count)
        holders, is_known = await self._assignments.holders_soon([each.user_id for each in found])
        return _all_held(found, holders), is_known

    async def conversations_now(self) -> list[Conversation]:
        """Return the newest conversations as they stand now. May fail with ClusterUnavailable."""
        found = await self.store.conversations(LATEST, MESSAGES_AT_ONCE)
        return _all_held(found, await self._assignments.holders([each.user_id for each in found]))

    async def said_lately(self, operator: User, after: int) -> list[OperatorMessage]:
        """Return what an operator should have been shown since the message ``after``, in order of time.

        See `SupportStore.said_lately`; but not what is in conversations that another has. May fail with
        ClusterUnavailable.
        """
        found = await self.store.said_lately(after)
        holders = await self._assignments.holders({each.user_id for each in found})
        return [each for each in found if holders.get(each.user_id) in (None, operator.id)]

    async def assign(self, operator: User, customer: int, origin: str) -> Conversation | None:
        """Give a conversation to an operator, whoever has it now; ``None``: there is none."""
        conversation = await self.store.conversation(customer)
        if conversation is None or not await self._assignments.take(customer, operator.id):
            return None
        return self._tell(_held(conversation, operator.id), origin)

    async def release(self, operator: User, customer: int, origin: str) -> Conversation | None:
        """Give back a conversation that an operator has; ``None``: it has no such one."""
        conversation = await self.store.conversation(customer)
        if conversation is None or not await self._assignments.release(customer, operator.id):
            return None
        return self._tell(conversation, origin)

    async def mark_seen(self, customer: int, origin: str) -> Conversation | None:
        """Mark a conversation as read; ``None``: there is none."""
        conversation = await self.store.mark_seen(customer)
        if conversation is None:
            return None
        holder = await self._assignments.holder_soon(customer)
        return self._tell(_held(conversation, holder), origin)

    async def _tell_how_it_stands(self, customer: int) -> bool:
        conversation = await self.store.conversation(customer)
        if conversation is not None:
            self._tell(_held(conversation, await self._assignments.holder(customer)), "")
        return conversation is not None

    def _tell(self, conversation: Conversation, origin: str) -> Conversation:
        self._bus.publish(_CHANGES, Changed(conversation, origin))
        self._assignments.confirm(conversation.user_id, conversation.assigned_to)
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


def _held(conversation: Conversation, holder: int | None) -> Conversation:
    return structs.replace(conversation, assigned_to=holder)


def _all_held(found: list[Conversation], holders: Mapping[int, int]) -> list[Conversation]:
    return [_held(each, holders.get(each.user_id)) for each in found]
