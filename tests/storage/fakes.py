"""A database thread that does nothing but write down what it is told, for tests of what gathers work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.python.failure import Failure

from realtime.storage.errors import StorageError, StorageUnavailable
from realtime.storage.pool import Job
from realtime.storage.session import Session


class FakeTransaction:
    """A transaction in which works note what they do; it fails where it is told to."""

    def __init__(self) -> None:
        self.failure: StorageError | None = None
        self.done: list[object] = []

    def note(self, what: object, failure: StorageError | None = None) -> None:
        """Does `what`, or fails as a refused statement does."""
        if failure is not None:
            self.failure = failure
            raise failure
        self.done.append(what)


class FakeSession:
    """A session whose every step is written down, and whose commits can be made to fail."""

    def __init__(self) -> None:
        self.transaction = FakeTransaction()
        self.steps: list[str] = []
        self.stored: list[object] = []
        self.commit_errors: list[Exception | None] = []
        self.in_transaction = False
        self._savepoint = 0

    def begin(self) -> None:
        """Begins."""
        self.steps.append("begin")
        self.in_transaction = True
        self.transaction.failure = None
        self.transaction.done = []

    def commit(self) -> None:
        """Commits, or raises the next of the errors that were prepared."""
        self.steps.append("commit")
        error = self.commit_errors.pop(0) if self.commit_errors else None
        if error is not None:
            raise error
        self.in_transaction = False
        self.stored += self.transaction.done
        self.transaction.done = []

    def check_time(self) -> None:
        """There is time."""

    def rollback(self) -> None:
        """Undoes, if there is anything."""
        if self.in_transaction:
            self.steps.append("rollback")
        self.in_transaction = False
        self.transaction.done = []

    def set_savepoint(self) -> None:
        """Marks."""
        self.transaction.failure = None
        self._savepoint = len(self.transaction.done)

    def release_savepoint(self) -> None:
        """Keeps."""

    def undo_to_savepoint(self) -> None:
        """Goes back."""
        del self.transaction.done[self._savepoint :]


class FakePool:
    """A pool whose thread does its work when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Job[Any], Callable[[Session], Any]]] = []
        self.session = FakeSession()

    def run(self, work: Callable[[Session], Any]) -> Job[Any]:
        """Takes the work."""
        job: Job[Any] = Job()
        self.jobs.append((job, work))
        return job

    def work(self, error: Exception | None = None) -> None:
        """The thread does the oldest piece of work, or fails, and comes back."""
        job, work = self.jobs.pop(0)
        if error is None:
            work(cast(Session, self.session))
        if not job.expired:
            job.answer.callback(None if error is None else Failure(error))
        job.finished.callback(None)

    def expire(self) -> None:
        """The deadline of the oldest piece of work passes."""
        job, _ = self.jobs[0]
        job.expire()
        job.answer.errback(StorageUnavailable("too late"))
