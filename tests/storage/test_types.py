"""Columns that mean the same on each database."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import bindparam, insert, literal_column, select
from twisted.internet.defer import gatherResults

from realtime.storage.database import Database
from realtime.storage.statements import Row, Statement
from realtime.storage.tables import conversations, messages
from realtime.storage.transaction import Transaction
from realtime.storage.upserts import upsert
from tests.reactor import in_reactor
from tests.storage.works import add_message, add_user, opened

ADD_AT = Statement(
    insert(messages).values(
        user_id=bindparam("user_id"),
        invader_name="",
        message="",
        created=bindparam("created"),
        is_from_support=True,
    )
)
CREATED = Statement(select(messages.c.created).order_by(messages.c.id))
AFTER = Statement(
    select(messages.c.created).where(messages.c.created > bindparam("moment")).order_by(messages.c.created)
)
AS_TEXT = {
    "sqlite": Statement(select(literal_column("created")).select_from(messages)),
    "postgresql": Statement(
        select(literal_column("to_char(created, 'YYYY-MM-DD HH24:MI:SS')")).select_from(messages)
    ),
    "mysql": Statement(select(literal_column("CAST(created AS CHAR)")).select_from(messages)),
}
MOMENTS = [0, 1, 1678794555, 1719792000, 2**31 - 1, 2**31, 4102444800]


def add_at(transaction: Transaction, user_id: int, created: int) -> int:
    """Adds a message of that moment."""
    return transaction.insert(ADD_AT, user_id=user_id, created=created)


def created(transaction: Transaction) -> list[int]:
    """The moments of all messages."""
    return [moment for (moment,) in transaction.rows(CREATED)]


@in_reactor
async def test_moments(database_url: str) -> None:
    """Unix seconds come back as they went in, also beyond 2038."""
    async with opened(database_url) as database:
        user = await database.write(add_user, "alice")
        await gatherResults([database.write(add_at, user, moment) for moment in MOMENTS])
        assert await database.read(created) == MOMENTS


@in_reactor
async def test_moments_for_other_tools(database_url: str) -> None:
    """To whoever looks with another tool the column is a date in UTC."""

    def as_text(transaction: Transaction) -> str:
        row = transaction.row(AS_TEXT[database.dialect.name])
        assert row is not None
        return str(row[0])

    async with opened(database_url) as database:
        user = await database.write(add_user, "alice")
        await database.write(add_at, user, 1678794555)
        assert await database.read(as_text) == "2023-03-14 11:49:15"


@in_reactor
async def test_moments_in_conditions(database_url: str) -> None:
    """A moment can be compared with."""

    def after(transaction: Transaction, moment: int) -> list[Row]:
        return transaction.rows(AFTER, moment=moment)

    async with opened(database_url) as database:
        user = await database.write(add_user, "alice")
        await gatherResults([database.write(add_at, user, moment) for moment in MOMENTS])
        assert await database.read(after, 1678794555) == [(moment,) for moment in MOMENTS[3:]]


@in_reactor
async def test_default_moment(database_url: str) -> None:
    """By default a message is of now, in UTC, whatever the server's time zone."""
    async with opened(database_url) as database:
        user = await database.write(add_user, "alice")
        before = int(time.time())
        await database.write(add_message, user, "hello")
        (moment,) = await database.read(created)
        assert before <= moment <= time.time()


UPSERT = Statement(
    upsert(
        conversations,
        ["user_id"],
        ["user_id", "last_message_id", "is_open"],
        ["last_message_id", "is_open"],
    )
)
RAISE = Statement(
    upsert(
        conversations,
        ["user_id"],
        ["user_id", "last_message_id", "is_open"],
        lambda new: {"last_message_id": conversations.c.last_message_id + new.last_message_id},
    )
)
SUMMARY = Statement(
    select(conversations.c.last_message_id, conversations.c.is_open, conversations.c.seen_message_id).where(
        conversations.c.user_id == bindparam("user_id")
    )
)


@pytest.mark.parametrize("statement", [UPSERT, RAISE], ids=["columns", "expressions"])
@in_reactor
async def test_upsert(database_url: str, statement: Statement) -> None:
    """An upsert inserts the row, and then changes what it names, and that alone."""

    def put(transaction: Transaction, user_id: int, message_id: int, is_open: bool) -> None:
        transaction.execute(statement, user_id=user_id, last_message_id=message_id, is_open=is_open)

    def summary(transaction: Transaction, user_id: int) -> Row | None:
        return transaction.row(SUMMARY, user_id=user_id)

    async def check(database: Database) -> None:
        user = await database.write(add_user, "alice")
        other = await database.write(add_user, "bob")
        await database.write(put, user, 10, True)
        await database.write(put, other, 1, True)
        assert await database.read(summary, user) == (10, True, 0)
        await database.write(put, user, 5, False)
        changed = (5, False, 0) if statement is UPSERT else (15, True, 0)
        assert await database.read(summary, user) == changed
        assert await database.read(summary, other) == (1, True, 0)

    async with opened(database_url) as database:
        await check(database)
