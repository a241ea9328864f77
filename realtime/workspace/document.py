"""workspace as developers of clients read it: its events, its HTTP side, and a team that shows them.

An event has one argument, which is what is drawn as its payload. What it is acknowledged with, if its sender
asked for that, is a message ``<event> acknowledged``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from realtime.closing import CloseCode
from realtime.documents.model import (
    COMMON_CLOSES,
    Asks,
    Closed,
    Description,
    Direction,
    Enters,
    ErrorCase,
    Hears,
    Leaves,
    Message,
    Of,
    Says,
    Section,
    Story,
    as_json,
    diagram,
    key_of,
    record,
    token_of,
)
from realtime.workspace import messages, session
from realtime.workspace.endpoints import CHANNEL, CHANNELS, ENDPOINTS
from realtime.workspace.messages import (
    ApiError,
    AuthSuccess,
    ChannelDeleted,
    ChannelModel,
    ErrorReply,
    OnlineStatus,
    Person,
    StatusUpdated,
    UserJoined,
    UserLeft,
)
from realtime.workspace.session import State

# -- events ----------------------------------------------------------------------------------------

_TRANSACTION: Final = {
    "type": "string",
    "minLength": 1,
    "maxLength": messages.LONGEST_TRANSACTION,
    "description": "A name of your own, which errors come back under.",
}

_SAYS: Final[Mapping[str, tuple[str, str, type[Struct]]]] = {
    "auth": (
        "Say who you are.",
        "`data` is the token; `token` is read as an alias of it. Again before it expires.",
        AuthSuccess,
    ),
    "channel-create": ("Make a channel.", "All who may see it hear `channel-created`.", ChannelModel),
    "message-send": (
        "Say something in a channel.",
        "All who may see the channel hear `message-created`. The same `clientId` again stores nothing twice.",
        messages.Message,
    ),
    "online-status": ("Say how present you are.", "", StatusUpdated),
}

_HEARS: Final[Mapping[str, tuple[str, Any]]] = {
    "auth-success": ("Your token is good.", Of(AuthSuccess)),
    "channel-created": ("There is a new channel, or you may see one from now on.", Of(ChannelModel)),
    "channel-updated": ("A channel has another name.", Of(ChannelModel)),
    "channel-deleted": ("A channel is gone, with all that was said in it.", Of(ChannelDeleted)),
    "message-created": ("Something was said.", Of(messages.Message)),
    "user-joined": ("Somebody belongs to the workspace, or to a private channel.", Of(UserJoined)),
    "user-leaved-workspace": ("Somebody belongs to it no more.", Of(UserLeft)),
    "online-status-updated": ("Somebody came, went, or looks another way.", Of(StatusUpdated)),
    "socket-api-error": ("An event of yours failed.", Of(ApiError)),
    "socket-api-error-{transaction}": (
        "The same under the name of the transaction, right before it: the bare text.",
        {"type": "string"},
    ),
}
_IN_THE_DOCUMENT: Final = frozenset(
    {"auth", "auth-success", "channel-created", "socket-api-error", "socket-api-error-{transaction}"}
)


def _acknowledgement(event: str) -> Message:
    success = _SAYS[event][2]
    return Message(
        name=f"{event} acknowledged",
        direction=Direction.TO_CLIENT,
        summary=f"What `{event}` is acknowledged with, if that was asked for.",
        payload={"anyOf": [Of(success), Of(ErrorReply)]},
        extension=True,
    )


def _from_client(event: str, shape: Any) -> Message:
    summary, description, _ = _SAYS[event]
    acknowledged = _acknowledgement(event).key
    replies = ("server.auth-success",) if event == "auth" else ()
    return Message(
        name=event,
        direction=Direction.FROM_CLIENT,
        summary=summary,
        description=description,
        payload={"allOf": [Of(shape), record({}, {"transaction": _TRANSACTION})]},
        replies=(*replies, acknowledged, "server.socket-api-error"),
        correlation="/transaction",
        extension=event not in _IN_THE_DOCUMENT,
    )


MESSAGES: Final = (
    *(_from_client(event, shape) for event, shape in messages.SHAPES.items()),
    *(
        Message(
            name=event,
            direction=Direction.TO_CLIENT,
            summary=summary,
            payload=payload,
            correlation="/transaction" if event == "auth-success" else "",
            extension=event not in _IN_THE_DOCUMENT,
        )
        for event, (summary, payload) in _HEARS.items()
    ),
    *map(_acknowledgement, messages.SHAPES),
)

ERRORS: Final[Mapping[str, str]] = {
    messages.INVALID_TOKEN: "The token is wrong, revoked or expired. After five of these you are disconnected.",
    messages.NOT_AUTHENTICATED: "Anything but `auth` before `auth-success`.",
    messages.OTHER_USER: "`auth` again, for somebody else.",
    messages.TOKEN_EXPIRED: "Nothing more comes; you are disconnected after 30 s unless a new `auth` succeeds.",
    messages.UNKNOWN_EVENT: "There is no such event.",
    messages.TOO_MANY_REQUESTS: "More than the limits allow.",
    messages.UNAVAILABLE: "Something that the server needs is away. Try again later.",
    messages.NOT_FOUND: "There is no such thing, or not for you.",
    messages.NOT_ALLOWED: "You may not do that.",
    messages.invalid_format("<event>"): "The payload is not what its event has.",
}

# -- stories ---------------------------------------------------------------------------------------

_TIME: Final = "2026-09-21T14:13:20.000Z"
_GENERAL: Final = ChannelModel("1", "general", False, "default", "1", _TIME)
_LOUNGE: Final = ChannelModel("2", "lounge", False, "default", "1", _TIME)
_PLANS: Final = ChannelModel("3", "plans", True, "default", "1", _TIME)
_RENAMED: Final = ChannelModel("2", "kitchen", False, "default", "1", _TIME)
_HELLO: Final = messages.Message("1", "1", "1", "Hello", _TIME)
_HELLO_TOO: Final = messages.Message("2", "2", "2", "Hello?", _TIME)


def _says(who: str, event: str, payload: dict[str, Any], text: str = "") -> Says:
    return Says(who, f"client.{event}", payload, text)


def _hears(who: str, event: str, payload: Any, text: str = "") -> Hears:
    return Hears(who, key_of(Direction.TO_CLIENT, event), as_json(payload), text)


def _acknowledged(who: str, event: str, payload: Any) -> Hears:
    return Hears(who, _acknowledgement(event).key, as_json(payload))


def _looks(who: str, user: str, status: OnlineStatus) -> Hears:
    return _hears(who, "online-status-updated", StatusUpdated(user, status), status.value)


def _asks(who: str, endpoint: str, values: dict[str, str], **more: Any) -> Asks:
    return Asks(who, endpoint, values, **more)


_FIRST: Final = {"workspace": "default"}
_IN_LOUNGE: Final = {**_FIRST, "channel": "2"}
_IN_PLANS: Final = {**_FIRST, "channel": "3"}
_BOB: Final = Person("2", "bob")

STORIES: Final = (
    Story(
        "A team",
        (
            Enters("alice"),
            _says("alice", "auth", {"transaction": "t1", "data": token_of("alice"), "onlineStatus": "online"}),
            _hears("alice", "auth-success", AuthSuccess("1", "t1"), "alice's, with her transaction"),
            _acknowledged("alice", "auth", AuthSuccess("1", "t1")),
            _looks("alice", "1", OnlineStatus.ONLINE),
            Enters("bob"),
            _says("bob", "auth", {"data": token_of("bob")}, "Without a transaction"),
            _hears("bob", "auth-success", AuthSuccess("2"), "bob's, without a transaction"),
            _acknowledged("bob", "auth", AuthSuccess("2")),
            _looks("bob", "2", OnlineStatus.ONLINE),
            _looks("alice", "2", OnlineStatus.ONLINE),
            _says("alice", "channel-create", {"transaction": "t2", "name": "general", "isPrivate": False}),
            _hears("alice", "channel-created", _GENERAL),
            _acknowledged("alice", "channel-create", _GENERAL),
            _hears("bob", "channel-created", _GENERAL),
            _says("alice", "message-send", {"channelId": "1", "text": "Hello", "clientId": "c1"}),
            _hears("alice", "message-created", _HELLO),
            _acknowledged("alice", "message-send", _HELLO),
            _hears("bob", "message-created", _HELLO),
            _says("bob", "online-status", {"onlineStatus": "idle"}),
            _acknowledged("bob", "online-status", StatusUpdated("2", OnlineStatus.IDLE)),
            _looks("bob", "2", OnlineStatus.IDLE),
            _looks("alice", "2", OnlineStatus.IDLE),
            _says(
                "bob",
                "message-send",
                {"transaction": "t3", "channelId": "99", "text": "Hello?"},
                "To no channel",
            ),
            _hears("bob", "socket-api-error-{transaction}", messages.NOT_FOUND, "As socket-api-error-t3"),
            _hears("bob", "socket-api-error", ApiError("message-send", messages.NOT_FOUND)),
            Hears("bob", _acknowledgement("message-send").key, {"error": messages.NOT_FOUND}, "It failed"),
            Leaves("alice"),
            _looks("bob", "1", OnlineStatus.OFFLINE),
        ),
    ),
    Story(
        "Over HTTP",
        (
            Enters("bob"),
            _says("bob", "auth", {"data": token_of("bob")}, "Without a transaction"),
            _hears("bob", "auth-success", AuthSuccess("2"), "bob's, without a transaction"),
            _acknowledged("bob", "auth", AuthSuccess("2")),
            _looks("bob", "2", OnlineStatus.ONLINE),
            _asks(
                "alice", "GET /v1/workspaces", {}, answer={"workspaces": [{"id": "default", "name": "default"}]}
            ),
            _asks(
                *("alice", f"POST {CHANNELS}", _FIRST),
                body={"name": "lounge"},
                status=201,
                answer=as_json(_LOUNGE),
                text="A channel",
            ),
            _hears("bob", "channel-created", _LOUNGE),
            _asks(
                *("alice", f"POST {CHANNELS}", _FIRST),
                body={"name": "plans", "isPrivate": True},
                status=201,
                answer=as_json(_PLANS),
                text="A private channel",
            ),
            _asks("alice", f"PUT {CHANNEL}/members/{{user}}", {**_IN_PLANS, "user": "2"}, status=204),
            _hears("bob", "channel-created", _PLANS, "A private channel"),
            _hears("bob", "user-joined", UserJoined(_BOB, "default", "3")),
            _asks("alice", f"DELETE {CHANNEL}/members/{{user}}", {**_IN_PLANS, "user": "2"}, status=204),
            _hears("bob", "user-leaved-workspace", UserLeft("2", "default", "3")),
            _asks(
                *("alice", f"PATCH {CHANNEL}", _IN_LOUNGE),
                body={"name": "kitchen"},
                answer=as_json(_RENAMED),
            ),
            _hears("bob", "channel-updated", _RENAMED),
            _asks("bob", f"GET {CHANNEL}", _IN_LOUNGE, answer=as_json(_RENAMED)),
            _says("bob", "message-send", {"channelId": "2", "text": "Hello?"}, "Without a name of one's own"),
            _hears("bob", "message-created", _HELLO_TOO),
            _acknowledged("bob", "message-send", _HELLO_TOO),
            _asks(
                *("alice", f"GET {CHANNEL}/messages", {**_IN_LOUNGE, "limit": "50"}),
                answer={
                    "messages": [as_json(_HELLO_TOO)],
                    "next": None,
                },
            ),
            _asks(
                *("alice", f"GET {CHANNELS}", _FIRST),
                answer={"channels": [as_json(_PLANS), as_json(_RENAMED), as_json(_GENERAL)], "next": None},
            ),
            _asks(
                *("alice", "GET /v1/workspaces/{workspace}/members", {**_FIRST, "limit": "2"}),
                answer={
                    "members": [
                        {"id": "1", "name": "alice", "onlineStatus": "offline"},
                        {"id": "2", "name": "bob", "onlineStatus": "online"},
                    ],
                    "next": "2",
                },
            ),
            _asks(
                *("operator", "POST /v1/workspaces/{workspace}/events", _FIRST),
                body={"event": "channel-updated", "data": as_json(_RENAMED), "userIds": ["2"]},
                status=204,
            ),
            _hears("bob", "channel-updated", _RENAMED),
            _asks("alice", f"DELETE {CHANNEL}", _IN_LOUNGE, status=204),
            _hears("bob", "channel-deleted", ChannelDeleted("2")),
            _asks(
                *("operator", "POST /v1/workspaces", {}),
                body={"id": "guild", "name": "The Guild"},
                status=201,
                answer={"id": "guild", "name": "The Guild"},
            ),
            _asks(
                "operator",
                "PUT /v1/workspaces/{workspace}/members/{user}",
                {"workspace": "guild", "user": "2"},
                status=204,
            ),
            _hears("bob", "user-joined", UserJoined(_BOB, "guild"), "To a workspace"),
            _looks("bob", "2", OnlineStatus.ONLINE),
            _asks(
                "bob",
                "DELETE /v1/workspaces/{workspace}/members/{user}",
                {"workspace": "guild", "user": "2"},
                status=204,
            ),
            _hears("bob", "user-leaved-workspace", UserLeft("2", "guild"), "A workspace"),
        ),
    ),
    Story(
        "Tokens that are not good",
        (
            Enters("carol"),
            *(
                step
                for _ in range(5)
                for step in (
                    _says("carol", "auth", {"data": "a token of yesterday"}, "A token that is not good"),
                    _hears(
                        "carol", "socket-api-error", ApiError("auth", messages.INVALID_TOKEN), "Token not valid"
                    ),
                    Hears(
                        "carol", _acknowledgement("auth").key, {"error": messages.INVALID_TOKEN}, "It failed"
                    ),
                )
            ),
            Closed("carol", CloseCode.NOT_AUTHENTICATED),
        ),
    ),
)

DIAGRAMS: Final = (
    diagram(
        "A connection",
        session._NEXT,
        {
            (State.UNAUTHENTICATED, State.AUTHENTICATING): "auth",
            (State.AUTHENTICATING, State.UNAUTHENTICATED): "refused",
            (State.AUTHENTICATING, State.SERVING): "auth-success",
            (State.SERVING, State.UNAUTHENTICATED): "token expired",
            **{(state, State.OVER): "disconnected, lost" for state in State if state is not State.OVER},
        },
    ),
)


def describe() -> Description:
    """Return the description of workspace."""
    return Description(
        name="workspace",
        title="workspace: channels over Socket.IO",
        text="A team's channels: messages, private channels, and who is there. It is spoken over Socket.IO, "
        "by clients of 4.x, 3.x and 2.x, in the namespace `/`.\n\n"
        "An event has one argument, which is drawn here as its payload. Whatever fails comes back as "
        "`socket-api-error-<transaction>` (if there was a `transaction`) and `socket-api-error`; an "
        "acknowledgement that was asked for is given too. Ids are strings, times ISO 8601.",
        address="/socket.io/",
        namespace="/",
        messages=MESSAGES,
        errors=tuple(ErrorCase(text, meaning) for text, meaning in ERRORS.items()),
        closes={
            **COMMON_CLOSES,
            CloseCode.NOT_AUTHENTICATED: "No token was accepted: a DISCONNECT packet comes first.",
            CloseCode.TOO_MANY_REQUESTS: "Too many connections of one user: a DISCONNECT packet comes first.",
        },
        stories=STORIES,
        diagrams=DIAGRAMS,
        sections=(
            Section(
                "Coming back",
                "A client of 4.x that was lost and comes back within `recovery_seconds` (120 s) gets what it "
                "missed, in order and once, and need not authenticate again (Socket.IO's connection state "
                "recovery).",
            ),
        ),
        endpoints=ENDPOINTS,
    )
