"""Every table of the database, defined once.

`users` and `messages` have the names and columns of the support document; the columns beside them are
ours. The migrations lead to exactly this (a test compares the two on each database).
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from realtime.storage.types import ExactText, UnixTime, identifier, long_text, utc_now

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


def _where(sqlite: str, postgresql: str | None = None) -> dict[str, Any]:
    """For an index of some rows alone; MariaDB and MySQL can't and index all."""
    return {"sqlite_where": text(sqlite), "postgresql_where": text(postgresql or sqlite)}


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
    # The profile: what others are shown.
    *(Column(name, ExactText(255)) for name in ("nickname", "avatar", "language", "status")),
    Column("registered", UnixTime),
    Column("last_online", UnixTime),
    UniqueConstraint("user_name"),
    UniqueConstraint("issuer", "subject"),
    Index(None, "token"),
    Index(None, "avatar"),
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

talks = Table(
    "talks",
    metadata,
    Column("id", identifier(), primary_key=True, autoincrement=True),
    Column("match_id", ExactText(36), nullable=False),
    Column("matched", UnixTime, nullable=False),
    Column("started", UnixTime),
    Column("stopped", UnixTime),
    Column("ended", UnixTime),
    Column("outcome", ExactText(20)),
    UniqueConstraint("match_id"),
    sqlite_autoincrement=True,
    **OPTIONS,
)
"""One row for each match. A moment that was not reached is NULL, and so is the outcome until the end."""

talk_seats = Table(
    "talk_seats",
    metadata,
    Column("talk_id", identifier(), ForeignKey("talks.id"), primary_key=True, autoincrement=False),
    Column("seat", SmallInteger, primary_key=True, autoincrement=False),
    Column("user_id", identifier(), ForeignKey("users.id"), nullable=False),
    Column("score", Double, nullable=False),
    Column("questions", long_text(), nullable=False),
    Column("answers", long_text()),
    Index(None, "user_id", "talk_id"),
    **OPTIONS,
)
"""The two of a talk: what each came with, as JSON, and what it answered to the other's questions."""

market_conversations = Table(
    "market_conversations",
    metadata,
    Column("id", identifier(), primary_key=True, autoincrement=True),
    Column("first_user_id", identifier(), ForeignKey("users.id"), nullable=False),
    Column("second_user_id", identifier(), ForeignKey("users.id"), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("latest", BigInteger, nullable=False),
    *(
        Column(name, identifier(), nullable=False, server_default=text("0"))
        for name in ("first_newest_id", "second_newest_id", "first_seen_id", "second_seen_id")
    ),
    UniqueConstraint("first_user_id", "second_user_id"),
    Index(None, "first_user_id", "latest", "id"),
    Index(None, "second_user_id", "latest", "id"),
    sqlite_autoincrement=True,
    **OPTIONS,
)
"""One row for each two who ever spoke; the first has the lower id. Times of market are Unix milliseconds.

`latest`: when the last message was created, or the conversation if there is none. Then, of each of the
two: the newest message that it did not write itself, and the newest one that it has seen; 0 for none.
"""

market_messages = Table(
    "market_messages",
    metadata,
    Column("id", identifier(), primary_key=True, autoincrement=True),
    Column("conversation_id", identifier(), ForeignKey("market_conversations.id"), nullable=False),
    Column("sender_id", identifier()),
    Column("content", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("temporary_id", ExactText(201)),
    UniqueConstraint("conversation_id", "sender_id", "temporary_id"),
    Index(None, "conversation_id", "id"),
    sqlite_autoincrement=True,
    **OPTIONS,
)
"""The sender is one of the conversation's two, or NULL for what the system says.

`temporary_id`: the sender's own id of the message, if it had one, as `market.messages.key_of` writes it.
"""

market_services = Table(
    "market_services",
    metadata,
    Column("id", identifier(), primary_key=True, autoincrement=True),
    Column("conversation_id", identifier(), ForeignKey("market_conversations.id"), nullable=False),
    Column("title", ExactText(255), nullable=False),
    Column("category", ExactText(255), nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("client_user_id", identifier(), nullable=False),
    Column("recipient_user_id", identifier(), nullable=False),
    Column("priced_by_user_id", identifier(), nullable=False),
    Column("status", ExactText(20), nullable=False),
    Column("created", BigInteger, nullable=False),
    Index(None, "conversation_id", "id"),
    sqlite_autoincrement=True,
    **OPTIONS,
)
"""All users in it are the conversation's. `price` is in hundredths: SQLite has no exact decimals."""

market_notes = Table(
    "market_notes",
    metadata,
    Column("id", identifier(), primary_key=True, autoincrement=True),
    Column("service_id", identifier(), ForeignKey("market_services.id"), nullable=False),
    Column("author_id", identifier(), nullable=False),
    Column("grade", SmallInteger, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("service_id", "author_id"),
    sqlite_autoincrement=True,
    **OPTIONS,
)

market_reports = Table(
    "market_reports",
    metadata,
    Column("id", identifier(), primary_key=True, autoincrement=True),
    Column("reporter_id", identifier(), ForeignKey("users.id"), nullable=False),
    Column("kind", ExactText(20), nullable=False),
    Column("object_id", identifier()),
    Column("reason", Text),
    Column("created", BigInteger, nullable=False),
    Column("resolved", BigInteger),
    Column("resolved_by_user_id", identifier()),
    UniqueConstraint("reporter_id", "kind", "object_id"),
    Index(None, "resolved", "id"),
    sqlite_autoincrement=True,
    **OPTIONS,
)
"""What users told the administrators. A report that is a text alone has no object, so that none collides."""

messenger_messages = Table(
    "messenger_messages",
    metadata,
    Column("id", identifier(), primary_key=True, autoincrement=True),
    Column("sender_id", identifier(), ForeignKey("users.id"), nullable=False),
    Column("message", Text, nullable=False),
    Column("sent", BigInteger, nullable=False),
    sqlite_autoincrement=True,
    **OPTIONS,
)
"""What was said in the room. Times of messenger are Unix milliseconds."""

messenger_dialogs = Table(
    "messenger_dialogs",
    metadata,
    Column("id", identifier(), primary_key=True, autoincrement=True),
    Column("sender_id", identifier(), ForeignKey("users.id"), nullable=False),
    Column("receiver", ExactText(64), nullable=False),
    Column("receiver_id", identifier(), ForeignKey("users.id")),
    Column("client_data", Text),
    Column("client_message_id", ExactText(128)),
    Column("sent", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("is_untold", Boolean, nullable=False),
    UniqueConstraint("sender_id", "client_message_id"),
    # What waits is little beside what is kept: where a part of a table can be indexed, only that is.
    Index(None, "receiver_id", "state", "id", **_where("state = 0")),
    Index(None, "state", "sent", **_where("state = 0")),
    Index(None, "sender_id", "is_untold", "id", **_where("is_untold = 1", "is_untold")),
    Index(None, "sender_id", "receiver_id", "id"),
    sqlite_autoincrement=True,
    **OPTIONS,
)
"""Messages from one user to another, and what became of each.

`receiver` is as the sender wrote it, `receiver_id` NULL if there is no such user, `client_data` the clients'
own JSON, NULL in what could not be accepted. `state` is a `messenger.dialog_store.State`, 0 while it waits for
its receiver; `is_untold`: it has an outcome, of which its sender is to be told.
"""

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", ExactText(64), primary_key=True),
    Column("name", ExactText(100), nullable=False),
    Column("created", BigInteger, nullable=False),
    **OPTIONS,
)
"""Times of workspace are Unix milliseconds."""

workspace_members = Table(
    "workspace_members",
    metadata,
    Column("workspace_id", ExactText(64), ForeignKey("workspaces.id"), primary_key=True),
    Column("user_id", identifier(), ForeignKey("users.id"), primary_key=True, autoincrement=False),
    Index(None, "user_id"),
    **OPTIONS,
)
"""Who was invited. To an open first workspace everybody belongs without a row."""

workspace_channels = Table(
    "workspace_channels",
    metadata,
    Column("id", identifier(), primary_key=True, autoincrement=True),
    Column("workspace_id", ExactText(64), ForeignKey("workspaces.id"), nullable=False),
    Column("name", ExactText(100), nullable=False),
    Column("is_private", Boolean, nullable=False),
    Column("creator_id", identifier(), ForeignKey("users.id"), nullable=False),
    Column("created", BigInteger, nullable=False),
    Index(None, "workspace_id", "id"),
    sqlite_autoincrement=True,
    **OPTIONS,
)

workspace_channel_members = Table(
    "workspace_channel_members",
    metadata,
    Column(
        "channel_id",
        identifier(),
        ForeignKey("workspace_channels.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("user_id", identifier(), ForeignKey("users.id"), primary_key=True, autoincrement=False),
    Index(None, "user_id"),
    **OPTIONS,
)
"""Whose a private channel is. All members of the workspace belong to the others."""

workspace_messages = Table(
    "workspace_messages",
    metadata,
    Column("id", identifier(), primary_key=True, autoincrement=True),
    Column("channel_id", identifier(), ForeignKey("workspace_channels.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", identifier(), ForeignKey("users.id"), nullable=False),
    Column("text", Text, nullable=False),
    Column("client_id", ExactText(128)),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("channel_id", "user_id", "client_id"),
    Index(None, "channel_id", "id"),
    sqlite_autoincrement=True,
    **OPTIONS,
)
"""`client_id` is the sender's own id of the message, if it had one."""
