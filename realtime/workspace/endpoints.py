"""workspace's HTTP side as developers of clients read it: what `resource` answers, with its own bodies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from realtime.documents.model import Endpoint, Of, Parameter, Response
from realtime.workspace import messages, resource
from realtime.workspace.membership import Workspace
from realtime.workspace.messages import ChannelModel

_ROOT: Final = "/v1/workspaces"
CHANNELS: Final = f"{_ROOT}/{{workspace}}/channels"
CHANNEL: Final = f"{CHANNELS}/{{channel}}"


class Workspaces(Struct, frozen=True):
    """The workspaces that one belongs to."""

    workspaces: list[Workspace]


class Channels(Struct, frozen=True):
    """Channels, newest first; `next` is what to ask for as `before`, null at the end."""

    channels: list[ChannelModel]
    next: str | None


class Messages(Struct, frozen=True):
    """Messages, oldest first; `next` is what to ask for as `before`, null at the end."""

    messages: list[messages.Message]
    next: str | None


class Members(Struct, frozen=True):
    """Members, by their ids; `next` is what to ask for as `after`, null at the end."""

    members: list[resource._Member]
    next: str | None


_LIMIT: Final = Parameter("limit", "How many, at most.", {"type": "integer", "minimum": 1, "default": 50})
_BEFORE: Final = Parameter("before", "Only those older than this one.", {"type": "integer", "minimum": 1})
_AFTER: Final = Parameter("after", "Only those behind this one.", {"type": "integer", "minimum": 0})
_DONE: Final = {204: Response("Done.")}
_NOT_THERE: Final = {404: Response("There is no such thing, or not for you.")}
_TEXTS: Final = {"workspace": "The workspace's id.", "channel": "The channel's id.", "user": "The user's id."}


def _endpoint(
    method: str,
    path: str,
    summary: str,
    responses: Mapping[int, Response],
    *,
    body: Any = None,
    query: tuple[Parameter, ...] = (),
    description: str = "",
) -> Endpoint:
    named = [name for name in _TEXTS if f"{{{name}}}" in path]
    return Endpoint(
        method=method,
        path=path,
        summary=summary,
        description=description,
        parameters=(
            *(Parameter(name, _TEXTS[name], {"type": "string"}, in_path=True) for name in named),
            *query,
        ),
        body=None if body is None else Of(body),
        responses={**responses, **(_NOT_THERE if named else {})},
    )


_CONFLICT: Final = {409: Response("Everybody belongs there, or it is there already.")}
_CREATED: Final = {201: Response("The channel.", Of(ChannelModel))}
_FOUND: Final = {200: Response("The channel.", Of(ChannelModel))}
ENDPOINTS: Final = (
    _endpoint(
        "GET", _ROOT, "The workspaces that you belong to.", {200: Response("Workspaces.", Of(Workspaces))}
    ),
    _endpoint(
        *("POST", _ROOT, "Make a workspace. For administrators."),
        {201: Response("The workspace.", Of(Workspace)), **_CONFLICT},
        body=resource._NewWorkspace,
    ),
    _endpoint(
        *("GET", CHANNELS, "The channels that you may see, newest first."),
        {200: Response("Channels.", Of(Channels))},
        query=(_LIMIT, _BEFORE),
    ),
    _endpoint("POST", CHANNELS, "Make a channel.", _CREATED, body=resource._NewChannel),
    _endpoint("GET", CHANNEL, "A channel.", _FOUND),
    _endpoint(
        *("PATCH", CHANNEL, "Give a channel another name. For its creator and administrators.", _FOUND),
        body=resource._Rename,
    ),
    _endpoint(
        *(
            "DELETE",
            CHANNEL,
            "Remove a channel with all that was said in it. For its creator and administrators.",
        ),
        _DONE,
    ),
    _endpoint(
        *("GET", f"{CHANNEL}/messages", "What was said in a channel, oldest first."),
        {200: Response("Messages.", Of(Messages))},
        query=(_LIMIT, _BEFORE),
    ),
    _endpoint(
        *("PUT", f"{CHANNEL}/members/{{user}}", "Take somebody into a private channel."),
        {**_DONE, **_CONFLICT},
        description="For its creator and administrators. Twice is once.",
    ),
    _endpoint(
        *("DELETE", f"{CHANNEL}/members/{{user}}", "Put somebody out of a private channel, or leave it."),
        {**_DONE, **_CONFLICT},
    ),
    _endpoint(
        *("GET", f"{_ROOT}/{{workspace}}/members", "Who belongs to a workspace."),
        {200: Response("Members.", Of(Members))},
        query=(_LIMIT, _AFTER),
    ),
    _endpoint(
        *(
            "PUT",
            f"{_ROOT}/{{workspace}}/members/{{user}}",
            "Take somebody into a workspace. For administrators.",
        ),
        {**_DONE, **_CONFLICT},
        description="Twice is once.",
    ),
    _endpoint(
        *("DELETE", f"{_ROOT}/{{workspace}}/members/{{user}}", "Put somebody out of a workspace, or leave it."),
        {**_DONE, **_CONFLICT},
    ),
    _endpoint(
        *("POST", f"{_ROOT}/{{workspace}}/events", "Tell a workspace, or some of its users, any event.", _DONE),
        body=resource._Publish,
        description="For administrators: the back end that owns the rest of the application.",
    ),
)
