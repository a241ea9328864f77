"""Group commit: what arrives while a commit is under way goes into the next transaction together.

A commit costs a flush of the disk or a round trip or both, whatever is in it, so that many small writes
are cheap only together. Here is how one bad write among many still fails alone:

- All works of a batch are run in one transaction, and it is committed: the usual case, and the fast one.
- If one of them raises, all is undone and the batch is run again with each work in a savepoint; those
  that raise are undone one by one, the others are committed together.
- If the database aborts the transaction (a deadlock with another process), half of it is tried, and so on
  down to one work, which gets a few tries more.
- If the connection breaks before COMMIT was sent, what was not committed is run once more on a new one.
  If it breaks during COMMIT, nobody can tell: those works are answered with StorageUnavailable.

So a work may run several times: it has no effect but on the database.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from realtime.storage.errors import (
    ConnectionLost,
    StorageUnavailable,
    TransactionAborted,
)
from realtime.storage.pool import Job, Pool
from realtime.storage.requests import Failed, Request, answer
from realtime.storage.session import Session

BATCH = 1000
"""Works in one transaction at most: it bounds how long those wait that come just after it began."""

_ABORTS_OF_ONE = 5
"""How often one work alone may be aborted before it is given up."""

Committed = Callable[[int, float], object]
"""Told after each commit how many works were in it and how many seconds it took."""


class Batch:
    """Requests that are committed together; called with a session on a database thread.

    Attributes:
        requests: in the order they were made.
        answers: for as many of the first of them as are settled, what they returned or a `Failed`.
    """

    def __init__(self, requests: list[Request]) -> None:
        self.requests = requests
        self.answers: list[Any] = []
        self._size = len(requests)
        self._aborts = 0

    def __call__(self, session: Session) -> None:
        """Settles what is not settled yet; called again on a new connection, it goes on from there."""
        while len(self.answers) < len(self.requests):
            settled = len(self.answers)
            try:
                self.answers += _commit(session, self.requests[settled : settled + self._size])
            except TransactionAborted as error:
                session.rollback()
                self._aborted(error)

    def _aborted(self, error: TransactionAborted) -> None:
        if self._size > 1:
            self._size //= 2
            return
        self._aborts += 1
        if self._aborts == _ABORTS_OF_ONE:
            self._aborts = 0
            self.answers.append(Failed(error))


def _commit(session: Session, requests: list[Request]) -> list[Any]:
    """Commits these requests, together if all of them succeed, else those that do.

    Raises:
        TransactionAborted, ConnectionLost: none of them is committed.
        StorageUnavailable: they may be committed or not.
    """
    session.begin()
    answers, error = _run(session, requests)
    if error is not None:
        session.rollback()
        if len(requests) == 1:
            return [Failed(error)]
        session.begin()
        answers = [_run_apart(session, request) for request in requests]
    session.commit()
    return answers


def _run_apart(session: Session, request: Request) -> Any:
    session.set_savepoint()
    answers, error = _run(session, [request])
    if error is not None:
        session.undo_to_savepoint()
        return Failed(error)
    session.release_savepoint()
    return answers[0]


def _run(session: Session, requests: list[Request]) -> tuple[list[Any], Exception | None]:
    """What the works return, and the first error, at which it stops."""
    transaction = session.transaction
    raised: Exception | None = None
    try:
        answers = [request.work(transaction, *request.args, **request.kwargs) for request in requests]
    except Exception as error:
        answers, raised = [], error
    failure = transaction.failure
    if isinstance(failure, ConnectionLost | TransactionAborted):
        # Not the work's fault, and there is no transaction any more.
        raise failure
    return answers, failure or raised


class GroupCommit:
    """Gathers writes into batches and has them committed, one batch at a time.

    The writes of one reactor turn go together, and all that come while a commit is under way, in
    the order in which they were made. Each is answered after the COMMIT that holds it, and within
    twice the timeout in any case: a timeout for those before it, and one for its own batch.

    Arguments:
        pool: one thread and connection for writing.
        reactor: for gathering a turn, and the clock.
        bound: how many may wait; beyond that they are refused.
        timeout: seconds that a write may wait for its turn. The pool's own timeout bounds a batch.
        committed: told of each commit.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        reactor: Any,
        bound: int,
        timeout: float,
        committed: Committed | None = None,
    ) -> None:
        self._pool = pool
        self._reactor = reactor
        self._bound = bound
        self._timeout = timeout
        self._committed = committed
        self._waiting: deque[Request] = deque()
        self._running = False
        self._overdue = False
        self._drained: list[Deferred[None]] = []

    @property
    def waiting(self) -> int:
        """How many writes wait for a batch that has not begun."""
        return len(self._waiting)

    def write(self, work: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Deferred[Any]:
        """Has `work(transaction, *args, **kwargs)` committed; see `Database.write`."""
        if self._overdue:
            return fail(StorageUnavailable("the database does not answer"))
        if len(self._waiting) >= self._bound:
            return fail(StorageUnavailable(f"{self._bound} writes are waiting already"))
        request = Request(work, args, kwargs, self._reactor.seconds())
        self._waiting.append(request)
        if not self._running:
            self._running = True
            self._reactor.callLater(0, self._next)
        return request.answer

    def drained(self) -> Deferred[None]:
        """Fires when every write that was accepted has been answered and the thread is idle."""
        drained: Deferred[None] = Deferred()
        if self._running:
            self._drained.append(drained)
        else:
            drained.callback(None)
        return drained

    def _next(self) -> None:
        """Hands the next batch to the thread, if any write waits."""
        requests = self._take()
        if not requests:
            self._running = False
            drained, self._drained = self._drained, []
            for each in drained:
                each.callback(None)
            return
        batch = Batch(requests)
        began = self._reactor.seconds()
        job = self._pool.run(batch)
        job.answer.addBoth(self._settled, job, batch, began)
        job.finished.addCallback(self._came_back)

    def _take(self) -> list[Request]:
        """Up to a batch of the requests that wait; those that have waited too long are refused."""
        too_old = self._reactor.seconds() - self._timeout
        while self._waiting and self._waiting[0].arrived < too_old:
            self._waiting.popleft().answer.errback(
                StorageUnavailable("the database is too slow for what is asked of it")
            )
        return [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]

    def _settled(self, result: Failure | None, job: Job[None], batch: Batch, began: float) -> None:
        if self._committed is not None and not isinstance(result, Failure):
            self._committed(len(batch.requests), self._reactor.seconds() - began)
        # Those in parts that were committed have their answers; the others share the failure.
        answer(batch.requests, list(batch.answers), result)
        if job.expired:
            self._refuse_all()

    def _came_back(self, _: None) -> None:
        self._overdue = False
        self._next()

    def _refuse_all(self) -> None:
        """The thread does not come back: nothing is left waiting for it, and nothing more accepted."""
        self._overdue = True
        waiting, self._waiting = self._waiting, deque()
        for request in waiting:
            request.answer.errback(StorageUnavailable("the database does not answer"))
