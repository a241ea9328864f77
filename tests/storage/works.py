"""Statements and units of work that the storage tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update
from twisted.internet.defer import Deferred

from realtime.storage.database import Database
from realtime.storage.migrate import migrate
from realtime.storage.statements import Row, Statement
from realtime.storage.tables import messages, users
from realtime.storage.transaction import Transaction

ADD_USER = Statement(
    insert(users).values(user_name=bindparam("user_name"), user_password=bindparam("user_password"))
)
RENAME = Statement(
    update(users).where(users.c.id == bindparam("user_id")).values(user_name=bindparam("new_name"))
)
USER = Statement(
    select(users.c.id, users.c.user_name, users.c.is_admin).where(users.c.user_name == bindparam("user_name"))
)
NAMES = Statement(select(users.c.user_name).order_by(users.c.id))
ADD_MESSAGE = Statement(
    insert(messages).values(
        user_id=bindparam("user_id"),
        invader_name="",
        message=bindparam("message"),
        is_from_support=bindparam("is_from_support"),
    )
)
TEXTS = Statement(select(messages.c.message).order_by(messages.c.id))
COUNT = Statement(select(func.count()).select_from(messages))


def add_user(transaction: Transaction, name: str) -> int:
    """Adds a user and gives its id."""
    return transaction.insert(ADD_USER, user_name=name, user_password="-")


def add_message(transaction: Transaction, user_id: int, text: str) -> int:
    """Adds a customer's message and gives its id."""
    return transaction.insert(ADD_MESSAGE, user_id=user_id, message=text, is_from_support=False)


def names(transaction: Transaction) -> list[str]:
    """All users' names in the order they were added."""
    return [str(name) for (name,) in transaction.rows(NAMES)]


def texts(transaction: Transaction) -> list[str]:
    """All messages in the order they were added."""
    return [str(text) for (text,) in transaction.rows(TEXTS)]


def user(transaction: Transaction, name: str) -> Row | None:
    """A user's row."""
    return transaction.row(USER, user_name=name)


@asynccontextmanager
async def opened(url: str, **arguments: Any) -> AsyncIterator[Database]:
    """A database at its newest schema, started, and stopped at the end."""
    from twisted.internet import reactor

    migrate(url, log=lambda line: None)
    database = Database(url, reactor=reactor, **arguments)
    await database.start()
    try:
        yield database
    finally:
        await database.stop()


def outcome(deferred: Deferred[Any]) -> Deferred[Any]:
    """Fires with what a Deferred fires with, or with the exception it fails with."""
    return deferred.addErrback(lambda failure: failure.value)
