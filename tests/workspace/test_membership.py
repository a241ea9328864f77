"""Who belongs where, on each database."""

from __future__ import annotations

from twisted.internet.defer import gatherResults

from realtime.accounts.store import User
from realtime.storage.errors import Conflict
from realtime.workspace.membership import Joined, Places, Workspace
from realtime.workspace.messages import Person
from realtime.workspace.store import LATEST
from tests.reactor import in_reactor
from tests.storage.works import outcome
from tests.workspace.teams import NOW, Team, elsewhere, team

ROUNDS = 10


async def invited(world: Team, *users: User, workspace: str = "team") -> None:
    """Have another workspace, to which some belong."""
    await world.membership.create(workspace, workspace, NOW)
    for user in users:
        assert await world.membership.add(workspace, user.id) is not None


@in_reactor
async def test_open(database_url: str) -> None:
    """To the open first workspace everybody belongs without a row."""
    async with team(database_url) as world:
        membership = world.membership
        assert await membership.workspaces(world.bob) == [Workspace("default", "default")]
        assert await membership.places(world.bob) == Places(["default"], [])
        assert [each.name for each in await membership.members("default", 0, 10)] == ["alice", "bob", "admin"]
        assert [each.name for each in await membership.members("default", world.alice.id, 1)] == ["bob"]
        assert await membership.is_visible(world.bob, "default")
        for workspace in ("other", "default ", "Default", "", "x" * 1000, "\0", "\U0001f600"):
            for user in (world.bob, world.admin):
                assert not await membership.is_visible(user, workspace)


@in_reactor
async def test_closed(database_url: str) -> None:
    """When it is open no longer one belongs by invitation, in the channels that were there too."""
    async with team(database_url) as world, elsewhere(database_url, world, is_open=False) as closed:
        channel, secret = await world.channel(), await world.channel(is_private=True)
        assert await closed.membership.places(world.alice) == Places([], [])
        assert await closed.membership.workspaces(world.alice) == []
        assert await closed.channels.all(world.alice, "default", LATEST, 10) is None
        for each in (channel, secret):
            assert await closed.channels.one(world.alice, "default", int(each.id)) is None
            assert not await closed.may_say(world.alice, each)
        assert await closed.channels.create(world.alice, "default", "mine", False, NOW) is None
        assert await closed.membership.members("default", 0, 10) == []
        await closed.membership.add("default", world.alice.id)
        assert await closed.membership.places(world.alice) == Places(["default"], [int(secret.id)])
        assert await closed.may_say(world.alice, secret)


@in_reactor
async def test_invited(database_url: str) -> None:
    """One belongs by invitation; twice is once, and nobody is invited who or where there is nothing."""
    async with team(database_url, is_open=False) as world:
        membership, bob = world.membership, world.bob
        assert await membership.create("team", "Team ☃", NOW) == Workspace("team", "Team ☃")
        assert isinstance(await outcome(membership.create("team", "again", NOW)), Conflict)
        person = Person(str(bob.id), "bob")
        joined = [await membership.add("team", bob.id) for _ in range(2)]
        assert joined == [Joined(person, is_new=True), Joined(person, is_new=False)]
        assert await membership.add("team", 999) is None
        assert await membership.add("other", bob.id) is None
        assert await membership.workspaces(bob) == [Workspace("team", "Team ☃")]
        assert await membership.workspaces(world.alice) == []
        assert [each.id for each in await membership.workspaces(world.admin)] == ["default", "team"]
        assert await membership.is_visible(bob, "team")
        assert not await membership.is_visible(bob, "default")
        assert not await membership.is_visible(world.alice, "team")
        assert await membership.is_visible(world.admin, "team")


@in_reactor
async def test_pages(database_url: str) -> None:
    """Members come by their ids, page by page; of some users those who belong are found."""
    async with team(database_url) as world:
        await invited(world, world.alice, world.admin)
        names = [each.name for each in await world.membership.members("team", 0, 10)]
        assert names == ["alice", "admin"]
        assert [each.name for each in await world.membership.members("team", world.alice.id, 10)] == ["admin"]
        assert [each.name for each in await world.membership.members("team", 0, 1)] == ["alice"]
        many = [*range(1000, 1199), world.admin.id, world.bob.id, world.alice.id, world.admin.id]
        assert await world.membership.those_of("team", many) == [world.admin.id, world.alice.id]
        assert await world.membership.those_of("team", []) == []
        assert await world.membership.those_of("default", [world.bob.id, 1000, world.bob.id]) == [
            world.bob.id,
            1000,
        ]


@in_reactor
async def test_put_out(database_url: str) -> None:
    """Who is put out is so in its private channels there too, and nowhere else; once."""
    async with team(database_url) as world:
        await invited(world, world.alice, world.bob)
        secret = await world.channel(is_private=True, workspace="team")
        kept = await world.channel(is_private=True)
        for channel in (secret, kept):
            await world.channels.take_in(channel, world.bob.id)
        assert await world.membership.remove("team", world.bob.id) == [int(secret.id)]
        assert await world.membership.remove("team", world.bob.id) is None
        assert await world.membership.places(world.bob) == Places(["default"], [int(kept.id)])
        assert await world.channels.take_in(secret, world.bob.id) is None
        assert not await world.may_say(world.bob, secret)
        assert await world.may_say(world.bob, kept)
        await world.membership.add("team", world.bob.id)
        assert not await world.may_say(world.bob, secret)


@in_reactor
async def test_an_administrator_elsewhere(database_url: str) -> None:
    """An administrator makes channels where it does not belong, but is in none of them."""
    async with team(database_url) as world:
        await invited(world, world.bob)
        for is_private in (True, False):
            channel = await world.channels.create(world.admin, "team", "by admin", is_private, NOW)
            assert channel is not None
            assert await world.channels.one(world.admin, "team", int(channel.id)) == channel
            assert not await world.may_say(world.admin, channel)
            if is_private:
                assert await world.channels.take_in(channel, world.bob.id) is not None
            assert await world.may_say(world.bob, channel)
        assert (await world.membership.places(world.admin)).channels == []


@in_reactor
async def test_two_processes(database_url: str) -> None:
    """Of two that invite one does, of two that put out one does; and nobody is taken in who is put out."""
    async with team(database_url) as world, elsewhere(database_url, world) as other:
        await invited(world, world.alice)
        secret = await world.channel(is_private=True, workspace="team")
        for _ in range(ROUNDS):
            added = await gatherResults([each.membership.add("team", world.bob.id) for each in (world, other)])
            assert sorted(each.is_new for each in added if each is not None) == [False, True]
            _, *removed = await gatherResults(
                [
                    outcome(world.channels.take_in(secret, world.bob.id)),
                    outcome(other.membership.remove("team", world.bob.id)),
                    outcome(world.membership.remove("team", world.bob.id)),
                ]
            )
            assert sorted(each is None for each in removed) == [False, True]
            await world.membership.add("team", world.bob.id)
            assert (await world.membership.places(world.bob)).channels == []
            await world.membership.remove("team", world.bob.id)
