"""market's SQL: conversations, and what is said in them.

How they are shown is in `history_store`, their services in `service_store`, reports in `report_store`.

Every write of a conversation begins with a lock on its row (`_hold`), so that of two that race, in one
process or in several, one comes after the other and sees what it did: the same message is stored once, a
step is taken once, and in a conversation the order of ids is that of the commits.

What each of the two has seen is one id, of the newest message that it has seen: a conversation is marked
in one row, however long it is. What the system says is new to both.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import bindparam, insert, select, update
from twisted.internet.defer import Deferred

from realtime.accounts.store import User
from realtime.market import history_store, messages, report_store, service_store
from realtime.market.history_store import IS_OF_USER
from realtime.market.messages import (
    SYSTEM,
    Conversation,
    CreateMessage,
    CreateService,
    Fault,
    Message,
    ReportConversation,
    ReportMessage,
    Service,
    ServiceStep,
)
from realtime.market.report_store import Report
from realtime.storage.database import Database
from realtime.storage.statements import Statement
from realtime.storage.tables import market_conversations as conversations
from realtime.storage.tables import market_messages, users
from realtime.storage.transaction import Transaction
from realtime.storage.upserts import upsert


class Created(Struct, frozen=True):
    """A stored message, and the id of the other party. It is not new if its temporary id was known."""

    message: Message
    other: int
    is_new: bool


class Seen(Struct, frozen=True):
    """Messages of ``author`` that were unseen until now, oldest first; there may be none."""

    author: int
    message_ids: list[int]


class Step(Struct, frozen=True):
    """What became of a conversation's services: what the system says of it, and all of them, oldest first."""

    conversation: int
    parties: tuple[int, int]
    message: Message
    services: list[Service]


_HOLD: Final = select(
    *(conversations.c.id, conversations.c.latest),
    *(conversations.c.first_user_id, conversations.c.first_newest_id, conversations.c.first_seen_id),
    *(conversations.c.second_user_id, conversations.c.second_newest_id, conversations.c.second_seen_id),
).with_for_update()
_HOLD_ONE: Final = Statement(_HOLD.where(conversations.c.id == bindparam("conversation"), IS_OF_USER))
_HOLD_OF_PAIR: Final = Statement(
    _HOLD.where(
        conversations.c.first_user_id == bindparam("first_user_id"),
        conversations.c.second_user_id == bindparam("second_user_id"),
    )
)
_BEGIN: Final = Statement(
    upsert(
        conversations,
        key=["first_user_id", "second_user_id"],
        values=["first_user_id", "second_user_id", "created", "latest"],
        update=lambda new: {"created": conversations.c.created},  # another process was quicker
    )
)
_USER: Final = Statement(select(users.c.id).where(users.c.id == bindparam("user")))
_SAID_ALREADY: Final = Statement(
    select(market_messages.c.id, market_messages.c.content, market_messages.c.created).where(
        market_messages.c.conversation_id == bindparam("conversation"),
        market_messages.c.sender_id == bindparam("sender"),
        market_messages.c.temporary_id == bindparam("key"),
    )
)
_SAY: Final = Statement(
    insert(market_messages).values(
        conversation_id=bindparam("conversation"),
        sender_id=bindparam("sender"),
        content=bindparam("text"),
        created=bindparam("at"),
        temporary_id=bindparam("key"),
    )
)
_KEEP: Final = Statement(
    update(conversations)
    .where(conversations.c.id == bindparam("conversation"))
    .values(
        latest=bindparam("at"),
        first_newest_id=bindparam("first_newest"),
        first_seen_id=bindparam("first_seen"),
        second_newest_id=bindparam("second_newest"),
        second_seen_id=bindparam("second_seen"),
    )
)
_UNSEEN: Final = Statement(
    select(market_messages.c.id)
    .where(
        market_messages.c.conversation_id == bindparam("conversation"),
        market_messages.c.id > bindparam("seen"),
        market_messages.c.sender_id == bindparam("by"),
    )
    .order_by(market_messages.c.id)
)


class MarketStore:
    """Reads and writes conversations. All Deferreds may fail with `StorageUnavailable`.

    Times are Unix milliseconds. What is not the caller's is `NOT_FOUND`, like what does not exist.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def conversations(self, user_id: int, before: int | None, limit: int) -> Deferred[list[Conversation]]:
        """Fires with ``limit`` conversations of a user, newest first, those after ``before`` in that order.

        Each has its newest 50 messages, oldest first, and all its services. None come after what is not
        a conversation of the user.
        """
        return self._database.read(history_store.conversations, user_id, before, limit)

    def create(self, author: User, request: CreateMessage, created: int) -> Deferred[Created | Fault]:
        """Store a message, which `is_sayable`; fires once it is committed.

        A message of the author's with the same temporary id in the conversation is returned instead. One
        to a user begins the conversation of the two if there is none; nobody writes to itself.
        """
        return self._database.write(_create, author, request, created)

    def open(self, user_id: int, conversation: int) -> Deferred[Seen | Fault]:
        """Mark all that is in a conversation as seen by a user; fires with what that changed."""
        return self._database.write(_open, user_id, conversation)

    def step(self, user_id: int, request: CreateService | ServiceStep, created: int) -> Deferred[Step | Fault]:
        """Propose a service or take a step of one; `NOT_ALLOWED`, and nothing changed, if it is not legal."""
        return self._database.write(_step, user_id, request, created)

    def report(
        self, user_id: int, request: ReportConversation | ReportMessage, created: int
    ) -> Deferred[Fault | None]:
        """Store a report, once for each reporter and object; a text alone is stored each time."""
        return self._database.write(report_store.add, user_id, request, created)

    def reports(self, before: int | None, limit: int, unresolved_only: bool) -> Deferred[list[Report]]:
        """Fires with the newest ``limit`` reports whose ids are below ``before``, newest first."""
        return self._database.read(report_store.newest, before, limit, unresolved_only)

    def resolve(self, report_id: int, admin_id: int | None, at: int) -> Deferred[Report | None]:
        """Resolve a report, if that is not done; fires with it as it is then, ``None`` if there is none."""
        return self._database.write(report_store.resolve, report_id, admin_id, at)


class _Party(Struct, frozen=True):
    """One of the two: the newest message that it did not write, and the newest one that it has seen."""

    user: int
    newest: int
    seen: int


class _Held(Struct, frozen=True):
    """A conversation whose row is locked, from the side of one of the two."""

    id: int
    latest: int
    own: _Party
    other: _Party


def _held(row: tuple[Any, ...] | None, user_id: int) -> _Held | None:
    if row is None:
        return None
    first, second = _Party(*row[2:5]), _Party(*row[5:8])
    own, other = (first, second) if first.user == user_id else (second, first)
    return _Held(row[0], row[1], own, other)


def _keep(transaction: Transaction, held: _Held) -> None:
    first, second = sorted((held.own, held.other), key=lambda party: party.user)
    transaction.execute(
        _KEEP,
        conversation=held.id,
        at=held.latest,
        first_newest=first.newest,
        first_seen=first.seen,
        second_newest=second.newest,
        second_seen=second.seen,
    )


def _hold(transaction: Transaction, user_id: int, conversation: int) -> _Held | None:
    return _held(transaction.row(_HOLD_ONE, conversation=conversation, user=user_id), user_id)


def _hold_with(transaction: Transaction, user_id: int, other: int, created: int) -> _Held | None:
    """Hold the conversation of two, begun if need be; ``None`` if there is no such other."""
    if other == user_id:
        return None
    first, second = sorted((user_id, other))
    pair = {"first_user_id": first, "second_user_id": second}
    row = transaction.row(_HOLD_OF_PAIR, **pair)
    if row is None and transaction.row(_USER, user=other) is not None:
        transaction.execute(_BEGIN, **pair, created=created, latest=created)
        row = transaction.row(_HOLD_OF_PAIR, **pair)
    return _held(row, user_id)


def _say(
    transaction: Transaction, held: _Held, sender: int | None, text: str, at: int, key: str | None = None
) -> int:
    """Store what one of the two says, or the system for ``None``; return its id."""
    message_id = transaction.insert(_SAY, conversation=held.id, sender=sender, text=text, at=at, key=key)
    own, other = [
        party if party.user == sender else replace(party, newest=message_id) for party in (held.own, held.other)
    ]
    _keep(transaction, _Held(held.id, at, own, other))
    return message_id


def _create(transaction: Transaction, author: User, request: CreateMessage, created: int) -> Created | Fault:
    held = None
    if request.conversation is not None:
        held = _hold(transaction, author.id, request.conversation)
    elif request.to is not None:
        held = _hold_with(transaction, author.id, request.to, created)
    if held is None:
        return messages.NOT_FOUND
    sender = messages.User(author.id, author.name)
    key = None
    if request.temporary_id is not None:
        key = messages.key_of(request.temporary_id)
        known = transaction.row(_SAID_ALREADY, conversation=held.id, sender=author.id, key=key)
        if known is not None:
            message_id, content, at = known
            is_seen = message_id <= held.other.seen
            return Created(Message(message_id, sender, content, is_seen, at, held.id), held.other.user, False)
    message_id = _say(transaction, held, author.id, request.content, created, key)
    return Created(Message(message_id, sender, request.content, False, created, held.id), held.other.user, True)


def _open(transaction: Transaction, user_id: int, conversation: int) -> Seen | Fault:
    held = _hold(transaction, user_id, conversation)
    if held is None:
        return messages.NOT_FOUND
    own, other = held.own, held.other
    if own.newest <= own.seen:
        return Seen(other.user, [])
    unseen = transaction.rows(_UNSEEN, conversation=held.id, seen=own.seen, by=other.user)
    _keep(transaction, replace(held, own=replace(own, seen=own.newest)))
    return Seen(other.user, [message_id for (message_id,) in unseen])


def _step(
    transaction: Transaction, user_id: int, request: CreateService | ServiceStep, created: int
) -> Step | Fault:
    held = _hold(transaction, user_id, request.conversation)
    if held is None:
        return messages.NOT_FOUND
    outcome = service_store.proceed(transaction, user_id, held.other.user, request, created)
    if isinstance(outcome, Fault):
        return outcome
    services, said = outcome
    message_id = _say(transaction, held, None, said, created)
    message = Message(message_id, SYSTEM, said, False, created, held.id)
    return Step(held.id, (user_id, held.other.user), message, services)
