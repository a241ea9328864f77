"""One connection for the time of one piece of work: transactions are begun and ended here alone."""

from collections.abc import Callable
from typing import Any

from realtime.storage.dialect import Dialect
from realtime.storage.errors import ConnectionLost, StorageUnavailable, TransactionAborted
from realtime.storage.transaction import Transaction


class Session:
    """Begins and ends transactions on a connection, on a database thread.

    Arguments:
        dialect: the kind of database.
        connection: the driver's connection, in autocommit mode.
        begin: the statement that begins a transaction.
        expired: whether the time of the work is up: nothing is begun or committed any more.

    Attributes:
        transaction: what works are given.
        in_transaction: whether one may be open, or the connection broke while one was; the connection
            can't serve another piece of work then.

    Each method raises ConnectionLost, TransactionAborted or another StorageError.
    """

    __slots__ = ("_begin", "_dialect", "_expired", "_send", "in_transaction", "transaction")

    def __init__(self, dialect: Dialect, connection: Any, begin: str, expired: Callable[[], bool]) -> None:
        self._dialect = dialect
        self._begin = begin
        self._expired = expired
        self.in_transaction = False
        cursor = connection.cursor()
        self._send = cursor.execute
        self.transaction = Transaction(dialect, cursor)

    def begin(self) -> None:
        """Begins a transaction."""
        self.check_time()
        self.transaction.failure = None
        self.in_transaction = True
        try:
            self._command(self._begin)
        except TransactionAborted:
            # SQLite, when another process writes: none was begun.
            self.in_transaction = False
            raise

    def commit(self) -> None:
        """Commits it.

        Raises:
            StorageUnavailable: the connection broke meanwhile, so that it may have been committed or not.
                (Not ConnectionLost: the work must not be run again.)
        """
        self.check_time()
        try:
            self._command("COMMIT")
        except ConnectionLost as error:
            raise StorageUnavailable(f"in doubt: {error}") from None
        self.in_transaction = False

    def rollback(self) -> None:
        """Undoes it, if one was begun."""
        if self.in_transaction:
            self._command("ROLLBACK")
            self.in_transaction = False

    def set_savepoint(self) -> None:
        """Marks the point to which `undo_to_savepoint` goes back."""
        self.transaction.failure = None
        self._command("SAVEPOINT one")

    def release_savepoint(self) -> None:
        """Keeps what was done since the savepoint as a part of the transaction."""
        self._command("RELEASE SAVEPOINT one")

    def undo_to_savepoint(self) -> None:
        """Undoes what was done since the savepoint, and removes it."""
        self._command("ROLLBACK TO SAVEPOINT one")
        self._command("RELEASE SAVEPOINT one")

    def check_time(self) -> None:
        """Raises StorageUnavailable if the time of the work is up."""
        if self._expired():
            raise StorageUnavailable("the database did not answer in time")

    def _command(self, sql: str) -> None:
        try:
            self._send(sql)
        except self._dialect.errors as error:
            raise self._dialect.explain(error, sql) from None
