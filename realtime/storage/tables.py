"""Every table of the database, defined once.

`users` and `messages` have the names and columns of the support document; the columns beside them are
ours. The migrations lead to exactly this (a test compares the two on each database).
"""

from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from realtime.storage.types import ExactText, UnixTime, identifier, utc_now

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""Each constraint has the same name on every database, so that a migration can name it."""

OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}
"""For every table: transactions, any Unicode, and comparison by code points on MariaDB and MySQL."""

metadata = MetaData(naming_convention=NAMING_CONVENTION)

users = Table(
    "users",
    metadata,
    Column("id", identifier(), primary_key=True, autoincrement=True),
    Column("user_name", ExactText(255), nullable=False),
    Column("user_password", ExactText(255), nullable=False),
    Column("token", ExactText(255)),
    Column("is_admin", Boolean, nullable=False, server_default=false()),
    # Users of an outside issuer are known by these two; both are NULL for our own, and NULLs never
    # collide in a unique constraint.
    Column("issuer", ExactText(255)),
    Column("subject", ExactText(255)),
    UniqueConstraint("user_name"),
    UniqueConstraint("issuer", "subject"),
    Index(None, "token"),
    # An id that was ever given out never comes back, as on the other databases.
    sqlite_autoincrement=True,
    **OPTIONS,
)

messages = Table(
    "messages",
    metadata,
    Column("id", identifier(), primary_key=True, autoincrement=True),
    Column("user_id", identifier(), ForeignKey("users.id"), nullable=False),
    Column("invader_name", ExactText(255), nullable=False),
    Column("message", Text),
    Column("created", UnixTime, nullable=False, server_default=utc_now()),
    Column("is_from_support", Boolean, nullable=False),
    Index(None, "user_id", "id"),
    sqlite_autoincrement=True,
    **OPTIONS,
)

conversations = Table(
    "conversations",
    metadata,
    Column("user_id", identifier(), ForeignKey("users.id"), primary_key=True, autoincrement=False),
    Column("last_message_id", identifier(), nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("seen_message_id", identifier(), nullable=False, server_default=text("0")),
    Index(None, "last_message_id"),
    Index(None, "is_open", "last_message_id"),
    **OPTIONS,
)
"""One row for each customer who ever wrote, kept in the transaction that stores the message.

`is_open`: the last message is the customer's. `seen_message_id`: the newest message that an operator
has seen.
"""
