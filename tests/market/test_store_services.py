"""What is kept of services, on each database: each step with its message, or nothing at all."""

from __future__ import annotations

from decimal import Decimal

from realtime.accounts.store import User
from realtime.market import messages
from realtime.market.messages import (
    SYSTEM,
    CreateService,
    EditPrice,
    EndNegotiation,
    Note,
    Offer,
    OpenDispute,
    Service,
    ServiceStep,
    SubmitNote,
    TerminateService,
)
from realtime.market.reading import HIGHEST_PRICE, price_of
from realtime.market.store import Step
from tests.market.test_store import FULL, NOBODY, NOW, Fair, fair
from tests.reactor import in_reactor


async def take(market: Fair, user: User, request: CreateService | ServiceStep, at: int = NOW) -> Step:
    """Take a step that is legal."""
    step = await market.store.step(user.id, request, at)
    assert isinstance(step, Step)
    return step


async def proposed(market: Fair, conversation: int, price: int = 40) -> int:
    """Have alice, who pays, propose a service, and return its id."""
    step = await take(market, market.alice, CreateService(conversation, Offer(price_of(price))))
    return step.services[-1].id


@in_reactor
async def test_a_service_from_its_proposal_to_its_end(database_url: str) -> None:
    """After each step both are told the same, and find it in their conversation."""
    async with fair(database_url) as market:
        alice, bob = market.alice, market.bob
        conversation = await market.begin()
        offer = Offer(HIGHEST_PRICE, FULL[:255], "Outdoor ", client=alice.id)
        title = f"{FULL[:255]}, "
        notes = Note(bob.id, 5, ""), Note(alice.id, 0, FULL[:1_000])
        steps: list[tuple[User, CreateService | ServiceStep, str, str, Decimal, tuple[Note, ...]]] = [
            (bob, CreateService(conversation, offer), "negotiating", "Proposed", HIGHEST_PRICE, ()),
            (alice, EditPrice(conversation, 1, price_of("0.05")), "negotiating", "Price", price_of("0.05"), ()),
            (bob, EndNegotiation(conversation), "agreed", "Accepted", price_of("0.05"), ()),
            (alice, TerminateService(conversation, 1), "terminated", "Terminated", price_of("0.05"), ()),
            (bob, SubmitNote(conversation, 1, 5), "terminated", "Noted", price_of("0.05"), notes[:1]),
            (bob, OpenDispute(conversation, 1, FULL[:1_000]), "disputed", "Disp", price_of("0.05"), notes[:1]),
            (alice, SubmitNote(conversation, 1, 0, FULL[:1_000]), "disputed", "Noted", price_of("0.05"), notes),
        ]
        for number, (user, request, status, said, price, noted) in enumerate(steps, 1):
            step = await take(market, user, request, NOW + number)
            other = bob if user is alice else alice
            assert (step.conversation, step.parties) == (conversation, (user.id, other.id))
            message = step.message
            assert (message.id, message.sender, message.seen) == (1 + number, SYSTEM, False)
            assert (message.created, message.conversation) == (NOW + number, conversation)
            assert message.content.startswith(said)
            assert title in message.content
            service = Service(
                *(1, offer.title, offer.category, price, alice.id, bob.id, status, noted, NOW + 1)
            )
            assert step.services == [service]
            assert str(step.services[0].price) == str(price)
            for each in (alice, bob):
                (shown,) = await market.store.conversations(each.id, None, 50)
                assert shown.services == (service,)
                assert str(shown.services[0].price) == str(price)
                assert (shown.messages[-1], shown.last) == (message, NOW + number)


@in_reactor
async def test_what_is_not_allowed_changes_nothing(database_url: str) -> None:
    """Neither the services nor what was said."""
    async with fair(database_url) as market:
        alice, bob = market.alice, market.bob
        conversation = await market.begin()
        await proposed(market, conversation)
        before = await market.store.conversations(alice.id, None, 50)
        foreign = CreateService(conversation, Offer(price_of(1), client=market.carol.id))
        for user, request in (
            (alice, EndNegotiation(conversation)),  # it was alice who named the price
            (bob, TerminateService(conversation)),
            (bob, SubmitNote(conversation, None, 5)),
            (bob, foreign),
        ):
            assert await market.store.step(user.id, request, NOW + 1) is messages.NOT_ALLOWED
        assert await market.store.conversations(alice.id, None, 50) == before


@in_reactor
async def test_which_service_is_meant(database_url: str) -> None:
    """The one that is named, if it is of the conversation; else its newest unfinished, else its newest."""
    async with fair(database_url) as market:
        store, alice, bob, carol = market.store, market.alice, market.bob, market.carol
        conversation = await market.begin()
        assert await store.step(alice.id, TerminateService(conversation), NOW) is messages.NOT_FOUND
        first, second = [await proposed(market, conversation, price) for price in (1, 2)]
        elsewhere = (await market.say(alice, "Hello", to=carol)).message.conversation
        third = await proposed(market, elsewhere)
        for service in (third, NOBODY):
            request = EndNegotiation(conversation, service)
            assert await store.step(bob.id, request, NOW) is messages.NOT_FOUND
        step = await take(market, bob, EndNegotiation(conversation, first))
        assert [each.status for each in step.services] == ["agreed", "negotiating"]
        step = await take(market, bob, EndNegotiation(conversation, None, accepted=False))
        assert [each.status for each in step.services] == ["agreed", "declined"]
        step = await take(market, alice, TerminateService(conversation))
        assert [each.status for each in step.services] == ["terminated", "declined"]
        # All are finished: the newest is meant, which was declined.
        assert await store.step(alice.id, OpenDispute(conversation), NOW) is messages.NOT_ALLOWED
        shown = await store.conversations(alice.id, None, 50)
        assert [[service.id for service in each.services] for each in shown] == [[third], [first, second]]
