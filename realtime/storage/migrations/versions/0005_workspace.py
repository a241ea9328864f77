"""Workspaces, their members, their channels, and what is said in them; the first workspace."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from realtime.storage.types import ExactText, identifier

revision = "0005"
down_revision = "0004"

_OPTIONS: Any = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    """Creates the five tables, and the first workspace."""
    workspaces = op.create_table(
        "workspaces",
        sa.Column("id", ExactText(64), nullable=False),
        sa.Column("name", ExactText(100), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workspaces"),
        **_OPTIONS,
    )
    op.create_table(
        "workspace_members",
        sa.Column("workspace_id", ExactText(64), nullable=False),
        sa.Column("user_id", identifier(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "user_id", name="pk_workspace_members"),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="fk_workspace_members_workspace_id_workspaces"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_workspace_members_user_id_users"),
        **_OPTIONS,
    )
    op.create_index("ix_workspace_members_user_id", "workspace_members", ["user_id"])
    op.create_table(
        "workspace_channels",
        sa.Column("id", identifier(), autoincrement=True, nullable=False),
        sa.Column("workspace_id", ExactText(64), nullable=False),
        sa.Column("name", ExactText(100), nullable=False),
        sa.Column("is_private", sa.Boolean, nullable=False),
        sa.Column("creator_id", identifier(), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workspace_channels"),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="fk_workspace_channels_workspace_id_workspaces"
        ),
        sa.ForeignKeyConstraint(["creator_id"], ["users.id"], name="fk_workspace_channels_creator_id_users"),
        sqlite_autoincrement=True,
        **_OPTIONS,
    )
    op.create_index("ix_workspace_channels_workspace_id_id", "workspace_channels", ["workspace_id", "id"])
    op.create_table(
        "workspace_channel_members",
        sa.Column("channel_id", identifier(), autoincrement=False, nullable=False),
        sa.Column("user_id", identifier(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("channel_id", "user_id", name="pk_workspace_channel_members"),
        sa.ForeignKeyConstraint(
            ["channel_id"],
            ["workspace_channels.id"],
            name="fk_workspace_channel_members_channel_id_workspace_channels",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_workspace_channel_members_user_id_users"),
        **_OPTIONS,
    )
    op.create_index("ix_workspace_channel_members_user_id", "workspace_channel_members", ["user_id"])
    op.create_table(
        "workspace_messages",
        sa.Column("id", identifier(), autoincrement=True, nullable=False),
        sa.Column("channel_id", identifier(), nullable=False),
        sa.Column("user_id", identifier(), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("client_id", ExactText(128)),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workspace_messages"),
        sa.ForeignKeyConstraint(
            ["channel_id"],
            ["workspace_channels.id"],
            name="fk_workspace_messages_channel_id_workspace_channels",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_workspace_messages_user_id_users"),
        sa.UniqueConstraint(
            "channel_id", "user_id", "client_id", name="uq_workspace_messages_channel_id_user_id_client_id"
        ),
        sqlite_autoincrement=True,
        **_OPTIONS,
    )
    op.create_index("ix_workspace_messages_channel_id_id", "workspace_messages", ["channel_id", "id"])
    op.bulk_insert(workspaces, [{"id": "default", "name": "default", "created": 0}])
