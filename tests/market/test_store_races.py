"""Two processes do the same at once, on each database: one of them wins, and the other sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from msgspec import Struct
from twisted.internet.defer import Deferred, gatherResults

from realtime.accounts.store import AccountStore, User
from realtime.market import messages
from realtime.market.messages import (
    CreateMessage,
    CreateService,
    EndNegotiation,
    Fault,
    Offer,
    ReportMessage,
    ServiceStep,
    SubmitNote,
    TerminateService,
)
from realtime.market.reading import price_of
from realtime.market.store import Created, MarketStore, Seen, Step
from tests.market.test_store import NOW, Fair, fair
from tests.reactor import in_reactor
from tests.storage.works import opened

T = TypeVar("T")
Ask = Callable[[MarketStore], Deferred[T]]

ROUNDS = 10


class Race(Struct, frozen=True):
    """A market, and another process on its database."""

    market: Fair
    other_store: MarketStore

    async def run(self, first: Ask[T], second: Ask[T] | None = None) -> list[T]:
        """Ask each of the two processes at once, both the same if there is no second question."""
        return await gatherResults([first(self.market.store), (second or first)(self.other_store)])

    async def create(
        self, first: tuple[User, CreateMessage], second: tuple[User, CreateMessage]
    ) -> list[Created]:
        """Store two messages at once."""
        both = await self.run(lambda store: store.create(*first, NOW), lambda store: store.create(*second, NOW))
        created = [each for each in both if isinstance(each, Created)]
        assert len(created) == 2
        return created

    async def report(self, user: User, request: ReportMessage) -> list[Fault | None]:
        """Report the same twice at once."""
        return await self.run(lambda store: store.report(user.id, request, NOW))

    async def one_wins(self, user: User, request: ServiceStep, other: ServiceStep | None = None) -> Step:
        """Take a step twice at once, or two steps of which one rules out the other."""
        both = await self.run(
            lambda store: store.step(user.id, request, NOW),
            lambda store: store.step(user.id, other or request, NOW),
        )
        (won,) = [each for each in both if isinstance(each, Step)]
        assert [each for each in both if isinstance(each, Fault)] == [messages.NOT_ALLOWED]
        return won


@asynccontextmanager
async def race(url: str) -> AsyncIterator[Race]:
    """Two processes on a new database."""
    async with fair(url) as market, opened(url) as database:
        yield Race(market, MarketStore(database))


@in_reactor
async def test_the_same_message(database_url: str) -> None:
    """It is stored once, and both answers have it."""
    async with race(database_url) as racing:
        alice = racing.market.alice
        conversation = await racing.market.begin()
        for number in range(ROUNDS):
            request = alice, CreateMessage("Once", conversation, None, number)
            first, second = await racing.create(request, request)
            assert first.message == second.message
            assert first.is_new is not second.is_new


@in_reactor
async def test_both_begin_the_conversation(database_url: str) -> None:
    """There is one conversation of the two, and it has both messages."""
    async with race(database_url) as racing:
        alice, accounts = racing.market.alice, AccountStore(racing.market.database)
        for number in range(ROUNDS):
            other = await accounts.add(f"user {number}", "")
            first, second = await racing.create(
                (alice, CreateMessage("Hello", None, other.id, 1)),
                (other, CreateMessage("Hello", None, alice.id, 1)),
            )
            assert first.is_new
            assert second.is_new
            (shown,) = await racing.market.store.conversations(other.id, None, 50)
            assert {message.id for message in shown.messages} == {first.message.id, second.message.id}


@in_reactor
async def test_the_same_step(database_url: str) -> None:
    """It is taken once, and said once; the other one is told that it is not allowed any more."""
    async with race(database_url) as racing:
        market = racing.market
        conversation = await market.begin()
        alice, bob = market.alice, market.bob
        proposal = CreateService(conversation, Offer(price_of(1), client=alice.id))
        for number in range(1, ROUNDS + 1):
            assert isinstance(await market.store.step(alice.id, proposal, NOW), Step)
            await racing.one_wins(bob, EndNegotiation(conversation, number))
            await racing.one_wins(alice, TerminateService(conversation, number))
            won = await racing.one_wins(bob, SubmitNote(conversation, number, 5))
            assert [note.grade for note in won.services[-1].notes] == [5]
        (shown,) = await market.store.conversations(alice.id, None, 50)
        assert len(shown.messages) == 1 + 4 * ROUNDS
        assert shown.services == tuple(won.services)


@in_reactor
async def test_steps_that_rule_each_other_out(database_url: str) -> None:
    """A price that is accepted and declined at once is one of the two."""
    async with race(database_url) as racing:
        market = racing.market
        conversation = await market.begin()
        proposal = CreateService(conversation, Offer(price_of(1)))
        for number in range(1, ROUNDS + 1):
            assert isinstance(await market.store.step(market.alice.id, proposal, NOW), Step)
            accept, decline = EndNegotiation(conversation, number), EndNegotiation(conversation, number, False)
            won = await racing.one_wins(market.bob, accept, decline)
            (shown,) = await market.store.conversations(market.bob.id, None, 50)
            assert shown.services == tuple(won.services)


@in_reactor
async def test_both_look(database_url: str) -> None:
    """A message turns seen once, however many devices look at it."""
    async with race(database_url) as racing:
        market = racing.market
        conversation = await market.begin()
        for _ in range(ROUNDS):
            said = (await market.say(market.bob, "New", conversation=conversation)).message.id
            both = await racing.run(lambda store: store.open(market.alice.id, conversation))
            found = [each.message_ids for each in both if isinstance(each, Seen)]
            assert sorted(found) == [[], [said]]


@in_reactor
async def test_the_same_report(database_url: str) -> None:
    """It is stored once, and neither is told otherwise."""
    async with race(database_url) as racing:
        market = racing.market
        conversation = await market.begin()
        for number in range(ROUNDS):
            said = (await market.say(market.bob, "Rude", conversation=conversation)).message.id
            request = ReportMessage(said, str(number))
            assert await racing.report(market.alice, request) == [None, None]
        reports = await market.store.reports(None, 50, True)
        assert [each.reason for each in reports] == [str(number) for number in reversed(range(ROUNDS))]
