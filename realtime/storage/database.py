"""The database as the rest of the daemon sees it: units of work in, Deferreds out."""

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import literal, select
from twisted.internet.defer import Deferred, fail, gatherResults, succeed

from realtime.storage.commit import Committed, GroupCommit
from realtime.storage.dialect import dialect_for
from realtime.storage.errors import StorageUnavailable
from realtime.storage.pool import Pool
from realtime.storage.reads import GroupedReads
from realtime.storage.statements import Statement
from realtime.storage.transaction import Transaction

P = ParamSpec("P")
T = TypeVar("T")

_ONE = Statement(select(literal(1)))


class Database:
    """One database, reached by one writing connection and a pool of reading ones.

    A unit of work is a plain function `work(transaction, *args)` that runs on a database thread. It
    has no effect but on the database, for it may be run more than once before it is answered, and
    it keeps nothing of the transaction. The Deferreds fire in the reactor's thread. Cancelling one
    gives up the answer, not the work.

    Guarantees: a write is answered after the commit that holds it, and writes are applied and answered in
    the order they were made; a read that begins after that sees it, and sees the database at one moment;
    a work that raises is undone alone and answered with what it raised. Every request is answered
    within `timeout` seconds, or twice that for one which had to wait for others; if the database is
    away, with StorageUnavailable. When it returns, so do the requests, by themselves.

    Arguments:
        url: see `dialect.dialect_for`.
        reactor: where the answers are given, and the clock of the deadlines.
        pool_size: reading connections at most.
        waiting_writes: how many writes may wait for a commit, and how many reads for a thread; what goes
            beyond is answered StorageUnavailable at once.
        timeout: in seconds, see above.
        committed: told of each commit: how many writes it held, and the seconds it took.

    Raises:
        ValueError: the URL names no database that can be used; one line, no password in it.
    """

    def __init__(
        self,
        url: str,
        *,
        reactor: Any,
        pool_size: int = 10,
        waiting_writes: int = 10000,
        timeout: float = 10.0,
        committed: Committed | None = None,
    ) -> None:
        self.dialect = dialect_for(url)
        self._readers = Pool(self.dialect, reactor=reactor, reading=True, size=pool_size, timeout=timeout)
        self._writer = Pool(self.dialect, reactor=reactor, reading=False, size=1, timeout=timeout)
        self._commits = GroupCommit(
            self._writer, reactor=reactor, bound=waiting_writes, timeout=timeout, committed=committed
        )
        self._reads = GroupedReads(
            self._readers, reactor=reactor, threads=pool_size, bound=waiting_writes, timeout=timeout
        )
        self._open = False

    @property
    def waiting_writes(self) -> int:
        """How many writes wait for a commit that has not begun."""
        return self._commits.waiting

    def start(self) -> Deferred[None]:
        """Opens the pools and reaches for the database. The schema is there already: see `migrate`.

        Fails with StorageUnavailable, and holds nothing open, if the database can't be reached.
        """
        self._writer.start()
        self._readers.start()
        self._open = True

        def close(failure: Any) -> Deferred[Any]:
            return self.stop().addCallback(lambda _: failure)

        return self.ping().addErrback(close)

    def stop(self) -> Deferred[None]:
        """Waits for the requests that were accepted, then closes.

        From the call on, new ones are answered StorageUnavailable. It takes no longer than requests
        may take.
        """
        if not self._open:
            return succeed(None)
        self._open = False

        def close(_: object) -> Deferred[list[None]]:
            return gatherResults([self._writer.stop(), self._readers.stop()])

        drained = gatherResults([self._commits.drained(), self._reads.drained()])
        return drained.addCallback(close).addCallback(lambda _: None)

    def read(
        self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Runs a work that changes nothing.

        Reads run beside each other and beside the writes. Fires with what the work returns; fails with
        what it raises, with Conflict or another StorageError, or with StorageUnavailable.
        """
        if not self._open:
            return fail(StorageUnavailable("the database is closed"))
        return self._reads.read(work, args, kwargs)

    def write(
        self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Runs a work and commits it, together with others that wait.

        Fires with what the work returned, once it is committed; fails as `read` does. After a failure
        other than StorageUnavailable nothing of it is stored.
        """
        if not self._open:
            return fail(StorageUnavailable("the database is closed"))
        return self._commits.write(work, args, kwargs)

    def ping(self) -> Deferred[None]:
        """Fires if both reading and writing work; else fails with StorageUnavailable."""

        def one(transaction: Transaction) -> None:
            transaction.row(_ONE)

        both = gatherResults([self.read(one), self.write(one)], consumeErrors=True)

        def first_of_them(failure: Any) -> Any:
            return failure.value.subFailure

        return both.addCallbacks(lambda _: None, first_of_them)
