"""Beginning and ending transactions on a connection that fails."""

from __future__ import annotations

import sqlite3
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realtime.storage.dialect import dialect_for
from realtime.storage.errors import ConnectionLost, StorageUnavailable, TransactionAborted
from realtime.storage.session import Session


class FakeCursor:
    """Takes commands, and fails at those which it is told to."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.errors: dict[str, int] = {}

    def cursor(self) -> FakeCursor:
        """Is its own connection."""
        return self

    def execute(self, sql: str) -> None:
        """Notes the command, or fails with SQLite's code for it."""
        self.commands.append(sql)
        if sql in self.errors:
            error: Any = sqlite3.OperationalError()
            error.sqlite_errorcode = self.errors[sql]
            raise error


class SessionTests(SynchronousTestCase):
    """What a session does, and what it says of a connection that fails."""

    def setUp(self) -> None:
        """A session on a connection that works."""
        self.cursor = FakeCursor()
        self.expired = False
        self.session = Session(
            dialect_for("sqlite:///x.db"), self.cursor, "BEGIN IMMEDIATE", lambda: self.expired
        )

    def test_commands(self) -> None:
        """A transaction is begun as the dialect has it, and open until it is ended."""
        self.session.begin()
        self.assertTrue(self.session.in_transaction)
        self.session.commit()
        self.assertFalse(self.session.in_transaction)
        self.session.begin()
        self.session.rollback()
        self.assertFalse(self.session.in_transaction)
        self.session.rollback()
        self.assertEqual(self.cursor.commands, ["BEGIN IMMEDIATE", "COMMIT", "BEGIN IMMEDIATE", "ROLLBACK"])

    def test_lost_while_beginning(self) -> None:
        """Nothing was done: it may be tried on another connection, and this one is of no more use."""
        self.cursor.errors["BEGIN IMMEDIATE"] = sqlite3.SQLITE_IOERR
        self.assertRaises(ConnectionLost, self.session.begin)
        self.assertTrue(self.session.in_transaction)

    def test_lost_while_committing(self) -> None:
        """Nobody knows whether it was committed: it must not be tried again."""
        self.cursor.errors["COMMIT"] = sqlite3.SQLITE_IOERR
        self.session.begin()
        error = self.assertRaises(StorageUnavailable, self.session.commit)
        self.assertNotIsInstance(error, ConnectionLost)
        self.assertTrue(self.session.in_transaction)

    def test_aborted_while_beginning(self) -> None:
        """No transaction was begun, so that none is to be undone."""
        self.cursor.errors["BEGIN IMMEDIATE"] = sqlite3.SQLITE_BUSY
        self.assertRaises(TransactionAborted, self.session.begin)
        self.assertFalse(self.session.in_transaction)

    def test_aborted_while_committing(self) -> None:
        """It was certainly not committed, and may be tried again."""
        self.cursor.errors["COMMIT"] = sqlite3.SQLITE_BUSY
        self.session.begin()
        self.assertRaises(TransactionAborted, self.session.commit)
        self.session.rollback()
        self.assertFalse(self.session.in_transaction)

    def test_expired(self) -> None:
        """When the time is up nothing is begun and nothing committed."""
        self.session.begin()
        self.expired = True
        self.assertRaises(StorageUnavailable, self.session.commit)
        self.session.rollback()
        self.assertRaises(StorageUnavailable, self.session.begin)
        self.assertEqual(self.cursor.commands, ["BEGIN IMMEDIATE", "ROLLBACK"])
