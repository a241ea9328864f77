"""SQLite: one file, one writer, any number of readers beside it (WAL)."""

import sqlite3
from contextlib import suppress
from typing import Any

from sqlalchemy.dialects.sqlite import pysqlite
from sqlalchemy.engine import URL

from realtime.storage.dialect import Dialect, Fault, plain_query

_CONFLICTS = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    sqlite3.SQLITE_CONSTRAINT_ROWID,
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY,
}
_ABORTED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_LOST = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}


class SQLite(Dialect):
    """One SQLite file.

    Attributes:
        path: the file, as the URL has it.
    """

    name = "sqlite"
    driver = "sqlite3"
    engine = "sqlite+pysqlite"
    compiler = pysqlite.dialect(paramstyle="qmark")
    # Takes the file's one write lock at once, so that no later statement finds it taken.
    begin_write = "BEGIN IMMEDIATE"

    def __init__(self, url: URL) -> None:
        if url.host or url.username or url.port:
            raise ValueError(
                "an SQLite URL has three slashes before a relative path, four before an absolute one"
            )
        if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
            raise ValueError("an SQLite URL needs the path of a file")
        if plain_query(url):
            raise ValueError("an SQLite URL takes nothing behind a '?'")
        self.path = url.database
        super().__init__(url)

    def connect_arguments(self, timeout: float) -> dict[str, Any]:
        """Autocommit, for we begin transactions ourselves; another thread closes it in the end."""
        return {
            "database": self.path,
            # Less than the deadline of the whole, so that a lock that is held is told as what it is.
            "timeout": timeout / 2,
            "isolation_level": None,
            "check_same_thread": False,
            "cached_statements": 256,
        }

    def abandon(self, connection: Any) -> None:
        """Lets go of the file's lock, which a closed connection keeps as long as a cursor of it lives."""
        with suppress(sqlite3.Error):
            connection.rollback()

    def handle(self, connection: Any) -> "_Interrupter":
        """Interrupts the statement that runs."""
        return _Interrupter(connection)

    def fault(self, error: Exception) -> Fault:
        """By SQLite's result code. A refused change of a read-only session counts as away as well."""
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:
            closed = isinstance(error, sqlite3.ProgrammingError) and "closed database" in str(error)
            return Fault.LOST if closed else Fault.REFUSED
        if code in _CONFLICTS:
            return Fault.CONFLICT
        if code & 0xFF in _ABORTED:
            return Fault.ABORTED
        return Fault.LOST if code & 0xFF in _LOST else Fault.REFUSED

    def code(self, error: Exception) -> str:
        """SQLite's name of the result code."""
        return str(getattr(error, "sqlite_errorname", ""))

    def _address(self, url: URL) -> str:
        return self.path

    def _configure(self, connection: Any, *, reading: bool, timeout: float) -> None:
        if reading:
            connection.execute("PRAGMA query_only = ON")
            return
        self.use_wal(connection)
        # What was acknowledged survives a power cut: each commit is on the disk before it is answered.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    def use_wal(self, connection: sqlite3.Connection) -> None:
        """Sets the file's mode, which stays with it.

        Nobody else may use the file while it changes, so the first time belongs under the migrations' lock.
        """
        connection.execute("PRAGMA journal_mode = WAL").fetchone()


class _Interrupter:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: sqlite3.Connection | None = connection

    def cut(self) -> None:
        connection = self._connection
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.interrupt()

    def release(self) -> None:
        self._connection = None
