"""Workspaces on a real database, for the tests of what is kept of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct
from twisted.internet.defer import Deferred, gatherResults

from realtime.accounts.store import AccountStore, User
from realtime.workspace.membership import Membership
from realtime.workspace.messages import ChannelModel, SendMessage
from realtime.workspace.store import ChannelStore, Said
from tests.storage.works import opened

NOW = 1_700_000_000_123


class Team(Struct, frozen=True):
    """Workspaces with three users."""

    membership: Membership
    channels: ChannelStore
    alice: User
    bob: User
    admin: User

    async def channel(
        self, *, name: str = "Größe ☃", is_private: bool = False, workspace: str = "default"
    ) -> ChannelModel:
        """A new channel of alice's."""
        channel = await self.channels.create(self.alice, workspace, name, is_private, NOW)
        assert channel is not None
        return channel

    def say(
        self, user: User, channel: ChannelModel, text: str = "x", client_id: str | None = None
    ) -> Deferred[Said]:
        """What somebody has said."""

        def there(said: Said | None) -> Said:
            assert said is not None
            return said

        return self.channels.say(user, SendMessage(channel.id, text, client_id), NOW).addCallback(there)

    async def may_say(self, user: User, channel: ChannelModel) -> bool:
        """Whether somebody can say something there."""
        return await self.channels.say(user, SendMessage(channel.id, "x"), NOW) is not None


@asynccontextmanager
async def team(url: str, *, is_open: bool = True) -> AsyncIterator[Team]:
    """Workspaces on a new database."""
    async with opened(url) as database:
        accounts = AccountStore(database)
        alice, bob = await gatherResults([accounts.add(name, "") for name in ("alice", "bob")])
        admin = await accounts.add("admin", "", is_admin=True)
        membership = Membership(database, is_open=is_open)
        yield Team(membership, ChannelStore(database, membership), alice, bob, admin)


@asynccontextmanager
async def elsewhere(url: str, world: Team, *, is_open: bool = True) -> AsyncIterator[Team]:
    """The same, as another process sees it."""
    async with opened(url) as database:
        membership = Membership(database, is_open=is_open)
        yield Team(membership, ChannelStore(database, membership), world.alice, world.bob, world.admin)
