"""Brings a database to the schema of this version.

Run before anything listens, by the daemon (in a thread) and by `realtime migrate`. Several processes
may do so at once: one migrates, the others wait and find nothing to do. An SQLite file is copied aside
first. SQLite and PostgreSQL undo a migration that fails halfway; MariaDB and MySQL commit each change of
a table by itself, so that one which fails there leaves the changes before it.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from realtime.storage.dialect import Dialect, dialect_for
from realtime.storage.errors import StorageError, StorageUnavailable
from realtime.storage.locks import mysql_lock, postgresql_lock, sqlite_lock
from realtime.storage.sqlite import SQLite

SCRIPTS = "realtime.storage:migrations"
"""Where Alembic finds the migrations, also in an installed package."""

_TIMEOUT = 60.0
"""Seconds for connecting, and for one answer of a server: a table may be large."""


def migrate(url: str, *, log: Callable[[str], object]) -> None:
    """Creates or upgrades the tables; blocks until that is done.

    Arguments:
        url: see `dialect.dialect_for`. A folder that an SQLite file is to lie in is made if need be.
        log: is given a line for each thing that is done; none if there is nothing to do.

    Raises:
        ValueError: the URL can't be used.
        StorageUnavailable: the database can't be reached.
        StorageError: the database was written by a newer version, or a migration failed.
    """
    dialect = dialect_for(url)
    if isinstance(dialect, SQLite):
        path = Path(dialect.path)
        try:
            _create_file(path)
            with sqlite_lock(path):
                with closing(sqlite3.connect(path, timeout=_TIMEOUT)) as connection:
                    dialect.use_wal(connection)
                _migrate(dialect, log, before=lambda revision: _copy_aside(path, revision, log))
        except OSError as error:
            raise StorageUnavailable(f"{dialect.where}: {error.strerror}") from error
        except sqlite3.Error as error:
            raise StorageUnavailable(f"{dialect.where}: {dialect.reason(error)}") from error
    else:
        _migrate(dialect, log, before=lambda revision: None)


@contextmanager
def connected(dialect: Dialect) -> Iterator[Connection]:
    """A connection of SQLAlchemy's own, for DDL, on which nobody else works."""
    engine = create_engine(
        f"{dialect.engine}://",
        creator=lambda: dialect.connect(**dialect.connect_arguments(_TIMEOUT)),
        poolclass=NullPool,
    )
    if isinstance(dialect, SQLite):
        # The driver begins none before DDL; begun by hand, all of a migration is done or nothing.
        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql(dialect.begin_write)

    with engine.connect() as connection:
        yield connection


def _migrate(dialect: Dialect, log: Callable[[str], object], *, before: Callable[[str], None]) -> None:
    try:
        with connected(dialect) as connection:
            if dialect.name == "postgresql":
                with postgresql_lock(connection):
                    _upgrade(connection, dialect, log, before)
            elif dialect.name == "mysql":
                with mysql_lock(connection):
                    _upgrade(connection, dialect, log, before)
            else:
                _upgrade(connection, dialect, log, before)
    except DBAPIError as error:
        kind = StorageUnavailable if error.connection_invalidated or error.statement is None else StorageError
        reason = dialect.reason(error.orig or error)
        raise kind(f"{dialect.where}: {reason}") from None


def _upgrade(
    connection: Connection,
    dialect: Dialect,
    log: Callable[[str], object],
    before: Callable[[str], None],
) -> None:
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    # Only an alembic.ini could make Alembic set up logging, and there is none.
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    (head,) = scripts.get_heads()
    present = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    if present == head:
        return
    if present is not None:
        if present not in {script.revision for script in scripts.walk_revisions()}:
            raise StorageError(
                f"{dialect.where}: written by a newer version of txrealtime (revision {present}, this"
                f" version knows {head}): run that version, or restore a copy from before"
            )
        before(present)
    command.upgrade(config, "head")
    log(f"{dialect.where}: {'new' if present is None else f'from revision {present}'}, now at {head}")


def _create_file(path: Path) -> None:
    """Makes the file and its folder, for their owner alone: tokens and passwords' hashes lie in it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _copy_aside(path: Path, revision: str, log: Callable[[str], object]) -> None:
    """Copies the file to `<file>.before-<revision>`, with what is still in its write-ahead log.

    Under another name first, so that a copy of that name is always whole.
    """
    copy = Path(f"{path}.before-{revision}")
    unfinished = Path(f"{copy}.unfinished")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(unfinished)) as target:
        source.backup(target)
    unfinished.replace(copy)
    log(f"sqlite at {path}: copied aside to {copy}")
