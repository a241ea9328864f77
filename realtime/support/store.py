"""support's SQL: messages, and a summary row for each conversation.

The summary (`conversations`) is written in the transaction that stores a message, so it is never
behind. It makes "which conversations wait for an answer" and "most recent first" an index look-up
however many messages there are.

Of two processes that write in one conversation at the same moment, the one whose message has the lower id may
come second. So a summary only ever goes on to a higher id: it never says of an older message that it is the
last, and no answer closes a conversation in which something newer was asked.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, bindparam, case, false, func, insert, select, true, update
from twisted.internet.defer import Deferred

from realtime.storage.database import Database
from realtime.storage.statements import Statement
from realtime.storage.tables import conversations, messages, users
from realtime.storage.transaction import Transaction
from realtime.storage.upserts import upsert
from realtime.support.messages import MESSAGES_AT_ONCE, Conversation, Message, OperatorMessage

LATEST = 2**32 - 1
"""Above every message id (INT UNSIGNED on MariaDB and MySQL)."""

_FAIR_SHARE = 20
"""Of each open conversation an operator is shown at least this many messages, if there are."""

_ADD_MESSAGE = Statement(
    insert(messages).values(
        user_id=bindparam("customer"),
        invader_name=bindparam("author"),
        message=bindparam("text"),
        created=bindparam("at"),
        is_from_support=bindparam("from_support"),
    )
)


def _after_message(**values: Any) -> Statement:
    """Bring a conversation's summary up to a message that was just stored, if it is the newest."""
    values["last_message_id"] = bindparam("message_id")

    def changes(new: Any) -> dict[str, ColumnElement[Any]]:
        # (Or equal: MariaDB sets one column after the other, and compares with an id that is set already.)
        is_newest = new.last_message_id >= conversations.c.last_message_id
        return {name: case((is_newest, new[name]), else_=conversations.c[name]) for name in values}

    row = {"user_id": bindparam("customer"), **values}
    return Statement(upsert(conversations, key=["user_id"], values=row, update=changes))


_CUSTOMER_WROTE = _after_message(is_open=true())
# Who answers has read what was asked.
_OPERATOR_WROTE = _after_message(is_open=false(), seen_message_id=bindparam("message_id"))
_NAME = Statement(select(users.c.user_name).where(users.c.id == bindparam("customer")))
_MESSAGE_COLUMNS = (
    messages.c.id,
    messages.c.message,
    messages.c.invader_name,
    messages.c.is_from_support,
    messages.c.created,
)
_HISTORY = Statement(
    select(*_MESSAGE_COLUMNS)
    .where(messages.c.user_id == bindparam("customer"), messages.c.id < bindparam("before"))
    .order_by(messages.c.id.desc())
    .limit(bindparam("count"))
)
_answers = messages.alias("answers")
_UNANSWERED = Statement(
    select(*_MESSAGE_COLUMNS)
    .where(
        messages.c.user_id == bindparam("customer"),
        messages.c.id
        > func.coalesce(
            select(func.max(_answers.c.id))
            .where(_answers.c.user_id == bindparam("customer"), _answers.c.is_from_support)
            .scalar_subquery(),
            0,
        ),
    )
    .order_by(messages.c.id.desc())
    .limit(MESSAGES_AT_ONCE)
)
_OPEN = Statement(
    select(conversations.c.user_id, users.c.user_name)
    .join_from(conversations, users, users.c.id == conversations.c.user_id)
    .where(conversations.c.is_open == true())
    .order_by(conversations.c.last_message_id.desc())
    .limit(MESSAGES_AT_ONCE)
)
_NEWEST_ID = Statement(select(func.coalesce(func.max(messages.c.id), 0)))
_NEWEST = Statement(
    select(messages.c.user_id, users.c.user_name, *_MESSAGE_COLUMNS)
    .join_from(messages, users, users.c.id == messages.c.user_id)
    .where(messages.c.id > bindparam("after"))
    .order_by(messages.c.id.desc())
    .limit(MESSAGES_AT_ONCE)
)
_unseen = messages.alias("unseen")
_SUMMARY = (
    select(
        conversations.c.user_id,
        users.c.user_name,
        select(func.count())
        .where(
            _unseen.c.user_id == conversations.c.user_id,
            _unseen.c.id > conversations.c.seen_message_id,
            _unseen.c.is_from_support == false(),
        )
        .correlate(conversations)
        .scalar_subquery(),
        *_MESSAGE_COLUMNS,
    )
    .join_from(conversations, users, users.c.id == conversations.c.user_id)
    .join(messages, messages.c.id == conversations.c.last_message_id)
)
_RECENT = Statement(
    _SUMMARY.where(conversations.c.last_message_id < bindparam("before"))
    .order_by(conversations.c.last_message_id.desc())
    .limit(bindparam("count"))
)
_ONE = Statement(_SUMMARY.where(conversations.c.user_id == bindparam("customer")))
_SEEN = Statement(
    update(conversations)
    .where(conversations.c.user_id == bindparam("customer"))
    .values(seen_message_id=conversations.c.last_message_id)
)


class SupportStore:
    """Reads and writes conversations. All Deferreds may fail with `StorageUnavailable`.

    Times are Unix seconds; lists of messages are in order of time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_from_customer(self, customer: int, text: str, created: int) -> Deferred[int]:
        """Store a customer's message; fires with its id once it is committed."""
        return self._database.write(_add_from_customer, customer, text, created)

    def add_from_operator(
        self, customer: int, operator_name: str, text: str, created: int
    ) -> Deferred[tuple[int, str] | None]:
        """Store an operator's message to a customer.

        Fires, once it is committed, with its id and the customer's name; with ``None``, and nothing
        stored, if there is no such user.
        """
        return self._database.write(_add_from_operator, customer, operator_name, text, created)

    def history(self, customer: int, before: int, count: int) -> Deferred[list[Message]]:
        """Fires with the newest ``count`` messages of a customer that are older than ``before``."""
        return self._database.read(_history, customer, before, count)

    def history_for_operator(
        self, customer: int, before: int, count: int
    ) -> Deferred[list[OperatorMessage] | None]:
        """Fires with the same as operators see it; ``None`` if there is no such user."""
        return self._database.read(_history_for_operator, customer, before, count)

    def unanswered(self, customer: int) -> Deferred[list[OperatorMessage]]:
        """Fires with what a customer wrote since an operator last answered."""
        return self._database.read(_unanswered, customer)

    def open_messages(self) -> Deferred[list[OperatorMessage]]:
        """Fires with the messages of the open conversations, 1000 at the most.

        Where there are more, each conversation has its share, so that none is hidden by a long one.
        """
        return self._database.read(_open_messages)

    def newest_id(self) -> Deferred[int]:
        """Fires with the highest id of a message, 0 if there is none."""
        return self._database.read(_newest_id)

    def said_lately(self, after: int) -> Deferred[list[OperatorMessage]]:
        """Fires with those of the open conversations above an id, and the newest 1000 above it of all.

        In order of time: what operators should have been shown since that id was the highest.
        """
        return self._database.read(_said_lately, after)

    def conversations(self, before: int, count: int) -> Deferred[list[Conversation]]:
        """Fires with conversations, most recent first, last message older than ``before``."""
        return self._database.read(_conversations, before, count)

    def conversation(self, customer: int) -> Deferred[Conversation | None]:
        """Fires with one conversation, or ``None`` if nothing was ever said in it."""
        return self._database.read(_conversation, customer)

    def mark_seen(self, customer: int) -> Deferred[Conversation | None]:
        """Mark a conversation as read; fires with it, or ``None`` if there is none."""
        return self._database.write(_mark_seen, customer)


def _add_from_customer(transaction: Transaction, customer: int, text: str, created: int) -> int:
    message_id = transaction.insert(
        _ADD_MESSAGE, customer=customer, author="", text=text, at=created, from_support=False
    )
    transaction.execute(_CUSTOMER_WROTE, customer=customer, message_id=message_id)
    return message_id


def _add_from_operator(
    transaction: Transaction, customer: int, operator_name: str, text: str, created: int
) -> tuple[int, str] | None:
    row = transaction.row(_NAME, customer=customer)
    if row is None:
        return None
    message_id = transaction.insert(
        _ADD_MESSAGE,
        customer=customer,
        author=operator_name,
        text=text,
        at=created,
        from_support=True,
    )
    transaction.execute(_OPERATOR_WROTE, customer=customer, message_id=message_id)
    return message_id, row[0]


def _message(row: tuple[Any, ...]) -> Message:
    message_id, text, author, from_support, created = row
    return Message(message_id, text or "", author, bool(from_support), created)


def _for_operator(row: tuple[Any, ...], customer: int, name: str) -> OperatorMessage:
    message_id, text, author, from_support, created = row
    return OperatorMessage(message_id, text or "", author, bool(from_support), created, customer, name)


def _history(transaction: Transaction, customer: int, before: int, count: int) -> list[Message]:
    rows = transaction.rows(_HISTORY, customer=customer, before=before, count=count)
    return [_message(row) for row in reversed(rows)]


def _history_for_operator(
    transaction: Transaction, customer: int, before: int, count: int
) -> list[OperatorMessage] | None:
    name = transaction.row(_NAME, customer=customer)
    if name is None:
        return None
    rows = transaction.rows(_HISTORY, customer=customer, before=before, count=count)
    return [_for_operator(row, customer, name[0]) for row in reversed(rows)]


def _unanswered(transaction: Transaction, customer: int) -> list[OperatorMessage]:
    name = transaction.row(_NAME, customer=customer)
    rows = transaction.rows(_UNANSWERED, customer=customer)
    return [_for_operator(row, customer, name[0]) for row in reversed(rows)] if name else []


def _open_messages(transaction: Transaction) -> list[OperatorMessage]:
    waiting = transaction.rows(_OPEN)
    share = max(_FAIR_SHARE, MESSAGES_AT_ONCE // len(waiting)) if waiting else 0
    found = [
        _for_operator(row, customer, name)
        for customer, name in waiting
        for row in transaction.rows(_HISTORY, customer=customer, before=LATEST, count=share)
    ]
    found.sort(key=lambda message: message.message_id)
    return found[-MESSAGES_AT_ONCE:]


def _newest_id(transaction: Transaction) -> int:
    row = transaction.row(_NEWEST_ID)
    return int(row[0]) if row else 0


def _said_lately(transaction: Transaction, after: int) -> list[OperatorMessage]:
    found = {each.message_id: each for each in _open_messages(transaction) if each.message_id > after}
    for customer, name, *row in transaction.rows(_NEWEST, after=after):
        found[row[0]] = _for_operator(tuple(row), customer, name)
    return sorted(found.values(), key=lambda message: message.message_id)


def _summary(row: tuple[Any, ...]) -> Conversation:
    customer, name, unread, *message = row
    return Conversation(customer, name, _message(tuple(message)), unread, None)


def _conversations(transaction: Transaction, before: int, count: int) -> list[Conversation]:
    return [_summary(row) for row in transaction.rows(_RECENT, before=before, count=count)]


def _conversation(transaction: Transaction, customer: int) -> Conversation | None:
    row = transaction.row(_ONE, customer=customer)
    return None if row is None else _summary(row)


def _mark_seen(transaction: Transaction, customer: int) -> Conversation | None:
    transaction.execute(_SEEN, customer=customer)
    return _conversation(transaction, customer)
