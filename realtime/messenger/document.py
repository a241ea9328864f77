"""messenger as developers of clients read it: its messages, and an afternoon of two that shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from realtime.closing import CloseCode
from realtime.documents.model import (
    COMMON_CLOSES,
    COOKIE,
    QUERY,
    SUBPROTOCOL,
    Closed,
    Credential,
    Description,
    Direction,
    Endpoint,
    Enters,
    ErrorCase,
    Hears,
    Leaves,
    Message,
    Of,
    Parameter,
    Response,
    Says,
    Section,
    Story,
    constant,
    diagram,
    listed,
    record,
    token_of,
)
from realtime.messenger import messages, pictures, session
from realtime.messenger.messages import (
    Connected,
    DialogHead,
    DialogLine,
    Disconnected,
    Error,
    OutcomeBody,
    Profile,
    Said,
    ServerMessage,
)
from realtime.messenger.session import State

# -- messages --------------------------------------------------------------------------------------

_ANYTHING: Final = {"description": "The clients' own secret: any JSON value, relayed as it came."}

_REPLIES: Final[Mapping[str, tuple[str, ...]]] = {
    "AUTH_MESSAGE": ("server.AUTH_MESSAGE_SUCCESS", "server.AUTH_MESSAGE_ERROR"),
    "CHAT_MESSAGE": ("server.CHAT_MESSAGE",),
    "DIALOG_MESSAGE": ("server.DELIVERY_MESSAGE_SUCCESS", "server.DELIVERY_MESSAGE_ERROR"),
    "SAVE_AVATAR": ("server.SAVE_AVATAR_SUCCESS", "server.SAVE_AVATAR_ERROR"),
    "PROFILE": ("server.PROFILE_SUCCESS",),
    "HISTORY": ("server.HISTORY_SUCCESS",),
}
_SUMMARIES: Final[Mapping[str, tuple[str, str]]] = {
    "AUTH_MESSAGE": (
        "Say who you are, if the handshake did not.",
        "For browsers, which can set no header. `key` is a public JWK that answers are sealed to.",
    ),
    "CHAT_MESSAGE": ("Say something in the room.", ""),
    "DIALOG_MESSAGE": (
        "Send something to one user, now or when it comes.",
        "It is stored first. The same `clientMessageId` again sends nothing twice, and repeats the outcome.",
    ),
    "SAVE_AVATAR": (
        "Change your picture.",
        "A PNG, JPEG, GIF or WebP of at most `avatar_bytes` (524 288). Others see you CONNECT again.",
    ),
    "PROFILE": ("Change your profile.", "What is left out stays as it is. Others see you CONNECT again."),
    "HISTORY": (
        "Read the room's messages, or the dialog with `peer`.",
        "At most 200, older than message `before`.",
    ),
}
_EXTENSIONS: Final = frozenset({"AUTH_MESSAGE", "PROFILE", "HISTORY"})


def _from_client(name: str, shape: Any) -> Message:
    required = {"type": constant(name), "serverData": Of(shape)}
    if name == "DIALOG_MESSAGE":
        required["clientData"] = _ANYTHING
    summary, description = _SUMMARIES[name]
    return Message(
        name=name,
        direction=Direction.FROM_CLIENT,
        summary=summary,
        description=description,
        payload=record(required),
        replies=_REPLIES[name],
        correlation="/serverData/clientMessageId" if name == "DIALOG_MESSAGE" else "",
        extension=name in _EXTENSIONS,
    )


def _to_client(
    kind: str, summary: str, status: str = "", *, data: Any = None, name: str = "", **more: Any
) -> Message:
    required: dict[str, Any] = {"type": constant(kind)}
    if status:
        required["status"] = constant(status)
    if kind == "DIALOG_MESSAGE":
        required["clientData"] = _ANYTHING
    if data is not None:
        required["error" if status == "ERROR" and data == Of(Error) else "serverData"] = data
    return Message(
        name=name or f"{kind} {status}".strip(),
        direction=Direction.TO_CLIENT,
        summary=summary,
        payload=record(required),
        **more,
    )


# A `messages.History`, whose union of two lists no schema can be made of.
_HISTORY: Final = record(
    {"messages": {"anyOf": [listed(Of(Said)), listed(Of(DialogLine))]}}, {"peer": {"type": "string"}}
)

MESSAGES: Final = (
    *(_from_client(name, shape) for name, shape in messages._SHAPES.items()),
    _to_client(
        *("AUTH_MESSAGE", "You are in, and so are these.", "SUCCESS"),
        data=record({"userList": listed(Of(Profile))}),
    ),
    _to_client("AUTH_MESSAGE", "You are not in. A close comes behind it.", "ERROR", data=Of(Error)),
    _to_client(
        *("USER_CONNECTION_MESSAGE", "Somebody came, or changed its profile."),
        data=Of(Connected),
        name="USER_CONNECTION_MESSAGE CONNECT",
    ),
    _to_client(
        *("USER_CONNECTION_MESSAGE", "Somebody went."),
        data=Of(Disconnected),
        name="USER_CONNECTION_MESSAGE DISCONNECT",
    ),
    _to_client(
        *("CHAT_MESSAGE", "Something was said in the room."),
        data=Of(Said),
        description="To everybody in it, the sender included.",
    ),
    _to_client(
        *("DIALOG_MESSAGE", "Something for you."),
        data=Of(DialogHead),
        description="A WebSocket ping comes behind it: its pong, which any client sends by itself, proves to "
        "the server that it has arrived. What was not confirmed comes again at the next login, with the same "
        "`messageId`.",
    ),
    _to_client(
        *("DELIVERY_MESSAGE", "A dialog has arrived.", "SUCCESS"),
        data=Of(OutcomeBody),
        correlation="/serverData/clientMessageId",
    ),
    _to_client(
        *("DELIVERY_MESSAGE", "A dialog can't be delivered, or was not in time.", "ERROR"),
        data=Of(OutcomeBody),
        description="There is no such user, its mailbox is full, or it did not come for seven days.",
        correlation="/serverData/clientMessageId",
    ),
    _to_client("SAVE_AVATAR", "The picture is saved.", "SUCCESS"),
    _to_client("SAVE_AVATAR", "The picture is not saved.", "ERROR", data=Of(Error)),
    _to_client("PROFILE", "The profile is changed.", "SUCCESS", extension=True),
    _to_client("HISTORY", "What was said, oldest first.", "SUCCESS", data=_HISTORY, extension=True),
)

_AVATAR_ERRORS: Final = (pictures.PictureTooLarge, pictures.NotAPicture, pictures.PicturesUnavailable)

ERRORS: Final = (
    *(
        ErrorCase(f"AUTH_MESSAGE {error.error_code}", error.message, close)
        for error, close in (
            (messages.ALREADY_CONNECTED, CloseCode.REPLACED),
            (messages.TOKEN_INVALID, CloseCode.NOT_AUTHENTICATED),
            (messages.KEY_NEEDED, CloseCode.POLICY_VIOLATION),
        )
    ),
    *(ErrorCase(f"SAVE_AVATAR {each.code}", each.text) for each in _AVATAR_ERRORS),
)

# -- stories ---------------------------------------------------------------------------------------

_PICTURE: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAIAQMAAAD+wSzIAAAAA1BMVEUAAACnej3aAAAA"
    "C0lEQVR42mNgQAUAABAAAaoZ+IIAAAAASUVORK5CYII="
)
_AVATAR: Final = "/avatars/0f343b0931126a20f133d67c2b018a3b5c2b1c1f7a5d1f2c7c3f0a9b8e7d6c5b"
_TIME: Final = "1790000000"
_DAY: Final = "2026-09-21T14:13:20Z"
_MESSAGE: Final = {"text": "Tea at five?"}


def _profile(number: int, name: str, **more: str) -> Profile:
    known = {"avatar": "", "language": "", "status": "", **more}
    return Profile(str(number), name, known["avatar"], known["language"], known["status"], _DAY, _DAY)


_ALICE: Final = _profile(1, "alice")
_BOB: Final = _profile(2, "bob")


def _enters(who: str, token: str | None = None) -> Enters:
    return Enters(who, {"authToken": token_of(who) if token is None else token})


def _says(who: str, kind: str, server_data: dict[str, Any], text: str = "", **more: Any) -> Says:
    return Says(who, f"client.{kind}", {"type": kind, **more, "serverData": server_data}, text)


def _hears(who: str, message: ServerMessage, text: str = "") -> Hears:
    payload = msgspec.json.decode(messages.encode(message))
    name = [message.type, *([message.status] if message.status is not UNSET else [])]
    if message.type == "USER_CONNECTION_MESSAGE":
        name.append(payload["serverData"]["connectionStatus"])
    return Hears(who, f"server.{'_'.join(name)}", payload, text)


def _authenticated(*profiles: Profile) -> ServerMessage:
    return messages.authenticated([Raw(messages.encode(each)) for each in profiles])


STORIES: Final = (
    Story(
        "An afternoon",
        (
            _enters("alice"),
            _hears("alice", _authenticated(_ALICE), "Alone so far"),
            _enters("bob"),
            _hears("bob", _authenticated(_ALICE, _BOB), "Two are there"),
            _hears("alice", messages.connected(_BOB), "Somebody came"),
            _says("alice", "CHAT_MESSAGE", {"message": "Hello, all"}),
            _hears("alice", ServerMessage("CHAT_MESSAGE", server_data=Said("Hello, all", "1", _TIME))),
            _hears("bob", ServerMessage("CHAT_MESSAGE", server_data=Said("Hello, all", "1", _TIME))),
            _says(
                *("alice", "DIALOG_MESSAGE", {"receiver": "2", "clientMessageId": "a1"}),
                "To the user 2",
                clientData=_MESSAGE,
            ),
            _hears(
                "bob",
                ServerMessage(
                    "DIALOG_MESSAGE",
                    client_data=Raw(messages.encode(_MESSAGE)),
                    server_data=DialogHead("1", "1", _TIME),
                ),
            ),
            _hears("alice", messages.delivery("1", "2", "a1", is_delivered=True)),
            _says(
                *("alice", "DIALOG_MESSAGE", {"receiver": "99"}),
                "To nobody, without a name of its own",
                clientData=None,
            ),
            _hears("alice", messages.delivery("2", "99", None, is_delivered=False)),
            _says("bob", "SAVE_AVATAR", {"imageBase64": _PICTURE}),
            _hears("bob", messages.succeeded("SAVE_AVATAR")),
            _hears(
                "alice", messages.connected(_profile(2, "bob", avatar=_AVATAR)), "Somebody has a new picture"
            ),
            _says("bob", "SAVE_AVATAR", {"imageBase64": "bm8gcGljdHVyZQ=="}, "Not a picture"),
            _hears(
                "bob",
                messages.failed("SAVE_AVATAR", Error(pictures.NotAPicture.code, pictures.NotAPicture.text)),
            ),
            _says("bob", "PROFILE", {"nickname": "Bob", "status": "At sea"}),
            _hears("bob", messages.succeeded("PROFILE")),
            _hears(
                "alice",
                messages.connected(_profile(2, "Bob", avatar=_AVATAR, status="At sea")),
                "Somebody has another name",
            ),
            _says("bob", "HISTORY", {"limit": 10}, "The room's"),
            _hears("bob", messages.history([Said("Hello, all", "1", _TIME, "1")], None), "The room's"),
            _says("bob", "HISTORY", {"peer": "1"}, "The dialog with the user 1"),
            _hears(
                "bob",
                messages.history([DialogLine("1", "1", "2", _TIME, Raw(messages.encode(_MESSAGE)))], "1"),
                "The dialog with the user 1",
            ),
            Leaves("bob"),
            _hears("alice", messages.disconnected(2), "Somebody went"),
        ),
    ),
    Story(
        "From a browser",
        (
            Enters("carol"),
            _says("carol", "AUTH_MESSAGE", {"token": token_of("carol")}),
            _hears("carol", _authenticated(_profile(3, "carol")), "Alone so far"),
            _enters("carol's telephone", token_of("carol")),
            _hears(
                "carol's telephone", messages.not_authenticated(messages.ALREADY_CONNECTED), "Connected already"
            ),
            Closed("carol's telephone", CloseCode.REPLACED),
        ),
    ),
    Story(
        "A token that is not good",
        (
            _enters("alice", "a-token-of-yesterday"),
            _hears("alice", messages.not_authenticated(messages.TOKEN_INVALID), "Token not valid"),
            Closed("alice", CloseCode.NOT_AUTHENTICATED),
        ),
    ),
)

DIAGRAMS: Final = (
    diagram(
        "A connection",
        session._NEXT,
        {
            (State.UNAUTHENTICATED, State.AUTHENTICATING): "a token came",
            (State.AUTHENTICATING, State.SERVING): "accepted, alone",
            **{(state, State.OVER): "closed, lost" for state in State if state is not State.OVER},
        },
    ),
)

# -- HTTP ------------------------------------------------------------------------------------------

_KEY_SET: Final = record({"keys": listed({"type": "object"})})

ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/avatars/{hash}",
        summary="A picture of a user's, by the address that its profile holds.",
        description="What an address shows never changes, so it may be kept for a year.",
        parameters=(Parameter("hash", "What the address ends with.", {"type": "string"}, in_path=True),),
        responses={
            200: Response("The picture, with its type.", media_type="image/*"),
            304: Response("You have it."),
            404: Response("There is no such picture.", media_type="text/plain"),
        },
        is_open=True,
    ),
    Endpoint(
        method="GET",
        path="/.well-known/jwks.json",
        summary="The public key that `serverData` is sealed to, as a JSON Web Key Set (RFC 7517).",
        description='Only with `[messenger] sealing = "optional"` or `"required"`.',
        responses={200: Response("The key set.", _KEY_SET, media_type="application/jwk-set+json")},
        is_open=True,
    ),
)

_TOKEN_HEADER: Final = Credential(
    "authToken",
    {
        "type": "httpApiKey",
        "name": "authToken",
        "in": "header",
        "description": "The token, in the handshake. `Authorization` is read too.",
    },
)


def describe() -> Description:
    """Return the description of messenger."""
    return Description(
        name="messenger",
        title="messenger: a room, private dialogs, and who is there",
        text="One room for all who are there, and dialogs between two that are stored until they have "
        "arrived.\n\n"
        "Text frames hold `{type, serverData}`; every value that identifies or counts goes out as a string. "
        "Times in `sendTime` are Unix seconds (or milliseconds, with `[messenger] time_unit`), the others ISO "
        "8601. What can't be read is passed over; fifty of that in a minute close with 1008.",
        address="/messenger",
        credentials=(_TOKEN_HEADER, SUBPROTOCOL, COOKIE, QUERY),
        messages=MESSAGES,
        errors=ERRORS,
        closes={
            **COMMON_CLOSES,
            CloseCode.POLICY_VIOLATION: "Fifty messages in a minute that can't be read, or no key where one "
            "is needed.",
            CloseCode.MESSAGE_TOO_BIG: "A message over 65 536 bytes that is no SAVE_AVATAR.",
            CloseCode.REPLACED: "The user is connected already; or this connection did not live when a newer "
            "one came.",
        },
        stories=STORIES,
        diagrams=DIAGRAMS,
        sections=(
            Section(
                "Sealed serverData",
                "With `[messenger] sealing` on, `serverData` may be (or must be) a JWE in compact form (RFC "
                "7516), `ECDH-ES` with `A256GCM`: to the server's key at `/.well-known/jwks.json` on the way "
                "in, and to the key that the client named (header `authKey`, or `key` in AUTH_MESSAGE) on the "
                "way out. What is inside is what is drawn here.",
            ),
        ),
        endpoints=ENDPOINTS,
    )
