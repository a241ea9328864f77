"""What is kept of channels and of what is said in them, on each database."""

from __future__ import annotations

from threading import Event
from typing import Any

import pytest
from msgspec.structs import replace
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from realtime.accounts.errors import TokenInvalid
from realtime.accounts.store import User
from realtime.cluster import heard
from realtime.storage.database import Database
from realtime.storage.transaction import Transaction
from realtime.workspace import store
from realtime.workspace.membership import Joined, Membership
from realtime.workspace.messages import ChannelModel, Person, SendMessage
from realtime.workspace.store import LATEST, ChannelStore, Said, TooMany
from tests.reactor import in_reactor
from tests.storage.works import opened, outcome
from tests.workspace.teams import NOW, elsewhere, team

FULL = "\U0001f600" * 10_000

ODD = [
    *("general", "General", "general ", " general", "ge\u0301ne\u0301ral", "g\u00e9n\u00e9ral"),
    *(
        "\u05e9\u05dc\u05d5\u05dd \u202e!",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "stra\u00dfe",
        "strasse",
    ),
    *(
        "' OR ''='",
        "%_\\%s{}:x",
        "\u0131\u0130iI",
        "\uffff\ufffe\U0010ffff",
        "\x01\x7f\x85\u2028",
        "\u3000\u200b\ufeff",
    ),
    *("\U0001f600" * 100, "x" * 100),
]
"""Texts that databases are known to take for one another, to trim, or to refuse."""

ROUNDS = 10
SECONDS = 10.0


@in_reactor
async def test_channels(database_url: str) -> None:
    """A channel is found as it was stored, by all who may see it."""
    async with team(database_url) as world:
        channel = await world.channel()
        expected = ChannelModel(
            channel.id, "Größe ☃", False, "default", str(world.alice.id), "2023-11-14T22:13:20.123Z"
        )
        assert channel == expected
        secret = await world.channel(is_private=True)
        for user, seen in ((world.alice, [secret, channel]), (world.bob, [channel]), (world.admin, [channel])):
            assert await world.channels.all(user, "default", LATEST, 10) == seen
        assert await world.channels.all(world.alice, "default", int(secret.id), 1) == [channel]
        assert await world.channels.all(world.alice, "other", LATEST, 10) is None
        assert await world.channels.one(world.bob, "default", int(secret.id)) is None
        assert await world.channels.one(world.admin, "default", int(secret.id)) == secret
        assert await world.channels.one(world.alice, "other", int(channel.id)) is None
        assert await world.channels.one(world.alice, "default ", int(channel.id)) is None
        renamed = await world.channels.rename(channel, "lounge")
        assert renamed is not None
        assert renamed.name == "lounge"
        assert await world.channels.one(world.bob, "default", int(channel.id)) == renamed


@in_reactor
async def test_any_text(database_url: str) -> None:
    """Names, texts and the clients' own ids are kept to the code point, and need not be unique but those."""
    async with team(database_url) as world:
        channels = [await world.channel(name=name) for name in [*ODD, *ODD]]
        found = await world.channels.all(world.bob, "default", LATEST, 100)
        assert found is not None
        assert [each.name for each in reversed(found)] == [*ODD, *ODD]
        for name in ODD:
            renamed = await world.channels.rename(channels[0], name)
            assert await world.channels.one(world.bob, "default", int(channels[0].id)) == renamed
        first = [await world.say(world.bob, channels[0], text, text) for text in ODD]
        assert all(said.is_new for said in first)
        again = [await world.say(world.bob, channels[0], "another", text) for text in ODD]
        assert [said.message for said in again] == [said.message for said in first]
        assert [each.text for each in await world.channels.said(int(channels[0].id), LATEST, 100)] == ODD


@in_reactor
async def test_messages(database_url: str) -> None:
    """A message is kept once for each id of its sender's in a channel."""
    async with team(database_url) as world:
        channel, other = await world.channel(), await world.channel()
        both = await gatherResults([world.say(world.bob, channel, FULL, "c1") for _ in range(2)])
        assert [said.is_new for said in both] == [True, False]
        assert both[1].message == both[0].message
        assert (both[0].message.text, both[0].channel) == (FULL, channel)
        for user, key in ((world.alice, "c1"), (world.bob, "c1 "), (world.bob, None), (world.bob, None)):
            assert (await world.say(user, channel, "x", key)).is_new
        assert (await world.say(world.bob, other, "x", "c1")).is_new
        found = await world.channels.said(int(channel.id), LATEST, 10)
        assert [each.text for each in found] == [FULL, "x", "x", "x", "x"]
        for nowhere in ("999", "x", 2**40):
            assert await world.channels.say(world.bob, SendMessage(nowhere, "x"), NOW) is None


@in_reactor
async def test_missed(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which messages there are since a time, the newest of very many; and they themselves, and where."""
    monkeypatch.setattr(heard, "_PAGE", 3)
    async with team(database_url) as world:
        channel, secret = await world.channel(), await world.channel(is_private=True)
        said = [await world.say(world.alice, where, f"{n}") for n in range(4) for where in (channel, secret)]
        ids = [int(each.message.id) for each in said]
        assert await world.channels.said_since(NOW) == ids[::-1]
        assert await world.channels.said_since(NOW + 1) == []
        monkeypatch.setattr(heard, "NEWEST", 5)
        assert await world.channels.said_since(0) == ids[:1:-1]
        assert await world.channels.those_said(ids[:2]) == {
            each: replace(told, is_new=False) for each, told in zip(ids[:2], said, strict=False)
        }
        assert await world.channels.those_said([ids[-1] + 1]) == {}


@in_reactor
async def test_pages(database_url: str) -> None:
    """Page by page everything comes once, in order, though more is said and made meanwhile."""
    async with team(database_url) as world:
        channels = [await world.channel() for _ in range(7)]
        said = [(await world.say(world.bob, channels[0], str(number))).message for number in range(7)]
        before, seen = LATEST, list[object]()
        while page := await world.channels.said(int(channels[0].id), before, 3):
            seen[:0] = page
            before = int(page[0].id)
            await world.say(world.bob, channels[0], "more")
        assert seen == said
        before, seen = LATEST, []
        while listed := await world.channels.all(world.bob, "default", before, 3):
            seen += listed
            before = int(listed[-1].id)
            await world.channel()
        assert seen == channels[::-1]


@in_reactor
async def test_the_same_by_two_processes(database_url: str) -> None:
    """The same id by two processes at once is stored once, and both have it."""
    async with team(database_url) as world, elsewhere(database_url, world) as other:
        channel = await world.channel()
        for number in range(ROUNDS):
            first, second = await gatherResults(
                [each.say(world.bob, channel, "x", str(number)) for each in (world, other)]
            )
            assert first.message == second.message
            assert first.is_new is not second.is_new
        assert len(await world.channels.said(int(channel.id), LATEST, 100)) == ROUNDS


@in_reactor
async def test_private_channels(database_url: str) -> None:
    """Who is taken in may say something, and who is put out may not any more; twice is once."""
    async with team(database_url) as world:
        secret = await world.channel(is_private=True)
        assert not await world.may_say(world.bob, secret)
        bob = Person(str(world.bob.id), "bob")
        taken = [await world.channels.take_in(secret, world.bob.id) for _ in range(2)]
        assert taken == [Joined(bob, is_new=True), Joined(bob, is_new=False)]
        assert (await world.membership.places(world.bob)).channels == [int(secret.id)]
        assert await world.may_say(world.bob, secret)
        assert not await world.may_say(world.admin, secret)
        assert await world.channels.take_in(secret, 999) is None
        assert [await world.channels.put_out(secret, world.bob.id) for _ in range(2)] == [1, 0]
        assert not await world.may_say(world.bob, secret)


@in_reactor
async def test_taken_in_by_two_processes(database_url: str) -> None:
    """Of two processes that take somebody in one does so, and the other finds that it is so."""
    async with team(database_url) as world, elsewhere(database_url, world) as other:
        for _ in range(ROUNDS):
            secret = await world.channel(is_private=True)
            both = await gatherResults([each.channels.take_in(secret, world.bob.id) for each in (world, other)])
            assert sorted(each.is_new for each in both if each is not None) == [False, True]


@in_reactor
async def test_too_many(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One may be in so many private channels; in how many others does not matter."""
    monkeypatch.setattr(store, "MOST_PRIVATE", 2)
    async with team(database_url) as world:
        channels = [await world.channel(is_private=True) for _ in range(2)]
        with pytest.raises(TooMany):
            await world.channel(is_private=True)
        await world.channel()
        bobs = await world.channels.create(world.bob, "default", "bob's", True, NOW)
        assert bobs is not None
        with pytest.raises(TooMany):
            await world.channels.take_in(bobs, world.alice.id)
        assert await world.channels.take_in(channels[0], world.alice.id) is not None
        await world.channels.put_out(channels[0], world.alice.id)
        await world.channel(is_private=True)


@in_reactor
async def test_deleted(database_url: str) -> None:
    """A channel goes with what was said in it and with its members, once; it can't be changed any more."""
    async with team(database_url) as world:
        secret, other = await world.channel(is_private=True), await world.channel()
        await world.channels.take_in(secret, world.bob.id)
        for channel in (secret, other):
            await world.say(world.alice, channel)
        deleted = await world.channels.delete(secret)
        assert deleted is not None
        assert sorted(deleted) == sorted([world.alice.id, world.bob.id])
        assert await world.channels.delete(secret) is None
        assert (await world.membership.places(world.alice)).channels == []
        assert await world.channels.said(int(secret.id), LATEST, 10) == []
        assert len(await world.channels.said(int(other.id), LATEST, 10)) == 1
        assert not await world.may_say(world.alice, secret)
        assert await world.channels.rename(secret, "again") is None
        assert await world.channels.take_in(secret, world.bob.id) is None
        assert await world.channels.put_out(secret, world.bob.id) == 0
        assert await world.channels.delete(other) == []
        assert int((await world.channel()).id) > int(other.id)


@in_reactor
async def test_deleted_while_it_is_used(database_url: str) -> None:
    """What is done to a channel while another process deletes it comes before that, or finds nothing."""
    async with team(database_url) as world, elsewhere(database_url, world) as other:
        for early in range(ROUNDS):
            secret = await world.channel(is_private=True)
            send = SendMessage(secret.id, "x")

            def use(secret: ChannelModel = secret, send: SendMessage = send) -> list[Deferred[Any]]:
                said = [other.channels.say(world.alice, send, NOW) for _ in range(3)]
                taken_in = other.channels.take_in(secret, world.bob.id)
                renamed = other.channels.rename(secret, "renamed")
                some: list[Deferred[Any]] = [*said, taken_in, renamed]
                return [outcome(each) for each in some]

            using = [use() for _ in range(early)]  # of these the first few commits are over when it is deleted
            deleted = await world.channels.delete(secret)
            results = await gatherResults([each for some in (*using, use()) for each in some])
            wrong = [each for each in results if not isinstance(each, Said | Joined | ChannelModel | None)]
            assert wrong == []
            assert deleted is not None
            assert world.alice.id in deleted
            assert await other.channels.said(int(secret.id), LATEST, 10) == []
            for user in (world.alice, world.bob):
                assert (await other.membership.places(user)).channels == []


class Slow(Membership):
    """Stops between what is looked up and what is stored."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, is_open=True)
        self.stopped, self.goes_on = Event(), Event()

    def belongs(self, transaction: Transaction, workspace: str, user_id: int) -> bool:
        """See `Membership.belongs`."""
        self.stopped.set()
        assert self.goes_on.wait(SECONDS)
        return super().belongs(transaction, workspace, user_id)

    stays = belongs


@in_reactor
async def test_deleted_right_before_it_is_stored(database_url: str) -> None:
    """What was to be stored in a channel that another process has just deleted finds nothing."""
    if database_url.startswith("sqlite"):
        pytest.skip("one process writes at a time")
    async with team(database_url) as world, opened(database_url) as database:
        for is_said in (True, False):
            secret, membership = await world.channel(is_private=True), Slow(database)
            slow = ChannelStore(database, membership)
            waiting: Deferred[Any]
            if is_said:
                waiting = slow.say(world.alice, SendMessage(secret.id, "x"), NOW)
            else:
                waiting = slow.take_in(secret, world.bob.id)
            assert await deferToThread(membership.stopped.wait, SECONDS)
            try:
                assert await world.channels.delete(secret) == [world.alice.id]
            finally:
                membership.goes_on.set()
            assert await waiting is None


@in_reactor
async def test_gone(database_url: str) -> None:
    """Whose account is gone can't do anything that is stored with its name."""
    async with team(database_url) as world:
        nobody = User(999, "nobody", is_admin=False)
        channel = await world.channel()
        with pytest.raises(TokenInvalid):
            await world.channels.say(nobody, SendMessage(channel.id, "x"), NOW)
        for is_private in (True, False):
            with pytest.raises(TokenInvalid):
                await world.channels.create(nobody, "default", "mine", is_private, NOW)
