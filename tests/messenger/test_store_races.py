"""Two processes do the same at once, on each database; and what a mailbox costs that stands among many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct
from sqlalchemy import insert, text
from twisted.internet.defer import gatherResults

from realtime.messenger import dialog_store, store
from realtime.messenger.dialog_store import Dialog, Outcome, Posted, State
from realtime.messenger.messages import Send
from realtime.messenger.store import MessengerStore
from realtime.storage.dialect import dialect_for
from realtime.storage.migrate import connected, migrate
from realtime.storage.statements import Statement
from realtime.storage.tables import messenger_dialogs, users
from tests.messenger.test_store import LIMIT, NOW, House, house
from tests.reactor import in_reactor
from tests.storage.works import opened

ROUNDS = 10


class Race(Struct, frozen=True):
    """A messenger's store, and that of another process on the same database."""

    messenger: House
    other: MessengerStore

    async def post(self, sender: int, first: Send, second: Send) -> list[Posted]:
        """Post two dialogs of one sender at once."""
        return await gatherResults(
            [self.messenger.store.post(sender, first, NOW), self.other.post(sender, second, NOW)]
        )

    async def delivered(self, *dialogs: Dialog) -> list[Outcome]:
        """Note in both processes at once that a receiver has some dialogs; return what was new to either."""
        receiver = dialogs[0].receiver_id
        outcomes = [each.outcome(is_delivered=True) for each in dialogs]
        first, second = await gatherResults(
            [
                self.messenger.store.delivered(receiver, outcomes),
                self.other.delivered(receiver, outcomes[::-1]),
            ]
        )
        return sorted(first + second, key=lambda outcome: outcome.id)


@asynccontextmanager
async def race(url: str) -> AsyncIterator[Race]:
    """Two processes on a new database."""
    async with house(url) as messenger, opened(url) as database:
        yield Race(messenger, MessengerStore(database, LIMIT))


@in_reactor
async def test_the_same_dialog(database_url: str) -> None:
    """It is stored once; the one who comes second finds it."""
    async with race(database_url) as racing:
        alice, bob = racing.messenger.alice, racing.messenger.bob
        kept = []
        for number in range(ROUNDS):
            send = Send(str(bob.id), f"key {number}", "1")
            posted = await racing.post(alice.id, send, send)
            (dialog,) = [each.dialog for each in posted if each.dialog is not None]
            assert Posted(waits_for=bob.id) in posted
            kept.append(dialog)
        assert await racing.messenger.mailbox(bob) == kept
        assert await racing.messenger.untold(alice) == []


@in_reactor
async def test_the_same_id_for_different_dialogs(database_url: str) -> None:
    """One of the two is stored, and the other one repeats what has become of that."""
    async with race(database_url) as racing:
        alice, bob = racing.messenger.alice, racing.messenger.bob
        for number in range(ROUNDS):
            key = f"key {number}"
            posted = await racing.post(alice.id, Send(str(bob.id), key, "1"), Send("nobody", key, "2"))
            failed = [each for each in posted if each.outcome is not None]
            if failed:
                assert posted[0] == posted[1]
                assert failed[0] == Posted(outcome=(await racing.messenger.untold(alice))[-1])
            else:
                assert Posted(waits_for=bob.id) in posted
                assert (await racing.messenger.mailbox(bob))[-1].client_message_id == key


@in_reactor
async def test_delivered_by_two_connections(database_url: str) -> None:
    """Whichever of two processes hears of it first, each outcome is new to one of them alone."""
    async with race(database_url) as racing:
        messenger = racing.messenger
        for _ in range(ROUNDS):
            dialogs = [await messenger.send(messenger.alice, messenger.bob) for _ in range(5)]
            assert await racing.delivered(*dialogs) == [each.outcome(is_delivered=True) for each in dialogs]
        assert len(await messenger.untold(messenger.alice)) == 5 * ROUNDS


@in_reactor
async def test_delivered_as_it_is_given_up(database_url: str) -> None:
    """It has one outcome: the one that is told."""
    async with race(database_url) as racing:
        messenger = racing.messenger
        for _ in range(ROUNDS):
            dialog = await messenger.send(messenger.alice, messenger.bob)
            ended = [dialog.outcome(is_delivered=True)]
            delivered, given_up = await gatherResults(
                [messenger.store.delivered(dialog.receiver_id, ended), racing.other.expire(NOW + 1, 50)]
            )
            (told,) = [*delivered, *given_up]
            assert (await messenger.untold(messenger.alice))[-1] == told


@in_reactor
async def test_swept_by_two(database_url: str) -> None:
    """Each dialog is given up by one of two sweeps."""
    async with race(database_url) as racing:
        messenger = racing.messenger
        for _ in range(ROUNDS):
            dialogs = [await messenger.send(messenger.alice, messenger.bob) for _ in range(5)]
            swept = await gatherResults([each.expire(NOW + 1, 5) for each in (messenger.store, racing.other)])
            told = sorted(outcome.id for outcomes in swept for outcome in outcomes)
            assert told == [dialog.id for dialog in dialogs]


# -- what it costs ---------------------------------------------------------------------------------

_USERS = 2_000
_TALKING = 40
_DIALOGS = 6_000


def _fill(url: str) -> None:
    """Store what a database holds after a while: much that was delivered, and some that waits."""
    with connected(dialect_for(url)) as connection:
        connection.execute(
            insert(users),
            [
                {"user_name": f"user {number}", "user_password": "", "avatar": f"/avatars/{number}"}
                for number in range(_USERS)
            ],
        )
        rows = []
        for number in range(_DIALOGS):
            waits = number % 60 == 0
            rows.append(
                {
                    "sender_id": number * 7 % _TALKING + 1,
                    "receiver": str(number % _TALKING + 1),
                    "receiver_id": number % _TALKING + 1,
                    "client_data": "1",
                    "client_message_id": f"key {number}",
                    "sent": NOW + number,
                    "state": State.WAITING if waits else State.DELIVERED,
                    "is_untold": number % 60 == 1,
                }
            )
        connection.execute(insert(messenger_dialogs), rows)
        connection.commit()
        names = f"{users.name}, {messenger_dialogs.name}"
        # The servers count rows by themselves, in time; SQLite never does.
        analyze = {"postgresql": f"ANALYZE {names}", "mysql": f"ANALYZE TABLE {names}"}
        if connection.dialect.name in analyze:
            connection.execute(text(analyze[connection.dialect.name])).close()
            connection.commit()


def _plan(url: str, statement: Statement, **parameters: Any) -> str:
    """Return what a database says about how it finds a statement's rows."""
    dialect = dialect_for(url)
    compiled = statement.compiled(dialect.name, dialect.compiler)
    explain = "EXPLAIN QUERY PLAN " if dialect.name == "sqlite" else "EXPLAIN "
    with connected(dialect) as connection:
        plan = connection.exec_driver_sql(explain + compiled.sql, compiled.arrange(parameters))
        return "\n".join(" ".join(str(column) for column in row) for row in plan)


def test_indexes(database_url: str) -> None:
    """What waits for one is found without a walk over what is kept, or over what waits for others."""
    migrate(database_url, log=lambda line: None)
    _fill(database_url)
    waiting = "ix_messenger_dialogs_receiver_id_state_id"
    for statement, index, parameters in (
        (dialog_store._WAITING, waiting, {"receiver_is": 1, "sent_since": 0, "count": 64}),
        (dialog_store._RECEIVER, waiting, {"user": 1, "receiver_is": 1, "others": 999}),
        (dialog_store._UNTOLD, "ix_messenger_dialogs_sender_id_is_untold_id", {"sender": 8, "count": 64}),
        (dialog_store._OLD, "ix_messenger_dialogs_state_sent", {"sent_before": NOW + 1, "count": 500}),
        (
            dialog_store._SENT_TO,
            "ix_messenger_dialogs_sender_id_receiver_id_id",
            {"one_user": 8, "other_user": 2, "id_before": 2**62, "count": 50},
        ),
        (store._USES, "ix_users_avatar", {"address": "/avatars/7"}),
    ):
        plan = _plan(database_url, statement, **parameters)
        assert index in plan, plan
        assert "ALL" not in plan.split(), plan
        assert "Seq Scan on messenger_dialogs" not in plan, plan
