"""workspace over HTTP, for whoever holds a token (``Authorization: Bearer …``).

::

    GET    /v1/workspaces                                   {"workspaces": [{"id", "name"}]}
    POST   /v1/workspaces {"id", "name"}                    201; administrators
    GET    /v1/workspaces/{id}/channels?before=&limit=      {"channels": [ChannelModel], "next": id}
    POST   /v1/workspaces/{id}/channels {"name", "isPrivate"}   201 ChannelModel
    GET    /v1/workspaces/{id}/channels/{channel}           ChannelModel
    PATCH  /v1/workspaces/{id}/channels/{channel} {"name"}  ChannelModel; its creator, administrators
    DELETE /v1/workspaces/{id}/channels/{channel}           204; the same
    GET    /v1/workspaces/{id}/channels/{channel}/messages?before=&limit=   {"messages": [Message], "next": id}
    GET    /v1/workspaces/{id}/members?after=&limit=        {"members": [Member], "next": id}
    PUT    /v1/workspaces/{id}/members/{user}               204; administrators
    DELETE /v1/workspaces/{id}/members/{user}               204; administrators, and the user itself
    PUT    /v1/workspaces/{id}/channels/{channel}/members/{user}   204; its creator, administrators
    DELETE /v1/workspaces/{id}/channels/{channel}/members/{user}   204; the same, and the user itself
    POST   /v1/workspaces/{id}/events {"event", "data", "userIds"}  204; administrators

Member: ``{"id", "name", "onlineStatus"}``. Channels come newest first, messages oldest first, as lists of them
are shown. ``next`` is what to ask for as ``before`` (``after``), null at the end. Whether a channel is private
does not change: who may read what was said there was settled when it was said. To the open first workspace
everybody belongs, so nobody is invited to it or leaves it: 409.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final

from msgspec import Meta, Raw, Struct

from realtime.accounts.authentication import Authenticator
from realtime.cluster.errors import ClusterUnavailable
from realtime.web.api import Answered, ApiResource, Call, Handler, Refused, forbidden, not_found
from realtime.web.sharing import Sharing
from realtime.workspace.administration import Administration
from realtime.workspace.messages import ChannelModel, OnlineStatus, id_of
from realtime.workspace.standing import statuses_of
from realtime.workspace.store import LATEST

_MOST: Final = 100
_RESERVED: Final = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
"""Event names that clients keep for themselves."""


class _NewWorkspace(Struct, frozen=True):
    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    name: Annotated[str, Meta(min_length=1, max_length=100)]


class _NewChannel(Struct, frozen=True, rename="camel"):
    name: Annotated[str, Meta(min_length=3, max_length=100)]
    is_private: bool = False


class _Rename(Struct, frozen=True):
    name: Annotated[str, Meta(min_length=3, max_length=100)]


class _Publish(Struct, frozen=True, rename="camel"):
    event: Annotated[str, Meta(min_length=1, max_length=128)]
    data: Raw = Raw(b"null")
    user_ids: Annotated[list[str | int], Meta(max_length=1000)] | None = None


class _Member(Struct, frozen=True, rename="camel"):
    id: str
    name: str
    online_status: OnlineStatus


class WorkspacesResource(ApiResource):
    """Answers for everything below ``/v1/workspaces``."""

    def __init__(self, authenticator: Authenticator, sharing: Sharing, administration: Administration) -> None:
        super().__init__(authenticator, sharing)
        self._administration = administration

    async def read(self, call: Call) -> object:
        """GET."""
        match call.path:
            case ():
                return {"workspaces": await self._administration.membership.workspaces(call.user)}
            case (workspace, "channels"):
                return await self._channels(call, workspace)
            case (workspace, "members"):
                return await self._members(call, workspace)
            case (workspace, "channels", channel):
                return await self._channel(call, workspace, channel)
            case (workspace, "channels", channel, "messages"):
                return await self._messages(call, workspace, channel)
        raise not_found()

    async def create(self, call: Call) -> object:
        """POST."""
        match call.path:
            case ():
                _expect_administrator(call)
                new = call.body(_NewWorkspace)
                _expect_storable(new.name)
                return Answered(201, await self._administration.add_workspace(new.id, new.name))
            case (workspace, "channels"):
                body = call.body(_NewChannel)
                _expect_storable(body.name)
                channel = await self._administration.create_channel(
                    call.user, workspace, body.name, body.is_private
                )
                return Answered(201, channel)
            case (workspace, "events"):
                _expect_administrator(call)
                return await self._publish(call, workspace)
        raise not_found()

    async def change(self, call: Call) -> object:
        """PATCH."""
        match call.path:
            case (workspace, "channels", channel):
                name = call.body(_Rename).name
                _expect_storable(name)
                found = await self._own_channel(call, workspace, channel)
                return await self._administration.rename_channel(found, name)
        raise not_found()

    async def put(self, call: Call) -> object:
        """PUT."""
        match call.path:
            case (workspace, "members", user):
                _expect_administrator(call)
                await self._administration.invite(call.user, workspace, _id(user))
            case (workspace, "channels", channel, "members", user):
                found = await self._own_channel(call, workspace, channel)
                await self._administration.take_in(found, _id(user))
            case _:
                raise not_found()
        return Answered(204)

    async def remove(self, call: Call) -> object:
        """DELETE."""
        match call.path:
            case (workspace, "channels", channel):
                found = await self._own_channel(call, workspace, channel)
                await self._administration.delete_channel(found)
            case (workspace, "members", user):
                if _id(user) != call.user.id:
                    _expect_administrator(call)
                await self._administration.remove(call.user, workspace, _id(user))
            case (workspace, "channels", channel, "members", user):
                if _id(user) == call.user.id:
                    found = await self._channel(call, workspace, channel)
                else:
                    found = await self._own_channel(call, workspace, channel)
                await self._administration.put_out(found, _id(user))
            case _:
                raise not_found()
        return Answered(204)

    handlers: ClassVar[Mapping[str, Handler]] = {
        "GET": read,
        "POST": create,
        "PATCH": change,
        "PUT": put,
        "DELETE": remove,
    }

    async def _channels(self, call: Call, workspace: str) -> object:
        count, before = _page(call)
        found = await self._administration.channels.all(call.user, workspace, before, count)
        if found is None:
            raise not_found()
        return {"channels": found, "next": found[-1].id if len(found) == count else None}

    async def _members(self, call: Call, workspace: str) -> object:
        count = call.number("limit", default=50, least=1, most=_MOST)
        after = call.number("after", default=0, least=0, most=LATEST)
        await self._administration.expect_visible(call.user, workspace)
        found = await self._administration.membership.members(workspace, after, count)
        try:
            statuses = await statuses_of(self._administration.presence, workspace, [each.id for each in found])
        except ClusterUnavailable:
            raise Refused(503, "unavailable", "Temporarily unavailable.") from None
        members = [_Member(each.id, each.name, status) for each, status in zip(found, statuses, strict=True)]
        return {"members": members, "next": found[-1].id if len(found) == count else None}

    async def _channel(self, call: Call, workspace: str, channel: str) -> ChannelModel:
        found = await self._administration.channels.one(call.user, workspace, _id(channel))
        if found is None:
            raise not_found()
        return found

    async def _own_channel(self, call: Call, workspace: str, channel: str) -> ChannelModel:
        found = await self._channel(call, workspace, channel)
        if not call.user.is_admin and found.creator_id != str(call.user.id):
            raise forbidden("The channel's creator and administrators alone may do this.")
        return found

    async def _messages(self, call: Call, workspace: str, channel: str) -> object:
        count, before = _page(call)
        found = await self._channel(call, workspace, channel)
        said = await self._administration.channels.said(int(found.id), before, count)
        return {"messages": said, "next": said[0].id if len(said) == count else None}

    async def _publish(self, call: Call, workspace: str) -> object:
        body = call.body(_Publish)
        if body.event in _RESERVED:
            raise Refused(400, "bad-request", "This name is a client's own.")
        user_ids = None
        if body.user_ids is not None:  # what can be no user's id is nobody's, like an id that no user has
            user_ids = [user_id for user_id in map(id_of, body.user_ids) if user_id is not None]
        await self._administration.publish(call.user, workspace, body.event, body.data, user_ids)
        return Answered(204)


def _page(call: Call) -> tuple[int, int]:
    count = call.number("limit", default=50, least=1, most=_MOST)
    return count, call.number("before", default=LATEST, least=1, most=LATEST)


def _id(text: str | int) -> int:
    found = id_of(text)
    if found is None:
        raise not_found()
    return found


def _expect_administrator(call: Call) -> None:
    if not call.user.is_admin:
        raise forbidden("Administrators alone may do this.")


def _expect_storable(text: str) -> None:
    if "\0" in text:
        raise Refused(400, "bad-request", "A name may not hold U+0000.")
