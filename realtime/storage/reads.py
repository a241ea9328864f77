"""Grouped reads: what is asked in one moment is read by one thread in one go.

To hand a piece of work to a thread and its answer back costs ten times what a small read does: two wake-ups,
and the threads of a Python process wait for each other. So the reads of one reactor turn go to a thread
together, and so do those that come while it reads. A thread that takes longer than a moment holds nobody
up: the next group goes to another one.

Each read has an answer, or an error, of its own. Reads of one group see the database at the same moment, which
is after all of them were asked for; after one that failed, the others see it at a later one.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall

from realtime.storage.errors import ConnectionLost, StorageUnavailable, TransactionAborted
from realtime.storage.pool import Job, Pool
from realtime.storage.requests import Failed, Request, answer
from realtime.storage.session import Session

GROUP = 32
"""Reads in one group at most: their answers come back together, so that each waits for all."""

PATIENCE = 0.002
"""Seconds after which those that wait go to another thread."""


class Group:
    """Requests that are read together; called with a session on a database thread.

    Attributes:
        requests: in the order they were made.
        answers: for as many of the first of them as are settled, what they returned or a `Failed`.
    """

    def __init__(self, requests: list[Request]) -> None:
        self.requests = requests
        self.answers: list[Any] = []

    def __call__(self, session: Session) -> None:
        """Reads what is not read yet; called again on a new connection, it goes on from there."""
        try:
            for request in self.requests[len(self.answers) :]:
                if session.in_transaction:
                    session.check_time()
                else:
                    session.begin()
                self.answers.append(self._read(session, request))
        finally:
            session.rollback()

    def _read(self, session: Session, request: Request) -> Any:
        transaction = session.transaction
        error: Exception | None = None
        try:
            result = request.work(transaction, *request.args, **request.kwargs)
        except Exception as raised:
            error = raised
        failure = transaction.failure
        if isinstance(failure, ConnectionLost | TransactionAborted):
            # Not the work's fault, and there is no transaction any more.
            raise failure
        if failure is not None:
            session.rollback()  # on PostgreSQL nothing more can be done in it
        error = failure or error
        return result if error is None else Failed(error)


class GroupedReads:
    """Gathers reads into groups and has them read, in the order in which they were asked for.

    Each is answered within twice the timeout: a timeout for those before it, and one for its own group.

    Arguments:
        pool: threads and connections for reading.
        reactor: for gathering a turn, and the clock.
        threads: how many groups may be under way.
        bound: how many reads may wait or be under way; beyond that they are refused.
        timeout: seconds that a read may wait for its turn. The pool's own timeout bounds a group.
    """

    def __init__(self, pool: Pool, *, reactor: Any, threads: int, bound: int, timeout: float) -> None:
        self._pool = pool
        self._reactor = reactor
        self._threads = threads
        self._bound = bound
        self._timeout = timeout
        self._waiting: deque[Request] = deque()
        self._groups = 0
        self._reading = 0
        self._next: IDelayedCall | None = None
        self._drained: list[Deferred[None]] = []

    def read(self, work: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Deferred[Any]:
        """Has `work(transaction, *args, **kwargs)` read; see `Database.read`."""
        if len(self._waiting) + self._reading >= self._bound:
            return fail(StorageUnavailable(f"{self._bound} reads are waiting already"))
        request = Request(work, args, kwargs, self._reactor.seconds())
        self._waiting.append(request)
        if self._next is None:
            self._next = self._reactor.callLater(PATIENCE if self._groups else 0, self._leave)
        return request.answer

    def drained(self) -> Deferred[None]:
        """Fires when every read that was accepted has been answered."""
        if not self._waiting and not self._groups:
            return succeed(None)
        drained: Deferred[None] = Deferred()
        self._drained.append(drained)
        return drained

    def _leave(self) -> None:
        """Hands the next group to a thread; what doesn't fit follows when it is back, or a moment later."""
        self._next = None
        if self._groups < self._threads:
            requests = self._take()
            if requests:
                self._groups += 1
                self._reading += len(requests)
                group = Group(requests)
                job = self._pool.run(group)
                job.answer.addBoth(self._came_back, job, group)
            if self._waiting:
                self._next = self._reactor.callLater(PATIENCE, self._leave)
        if not self._waiting and not self._groups:
            drained, self._drained = self._drained, []
            for each in drained:
                each.callback(None)

    def _take(self) -> list[Request]:
        """Up to a group of the requests that wait; those that have waited too long are refused."""
        too_old = self._reactor.seconds() - self._timeout
        taken: list[Request] = []
        while self._waiting and len(taken) < GROUP:
            request = self._waiting.popleft()
            if request.arrived < too_old:
                request.answer.errback(StorageUnavailable("the database is too slow for what is asked of it"))
            elif not request.answer.called:  # nobody waits any more for one that was cancelled
                taken.append(request)
        return taken

    def _came_back(self, result: object, job: Job[None], group: Group) -> None:
        self._groups -= 1
        self._reading -= len(group.requests)
        answer(group.requests, list(group.answers), result)
        if self._next is not None:
            self._next.cancel()
        self._leave()
