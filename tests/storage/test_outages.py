"""The database goes away and comes back."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

from realtime.storage.database import Database
from realtime.storage.errors import StorageUnavailable
from realtime.storage.statements import Statement
from realtime.storage.transaction import Transaction
from tests import services
from tests.reactor import in_reactor
from tests.storage.works import add_user, names, opened, outcome

TIMEOUT = 1.0
SLACK = 0.5


@contextmanager
def logged() -> Iterator[list[tuple[Any, str]]]:
    """The level and text of what is logged meanwhile, from the storage room's warnings upwards."""
    lines: list[tuple[Any, str]] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event["log_level"] > LogLevel.info or "storage:" in (event.get("log_format") or ""):
            lines.append((event["log_level"], formatEvent(event)))

    globalLogPublisher.addObserver(observe)
    try:
        yield lines
    finally:
        globalLogPublisher.removeObserver(observe)


async def seconds(each: float) -> None:
    """Lets real time pass."""
    from twisted.internet import reactor

    await deferLater(reactor, each)


async def recovered(database: Database, deadline: float) -> float:
    """Asks until the database answers; gives the seconds that took."""
    began = time.monotonic()
    while isinstance(await outcome(database.ping()), StorageUnavailable):
        assert time.monotonic() - began < deadline, "it does not recover"
        await seconds(0.05)
    return time.monotonic() - began


@in_reactor
async def test_connections_lost_while_idle(database_server: Any) -> None:
    """After a restart of the server no request fails: each connection is made anew."""
    async with opened(database_server.fresh_database(), pool_size=3) as database:
        await database.write(add_user, "alice")
        await gatherResults([database.read(names) for _ in range(20)])
        with logged() as lines:
            database_server.restart()
            await database.write(add_user, "bob")
            answers = await gatherResults([database.read(names) for _ in range(20)])
        assert answers == [["alice", "bob"]] * 20
        assert lines == []


@in_reactor
async def test_connection_lost_in_a_batch(database_server: Any) -> None:
    """If the connection breaks before COMMIT the batch is run once more, and stored once."""
    url = database_server.fresh_database()
    broken: list[str] = []

    def breaking(transaction: Transaction, name: str) -> int:
        number = add_user(transaction, name)
        if not broken:
            broken.append(name)
            kill_sessions(database_server, url)
        return number

    async with opened(url, timeout=20.0) as database:
        answers = await gatherResults(
            [
                database.write(add_user, "alice"),
                database.write(breaking, "bob"),
                database.write(add_user, "carol"),
            ]
        )
        assert [type(answer) for answer in answers] == [int] * 3
        assert broken == ["bob"]
        assert await database.read(names) == ["alice", "bob", "carol"]


def kill_sessions(server: Any, url: str) -> None:
    """Has the server end every session that works on the database."""
    name = make_url(url).database
    if isinstance(server, services.PostgreSQLServer):
        server.run_sql(
            server.url,
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
        )
        return
    for (number,) in server.query(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'"):
        server.run_sql(server.url, f"KILL CONNECTION {number}")


@pytest.mark.parametrize("how", ["stop", "kill"])
@in_reactor
async def test_server_down(database_server: Any, how: str) -> None:
    """While the server is down each request is told so soon; when it is back all is well."""
    async with opened(database_server.fresh_database(), timeout=TIMEOUT) as database:
        await database.write(add_user, "alice")
        getattr(database_server, how)()
        with logged() as lines:
            for _ in range(3):
                began = time.monotonic()
                answers = await gatherResults(
                    [
                        outcome(database.write(add_user, "bob")),
                        outcome(database.write(add_user, "carol")),
                        outcome(database.read(names)),
                        outcome(database.ping()),
                    ]
                )
                assert time.monotonic() - began < 2 * TIMEOUT + SLACK
                assert [type(answer) for answer in answers] == [StorageUnavailable] * 4
            assert [level for level, line in lines] == [LogLevel.warn] * 2
            database_server.start()
            await recovered(database, 3 * TIMEOUT)
            await database.write(add_user, "dave")
            assert await database.read(names) == ["alice", "dave"]
        assert [level for level, line in lines] == [LogLevel.warn] * 2 + [LogLevel.info] * 2
        assert not any("s3cret" in line for level, line in lines)


@in_reactor
async def test_server_paused(database_server: Any) -> None:
    """A server that says nothing is given up after `timeout`; when it goes on, all is well."""
    async with opened(database_server.fresh_database(), timeout=TIMEOUT, pool_size=2) as database:
        await database.write(add_user, "alice")
        await gatherResults([database.read(names) for _ in range(4)])
        with logged() as lines:
            database_server.pause()
            for _ in range(2):
                began = time.monotonic()
                answers = await gatherResults(
                    [outcome(database.write(add_user, f"x{each}")) for each in range(5)]
                    + [outcome(database.read(names)) for each in range(5)]
                )
                assert time.monotonic() - began < TIMEOUT + SLACK
                assert all(isinstance(answer, StorageUnavailable) for answer in answers)
            database_server.resume()
            # A thread that waits for a connection may need libpq's two seconds to find out.
            await recovered(database, 2 * TIMEOUT + 2)
            await database.write(add_user, "bob")
            after = await database.read(names)
        assert after[0] == "alice"
        assert after[-1] == "bob"
        assert [level for level, line in lines] == [LogLevel.warn] * 2 + [LogLevel.info] * 2


@in_reactor
async def test_stop_while_paused(database_server: Any) -> None:
    """Stop ends in bounded time even if the server says nothing."""
    async with opened(database_server.fresh_database(), timeout=TIMEOUT) as database:
        await database.write(add_user, "alice")
        database_server.pause()
        request = outcome(database.write(add_user, "bob"))
        reading = outcome(database.read(names))
        began = time.monotonic()
        await database.stop()
        assert time.monotonic() - began < 2 * TIMEOUT + 2 + SLACK
        assert isinstance(await request, StorageUnavailable)
        assert isinstance(await reading, StorageUnavailable)


@in_reactor
async def test_start_without_a_server(database_server: Any) -> None:
    """A database that can't be reached fails to start, with no secret in the reason, and all is closed."""
    from twisted.internet import reactor

    url = database_server.fresh_database()
    database_server.stop()
    error = await outcome(Database(url, reactor=reactor, timeout=TIMEOUT).start())
    assert isinstance(error, StorageUnavailable)
    assert "s3cret" not in str(error)


@in_reactor
async def test_wrong_password(database_server: Any) -> None:
    """A refused password is the database being away, and is not told to anybody."""
    from twisted.internet import reactor

    url = database_server.url.replace("s3cret-of-tests", "another-s3cret")
    with logged() as lines:
        error = await outcome(Database(url, reactor=reactor, timeout=TIMEOUT).start())
    assert isinstance(error, StorageUnavailable)
    assert "s3cret" not in str(error) + str(lines)


@in_reactor
async def test_deadlock(database_server: Any) -> None:
    """Two processes that lock the same rows in opposite order both have all their writes stored."""
    from threading import Barrier

    lock = Statement(text("UPDATE users SET token = :token WHERE user_name = :name"))
    meeting = Barrier(2, timeout=5)

    def touch(transaction: Transaction, name: str, token: str, meet: bool) -> int:
        affected = transaction.execute(lock, name=name, token=token)
        if meet and meeting.n_waiting < 2 and not meeting.broken:
            meeting.wait()
            meeting.abort()
        return affected

    url = database_server.fresh_database()
    async with opened(url) as one, opened(url) as other:
        await gatherResults([one.write(add_user, name) for name in ("alice", "bob", "carol")])
        answers = await gatherResults(
            [
                one.write(touch, "alice", "1", True),
                one.write(touch, "bob", "1", False),
                other.write(touch, "bob", "2", True),
                other.write(touch, "alice", "2", False),
                other.write(touch, "carol", "2", False),
            ]
        )
        assert answers == [1] * 5


SLOW = {
    # It has no function that sleeps: it counts.
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000)"
    " SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(30)",
    "mysql": "SELECT SLEEP(30)",
}


@in_reactor
async def test_slow_statement(database_url: str) -> None:
    """A statement that takes too long is given up after `timeout`, and its thread comes back."""
    statement = Statement(lambda name: text(SLOW[name]))

    def slow(transaction: Transaction) -> None:
        transaction.row(statement)

    async with opened(database_url, timeout=TIMEOUT, pool_size=1) as database:
        await database.write(add_user, "alice")
        for run in (database.read, database.write):
            began = time.monotonic()
            assert isinstance(await outcome(run(slow)), StorageUnavailable)
            assert time.monotonic() - began < TIMEOUT + SLACK
            assert await recovered(database, TIMEOUT) < TIMEOUT
        assert await database.read(names) == ["alice"]


@in_reactor
async def test_too_late_is_not_stored(tmp_path: Path) -> None:
    """A write that was answered as too late before its COMMIT is not committed afterwards."""
    from threading import Event

    go_on = Event()

    def slow(transaction: Transaction) -> None:
        add_user(transaction, "too late")
        go_on.wait(10)

    async with opened(f"sqlite:///{tmp_path}/x.db", timeout=0.2) as database:
        assert isinstance(await outcome(database.write(slow)), StorageUnavailable)
        assert isinstance(await outcome(database.write(add_user, "refused")), StorageUnavailable)
        go_on.set()
        await recovered(database, 2)
        assert await database.read(names) == []


@in_reactor
async def test_file_locked_by_another_process(tmp_path: Path) -> None:
    """While another process writes to an SQLite file ours waits, and is told at the deadline; reads go on."""
    path = tmp_path / "x.db"
    async with opened(f"sqlite:///{path}", timeout=TIMEOUT) as database:
        await database.write(add_user, "alice")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            writing = outcome(database.write(add_user, "bob"))
            assert await database.read(names) == ["alice"]
            assert isinstance(await writing, StorageUnavailable)
            assert time.monotonic() - began < TIMEOUT + SLACK
            other.execute("ROLLBACK")
        await recovered(database, 2 * TIMEOUT)
        assert await database.read(names) == ["alice"]


@in_reactor
async def test_short_lock_of_another_process(tmp_path: Path) -> None:
    """A short write of another process delays ours and fails none."""
    path = tmp_path / "x.db"
    async with opened(f"sqlite:///{path}") as database:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            writing = database.write(add_user, "alice")
            await seconds(0.2)
            assert not writing.called
            other.execute("COMMIT")
            await writing
