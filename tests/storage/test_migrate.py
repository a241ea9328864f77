"""Migrations, on each of the three databases."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from realtime.storage import migrate as module
from realtime.storage.dialect import dialect_for
from realtime.storage.errors import StorageError, StorageUnavailable
from realtime.storage.locks import mysql_lock, postgresql_lock, sqlite_lock
from realtime.storage.migrate import connected, migrate
from realtime.storage.sqlite import SQLite
from realtime.storage.tables import metadata

HEAD = "0005"


def migrated(url: str) -> list[str]:
    """Migrates and gives the lines that were logged."""
    lines: list[str] = []
    migrate(url, log=lines.append)
    return lines


def sql(url: str, statement: str) -> list[Any]:
    """Runs one statement."""
    with connected(dialect_for(url)) as connection:
        result = connection.execute(text(statement))
        rows = list(result) if result.returns_rows else []
        connection.commit()
        return rows


def other_default(
    context: Any, there: Any, ours: Any, present: str | None, default: Any, wanted: str | None
) -> bool | None:
    """Whether a default differs, for Alembic; MariaDB's way to write `false` makes no difference."""
    return False if (present, wanted) == ("0", "false") else None


def test_schema_is_that_of_the_tables(database_url: str) -> None:
    """A migrated database has exactly the tables that the code knows."""
    migrated(database_url)
    with connected(dialect_for(database_url)) as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": other_default}
        )
        assert compare_metadata(context, metadata) == []
        # What Alembic does not compare.
        for table in metadata.sorted_tables:
            there = inspect(connection)
            assert there.get_pk_constraint(table.name)["constrained_columns"] == [
                column.name for column in table.primary_key
            ]
            if connection.dialect.name != "sqlite":
                names = {key["name"] for key in there.get_foreign_keys(table.name)}
                assert names == {key.name for key in table.foreign_key_constraints}


def test_columns_of_the_document(database_url: str) -> None:
    """The two tables of the support document have its columns, and on MariaDB its types."""
    migrated(database_url)
    with connected(dialect_for(database_url)) as connection:
        users = {column["name"]: column for column in inspect(connection).get_columns("users")}
        messages = {column["name"]: column for column in inspect(connection).get_columns("messages")}
        assert list(users)[:5] == ["id", "user_name", "user_password", "token", "is_admin"]
        assert list(messages) == [
            "id",
            "user_id",
            "invader_name",
            "message",
            "created",
            "is_from_support",
        ]
        nullable = {name for name, column in {**users, **messages}.items() if column["nullable"]}
        profile = {"nickname", "avatar", "language", "status", "registered", "last_online"}
        assert nullable == {"token", "issuer", "subject", "message", *profile}
        if connection.dialect.name == "mysql":
            assert messages["id"]["type"].__class__.__name__ == "INTEGER"
            assert getattr(messages["id"]["type"], "unsigned", False)
            assert str(messages["created"]["type"]) == "DATETIME"
            assert messages["message"]["type"].__class__.__name__ == "TEXT"
            assert getattr(users["user_name"]["type"], "length", 0) == 255


def test_again(database_url: str) -> None:
    """The second time there is nothing to do, and nothing is said."""
    assert len(migrated(database_url)) == 1
    assert migrated(database_url) == []


def test_keeps_what_is_there(database_url: str) -> None:
    """Rows survive a migration that finds nothing to do."""
    migrated(database_url)
    sql(database_url, "INSERT INTO users (user_name, user_password) VALUES ('alice', '-')")
    migrated(database_url)
    assert sql(database_url, "SELECT user_name, is_admin, token FROM users") == [("alice", 0, None)]


def test_own_users_do_not_collide(database_url: str) -> None:
    """Any number of users are of no outside issuer; two of one issuer can't have one subject."""
    migrated(database_url)
    add = "INSERT INTO users (user_name, user_password, issuer, subject) VALUES "
    sql(database_url, add + "('a', '', NULL, NULL)")
    sql(database_url, add + "('b', '', NULL, NULL)")
    sql(database_url, add + "('c', '', 'i', 's')")
    sql(database_url, add + "('d', '', 'i', 's ')")
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        sql(database_url, add + "('e', '', 'i', 's')")


def test_several_processes_at_once(database_url: str) -> None:
    """Of several processes that start together one migrates, and all find the database ready."""
    code = "import sys; from realtime.storage.migrate import migrate; migrate(sys.argv[1], log=print)"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, database_url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [errors for lines, errors in outputs] == [b""] * 4
    assert sorted(len(lines.splitlines()) for lines, errors in outputs) == [0, 0, 0, 1]
    assert sql(database_url, "SELECT version_num FROM alembic_version") == [(HEAD,)]


def test_waits_for_the_lock(database_url: str) -> None:
    """While another holds the migrations' lock nothing is done; then it is done."""
    dialect = dialect_for(database_url)
    thread = Thread(target=migrated, args=(database_url,))
    with ExitStack() as held:
        if isinstance(dialect, SQLite):
            Path(dialect.path).parent.mkdir()
            held.enter_context(sqlite_lock(Path(dialect.path)))
        else:
            lock = {"postgresql": postgresql_lock, "mysql": mysql_lock}[dialect.name]
            held.enter_context(lock(held.enter_context(connected(dialect))))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        with connected(dialect) as connection:
            assert inspect(connection).get_table_names() == []
    thread.join(30)
    assert not thread.is_alive()
    assert sql(database_url, "SELECT version_num FROM alembic_version") == [(HEAD,)]


def test_newer_database(database_url: str) -> None:
    """A database of a later version is refused with what to do, and left as it is."""
    migrated(database_url)
    sql(database_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StorageError, match=r"newer.*9999") as caught:
        migrated(database_url)
    assert not isinstance(caught.value, StorageUnavailable)
    assert "s3cret" not in str(caught.value)
    assert sql(database_url, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_server_down(database_server: Any) -> None:
    """A server that is down is told in one line without a password."""
    url = database_server.fresh_database()
    database_server.stop()
    with pytest.raises(StorageUnavailable) as caught:
        migrated(url)
    assert "127.0.0.1" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_logging_is_left_alone(tmp_path: Path) -> None:
    """Alembic changes no logger."""
    import logging

    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("alembic").level)
    migrated(f"sqlite:///{tmp_path}/x.db")
    assert (root.level, list(root.handlers), logging.getLogger("alembic").level) == before


def test_folder_and_file(tmp_path: Path) -> None:
    """The folder is made if need be, and both are for their owner alone."""
    path = tmp_path / "a" / "state" / "x.db"
    migrated(f"sqlite:///{path}")
    assert path.parent.stat().st_mode & 0o777 == 0o700
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


def test_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three slashes: relative to the working directory."""
    monkeypatch.chdir(tmp_path)
    migrated("sqlite:///var/x.db")
    assert (tmp_path / "var" / "x.db").exists()


def test_unusable_places(tmp_path: Path) -> None:
    """A folder that can't be made, and a file that is no database, are told in one line."""
    (tmp_path / "file").write_text("This is a plain text, no database at all. " * 100)
    for path in (tmp_path / "file" / "x.db", tmp_path / "file", tmp_path):
        with pytest.raises(StorageUnavailable) as caught:
            migrated(f"sqlite:///{path}")
        assert str(tmp_path) in str(caught.value)


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts migrations of a later version in the place of ours; `next.py` is to be written by the test."""
    import shutil

    scripts = tmp_path / "migrations"
    shutil.copytree(Path(module.__file__).parent / "migrations", scripts)
    monkeypatch.setattr(module, "SCRIPTS", str(scripts))
    return scripts / "versions" / "next.py"


NEXT = f"""
import sqlalchemy as sa
from alembic import op
revision, down_revision = "next", "{HEAD}"
def upgrade():
    op.create_table("later", sa.Column("id", sa.Integer, primary_key=True))
    {{then}}
"""


def test_copied_aside(tmp_path: Path, next_version: Path) -> None:
    """Before an SQLite file is changed it is copied, with what is in its write-ahead log."""
    path = tmp_path / "x.db"
    url = f"sqlite:///{path}"
    next_version.unlink(missing_ok=True)
    migrated(url)
    with closing(sqlite3.connect(path)) as open_meanwhile:
        open_meanwhile.execute("INSERT INTO users (user_name, user_password) VALUES ('alice', '-')")
        open_meanwhile.commit()
        next_version.write_text(NEXT.format(then=""))
        lines = migrated(url)
    copy = tmp_path / f"x.db.before-{HEAD}"
    assert [str(copy) in line for line in lines] == [True, False]
    assert copy.stat().st_mode & 0o077 == 0
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT user_name FROM users").fetchall() == [("alice",)]
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]
    assert sql(url, "SELECT version_num FROM alembic_version") == [("next",)]
    assert sql(url, "SELECT user_name FROM users") == [("alice",)]
    assert not list(tmp_path.glob("*.unfinished"))


# Not MariaDB, which commits each change of a table by itself.
@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_failed_migration_is_undone(database_url: str, next_version: Path) -> None:
    """Where DDL can be undone a migration that fails leaves nothing, and can be run again."""
    migrated(database_url)
    next_version.write_text(NEXT.format(then="op.execute('SELECT nothing FROM nowhere')"))
    with pytest.raises(StorageError) as caught:
        migrated(database_url)
    assert not isinstance(caught.value, StorageUnavailable)
    assert sql(database_url, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    next_version.write_text(NEXT.format(then=""))
    for cached in next_version.parent.glob("__pycache__/*"):
        os.unlink(cached)
    migrated(database_url)
    assert sql(database_url, "SELECT version_num FROM alembic_version") == [("next",)]
