"""Group commit: how batches are gathered and answered, and how one is carried out."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.storage.commit import BATCH, Batch, GroupCommit
from realtime.storage.errors import (
    Conflict,
    ConnectionLost,
    StorageError,
    StorageUnavailable,
    TransactionAborted,
)
from realtime.storage.pool import Pool
from realtime.storage.requests import Failed, Request
from realtime.storage.session import Session
from tests.storage.fakes import FakePool, FakeSession, FakeTransaction


def noting(what: object, *failures: StorageError | None) -> Request:
    """A request that notes `what`; its runs fail in turn as given, and then succeed."""
    remaining = list(failures)

    def work(transaction: FakeTransaction) -> str:
        transaction.note(what, remaining.pop(0) if remaining else None)
        return f"did {what}"

    return Request(work, (), {}, 0.0)


def carry_out(requests: list[Request], session: FakeSession) -> list[Any]:
    """Runs a batch, and gives its answers with errors in the place of `Failed`."""
    batch = Batch(requests)
    batch(cast(Session, session))
    return [answer.error if isinstance(answer, Failed) else answer for answer in batch.answers]


class BatchTests(SynchronousTestCase):
    """What a batch does with a session."""

    def test_together(self) -> None:
        """Works that all succeed take one transaction."""
        session = FakeSession()
        self.assertEqual(carry_out([noting(1), noting(2), noting(3)], session), ["did 1", "did 2", "did 3"])
        self.assertEqual(session.steps, ["begin", "commit"])
        self.assertEqual(session.stored, [1, 2, 3])

    def test_one_fails(self) -> None:
        """If one fails the others are still committed, together and in order."""
        session = FakeSession()
        error = Conflict()
        answers = carry_out([noting(1), noting(2, error, error), noting(3)], session)
        self.assertEqual(answers, ["did 1", error, "did 3"])
        self.assertEqual(session.steps, ["begin", "rollback", "begin", "commit"])
        self.assertEqual(session.stored, [1, 3])

    def test_alone(self) -> None:
        """A failed work with none beside it is not run again."""
        session = FakeSession()
        error = Conflict()
        self.assertEqual(carry_out([noting(1, error)], session), [error])
        self.assertEqual(session.steps, ["begin", "rollback"])

    def test_failure_that_does_not_recur(self) -> None:
        """A work that fails in the first run and not in the second is committed."""
        session = FakeSession()
        self.assertEqual(carry_out([noting(1, Conflict()), noting(2)], session), ["did 1", "did 2"])
        self.assertEqual(session.stored, [1, 2])

    def test_aborted(self) -> None:
        """After a deadlock half of the works are tried, then the rest, in order."""
        session = FakeSession()
        session.commit_errors = [TransactionAborted()]
        requests = [noting(each) for each in range(4)]
        self.assertEqual(carry_out(requests, session), [f"did {each}" for each in range(4)])
        self.assertEqual(session.steps, ["begin", "commit", "rollback", *["begin", "commit"] * 2])
        self.assertEqual(session.stored, [0, 1, 2, 3])

    def test_aborted_by_a_statement(self) -> None:
        """A deadlock that a statement meets is no fault of its work."""
        session = FakeSession()
        answers = carry_out([noting(1), noting(2, TransactionAborted())], session)
        self.assertEqual(answers, ["did 1", "did 2"])
        self.assertEqual(session.stored, [1, 2])
        self.assertEqual(session.steps, ["begin", "rollback", *["begin", "commit"] * 2])

    def test_aborted_for_ever(self) -> None:
        """A work that is aborted again and again is given up; those beside it are committed."""
        session = FakeSession()
        error = TransactionAborted()
        answers = carry_out([noting(1), noting(2, *[error] * 100), noting(3)], session)
        self.assertEqual(answers, ["did 1", error, "did 3"])
        self.assertEqual(session.stored, [1, 3])

    def test_lost_and_continued(self) -> None:
        """On a new connection a batch goes on where it was, and nothing is committed twice."""
        session = FakeSession()
        session.commit_errors = [TransactionAborted(), None]
        batch = Batch([noting(1), noting(2), noting(3, None, ConnectionLost()), noting(4)])
        self.assertRaises(ConnectionLost, batch, cast(Session, session))
        self.assertEqual(batch.answers, ["did 1", "did 2"])
        again = FakeSession()
        batch(cast(Session, again))
        self.assertEqual(batch.answers, ["did 1", "did 2", "did 3", "did 4"])
        self.assertEqual(session.stored + again.stored, [1, 2, 3, 4])

    def test_in_doubt(self) -> None:
        """If nobody knows whether the commit took place, nothing is run again."""
        session = FakeSession()
        session.commit_errors = [StorageUnavailable("in doubt")]
        batch = Batch([noting(1), noting(2)])
        self.assertRaises(StorageUnavailable, batch, cast(Session, session))
        self.assertEqual(session.steps, ["begin", "commit"])
        self.assertEqual(batch.answers, [])


class GroupCommitTests(SynchronousTestCase):
    """How requests are gathered, answered and refused."""

    def setUp(self) -> None:
        """A lane with room for 5000 requests, and a clock."""
        self.clock = Clock()
        self.pool = FakePool()
        self.told: list[tuple[int, float]] = []
        self.commits = GroupCommit(
            cast(Pool, self.pool),
            reactor=self.clock,
            bound=5000,
            timeout=10.0,
            committed=lambda count, seconds: self.told.append((count, seconds)),
        )

    def write(self, what: object) -> Deferred[Any]:
        """Asks for a note to be committed."""

        def work(transaction: FakeTransaction, what: object) -> object:
            transaction.note(what)
            return what

        return self.commits.write(work, (what,), {})

    def test_one_turn(self) -> None:
        """What is asked for in one turn is one batch, answered in order after its commit."""
        order: list[object] = []
        for each in range(3):
            self.write(each).addCallback(order.append)
        self.assertEqual(self.pool.jobs, [])
        self.clock.advance(0)
        self.assertEqual(len(self.pool.jobs), 1)
        self.assertEqual(order, [])
        self.clock.advance(0.25)
        self.pool.work()
        self.assertEqual(order, [0, 1, 2])
        self.assertEqual(self.pool.session.steps, ["begin", "commit"])
        self.assertEqual(self.told, [(3, 0.25)])

    def test_while_a_commit_is_under_way(self) -> None:
        """All that comes meanwhile goes into the next batch, which begins at once."""
        self.write(1)
        self.clock.advance(0)
        later = [self.write(2), self.write(3)]
        self.clock.advance(1)
        self.assertEqual(len(self.pool.jobs), 1)
        self.pool.work()
        self.pool.work()
        self.assertEqual([self.successResultOf(each) for each in later], [2, 3])
        self.assertEqual(self.pool.jobs, [])

    def test_asked_for_by_an_answer(self) -> None:
        """A write that an answer leads to is committed too."""
        again = self.write(1).addCallback(lambda _: self.write(2))
        self.clock.advance(0)
        self.pool.work()
        self.clock.advance(0)
        self.pool.work()
        self.assertEqual(self.successResultOf(again), 2)

    def test_size_of_a_batch(self) -> None:
        """A batch has at most BATCH works; the others wait for the next."""
        requests = [self.write(each) for each in range(BATCH + 1)]
        self.clock.advance(0)
        self.assertEqual(self.commits.waiting, 1)
        self.pool.work()
        self.assertEqual(self.successResultOf(requests[BATCH - 1]), BATCH - 1)
        self.assertNoResult(requests[BATCH])
        self.pool.work()
        self.assertEqual(self.successResultOf(requests[BATCH]), BATCH)

    def test_bound(self) -> None:
        """Beyond the bound a request is refused at once, until there is room."""
        requests = [self.write(each) for each in range(5000)]
        self.failureResultOf(self.write("too many"), StorageUnavailable)
        self.clock.advance(0)
        fits = self.write("fits")
        for _ in range(6):
            self.pool.work()
        self.assertEqual(self.successResultOf(requests[-1]), 4999)
        self.assertEqual(self.successResultOf(fits), "fits")

    def test_failed_batch(self) -> None:
        """If a batch can't be committed each of its requests is told, and the next one is tried."""
        first, second = self.write(1), self.write(2)
        self.clock.advance(0)
        later = self.write(3)
        self.pool.work(error=ConnectionLost("gone"))
        self.failureResultOf(first, StorageUnavailable)
        self.failureResultOf(second, StorageUnavailable)
        self.pool.work()
        self.assertEqual(self.successResultOf(later), 3)
        self.assertEqual([count for count, seconds in self.told], [1])

    def test_deadline(self) -> None:
        """At the deadline all are answered, none is accepted until the thread is back, and then all is well."""
        first = self.write(1)
        self.clock.advance(0)
        waiting = self.write(2)
        self.pool.expire()
        self.failureResultOf(first, StorageUnavailable)
        self.failureResultOf(waiting, StorageUnavailable)
        self.failureResultOf(self.write(3), StorageUnavailable)
        self.pool.work()
        again = self.write(4)
        self.clock.advance(0)
        self.pool.work()
        self.assertEqual(self.successResultOf(again), 4)

    def test_deadline_of_a_batch_in_parts(self) -> None:
        """What had been committed of a batch before its deadline is answered as what it is."""
        self.pool.session.commit_errors = [TransactionAborted(), None, StorageUnavailable("late")]
        first, second = self.write(1), self.write(2)
        self.clock.advance(0)
        job, work = self.pool.jobs[0]
        self.assertRaises(StorageUnavailable, work, cast(Session, self.pool.session))
        self.pool.expire()
        self.assertEqual(self.successResultOf(first), 1)
        self.failureResultOf(second, StorageUnavailable)
        job.finished.callback(None)

    def test_waited_too_long(self) -> None:
        """A request that waited for its turn longer than the timeout is not begun any more."""
        self.write(1)
        self.clock.advance(0)
        late = self.write(2)
        self.clock.advance(6)
        in_time = self.write(3)
        self.clock.advance(5)
        self.pool.work()
        self.failureResultOf(late, StorageUnavailable)
        self.pool.work()
        self.assertEqual(self.successResultOf(in_time), 3)
        self.assertEqual(self.pool.session.stored, [1, 3])

    def test_drained(self) -> None:
        """It is drained when all that was accepted is answered."""
        self.successResultOf(self.commits.drained())
        request = self.write(1)
        drained = self.commits.drained()
        self.clock.advance(0)
        self.assertNoResult(drained)
        self.pool.work()
        self.successResultOf(request)
        self.successResultOf(drained)
