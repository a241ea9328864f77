"""How reads are gathered, and how each gets an answer of its own."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.storage.errors import (
    ConnectionLost,
    StorageError,
    StorageUnavailable,
    TransactionAborted,
)
from realtime.storage.pool import Pool
from realtime.storage.reads import GROUP, PATIENCE, Group, GroupedReads
from realtime.storage.requests import Failed, Request
from realtime.storage.session import Session
from tests.storage.fakes import FakePool, FakeSession, FakeTransaction


def looking(what: object, *errors: Exception | None) -> Request:
    """A request for ``what``; each time it is run, the next of ``errors`` is raised, if there is one."""
    prepared = list(errors)

    def work(transaction: FakeTransaction) -> object:
        error = prepared.pop(0) if prepared else None
        if isinstance(error, StorageError):
            transaction.note(what, error)
        elif error is not None:
            raise error
        transaction.note(what)
        return what

    return Request(work, (), {}, 0.0)


class GroupTests(SynchronousTestCase):
    """What a thread does with a group."""

    def setUp(self) -> None:
        """A connection."""
        self.session = FakeSession()

    def read(self, *requests: Request) -> Group:
        """Run a group."""
        group = Group(list(requests))
        group(cast(Session, self.session))
        return group

    def answers(self, group: Group) -> list[Any]:
        """Its answers, with errors in the place of `Failed`."""
        return [each.error if isinstance(each, Failed) else each for each in group.answers]

    def test_one_transaction(self) -> None:
        """All are read in one transaction, which is ended."""
        group = self.read(looking(1), looking(2), looking(3))
        self.assertEqual(self.answers(group), [1, 2, 3])
        self.assertEqual(self.session.steps, ["begin", "rollback"])

    def test_one_raises(self) -> None:
        """An error of a work's own is its answer, and disturbs nobody."""
        error = ValueError()
        group = self.read(looking(1), looking(2, error), looking(3))
        self.assertEqual(self.answers(group), [1, error, 3])
        self.assertEqual(self.session.steps, ["begin", "rollback"])

    def test_one_is_refused(self) -> None:
        """After a statement that the database refused, the others are read in a new transaction."""
        error = StorageError("no such table")
        group = self.read(looking(1), looking(2, error), looking(3))
        self.assertEqual(self.answers(group), [1, error, 3])
        self.assertEqual(self.session.steps, ["begin", "rollback", "begin", "rollback"])

    def test_the_last_is_refused(self) -> None:
        """Nothing is begun for nobody."""
        self.read(looking(1), looking(2, StorageError("no such table")))
        self.assertEqual(self.session.steps, ["begin", "rollback"])

    def test_goes_on_with_a_new_connection(self) -> None:
        """What was read stays read when the connection breaks; the rest is read on another."""
        for error in (ConnectionLost("gone"), TransactionAborted("deadlock")):
            group = Group([looking(1), looking(2, error), looking(3)])
            with self.assertRaises(type(error)):
                group(cast(Session, self.session))
            self.assertEqual(self.answers(group), [1])
            group(cast(Session, FakeSession()))
            self.assertEqual(self.answers(group), [1, 2, 3])


class GroupedReadsTests(SynchronousTestCase):
    """How requests are gathered, answered and refused."""

    def setUp(self) -> None:
        """Two threads, room for 100 requests, and a clock."""
        self.clock = Clock()
        self.pool = FakePool()
        self.reads = GroupedReads(cast(Pool, self.pool), reactor=self.clock, threads=2, bound=100, timeout=10.0)

    def tearDown(self) -> None:
        """No timer may be left, and nothing under way."""
        while self.pool.jobs:
            self.pool.work()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.successResultOf(self.reads.drained())

    def read(self, what: object = "row", *errors: Exception) -> Deferred[Any]:
        """Ask for something."""
        request = looking(what, *errors)
        return self.reads.read(request.work, (), {})

    def sizes(self) -> list[int]:
        """How many requests each group under way has."""
        return [len(cast(Group, work).requests) for _, work in self.pool.jobs]

    def test_one_turn(self) -> None:
        """What is asked for in one turn goes to one thread, and each gets its own answer."""
        first, second, third = self.read(1), self.read(2, ValueError()), self.read(3)
        self.assertEqual(self.sizes(), [])
        self.clock.advance(0)
        self.assertEqual(self.sizes(), [3])
        self.pool.work()
        self.assertEqual((self.successResultOf(first), self.successResultOf(third)), (1, 3))
        self.failureResultOf(second, ValueError)

    def test_while_a_group_is_under_way(self) -> None:
        """What comes meanwhile goes together, as soon as the thread is back."""
        self.read()
        self.clock.advance(0)
        self.read()
        self.clock.advance(PATIENCE / 2)
        self.read()
        self.assertEqual(self.sizes(), [1])
        self.pool.work()
        self.assertEqual(self.sizes(), [2])

    def test_a_slow_group(self) -> None:
        """A thread that takes longer than a moment holds up nobody: another one goes on."""
        self.read()
        self.clock.advance(0)
        self.read()
        self.clock.advance(PATIENCE)
        self.assertEqual(self.sizes(), [1, 1])

    def test_all_threads_are_slow(self) -> None:
        """With no thread left the next group waits for the first that comes back."""
        for _ in range(4):
            self.read()
            self.clock.advance(PATIENCE)
        self.assertEqual(self.sizes(), [1, 1])
        self.pool.work()
        self.assertEqual(self.sizes(), [1, 2])

    def test_a_large_turn(self) -> None:
        """What is too much for one group is shared between the threads, in order."""
        asked = [self.read(number) for number in range(GROUP + 5)]
        self.clock.advance(0)
        self.assertEqual(self.sizes(), [GROUP])
        self.clock.advance(PATIENCE)
        self.assertEqual(self.sizes(), [GROUP, 5])
        self.pool.work()
        self.pool.work()
        self.assertEqual([self.successResultOf(each) for each in asked], list(range(GROUP + 5)))

    def test_bound(self) -> None:
        """Reads beyond the bound are refused at once; when some were answered, more fit."""
        asked = [self.read() for _ in range(100)]
        self.failureResultOf(self.read(), StorageUnavailable)
        self.clock.advance(0)
        self.failureResultOf(self.read(), StorageUnavailable)
        self.pool.work()
        self.successResultOf(asked[0])
        self.assertNoResult(self.read())
        while self.pool.jobs:
            self.pool.work()

    def test_too_late(self) -> None:
        """One that waited too long for a thread is refused, and not read."""
        for _ in range(2):
            self.read()
            self.clock.advance(PATIENCE)
        late = self.read("late")
        self.clock.advance(10.1)
        in_time = self.read("in time")
        self.pool.work()
        self.failureResultOf(late, StorageUnavailable)
        self.assertEqual(self.sizes(), [1, 1])
        self.pool.work()
        self.pool.work()
        self.assertEqual(self.successResultOf(in_time), "in time")

    def test_expired(self) -> None:
        """A group that took too long is answered, and its place is free though its thread is not back."""
        hanging = self.read()
        self.clock.advance(0)
        self.pool.expire()
        self.failureResultOf(hanging, StorageUnavailable)
        again = self.read("again")
        self.clock.advance(0)
        self.assertEqual(self.sizes(), [1, 1])
        self.pool.work()
        self.pool.work()
        self.assertEqual(self.successResultOf(again), "again")

    def test_cancelled(self) -> None:
        """What nobody waits for any more is not read."""
        self.read().addErrback(lambda _: None).cancel()
        self.clock.advance(0)
        self.assertEqual(self.sizes(), [])

    def test_connection_away(self) -> None:
        """If the database is away, all of the group are told."""
        asked = [self.read(), self.read()]
        self.clock.advance(0)
        self.pool.work(StorageUnavailable("away"))
        for each in asked:
            self.failureResultOf(each, StorageUnavailable)

    def test_drained(self) -> None:
        """Whoever waits for the end of all reads is told after the last answer."""
        asked = self.read()
        drained = self.reads.drained()
        self.clock.advance(0)
        self.assertNoResult(drained)
        self.pool.work()
        self.successResultOf(asked)
        self.successResultOf(drained)

    def test_asked_in_an_answer(self) -> None:
        """What an answer asks for next goes with the next group."""
        again: list[Deferred[Any]] = []
        self.read().addCallback(lambda _: again.append(self.read("next")))
        self.read()
        self.clock.advance(0)
        self.pool.work()
        self.assertEqual(self.sizes(), [1])
        self.pool.work()
        self.assertEqual(self.successResultOf(again[0]), "next")
