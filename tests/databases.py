"""A database for tests of pure rules: real SQL, no threads, and answers when the test says so."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from realtime.storage.dialect import dialect_for
from realtime.storage.errors import Conflict, StorageUnavailable
from realtime.storage.tables import metadata
from realtime.storage.transaction import Transaction

T = TypeVar("T")


class SynchronousDatabase:
    """Runs each request at once, on an SQLite database in memory.

    While it is ``held``, writes are carried out in order but answered only by `commit`, as a real one
    does when a commit is under way. While it is ``away``, everything is `StorageUnavailable`.
    """

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.execute("PRAGMA foreign_keys = ON")
        engine = create_engine("sqlite://", creator=lambda: self._connection, poolclass=StaticPool)
        metadata.create_all(engine)
        self._dialect = dialect_for("sqlite:///in-memory")
        self.away = False
        self.held = False
        self._answers: deque[tuple[Deferred[Any], Any]] = deque()

    def close(self) -> None:
        """End the database."""
        self._connection.close()

    def read(self, work: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """See `Database.read`."""
        if self.away:
            return fail(StorageUnavailable("away"))
        return succeed(self._run(work, *arguments))

    def write(self, work: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """See `Database.write`."""
        if self.away:
            return fail(StorageUnavailable("away"))
        answer: Deferred[T] = Deferred()
        try:
            result: Any = self._run(work, *arguments)
        except Conflict:
            result = Failure()
        self._answers.append((answer, result))
        if not self.held:
            self.commit()
        return answer

    def commit(self) -> None:
        """Answer the writes that wait, in order."""
        while self._answers:
            answer, result = self._answers.popleft()
            answer.callback(result)

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run any SQL."""
        return self._connection.execute(sql, parameters).fetchall()

    def _run(self, work: Callable[..., T], *arguments: Any) -> T:
        return work(Transaction(self._dialect, self._connection.cursor()), *arguments)
