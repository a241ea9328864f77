"""Database threads, each with a connection of its own, and a deadline for what they are given.

A `ConnectionPool` of `twisted.enterprise.adbapi` holds the threads and their connections. What is added
to it: a piece of work whose connection breaks is run once more on a new one, and a piece of work that
takes too long is answered without waiting for its thread, which is then made to come back.
"""

from collections.abc import Callable
from threading import Lock
from typing import Any, Generic, TypeVar

from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from realtime.storage.availability import Availability
from realtime.storage.dialect import Dialect, Handle
from realtime.storage.errors import (
    ConnectionLost,
    StorageUnavailable,
    TransactionAborted,
)
from realtime.storage.session import Session

T = TypeVar("T")


class Job(Generic[T]):
    """A piece of work that was handed to a thread.

    Attributes:
        answer: fires once, with what the work returned or raised, or at the deadline with
            StorageUnavailable.
        finished: fires with None when the thread has come back, which may be later.
        expired: whether the deadline has passed; the thread looks at it before it begins and commits.
    """

    def __init__(self) -> None:
        self.answer: Deferred[T] = Deferred()
        self.finished: Deferred[None] = Deferred()
        self.expired = False
        self._lock = Lock()
        self._handle: Handle | None = None

    def hold(self, handle: Handle) -> None:
        """Thread: from here on the work uses this connection."""
        with self._lock:
            self._handle = handle
            if self.expired:
                handle.cut()

    def let_go(self) -> None:
        """Thread: the work has done with the connection."""
        with self._lock:
            handle, self._handle = self._handle, None
        if handle is not None:
            handle.release()

    def expire(self) -> None:
        """Reactor: the deadline has passed; whatever the connection waits for is cut short."""
        with self._lock:
            self.expired = True
            if self._handle is not None:
                self._handle.cut()


class Pool:
    """Threads for one kind of work, reading or writing.

    Arguments:
        dialect: the kind of database, and where it is.
        reactor: for the deadlines, and where answers are given.
        reading: whether the connections refuse every change.
        size: how many threads and connections there are at most.
        timeout: seconds from `run` to the answer, at most.
    """

    def __init__(self, dialect: Dialect, *, reactor: Any, reading: bool, size: int, timeout: float) -> None:
        self._dialect = dialect
        self._reactor = reactor
        self._timeout = timeout
        self._begin = dialect.begin_read if reading else dialect.begin_write
        self._size = size
        self._reading = reading
        self._jobs: set[Job[Any]] = set()
        self._idle: list[Deferred[None]] = []
        self._connections: Any = None
        self.availability = Availability("reads" if reading else "writes", dialect.where)

    @property
    def busy(self) -> int:
        """How many pieces of work are with a thread or wait for one."""
        return len(self._jobs)

    def start(self) -> None:
        """Starts the threads. They connect when they first have something to do."""
        arguments = {
            **self._dialect.connect_arguments(self._timeout),
            **self._dialect.session_arguments(reading=self._reading, timeout=self._timeout),
        }
        self._connections = ConnectionPool(
            self._dialect.driver,
            cp_reactor=self._reactor,
            cp_min=1,
            cp_max=self._size,
            cp_openfun=self._opened,
            **arguments,
        )
        self._connections.start()

    def stop(self) -> Deferred[None]:
        """Waits until the threads have come back, then closes their connections."""
        return self.idle().addCallback(lambda _: self._connections.close())

    def idle(self) -> Deferred[None]:
        """Fires when no work is with a thread."""
        if not self._jobs:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._idle.append(waiting)
        return waiting

    def run(self, work: Callable[[Session], T]) -> Job[T]:
        """Runs work on a thread, and on a new connection once more if its connection breaks.

        The work ends every transaction that it begins, or raises. It is not run again after it
        raised a StorageUnavailable that is not a ConnectionLost or TransactionAborted.
        """
        job: Job[T] = Job()
        self._jobs.add(job)
        deadline = self._reactor.callLater(self._timeout, self._expire, job)
        deferToThreadPool(self._reactor, self._connections.threadpool, self._in_thread, job, work).addBoth(
            self._came_back, job, deadline
        )
        return job

    # In the reactor's thread.

    def _expire(self, job: Job[Any]) -> None:
        job.expire()
        reason = f"the database did not answer in {self._timeout:g} s"
        self.availability.failed(reason)
        job.answer.errback(StorageUnavailable(reason))

    def _came_back(self, result: T | Failure, job: Job[T], deadline: IDelayedCall) -> None:
        self._jobs.remove(job)
        if not job.expired:
            deadline.cancel()
            if isinstance(result, Failure) and isinstance(result.value, StorageUnavailable):
                self.availability.failed(result.getErrorMessage())
            else:
                self.availability.worked()
            job.answer.callback(result)
        job.finished.callback(None)
        if not self._jobs:
            idle, self._idle = self._idle, []
            for waiting in idle:
                waiting.callback(None)

    # In a database thread.

    def _in_thread(self, job: Job[T], work: Callable[[Session], T]) -> T:
        try:
            return self._once(job, work)
        except (ConnectionLost, TransactionAborted):
            # A connection that had been idle may have broken long ago: that is no reason to refuse.
            return self._once(job, work)

    def _once(self, job: Job[T], work: Callable[[Session], T]) -> T:
        if job.expired:
            raise StorageUnavailable("the database did not answer in time")
        connection = self._connect()
        session = None
        try:
            job.hold(self._dialect.handle(connection))
            session = Session(self._dialect, connection, self._begin, lambda: job.expired)
            return work(session)
        except self._dialect.errors as error:
            raise self._dialect.explain(error) from None
        finally:
            job.let_go()
            if session is None or session.in_transaction:
                self._dialect.abandon(connection)
                self._connections.disconnect(connection)

    def _connect(self) -> Any:
        try:
            return self._connections.connect()
        except Exception as error:
            # Not the driver's errors alone: PyMySQL has a RuntimeError for a login it has no code for.
            raise StorageUnavailable(f"no connection: {self._dialect.reason(error)}") from None

    def _opened(self, connection: Any) -> None:
        self._dialect.opened(connection, reading=self._reading, timeout=self._timeout)
