"""Users, and what customers and operators say to each other."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from realtime.storage.types import ExactText, UnixTime, identifier, utc_now

revision = "0001"
down_revision = None

_OPTIONS: Any = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    """Creates the first tables."""
    op.create_table(
        "users",
        sa.Column("id", identifier(), autoincrement=True, nullable=False),
        sa.Column("user_name", ExactText(255), nullable=False),
        sa.Column("user_password", ExactText(255), nullable=False),
        sa.Column("token", ExactText(255)),
        sa.Column("is_admin", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("issuer", ExactText(255)),
        sa.Column("subject", ExactText(255)),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("user_name", name="uq_users_user_name"),
        sa.UniqueConstraint("issuer", "subject", name="uq_users_issuer_subject"),
        sqlite_autoincrement=True,
        **_OPTIONS,
    )
    op.create_index("ix_users_token", "users", ["token"])

    op.create_table(
        "messages",
        sa.Column("id", identifier(), autoincrement=True, nullable=False),
        sa.Column("user_id", identifier(), nullable=False),
        sa.Column("invader_name", ExactText(255), nullable=False),
        sa.Column("message", sa.Text),
        sa.Column("created", UnixTime, nullable=False, server_default=utc_now()),
        sa.Column("is_from_support", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_messages_user_id_users"),
        sqlite_autoincrement=True,
        **_OPTIONS,
    )
    op.create_index("ix_messages_user_id_id", "messages", ["user_id", "id"])

    op.create_table(
        "conversations",
        sa.Column("user_id", identifier(), autoincrement=False, nullable=False),
        sa.Column("last_message_id", identifier(), nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("seen_message_id", identifier(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("user_id", name="pk_conversations"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_conversations_user_id_users"),
        **_OPTIONS,
    )
    op.create_index("ix_conversations_last_message_id", "conversations", ["last_message_id"])
    op.create_index("ix_conversations_is_open_last_message_id", "conversations", ["is_open", "last_message_id"])
