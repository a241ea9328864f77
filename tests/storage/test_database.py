"""What the database promises, on each of the three."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import bindparam, literal, select, text
from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread

from realtime.storage.database import Database
from realtime.storage.errors import Conflict, StorageError, StorageUnavailable
from realtime.storage.statements import Statement
from realtime.storage.transaction import Transaction
from tests.reactor import in_reactor
from tests.storage.works import (
    ADD_USER,
    RENAME,
    add_message,
    add_user,
    names,
    opened,
    outcome,
    texts,
    user,
)

BAD = Statement(text("SELECT nothing FROM nowhere"))


@in_reactor
async def test_write_then_read(database_url: str) -> None:
    """A read that begins after a write was answered sees it, with Python's types."""
    async with opened(database_url) as database:
        number = await database.write(add_user, "alice")
        assert await database.read(user, "alice") == (number, "alice", False)
        row = await database.read(user, "alice")
        assert row is not None
        assert [type(value) for value in row] == [int, str, bool]
        assert await database.read(user, "nobody") is None


@in_reactor
async def test_ids(database_url: str) -> None:
    """An insert is answered with the id of its own row, also among many and after another table's."""
    async with opened(database_url) as database:
        first = await database.write(add_user, "alice")
        numbers = await gatherResults([database.write(add_message, first, str(each)) for each in range(50)])
        assert numbers == sorted(set(numbers))
        assert await database.read(texts) == [str(each) for each in range(50)]


@in_reactor
async def test_updated_rows(database_url: str) -> None:
    """An update counts the rows it matched, whether or not they changed."""

    def rename(transaction: Transaction, user_id: int, name: str) -> int:
        return transaction.execute(RENAME, user_id=user_id, new_name=name)

    async with opened(database_url) as database:
        number = await database.write(add_user, "alice")
        assert await database.write(rename, number, "bob") == 1
        assert await database.write(rename, number, "bob") == 1
        assert await database.write(rename, number + 1, "bob") == 0


@in_reactor
async def test_order(database_url: str) -> None:
    """Writes are answered in the order they were made, over several batches and with failures among them."""
    async with opened(database_url) as database:
        order: list[int] = []

        def note(result: object, each: int) -> None:
            order.append(each)

        requests: list[Any] = []
        for each in range(2500):
            # Every hundredth takes a name that is taken.
            name = "0" if each % 100 == 99 else str(each)
            requests.append(database.write(add_user, name).addBoth(note, each))
        await gatherResults(requests)
        assert order == list(range(2500))
        assert await database.read(names) == [str(each) for each in range(2500) if each % 100 != 99]


@in_reactor
async def test_one_bad_statement_fails_alone(database_url: str) -> None:
    """Of writes committed together each has its own answer: a conflict, a raised error, a result."""

    def broken(transaction: Transaction) -> None:
        add_user(transaction, "undone")
        raise ZeroDivisionError

    commits: list[int] = []
    async with opened(database_url, committed=lambda count, seconds: commits.append(count)) as database:
        await database.write(add_user, "alice")
        commits.clear()
        answers = await gatherResults(
            [
                outcome(database.write(add_user, "bob")),
                outcome(database.write(add_user, "alice")),
                outcome(database.write(broken)),
                outcome(database.write(add_message, 4711, "to nobody")),
                outcome(database.write(lambda transaction: transaction.rows(BAD))),
                outcome(database.write(add_user, "carol")),
            ]
        )
        assert commits == [6]
        assert [type(answer) for answer in answers] == [
            int,
            Conflict,
            ZeroDivisionError,
            Conflict,
            StorageError,
            int,
        ]
        assert await database.read(names) == ["alice", "bob", "carol"]


@in_reactor
async def test_alone_and_bad(database_url: str) -> None:
    """A write that fails with no other beside it leaves nothing, and the next one works."""

    def twice(transaction: Transaction) -> None:
        add_user(transaction, "alice")
        add_user(transaction, "alice")

    async with opened(database_url) as database:
        assert isinstance(await outcome(database.write(twice)), Conflict)
        assert await database.read(names) == []
        await database.write(add_user, "alice")


@in_reactor
async def test_caught_refusal_fails_the_work(database_url: str) -> None:
    """A work that catches a refused statement's error is undone and answered with it all the same."""

    def stubborn(transaction: Transaction) -> str:
        add_user(transaction, "kept?")
        with suppress(Conflict):
            add_user(transaction, "alice")
        return "done"

    async with opened(database_url) as database:
        await database.write(add_user, "alice")
        alone = await outcome(database.write(stubborn))
        among = await gatherResults(
            [outcome(database.write(stubborn)), outcome(database.write(add_user, "bob"))]
        )
        assert isinstance(alone, Conflict)
        assert isinstance(among[0], Conflict)
        assert await database.read(names) == ["alice", "bob"]


@in_reactor
async def test_reads_change_nothing(database_url: str) -> None:
    """A reading session refuses a change."""
    async with opened(database_url) as database:
        assert isinstance(await outcome(database.read(add_user, "alice")), StorageError)
        assert await database.read(names) == []


@in_reactor
async def test_a_read_sees_one_moment(database_url: str) -> None:
    """What is committed while a read runs does not show in its later statements."""
    from threading import Event

    looked, written = Event(), Event()

    def look_twice(transaction: Transaction) -> tuple[list[str], list[str]]:
        before = names(transaction)
        looked.set()
        assert written.wait(10)
        return before, names(transaction)

    async with opened(database_url) as database:
        reading = database.read(look_twice)
        # The reader holds its thread, not the reactor; until it has looked the write would come too early.
        await deferToThread(looked.wait, 10)
        await database.write(add_user, "alice")
        written.set()
        assert await reading == ([], [])
        assert await database.read(names) == ["alice"]


@in_reactor
async def test_read_error(database_url: str) -> None:
    """A read that raises is answered with what it raised, and its connection serves on."""

    def broken(transaction: Transaction) -> None:
        names(transaction)
        raise ZeroDivisionError

    async with opened(database_url, pool_size=1) as database:
        assert isinstance(await outcome(database.read(broken)), ZeroDivisionError)
        assert isinstance(await outcome(database.read(lambda transaction: transaction.rows(BAD))), StorageError)
        assert await database.read(names) == []


@in_reactor
async def test_read_errors_stay_apart(database_url: str) -> None:
    """Among reads that go to a thread together, those that are refused or raise spoil no other's answer."""

    def broken(transaction: Transaction) -> None:
        raise ZeroDivisionError

    def bad(transaction: Transaction) -> None:
        transaction.rows(BAD)

    async with opened(database_url, pool_size=1) as database:
        await database.write(add_user, "alice")
        works = [names, bad, names, broken, names, bad, bad, names]
        answers = await gatherResults([outcome(database.read(work)) for work in works])
        kinds = [list, StorageError, list, ZeroDivisionError, list, StorageError, StorageError, list]
        assert [type(answer) for answer in answers] == kinds
        assert [answer for answer in answers if isinstance(answer, list)] == [["alice"]] * 4


@in_reactor
async def test_no_data_in_error_texts(database_url: str) -> None:
    """The text of an error, and what it chains to, quotes no parameter."""

    def add(transaction: Transaction, name: str, password: str) -> int:
        return transaction.insert(ADD_USER, user_name=name, user_password=password)

    async with opened(database_url) as database:
        await database.write(add, "alice", "x")
        for name, password in (("alice", "h4sh"), ("bob", "h4sh" * 100)):
            error = await outcome(database.write(add, name, password))
            if database.dialect.name == "sqlite" and name == "bob":
                # SQLite does not bound a VARCHAR.
                assert isinstance(error, int)
                continue
            assert isinstance(error, StorageError)
            assert not isinstance(error, StorageUnavailable)
            assert "h4sh" not in str(error)
            assert "alice" not in str(error)
            assert error.__suppress_context__


@in_reactor
async def test_wrong_parameters(database_url: str) -> None:
    """A missing or unknown parameter is a TypeError, not a NULL."""

    def missing(transaction: Transaction) -> None:
        transaction.insert(ADD_USER, user_name="alice")

    def unknown(transaction: Transaction) -> None:
        transaction.insert(ADD_USER, user_name="alice", user_pasword="x")

    async with opened(database_url) as database:
        assert isinstance(await outcome(database.write(missing)), TypeError)
        assert isinstance(await outcome(database.write(unknown)), TypeError)


@in_reactor
async def test_any_unicode(database_url: str) -> None:
    """Any text comes back as it went in: other planes, quotes, percent signs, 40 000 bytes."""
    async with opened(database_url) as database:
        number = await database.write(add_user, "Zoë%s")
        sent = ["🦜" * 10_000, "% %s %(x)s ? :a ''\\' \"", "\u202e\ufeff\x01\x7f", "é e\u0301", " a "]
        await gatherResults([database.write(add_message, number, each) for each in sent])
        assert await database.read(texts) == sent
        assert await database.read(user, "Zoë%s") == (number, "Zoë%s", False)


@in_reactor
async def test_names_are_compared_by_code_points(database_url: str) -> None:
    """Case, accents and trailing spaces make another name; the same code points make the same."""
    async with opened(database_url) as database:
        different = ["bob", "Bob", "bob ", " bob", "böb", "bo\u0308b", "ｂob"]
        await gatherResults([database.write(add_user, name) for name in different])
        for name in different:
            row = await database.read(user, name)
            assert row is not None
            assert row[1] == name
        assert isinstance(await outcome(database.write(add_user, "bob ")), Conflict)


@in_reactor
async def test_backpressure(database_url: str) -> None:
    """More writes than may wait are refused at once; the accepted ones are stored, and then more fit."""
    async with opened(database_url, waiting_writes=10) as database:
        requests = [outcome(database.write(add_user, str(each))) for each in range(15)]
        assert database.waiting_writes == 10
        answers = await gatherResults(requests)
        assert [type(answer) for answer in answers] == [int] * 10 + [StorageUnavailable] * 5
        assert await database.read(names) == [str(each) for each in range(10)]
        await database.write(add_user, "later")


@in_reactor
async def test_reads_are_bounded(database_url: str) -> None:
    """More reads than may wait are refused at once."""
    async with opened(database_url, waiting_writes=10, pool_size=1) as database:
        answers = await gatherResults([outcome(database.read(names)) for _ in range(15)])
        assert [type(answer) for answer in answers] == [list] * 10 + [StorageUnavailable] * 5


@in_reactor
async def test_stop_flushes(database_url: str) -> None:
    """What was accepted before stop is stored and answered; what comes later is refused."""
    async with opened(database_url) as database:
        requests = [database.write(add_user, str(each)) for each in range(2500)]
        stopping = database.stop()
        assert isinstance(await outcome(database.write(add_user, "late")), StorageUnavailable)
        assert isinstance(await outcome(database.read(names)), StorageUnavailable)
        assert isinstance(await outcome(database.ping()), StorageUnavailable)
        await stopping
        assert all(request.called for request in requests)
    async with opened(database_url) as database:
        assert await database.read(names) == [str(each) for each in range(2500)]


@in_reactor
async def test_stop_twice_and_start_again(database_url: str) -> None:
    """A second stop does nothing; a stopped database can be started again."""
    async with opened(database_url) as database:
        await database.stop()
        await database.stop()
        await database.start()
        await database.write(add_user, "alice")
        await database.ping()


@in_reactor
async def test_committed_is_told(database_url: str) -> None:
    """Each commit is told with its number of writes: those of one turn are one commit."""
    commits: list[tuple[int, float]] = []
    async with opened(
        database_url, committed=lambda count, seconds: commits.append((count, seconds))
    ) as database:
        commits.clear()
        await gatherResults([database.write(add_user, str(each)) for each in range(7)])
        assert [count for count, seconds in commits] == [7]
        assert commits[0][1] > 0


@in_reactor
async def test_cancelled_answer(database_url: str) -> None:
    """Cancelling a write's Deferred gives up its answer alone; those beside it are answered."""
    async with opened(database_url) as database:
        given_up = database.write(add_user, "alice")
        kept = database.write(add_user, "bob")
        given_up.addErrback(lambda failure: None)
        given_up.cancel()
        await kept
        assert await database.read(names) == ["alice", "bob"]


@in_reactor
async def test_constants_and_keywords(database_url: str) -> None:
    """Constants of a statement need no parameter, and works take keyword arguments."""
    shout = Statement(select(literal("a").concat(bindparam("end", type_=literal("").type))))

    def run(transaction: Transaction, *, end: str) -> Any:
        row = transaction.row(shout, end=end)
        return row and row[0]

    async with opened(database_url) as database:
        assert await database.read(run, end="b") == "ab"
        assert await database.write(run, end="c") == "ac"


def test_never_started(tmp_path: Any) -> None:
    """A database that was not started refuses, and can be stopped."""
    from twisted.internet import reactor

    database = Database(f"sqlite:///{tmp_path}/x.db", reactor=reactor)
    refused: list[Any] = []
    database.write(add_user, "alice").addErrback(refused.append)
    assert refused[0].check(StorageUnavailable)
    assert database.stop().called


@pytest.mark.parametrize("pool_size", [1, 4])
@in_reactor
async def test_many_reads(database_url: str, pool_size: int) -> None:
    """Reads beyond the pool's size wait for a connection and are all answered."""
    async with opened(database_url, pool_size=pool_size) as database:
        await database.write(add_user, "alice")
        answers = await gatherResults([database.read(names) for _ in range(50)])
        assert answers == [["alice"]] * 50
