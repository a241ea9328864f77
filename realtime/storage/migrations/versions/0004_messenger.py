"""Users' profiles, what is said in messenger's room, and dialogs with what became of them."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from realtime.storage.types import ExactText, UnixTime, identifier

revision = "0004"
down_revision = "0003"

_OPTIONS: Any = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    """Adds the profile's columns and creates the two tables."""
    for name in ("nickname", "avatar", "language", "status"):
        op.add_column("users", sa.Column(name, ExactText(255)))
    op.add_column("users", sa.Column("registered", UnixTime))
    op.add_column("users", sa.Column("last_online", UnixTime))
    op.create_index("ix_users_avatar", "users", ["avatar"])
    op.create_table(
        "messenger_messages",
        sa.Column("id", identifier(), autoincrement=True, nullable=False),
        sa.Column("sender_id", identifier(), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("sent", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_messenger_messages"),
        sa.ForeignKeyConstraint(["sender_id"], ["users.id"], name="fk_messenger_messages_sender_id_users"),
        sqlite_autoincrement=True,
        **_OPTIONS,
    )
    op.create_table(
        "messenger_dialogs",
        sa.Column("id", identifier(), autoincrement=True, nullable=False),
        sa.Column("sender_id", identifier(), nullable=False),
        sa.Column("receiver", ExactText(64), nullable=False),
        sa.Column("receiver_id", identifier()),
        sa.Column("client_data", sa.Text),
        sa.Column("client_message_id", ExactText(128)),
        sa.Column("sent", sa.BigInteger, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("is_untold", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_messenger_dialogs"),
        sa.ForeignKeyConstraint(["sender_id"], ["users.id"], name="fk_messenger_dialogs_sender_id_users"),
        sa.ForeignKeyConstraint(["receiver_id"], ["users.id"], name="fk_messenger_dialogs_receiver_id_users"),
        sa.UniqueConstraint(
            "sender_id", "client_message_id", name="uq_messenger_dialogs_sender_id_client_message_id"
        ),
        sqlite_autoincrement=True,
        **_OPTIONS,
    )
    for columns, where in (
        (["receiver_id", "state", "id"], ("state = 0", "state = 0")),
        (["state", "sent"], ("state = 0", "state = 0")),
        (["sender_id", "is_untold", "id"], ("is_untold = 1", "is_untold")),
        (["sender_id", "receiver_id", "id"], None),
    ):
        part: Any = {}
        if where is not None:
            part = {"sqlite_where": sa.text(where[0]), "postgresql_where": sa.text(where[1])}
        op.create_index(f"ix_messenger_dialogs_{'_'.join(columns)}", "messenger_dialogs", columns, **part)
