"""URLs, and what drivers' errors mean."""

from __future__ import annotations

import sqlite3
import sys
from types import ModuleType
from typing import Any
from unittest.mock import patch

import psycopg
import pymysql
from twisted.trial.unittest import SynchronousTestCase

from realtime.storage.dialect import Dialect, Fault, dialect_for
from realtime.storage.errors import (
    Conflict,
    ConnectionLost,
    StorageError,
    StorageUnavailable,
    TransactionAborted,
)
from realtime.storage.sqlite import SQLite


class UrlTests(SynchronousTestCase):
    """What a URL names."""

    def refusal(self, url: str) -> str:
        """The one line that a URL is refused with."""
        error = self.assertRaises(ValueError, dialect_for, url)
        self.assertNotIn("s3cret", str(error))
        self.assertNotIn("\n", str(error))
        return str(error)

    def test_sqlite(self) -> None:
        """Three slashes before a relative path, four before an absolute one."""
        for url, path in (("sqlite:///var/x.db", "var/x.db"), ("sqlite:////var/x.db", "/var/x.db")):
            dialect = dialect_for(url)
            assert isinstance(dialect, SQLite)
            self.assertEqual(dialect.path, path)
            self.assertEqual(dialect.where, f"sqlite at {path}")

    def test_sqlite_in_memory(self) -> None:
        """A database in memory would be another one for each connection."""
        for url in ("sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory"):
            self.refusal(url)

    def test_sqlite_with_two_slashes(self) -> None:
        """The commonest slip is told apart."""
        self.assertIn("three slashes", self.refusal("sqlite://var/x.db"))

    def test_postgresql(self) -> None:
        """All parts of the URL are given to libpq, escapes undone."""
        dialect = dialect_for("postgresql://me:p%40ss@db.example:5433/name?sslmode=require")
        arguments = dialect.connect_arguments(7.5)
        wanted = {
            "host": "db.example",
            "port": 5433,
            "user": "me",
            "password": "p@ss",
            "dbname": "name",
            "sslmode": "require",
            "connect_timeout": 8,
        }
        self.assertEqual({key: arguments[key] for key in wanted}, wanted)
        self.assertEqual(dialect.where, "postgresql at db.example:5433/name")

    def test_postgresql_on_a_socket(self) -> None:
        """The folder of a Unix socket is named behind the question mark."""
        arguments = dialect_for("postgresql:///name?host=/run/postgresql").connect_arguments(5)
        self.assertEqual(arguments["host"], "/run/postgresql")

    def test_postgresql_session(self) -> None:
        """A session's settings go beside those that the URL names, spaces escaped."""
        dialect = dialect_for("postgresql://me@host/name?options=-c%20work_mem%3D8MB")
        options = dialect.session_arguments(reading=True, timeout=1.5)["options"]
        self.assertTrue(options.startswith("-c work_mem=8MB -c timezone=UTC "), options)
        self.assertIn("-c default_transaction_isolation=repeatable\\ read ", options)
        self.assertIn("-c statement_timeout=1500 ", options)

    def test_mysql(self) -> None:
        """All parts of the URL are given to PyMySQL; `mariadb` is the same."""
        for kind in ("mysql", "mariadb"):
            dialect = dialect_for(f"{kind}://me:p%40ss@db.example:3307/name")
            arguments = dialect.connect_arguments(7.5)
            self.assertEqual(arguments["password"], "p@ss")
            self.assertEqual(arguments["database"], "name")
            self.assertEqual(arguments["port"], 3307)
            self.assertEqual(arguments["charset"], "utf8mb4")
            self.assertEqual(dialect.name, "mysql")

    def test_mysql_on_a_socket(self) -> None:
        """The Unix socket is named behind the question mark."""
        arguments = dialect_for("mysql://me@/name?unix_socket=/run/my.sock").connect_arguments(5)
        self.assertEqual(arguments["unix_socket"], "/run/my.sock")

    def test_refused(self) -> None:
        """What can't be used is refused with what is wrong with it."""
        for url, word in (
            ("", "form"),
            ("s3cret", "form"),
            ("postgresql://me:s3cret@host:port/name", "form"),
            ("oracle://me:s3cret@host/name", "oracle"),
            ("postgresql://me:s3cret@host", "no database"),
            ("mysql://me:s3cret@host", "no database"),
            ("mysql://me:s3cret@host/name?colour=red", "colour"),
            ("postgresql://me:s3cret@host/name?colour=red", "colour"),
            ("postgresql://me:s3cret@host/name?sslmode=a&sslmode=b", "sslmode"),
            ("sqlite:///x.db?mode=ro", "?"),
        ):
            self.assertIn(word, self.refusal(url), url)

    def test_missing_driver(self) -> None:
        """A driver that is not installed is named with the command that installs it."""
        absent: dict[str, ModuleType | None] = {"psycopg": None}
        with patch.dict(sys.modules, absent):
            self.assertIn("txrealtime[postgres]", self.refusal("postgresql://me:s3cret@host/name"))

    def test_reason_has_no_password(self) -> None:
        """A driver's words on why there is no connection are cleared of the password."""
        dialect = dialect_for("mysql://me:s3cret@host/name")
        self.assertEqual(dialect.reason(Exception("no\n 's3cret'")), "no '***'")


class FaultTests(SynchronousTestCase):
    """What drivers' errors mean, for those which the other tests do not provoke."""

    def check(self, dialect: Dialect, error: Exception, kind: type[StorageError]) -> None:
        """The error is explained as exactly that kind."""
        self.assertIs(type(dialect.explain(error, "SELECT 1")), kind)

    def test_postgresql(self) -> None:
        """By SQLSTATE."""
        dialect = dialect_for("postgresql://me@host/name")
        for error, kind in (
            (psycopg.errors.UniqueViolation(), Conflict),
            (psycopg.errors.ForeignKeyViolation(), Conflict),
            (psycopg.errors.NotNullViolation(), StorageError),
            (psycopg.errors.DeadlockDetected(), TransactionAborted),
            (psycopg.errors.SerializationFailure(), TransactionAborted),
            (psycopg.errors.AdminShutdown(), ConnectionLost),
            (psycopg.errors.TooManyConnections(), ConnectionLost),
            (psycopg.errors.DiskFull(), ConnectionLost),
            (psycopg.errors.QueryCanceled(), ConnectionLost),
            (psycopg.errors.ReadOnlySqlTransaction(), ConnectionLost),
            (psycopg.errors.UndefinedTable(), StorageError),
            (psycopg.OperationalError("the connection is lost"), ConnectionLost),
            (psycopg.InterfaceError("the connection is closed"), ConnectionLost),
            (psycopg.DataError("NUL"), StorageError),
        ):
            self.check(dialect, error, kind)

    def test_mysql(self) -> None:
        """By number."""
        dialect = dialect_for("mysql://me@host/name")
        for error, kind in (
            (pymysql.err.IntegrityError(1062, "s3cret"), Conflict),
            (pymysql.err.IntegrityError(1452, "s3cret"), Conflict),
            (pymysql.err.IntegrityError(1048, "s3cret"), StorageError),
            (pymysql.err.OperationalError(1213, ""), TransactionAborted),
            (pymysql.err.OperationalError(1205, ""), TransactionAborted),
            (pymysql.err.OperationalError(2013, ""), ConnectionLost),
            (pymysql.err.OperationalError(1290, ""), ConnectionLost),
            (pymysql.err.InterfaceError(0, ""), ConnectionLost),
            (pymysql.err.InternalError("Packet sequence number wrong"), ConnectionLost),
            (pymysql.err.ProgrammingError(1146, ""), StorageError),
        ):
            self.check(dialect, error, kind)

    def test_sqlite(self) -> None:
        """By result code."""
        dialect = dialect_for("sqlite:///x.db")

        def error(code: int) -> Exception:
            made: Any = sqlite3.OperationalError("s3cret")
            made.sqlite_errorcode = code
            made.sqlite_errorname = "SQLITE_X"
            return made  # type: ignore[no-any-return]

        for code, kind in (
            (sqlite3.SQLITE_CONSTRAINT_UNIQUE, Conflict),
            (sqlite3.SQLITE_CONSTRAINT_NOTNULL, StorageError),
            (sqlite3.SQLITE_BUSY, TransactionAborted),
            (sqlite3.SQLITE_BUSY_SNAPSHOT, TransactionAborted),
            (sqlite3.SQLITE_FULL, ConnectionLost),
            (sqlite3.SQLITE_IOERR_FSYNC, ConnectionLost),
            (sqlite3.SQLITE_ERROR, StorageError),
        ):
            self.check(dialect, error(code), kind)
        closed = sqlite3.ProgrammingError("Cannot operate on a closed database.")
        self.check(dialect, closed, ConnectionLost)

    def test_text(self) -> None:
        """The text names the fault, the code and the statement, and quotes nothing of the driver's."""
        dialect = dialect_for("mysql://me@host/name")
        explained = dialect.explain(pymysql.err.IntegrityError(1062, "'s3cret'"), "INSERT …")
        self.assertEqual(str(explained), f"{Fault.CONFLICT.value} (IntegrityError 1062): INSERT …")

    def test_kinds(self) -> None:
        """What is worth another try is a StorageUnavailable to the rest of the daemon."""
        self.assertTrue(issubclass(ConnectionLost, StorageUnavailable))
        self.assertTrue(issubclass(TransactionAborted, StorageUnavailable))
        self.assertFalse(issubclass(Conflict, StorageUnavailable))
