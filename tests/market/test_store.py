"""What is kept of conversations, on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct
from twisted.internet.defer import gatherResults

from realtime.accounts.store import AccountStore, User
from realtime.market import messages
from realtime.market.messages import (
    MOST_MESSAGES,
    SYSTEM,
    CreateMessage,
    CreateService,
    Message,
    Offer,
    ReportConversation,
    ReportMessage,
    TemporaryId,
)
from realtime.market.reading import price_of
from realtime.market.report_store import Report
from realtime.market.store import Created, MarketStore, Seen, Step
from realtime.storage.database import Database
from tests.reactor import in_reactor
from tests.storage.works import opened

NOW = 1_700_000_000_123
FULL = "\U0001f600" * 4_000
NOBODY = 4_294_967_295


class Fair(Struct, frozen=True):
    """A market with three users, of whom nobody has spoken yet."""

    database: Database
    store: MarketStore
    alice: User
    bob: User
    carol: User

    async def say(
        self,
        author: User,
        content: str,
        *,
        to: User | None = None,
        conversation: int | None = None,
        key: TemporaryId | None = None,
        at: int = NOW,
    ) -> Created:
        """Say something, to a user or in a conversation."""
        request = CreateMessage(content, conversation, None if to is None else to.id, key)
        created = await self.store.create(author, request, at)
        assert isinstance(created, Created)
        return created

    async def begin(self) -> int:
        """Have alice write to bob, and return the conversation."""
        return (await self.say(self.alice, "Hello", to=self.bob)).message.conversation

    async def shown(self, user: User) -> list[int]:
        """Return the ids of a user's conversations as they are listed."""
        return [each.id for each in await self.store.conversations(user.id, None, 50)]


@asynccontextmanager
async def fair(url: str) -> AsyncIterator[Fair]:
    """A market on a new database."""
    async with opened(url) as database:
        accounts = AccountStore(database)
        alice, bob, carol = await gatherResults([accounts.add(name, "") for name in ("alice", "bob", "carol")])
        yield Fair(database, MarketStore(database), alice, bob, carol)


def sender(user: User) -> messages.User:
    """A user as the sender of a message."""
    return messages.User(user.id, user.name)


@in_reactor
async def test_what_was_said(database_url: str) -> None:
    """A message to somebody begins one conversation for both, and both find it as it was written."""
    async with fair(database_url) as market:
        alice, bob = market.alice, market.bob
        first = await market.say(alice, FULL, to=bob, key="tmp-1")
        conversation = first.message.conversation
        assert first == Created(Message(1, sender(alice), FULL, False, NOW, conversation), bob.id, True)
        second = await market.say(bob, "Yes ", to=alice, at=NOW + 1)
        assert second == Created(Message(2, sender(bob), "Yes ", False, NOW + 1, conversation), alice.id, True)
        third = await market.say(alice, "<b>", conversation=conversation, at=NOW + 2)
        for user, other in ((alice, bob), (bob, alice)):
            assert await market.store.conversations(user.id, None, 50) == [
                messages.Conversation(
                    conversation,
                    sender(other),
                    NOW + 2,
                    True,
                    (first.message, second.message, third.message),
                    (),
                )
            ]
        assert await market.store.conversations(market.carol.id, None, 50) == []


@in_reactor
async def test_not_found(database_url: str) -> None:
    """A conversation of others is like one that does not exist, and so is oneself like nobody."""
    async with fair(database_url) as market:
        store, carol = market.store, market.carol
        conversation = await market.begin()
        for request in (
            CreateMessage("Hello", conversation),
            CreateMessage("Hello", NOBODY),
            CreateMessage("Hello", None, NOBODY),
            CreateMessage("Hello", None, carol.id),
            CreateMessage("Hello"),
        ):
            assert await store.create(carol, request, NOW) is messages.NOT_FOUND
        for wanted in (conversation, NOBODY):
            assert await store.open(carol.id, wanted) is messages.NOT_FOUND
            proposal = CreateService(wanted, Offer(price_of(1)))
            assert await store.step(carol.id, proposal, NOW) is messages.NOT_FOUND
            assert await store.report(carol.id, ReportConversation(wanted), NOW) is messages.NOT_FOUND
            # The first message has the number of the first conversation.
            assert await store.report(carol.id, ReportMessage(wanted), NOW) is messages.NOT_FOUND
            assert await store.conversations(carol.id, wanted, 50) == []
        assert await store.reports(None, 10, False) == []
        (kept,) = await store.conversations(market.bob.id, None, 50)
        assert [message.content for message in kept.messages] == ["Hello"]
        assert await market.shown(carol) == []


@in_reactor
async def test_temporary_ids(database_url: str) -> None:
    """The same one of the same user in the same conversation finds what is stored; any other does not."""
    async with fair(database_url) as market:
        alice, bob, carol = market.alice, market.bob, market.carol
        first = await market.say(alice, "Once", to=bob, key=1)
        conversation = first.message.conversation
        again = await market.say(alice, "Twice", conversation=conversation, key=1, at=NOW + 9)
        assert again == Created(first.message, bob.id, False)
        await market.store.open(bob.id, conversation)
        seen = (await market.say(alice, "Thrice", to=bob, key=1)).message
        assert (seen.id, seen.content, seen.seen) == (first.message.id, "Once", True)
        assert (await market.store.conversations(alice.id, None, 50))[0].last == NOW
        longest = "\U0001f600" * 200
        for key in ("1", 1.5, "a", "A", "a ", longest, None, None):
            assert (await market.say(alice, "Other", conversation=conversation, key=key)).is_new
        assert not (await market.say(alice, "Other", conversation=conversation, key=longest)).is_new
        assert (await market.say(bob, "Mine", conversation=conversation, key=1)).is_new
        assert (await market.say(alice, "Elsewhere", to=carol, key=1)).is_new


@in_reactor
async def test_seen(database_url: str) -> None:
    """What the other one said turns seen once, with the ids that changed; one's own does not."""
    async with fair(database_url) as market:
        store, alice, bob = market.store, market.alice, market.bob
        conversation = await market.begin()
        own = (await market.say(bob, "Mine", conversation=conversation)).message.id
        later = (await market.say(alice, "Still there?", conversation=conversation)).message.id
        assert await store.open(bob.id, conversation) == Seen(alice.id, [1, later])
        assert await store.open(bob.id, conversation) == Seen(alice.id, [])
        for user, is_new in ((alice, True), (bob, False)):
            (shown,) = await store.conversations(user.id, None, 50)
            assert [message.seen for message in shown.messages] == [True, False, True]
            assert shown.has_new_message is is_new
        assert await store.open(alice.id, conversation) == Seen(bob.id, [own])
        after = (await market.say(alice, "Good", conversation=conversation)).message.id
        (shown,) = await store.conversations(alice.id, None, 50)
        assert [message.seen for message in shown.messages] == [True, True, True, False]
        assert not shown.has_new_message
        assert await store.open(bob.id, conversation) == Seen(alice.id, [after])


@in_reactor
async def test_what_the_system_says_is_new_to_both(database_url: str) -> None:
    """It has no author to be told, and turns seen for each of the two when it looks."""
    async with fair(database_url) as market:
        store, alice, bob = market.store, market.alice, market.bob
        conversation = await market.begin()
        await store.open(bob.id, conversation)
        step = await store.step(alice.id, CreateService(conversation, Offer(price_of(1))), NOW)
        assert isinstance(step, Step)
        assert step.message == Message(2, SYSTEM, "Proposed: 1.00.", False, NOW, conversation)
        assert await store.open(alice.id, conversation) == Seen(bob.id, [])
        for user, is_seen in ((alice, True), (bob, False)):
            (shown,) = await store.conversations(user.id, None, 50)
            assert (shown.messages[-1].sender, shown.messages[-1].seen) == (SYSTEM, is_seen)
            assert shown.has_new_message is not is_seen


@in_reactor
async def test_newest_messages(database_url: str) -> None:
    """Of a long conversation the newest 50 are shown, oldest first, and of the others theirs."""
    async with fair(database_url) as market:
        alice, bob, carol = market.alice, market.bob, market.carol
        conversation = await market.begin()
        short = (await market.say(carol, "Short", to=alice, at=NOW + 1)).message.conversation
        await gatherResults(
            [
                market.store.create(alice, CreateMessage(str(number), conversation), NOW + number)
                for number in range(1, MOST_MESSAGES + 3)
            ]
        )
        shown = await market.store.conversations(alice.id, None, 50)
        assert [each.id for each in shown] == [conversation, short]
        contents = [message.content for message in shown[0].messages]
        assert contents == [str(number) for number in range(3, MOST_MESSAGES + 3)]
        assert [message.content for message in shown[1].messages] == ["Short"]
        # What is new may be older than all that is shown.
        await market.store.open(alice.id, conversation)
        await market.say(bob, "New", conversation=conversation)
        for number in range(MOST_MESSAGES):
            await market.say(alice, str(number), conversation=conversation, at=NOW + 1000)
        assert (await market.store.conversations(alice.id, None, 1))[0].has_new_message


@in_reactor
async def test_pages(database_url: str) -> None:
    """Newest first by what was said last, of both sides; those that come after one of them."""
    async with fair(database_url) as market:
        accounts = AccountStore(market.database)
        bob = market.bob  # neither the lowest id nor the highest: first in some, second in others
        others = [market.alice, market.carol] + [await accounts.add(f"user {n}", "") for n in range(4)]
        begun = [
            (await market.say(other, "Hello", to=bob, at=NOW + number // 2)).message.conversation
            for number, other in enumerate(others)
        ]
        assert await market.shown(bob) == begun[::-1]
        pages = []
        before = None
        for _ in range(3):
            page = await market.store.conversations(bob.id, before, 2)
            before = page[-1].id
            pages.append([(each.id, each.other.username) for each in page])
        listed = list(zip(begun, [other.name for other in others], strict=True))[::-1]
        assert pages == [listed[:2], listed[2:4], listed[4:]]
        assert await market.store.conversations(bob.id, before, 2) == []
        await market.say(bob, "First again", conversation=begun[0], at=NOW + 100)
        assert await market.shown(bob) == [begun[0], *begun[:0:-1]]


@in_reactor
async def test_reports(database_url: str) -> None:
    """Each reporter's of each object is kept once, as it was first told; a text alone each time."""
    async with fair(database_url) as market:
        store, alice, bob = market.store, market.alice, market.bob
        conversation = await market.begin()

        async def report(user: User, *requests: ReportConversation | ReportMessage) -> None:
            for request in requests:
                assert await store.report(user.id, request, NOW) is None

        await report(bob, ReportConversation(conversation, "Rude"), ReportConversation(conversation, "So rude"))
        await report(bob, ReportMessage(1), ReportMessage(1), ReportMessage(None, "Help"))
        await report(bob, ReportMessage(None, "Help"))
        await report(alice, ReportConversation(conversation, FULL[:1_000]))
        told = await store.reports(None, 10, False)
        assert [(each.reporter, each.kind, each.object, each.reason) for each in told] == [
            (sender(alice), "conversation", conversation, FULL[:1_000]),
            (sender(bob), "text", None, "Help"),
            (sender(bob), "text", None, "Help"),
            (sender(bob), "message", 1, None),
            (sender(bob), "conversation", conversation, "Rude"),
        ]
        assert {(each.created, each.resolved, each.resolved_by) for each in told} == {(NOW, None, None)}
        assert await store.reports(None, 2, False) == told[:2]
        assert await store.reports(told[1].id, 2, True) == told[2:4]


@in_reactor
async def test_resolving(database_url: str) -> None:
    """A report is resolved once, and is not among the unresolved then."""
    async with fair(database_url) as market:
        store, alice, carol = market.store, market.alice, market.carol
        for text in ("One", "Two"):
            await store.report(alice.id, ReportMessage(None, text), NOW)
        two, one = await store.reports(None, 10, True)
        resolved = Report(one.id, sender(alice), "text", None, "One", NOW, NOW + 5, carol.id)
        assert await store.resolve(one.id, carol.id, NOW + 5) == resolved
        assert await store.resolve(one.id, alice.id, NOW + 6) == resolved
        assert await store.resolve(NOBODY, carol.id, NOW) is None
        assert await store.reports(None, 10, True) == [two]
        assert await store.reports(None, 10, False) == [two, resolved]
        alone = await store.resolve(two.id, None, NOW + 7)
        assert alone is not None
        assert (alone.resolved, alone.resolved_by) == (NOW + 7, None)
