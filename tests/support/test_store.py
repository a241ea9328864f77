"""Several processes write at once, on each database."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

from sqlalchemy import bindparam, insert, select
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from realtime.accounts.store import AccountStore, User
from realtime.cluster.cluster import MemoryCluster
from realtime.storage.database import Database
from realtime.storage.statements import Row, Statement
from realtime.storage.tables import conversations, messages
from realtime.storage.transaction import Transaction
from realtime.support.customer import Customer
from realtime.support.desk import Desk
from realtime.support.operator import Operator
from realtime.support.participants import Participant, Pushes
from realtime.support.store import _CUSTOMER_WROTE, _OPERATOR_WROTE, SupportStore
from tests.reactor import in_reactor
from tests.storage.works import opened
from tests.websocket.peers import server_frames

_SAY = Statement(
    insert(messages).values(
        user_id=bindparam("customer"), invader_name="", message="lower", is_from_support=False
    )
)
_SUMMARY = Statement(
    select(conversations.c.last_message_id, conversations.c.is_open, conversations.c.seen_message_id).where(
        conversations.c.user_id == bindparam("customer")
    )
)


class Client:
    """What a participant shows."""

    origin = "client"

    def __init__(self) -> None:
        self.shown: list[str] = []

    def send_frame(self, frame: bytes) -> None:
        """Keep the text of the message in it."""
        ((_, payload),), _ = server_frames(frame)
        self.shown.append(payload.decode().partition('"message_text":"')[2].partition('"')[0])

    async def until(self, *texts: str) -> None:
        """Wait until this is what was shown."""
        from twisted.internet import reactor

        while self.shown != list(texts):
            assert self.shown == list(texts)[: len(self.shown)], self.shown
            await deferLater(reactor, 0.005)


async def enter(
    kind: type[Participant], user: User, desk: Desk
) -> tuple[Client, Callable[[], None], Participant]:
    """Have a participant be shown what there is; returns with its client what a gap calls."""
    client = Client()
    participant = kind(user, client, desk, Pushes(with_id=False), 500_000)
    participant.begin(await participant.follow())
    return client, participant._gap, participant


async def add(database: Database, name: str, *, is_admin: bool = False) -> User:
    """Add an account."""
    return await AccountStore(database).add(name, "", is_admin=is_admin)


@in_reactor
async def test_committed_out_of_order(database_url: str) -> None:
    """A message whose commit takes so long that a later one was shown is found after the next gap."""
    from twisted.internet import reactor

    begun, may_end = Event(), Event()

    def say_slowly(transaction: Transaction, customer: int) -> int:
        message_id = transaction.insert(_SAY, customer=customer)
        begun.set()
        may_end.wait(10)
        return message_id

    async with opened(database_url) as database, opened(database_url) as elsewhere:
        clock: Any = reactor
        desk = Desk(store=SupportStore(database), cluster=MemoryCluster(), clock=clock)
        alice, olga = await add(database, "alice"), await add(database, "olga", is_admin=True)
        both = [await enter(Customer, alice, desk), await enter(Operator, olga, desk)]
        lower: Deferred[int] = elsewhere.write(say_slowly, alice.id)
        await deferToThread(begun.wait)
        if database_url.startswith("sqlite"):
            may_end.set()  # there is one writer at a time, and so no other order
        higher = await desk.say(alice, "higher", "elsewhere")
        expected = ["higher", "lower"] if may_end.is_set() else ["higher"]
        for client, gap, _ in both:
            gap()
            await client.until(*expected)
        may_end.set()
        assert await lower < higher.message_id
        for client, gap, participant in both:
            gap()
            await client.until("higher", "lower")
            gap()
            await desk.store.newest_id()
            participant.end()
            assert client.shown == ["higher", "lower"]


@in_reactor
async def test_the_summary_of_two_who_write_at_once(database_url: str) -> None:
    """Whoever comes second with a lower id changes nothing: no answer closes what was asked after it."""

    def write(transaction: Transaction, customer: int, *steps: tuple[Statement, int]) -> Row | None:
        for statement, message_id in steps:
            transaction.execute(statement, customer=customer, message_id=message_id)
        return transaction.row(_SUMMARY, customer=customer)

    asked, answered = _CUSTOMER_WROTE, _OPERATOR_WROTE
    async with opened(database_url) as database:
        for number, (steps, expected) in enumerate(
            [
                ([(asked, 10), (answered, 11)], (11, False, 11)),
                ([(answered, 11), (asked, 10)], (11, False, 11)),
                ([(answered, 10), (asked, 11)], (11, True, 10)),
                ([(asked, 11), (answered, 10)], (11, True, 0)),
                ([(asked, 9), (answered, 12), (asked, 10), (asked, 13)], (13, True, 12)),
            ]
        ):
            customer = await add(database, f"customer{number}")
            assert await database.write(write, customer.id, *steps) == expected
