"""What changes workspaces and channels, whoever asks for it: stored first, then told to those concerned."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw
from twisted.internet.interfaces import IReactorTime

from realtime.accounts.store import User
from realtime.cluster.presence import Presence
from realtime.storage.errors import Conflict
from realtime.web.api import Refused, not_found
from realtime.workspace.hub import (
    Hub,
    Moved,
    room_of_channel,
    room_of_private,
    room_of_user,
    room_of_workspace,
)
from realtime.workspace.membership import Membership, Workspace
from realtime.workspace.messages import ChannelDeleted, ChannelModel, UserJoined, UserLeft
from realtime.workspace.store import ChannelStore, TooMany


class Administration:
    """Changes what is there. What can't be done is `Refused`."""

    def __init__(
        self,
        *,
        membership: Membership,
        channels: ChannelStore,
        hub: Hub,
        presence: Presence,
        clock: IReactorTime,
    ) -> None:
        self.membership = membership
        self.channels = channels
        self.presence = presence
        self._hub = hub
        self._clock = clock

    # -- workspaces ----------------------------------------------------------------------------

    async def add_workspace(self, workspace: str, name: str) -> Workspace:
        """Make a workspace; nobody belongs to it yet."""
        try:
            return await self.membership.create(workspace, name, self._now())
        except Conflict:
            raise Refused(409, "conflict", "There is such a workspace already.") from None

    async def expect_visible(self, user: User, workspace: str) -> None:
        """Refuse whoever asks for a workspace that is not there, or not for him."""
        if not await self.membership.is_visible(user, workspace):
            raise not_found()

    async def invite(self, by: User, workspace: str, user_id: int) -> None:
        """Let a user belong to a workspace, and its connections hear what happens there. Twice is once."""
        await self._expect_closed(by, workspace)
        joined = await self.membership.add(workspace, user_id)
        if joined is None:
            raise not_found()
        if joined.is_new:
            came = UserJoined(joined.person, workspace)
            self._hub.take_in(user_id, room_of_workspace(workspace), "user-joined", came)

    async def remove(self, by: User, workspace: str, user_id: int) -> None:
        """End that. The user is told as well, before it hears no more."""
        await self._expect_closed(by, workspace)
        channels = await self.membership.remove(workspace, user_id)
        if channels is None:
            raise not_found()
        room = room_of_workspace(workspace)
        self._hub.tell(room, "user-leaved-workspace", UserLeft(str(user_id), workspace))
        rooms = [room_of_private(channel) for channel in channels]
        self._hub.move(user_id, Moved(leaves=(room, *rooms)))

    async def publish(
        self, by: User, workspace: str, event: str, data: Raw, user_ids: Sequence[int] | None
    ) -> None:
        """Tell all who belong to a workspace, or some of its users, an event of somebody else's making."""
        await self.expect_visible(by, workspace)
        if user_ids is None:
            self._hub.tell(room_of_workspace(workspace), event, data)
            return
        for user_id in await self.membership.those_of(workspace, user_ids):
            self._hub.tell(room_of_user(user_id), event, data)

    async def _expect_closed(self, by: User, workspace: str) -> None:
        await self.expect_visible(by, workspace)
        if self.membership.everybody_belongs(workspace):
            raise Refused(409, "conflict", "Everybody belongs to this workspace.")

    # -- channels ------------------------------------------------------------------------------

    async def create_channel(self, creator: User, workspace: str, name: str, is_private: bool) -> ChannelModel:
        """Make a channel, and tell all who may see it."""
        try:
            channel = await self.channels.create(creator, workspace, name, is_private, self._now())
        except TooMany:
            raise _too_many() from None
        if channel is None:
            raise not_found()
        room = room_of_channel(channel)
        if channel.is_private:
            self._hub.take_in(creator.id, room, "channel-created", channel)
        else:
            self._hub.tell(room, "channel-created", channel)
        return channel

    async def rename_channel(self, channel: ChannelModel, name: str) -> ChannelModel:
        """Give a channel another name."""
        changed = await self.channels.rename(channel, name)
        if changed is None:
            raise not_found()
        self._hub.tell(room_of_channel(changed), "channel-updated", changed)
        return changed

    async def delete_channel(self, channel: ChannelModel) -> None:
        """Remove a channel with all that was said in it."""
        members = await self.channels.delete(channel)
        if members is None:
            raise not_found()
        room = room_of_channel(channel)
        self._hub.tell(room, "channel-deleted", ChannelDeleted(channel.id))
        for user_id in members:
            self._hub.move(user_id, Moved(leaves=(room,)))

    async def take_in(self, channel: ChannelModel, user_id: int) -> None:
        """Let a user belong to a private channel. It is told of the channel, the others of it; once."""
        self._expect_private(channel)
        try:
            joined = await self.channels.take_in(channel, user_id)
        except TooMany:
            raise _too_many() from None
        if joined is None:
            raise not_found()
        if joined.is_new:
            room = room_of_channel(channel)
            self._hub.tell(room_of_user(user_id), "channel-created", channel)
            came = UserJoined(joined.person, channel.workspace_id, channel.id)
            self._hub.take_in(user_id, room, "user-joined", came)

    async def put_out(self, channel: ChannelModel, user_id: int) -> None:
        """End that. The user is told as well, before it hears no more."""
        self._expect_private(channel)
        if not await self.channels.put_out(channel, user_id):
            raise not_found()
        room = room_of_channel(channel)
        left = UserLeft(str(user_id), channel.workspace_id, channel.id)
        self._hub.tell(room, "user-leaved-workspace", left)
        self._hub.move(user_id, Moved(leaves=(room,)))

    def _expect_private(self, channel: ChannelModel) -> None:
        if not channel.is_private:
            raise Refused(409, "conflict", "All who belong to the workspace belong to this channel.")

    def _now(self) -> int:
        return int(self._clock.seconds() * 1000)


def _too_many() -> Refused:
    return Refused(409, "conflict", "One may be in no more private channels.")
