"""A client of workspace (docs/workspace.md), over Socket.IO's WebSocket.

- After a connection was lost, the server gives what was missed, in order and once, if the client is back soon
  enough and to the same server (`WorkspaceClient.is_recovered`). If not, `WorkspaceClient.messages` reads it.
- What was sent and not acknowledged before the connection was lost fails with `ConnectionLost`. A message with
  a ``client_id`` may be sent again: it is stored once.
- When the token expires, a fresh one is presented, if ``token`` is a function that has one.

Listeners: `Message`, `ChannelCreated`, `ChannelUpdated`, `ChannelDeleted`, `UserJoined`, `UserLeft`,
`StatusUpdated`, and `Published` for events of other names, from the back end behind the server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Raw, Struct
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from realtime.client.asking import Answer, address_of, ask
from realtime.client.client import Options, Token
from realtime.client.errors import RequestFailed
from realtime.client.socketio import SocketIOClient
from realtime.workspace.messages import (
    DEFAULT_WORKSPACE,
    UNAVAILABLE,
    ApiError,
    ChannelDeleted,
    ChannelModel,
    Message,
    OnlineStatus,
    StatusUpdated,
    UserJoined,
    UserLeft,
)

__all__ = [
    "ChannelCreated",
    "ChannelDeleted",
    "ChannelModel",
    "ChannelUpdated",
    "Message",
    "OnlineStatus",
    "Published",
    "StatusUpdated",
    "UserJoined",
    "UserLeft",
    "WorkspaceClient",
]


class ChannelCreated(Struct, frozen=True):
    """There is a new channel."""

    channel: ChannelModel


class ChannelUpdated(Struct, frozen=True):
    """A channel has another name."""

    channel: ChannelModel


class Published(Struct, frozen=True):
    """An event of the back end's; ``data`` is JSON."""

    event: str
    data: Raw


class _Failed(Struct):
    error: str | None = None


class _Page(Struct):
    channels: list[ChannelModel] = []
    messages: list[Message] = []


class _Self(Struct, rename="camel"):
    user_id: str


_read_page = msgspec.json.Decoder(_Page).decode
_read_failed = msgspec.json.Decoder(_Failed).decode
_read_api_error = msgspec.json.Decoder(ApiError).decode
_read_channel = msgspec.json.Decoder(ChannelModel).decode

_EVENTS: Final[Mapping[str, Callable[[Raw], object]]] = {
    "message-created": msgspec.json.Decoder(Message).decode,
    "channel-created": lambda payload: ChannelCreated(_read_channel(payload)),
    "channel-updated": lambda payload: ChannelUpdated(_read_channel(payload)),
    "channel-deleted": msgspec.json.Decoder(ChannelDeleted).decode,
    "user-joined": msgspec.json.Decoder(UserJoined).decode,
    "user-leaved-workspace": msgspec.json.Decoder(UserLeft).decode,
    "online-status-updated": msgspec.json.Decoder(StatusUpdated).decode,
}


class WorkspaceClient(SocketIOClient):
    """A member of workspaces. ``user_id`` is its own, from the first connection on."""

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        online_status: OnlineStatus = OnlineStatus.ONLINE,
        options: Options | None = None,
        **named: Any,
    ) -> None:
        super().__init__(url, token, options=options, **named)
        self.user_id = ""
        self._status = online_status

    # -- for users -----------------------------------------------------------------------------

    def say(self, channel_id: str, text: str, *, client_id: str | None = None) -> Deferred[Message]:
        """Say something in a channel; fires with the message when it is stored."""
        given = {} if client_id is None else {"clientId": client_id}
        return self._request("message-send", {"channelId": channel_id, "text": text, **given}, Message)

    def create_channel(
        self, name: str, *, is_private: bool = False, workspace_id: str = DEFAULT_WORKSPACE
    ) -> Deferred[ChannelModel]:
        """Create a channel; fires with it."""
        body = {"name": name, "isPrivate": is_private, "workspaceId": workspace_id}
        return self._request("channel-create", body, ChannelModel)

    def set_status(self, status: OnlineStatus) -> Deferred[StatusUpdated]:
        """Look more or less present, on this connection and those that come after it."""
        self._status = status
        return self._request("online-status", {"onlineStatus": status}, StatusUpdated)

    def channels(
        self, before: str | None = None, limit: int | None = None, *, workspace_id: str = DEFAULT_WORKSPACE
    ) -> Deferred[list[ChannelModel]]:
        """Fires with the newest channels that one may see, or those older than one. Over HTTP."""
        asked = self._get(workspace_id, "channels", before, limit)
        return asked.addCallback(lambda page: page.channels)

    def messages(
        self,
        channel_id: str,
        before: str | None = None,
        limit: int | None = None,
        *,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> Deferred[list[Message]]:
        """Fires with the newest messages of a channel, or those before one, oldest first. Over HTTP."""
        asked = self._get(workspace_id, f"channels/{quote(channel_id, safe='')}/messages", before, limit)
        return asked.addCallback(lambda page: page.messages)

    def _request(self, event: str, body: Any, kind: Any) -> Deferred[Any]:
        return self._emit(event, body).addCallback(_result, event, kind)

    def _get(self, workspace_id: str, path: str, before: str | None, limit: int | None) -> Deferred[_Page]:
        given = {"before": before, "limit": limit}
        query = urlencode({name: value for name, value in given.items() if value is not None})
        address = address_of(self.url, f"/v1/workspaces/{quote(workspace_id, safe='')}/{path}", query)

        def read(answer: Answer) -> _Page:
            if answer.status != 200:
                raise RequestFailed(answer.status, "The server has refused it.")
            return _read_page(answer.content)

        def asked(token: str) -> Deferred[_Page]:
            return ask(self._clock, "GET", address, token=token).addCallback(read)

        return self._ask_token().addCallback(asked)

    # -- the connection ------------------------------------------------------------------------

    def _let_in(self) -> None:
        if self.is_recovered:
            self._serve()
        else:
            self._authenticate(self._token_now).addCallback(lambda _: self._serve()).addErrback(self._refused)

    def _authenticate(self, token: str) -> Deferred[None]:
        def known(authenticated: _Self) -> None:
            self.user_id = authenticated.user_id

        sent = self._emit("auth", {"data": token, "onlineStatus": self._status}, greets=True)
        return sent.addCallback(_result, "auth", _Self).addCallback(known)

    def _refused(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, RequestFailed) and error.message != UNAVAILABLE:
            self._connection.fail(error)
        else:
            self._connection.drop()  # nothing, if it is lost already

    def _event(self, name: str, payload: Raw) -> None:
        read = _EVENTS.get(name)
        if read is not None:
            self._tell(read(payload))
        elif name == "socket-api-error":
            if self._is_serving and _read_api_error(payload).event == "auth":
                self._ask_token().addCallback(self._authenticate).addErrback(self._refused)
        elif name != "auth-success" and not name.startswith("socket-api-error-"):
            self._tell(Published(name, payload))


def _result(acknowledged: Raw, event: str, kind: Any) -> Any:
    failed = _read_failed(acknowledged)
    if failed.error is not None:
        raise RequestFailed(event, failed.error)
    return msgspec.json.decode(acknowledged, type=kind)
