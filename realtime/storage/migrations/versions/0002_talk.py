"""Talks, and what each of the two asked and answered."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from realtime.storage.types import ExactText, UnixTime, identifier, long_text

revision = "0002"
down_revision = "0001"

_OPTIONS: Any = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    """Creates the two tables."""
    op.create_table(
        "talks",
        sa.Column("id", identifier(), autoincrement=True, nullable=False),
        sa.Column("match_id", ExactText(36), nullable=False),
        sa.Column("matched", UnixTime, nullable=False),
        sa.Column("started", UnixTime),
        sa.Column("stopped", UnixTime),
        sa.Column("ended", UnixTime),
        sa.Column("outcome", ExactText(20)),
        sa.PrimaryKeyConstraint("id", name="pk_talks"),
        sa.UniqueConstraint("match_id", name="uq_talks_match_id"),
        sqlite_autoincrement=True,
        **_OPTIONS,
    )
    op.create_table(
        "talk_seats",
        sa.Column("talk_id", identifier(), autoincrement=False, nullable=False),
        sa.Column("seat", sa.SmallInteger, autoincrement=False, nullable=False),
        sa.Column("user_id", identifier(), nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("questions", long_text(), nullable=False),
        sa.Column("answers", long_text()),
        sa.PrimaryKeyConstraint("talk_id", "seat", name="pk_talk_seats"),
        sa.ForeignKeyConstraint(["talk_id"], ["talks.id"], name="fk_talk_seats_talk_id_talks"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_talk_seats_user_id_users"),
        **_OPTIONS,
    )
    op.create_index("ix_talk_seats_user_id_talk_id", "talk_seats", ["user_id", "talk_id"])
