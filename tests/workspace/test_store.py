"""What is kept of workspaces, on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct
from twisted.internet.defer import gatherResults

from realtime.accounts.store import AccountStore, User
from realtime.storage.errors import Conflict
from realtime.workspace.membership import Membership, Workspace
from realtime.workspace.messages import ChannelModel, Person, SendMessage
from realtime.workspace.store import LATEST, ChannelStore
from tests.reactor import in_reactor
from tests.storage.works import opened, outcome

NOW = 1_700_000_000_123
FULL = "\U0001f600" * 10_000


class Team(Struct, frozen=True):
    """Workspaces with three users."""

    membership: Membership
    channels: ChannelStore
    alice: User
    bob: User
    admin: User

    async def channel(self, *, is_private: bool = False, workspace: str = "default") -> ChannelModel:
        """A new channel of alice's."""
        channel = await self.channels.create(self.alice, workspace, "Größe ☃", is_private, NOW)
        assert channel is not None
        return channel


@asynccontextmanager
async def team(url: str, *, is_open: bool = True) -> AsyncIterator[Team]:
    """Workspaces on a new database."""
    async with opened(url) as database:
        accounts = AccountStore(database)
        alice, bob = await gatherResults([accounts.add(name, "") for name in ("alice", "bob")])
        admin = await accounts.add("admin", "", is_admin=True)
        membership = Membership(database, is_open=is_open)
        yield Team(membership, ChannelStore(database, membership), alice, bob, admin)


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
        renamed = await world.channels.rename(channel, "\U0001f600" * 100)
        assert await world.channels.one(world.bob, "default", int(channel.id)) == renamed


@in_reactor
async def test_messages(database_url: str) -> None:
    """A message is kept once for each id of its sender's, and read back as it was written."""
    async with team(database_url) as world:
        channel = await world.channel()
        send = SendMessage(channel.id, FULL, "c1")
        both = await gatherResults([world.channels.say(world.bob, send, NOW) for _ in range(2)])
        assert [said.is_new for said in both if said is not None] == [True, False]
        first = both[0]
        assert first is not None
        assert both[1] is not None
        assert both[1].message == first.message
        assert (first.message.text, first.channel) == (FULL, channel)
        for user, key in ((world.alice, "c1"), (world.bob, "c1 "), (world.bob, None), (world.bob, None)):
            said = await world.channels.say(user, SendMessage(int(channel.id), "x", key), NOW)
            assert said is not None
            assert said.is_new
        found = await world.channels.said(int(channel.id), LATEST, 10)
        assert [each.text for each in found] == [FULL, "x", "x", "x", "x"]
        assert await world.channels.said(int(channel.id), int(found[-1].id), 2) == found[2:4]
        for nowhere in ("999", "x", 2**40):
            assert await world.channels.say(world.bob, SendMessage(nowhere, "x"), NOW) is None


@in_reactor
async def test_the_same_by_two_processes(database_url: str) -> None:
    """The same id by two processes at once is stored once."""
    async with team(database_url) as world, opened(database_url) as other:
        channel = await world.channel()
        elsewhere = ChannelStore(other, Membership(other, is_open=True))
        for number in range(10):
            send = SendMessage(channel.id, "x", str(number))
            said = await gatherResults(
                [store.say(world.bob, send, NOW) for store in (world.channels, elsewhere)]
            )
            assert sorted(each.is_new for each in said if each is not None) == [False, True]
        assert len(await world.channels.said(int(channel.id), LATEST, 100)) == 10


@in_reactor
async def test_private_channels(database_url: str) -> None:
    """Who is taken in sees what is said, and who is put out does not any more."""
    async with team(database_url) as world:
        secret = await world.channel(is_private=True)
        send = SendMessage(secret.id, "x")
        assert await world.channels.say(world.bob, send, NOW) is None
        for _ in range(2):
            assert await world.channels.take_in(secret, world.bob.id) == Person(str(world.bob.id), "bob")
        assert (await world.membership.places(world.bob)).channels == [int(secret.id)]
        assert await world.channels.say(world.bob, send, NOW) is not None
        assert await world.channels.take_in(secret, 999) is None
        assert [await world.channels.put_out(secret, world.bob.id) for _ in range(2)] == [1, 0]
        assert await world.channels.say(world.bob, send, NOW) is None


@in_reactor
async def test_deleted(database_url: str) -> None:
    """A channel goes with what was said in it and with its members, once."""
    async with team(database_url) as world:
        secret, other = await world.channel(is_private=True), await world.channel()
        for channel in (secret, other):
            await world.channels.say(world.alice, SendMessage(channel.id, "x"), NOW)
        assert [await world.channels.delete(secret) for _ in range(2)] == [1, 0]
        assert (await world.membership.places(world.alice)).channels == []
        assert await world.channels.said(int(secret.id), LATEST, 10) == []
        assert len(await world.channels.said(int(other.id), LATEST, 10)) == 1
        assert await world.channels.say(world.alice, SendMessage(secret.id, "x"), NOW) is None


@in_reactor
async def test_members(database_url: str) -> None:
    """One belongs by invitation, in the private channels too, until that is ended."""
    async with team(database_url, is_open=False) as world:
        membership, alice, bob = world.membership, world.alice, world.bob
        assert await membership.create("team", "Team ☃", NOW) == Workspace("team", "Team ☃")
        assert isinstance(await outcome(membership.create("team", "again", NOW)), Conflict)
        for user in (alice, bob):
            assert await membership.workspaces(user) == []
            for _ in range(2):
                assert await membership.add("team", user.id) == Person(str(user.id), user.name)
        assert await membership.add("team", 999) is None
        assert await membership.add("other", bob.id) is None
        assert [each.id for each in await membership.workspaces(bob)] == ["team"]
        assert [each.id for each in await membership.workspaces(world.admin)] == ["default", "team"]
        assert [each.name for each in await membership.members("team", 0, 10)] == ["alice", "bob"]
        assert [each.name for each in await membership.members("team", alice.id, 10)] == ["bob"]
        assert await membership.those_of("team", [bob.id, 999, bob.id]) == [bob.id]
        secret = await world.channel(is_private=True, workspace="team")
        await world.channels.take_in(secret, bob.id)
        assert await membership.remove("team", bob.id) == [int(secret.id)]
        assert await membership.remove("team", bob.id) is None
        assert (await membership.places(bob)).channels == []
        assert await world.channels.take_in(secret, bob.id) is None
        assert await world.channels.say(bob, SendMessage(secret.id, "x"), NOW) is None


@in_reactor
async def test_open(database_url: str) -> None:
    """To the open one everybody belongs without a row."""
    async with team(database_url) as world:
        assert [each.id for each in await world.membership.workspaces(world.bob)] == ["default"]
        assert (await world.membership.places(world.bob)).workspaces == ["default"]
        names = [each.name for each in await world.membership.members("default", 0, 10)]
        assert names == ["alice", "bob", "admin"]
        assert await world.membership.is_visible(world.bob, "default")
        assert not await world.membership.is_visible(world.admin, "other")
