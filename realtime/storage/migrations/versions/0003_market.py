"""Conversations about services, what is said in them, and what is reported of them."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from realtime.storage.types import ExactText, identifier

revision = "0003"
down_revision = "0002"

_OPTIONS: Any = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    """Creates the five tables."""
    op.create_table(
        "market_conversations",
        sa.Column("id", identifier(), autoincrement=True, nullable=False),
        sa.Column("first_user_id", identifier(), nullable=False),
        sa.Column("second_user_id", identifier(), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("latest", sa.BigInteger, nullable=False),
        sa.Column("first_newest_id", identifier(), nullable=False, server_default=sa.text("0")),
        sa.Column("second_newest_id", identifier(), nullable=False, server_default=sa.text("0")),
        sa.Column("first_seen_id", identifier(), nullable=False, server_default=sa.text("0")),
        sa.Column("second_seen_id", identifier(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("id", name="pk_market_conversations"),
        sa.ForeignKeyConstraint(
            ["first_user_id"], ["users.id"], name="fk_market_conversations_first_user_id_users"
        ),
        sa.ForeignKeyConstraint(
            ["second_user_id"], ["users.id"], name="fk_market_conversations_second_user_id_users"
        ),
        sa.UniqueConstraint(
            "first_user_id", "second_user_id", name="uq_market_conversations_first_user_id_second_user_id"
        ),
        sqlite_autoincrement=True,
        **_OPTIONS,
    )
    for own in ("first_user_id", "second_user_id"):
        op.create_index(
            f"ix_market_conversations_{own}_latest_id", "market_conversations", [own, "latest", "id"]
        )

    op.create_table(
        "market_messages",
        sa.Column("id", identifier(), autoincrement=True, nullable=False),
        sa.Column("conversation_id", identifier(), nullable=False),
        sa.Column("sender_id", identifier()),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("temporary_id", ExactText(201)),
        sa.PrimaryKeyConstraint("id", name="pk_market_messages"),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["market_conversations.id"],
            name="fk_market_messages_conversation_id_market_conversations",
        ),
        sa.UniqueConstraint(
            "conversation_id",
            "sender_id",
            "temporary_id",
            name="uq_market_messages_conversation_id_sender_id_temporary_id",
        ),
        sqlite_autoincrement=True,
        **_OPTIONS,
    )
    op.create_index("ix_market_messages_conversation_id_id", "market_messages", ["conversation_id", "id"])

    op.create_table(
        "market_services",
        sa.Column("id", identifier(), autoincrement=True, nullable=False),
        sa.Column("conversation_id", identifier(), nullable=False),
        sa.Column("title", ExactText(255), nullable=False),
        sa.Column("category", ExactText(255), nullable=False),
        sa.Column("price", sa.BigInteger, nullable=False),
        sa.Column("client_user_id", identifier(), nullable=False),
        sa.Column("recipient_user_id", identifier(), nullable=False),
        sa.Column("priced_by_user_id", identifier(), nullable=False),
        sa.Column("status", ExactText(20), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_market_services"),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["market_conversations.id"],
            name="fk_market_services_conversation_id_market_conversations",
        ),
        sqlite_autoincrement=True,
        **_OPTIONS,
    )
    op.create_index("ix_market_services_conversation_id_id", "market_services", ["conversation_id", "id"])

    op.create_table(
        "market_notes",
        sa.Column("id", identifier(), autoincrement=True, nullable=False),
        sa.Column("service_id", identifier(), nullable=False),
        sa.Column("author_id", identifier(), nullable=False),
        sa.Column("grade", sa.SmallInteger, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_market_notes"),
        sa.ForeignKeyConstraint(
            ["service_id"], ["market_services.id"], name="fk_market_notes_service_id_market_services"
        ),
        sa.UniqueConstraint("service_id", "author_id", name="uq_market_notes_service_id_author_id"),
        sqlite_autoincrement=True,
        **_OPTIONS,
    )

    op.create_table(
        "market_reports",
        sa.Column("id", identifier(), autoincrement=True, nullable=False),
        sa.Column("reporter_id", identifier(), nullable=False),
        sa.Column("kind", ExactText(20), nullable=False),
        sa.Column("object_id", identifier()),
        sa.Column("reason", sa.Text),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("resolved", sa.BigInteger),
        sa.Column("resolved_by_user_id", identifier()),
        sa.PrimaryKeyConstraint("id", name="pk_market_reports"),
        sa.ForeignKeyConstraint(["reporter_id"], ["users.id"], name="fk_market_reports_reporter_id_users"),
        sa.UniqueConstraint(
            "reporter_id", "kind", "object_id", name="uq_market_reports_reporter_id_kind_object_id"
        ),
        sqlite_autoincrement=True,
        **_OPTIONS,
    )
    op.create_index("ix_market_reports_resolved_id", "market_reports", ["resolved", "id"])
