"""support as developers of clients read it: its methods, their answers, and a case that shows them.

Methods take positional parameters, which no type of the server's holds: here they are a table, and a test asks
the methods themselves whether it is true.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from realtime.closing import CloseCode
from realtime.documents.model import (
    COMMON_CLOSES,
    EVERYWHERE,
    Closed,
    Description,
    Direction,
    Enters,
    ErrorCase,
    Hears,
    Message,
    Of,
    Says,
    Section,
    Story,
    constant,
    diagram,
    listed,
    or_null,
    record,
    token_of,
)
from realtime.support import messages, session
from realtime.support.messages import Conversation, Error, OperatorMessage
from realtime.support.session import State

# -- messages --------------------------------------------------------------------------------------

_ID: Final = {
    "description": "Any JSON scalar; it comes back as it was.",
    "type": ["string", "number", "boolean", "null"],
}


class Method:
    """A method: its parameters with their types, of which the last ``optional`` may be left out or null."""

    def __init__(
        self,
        summary: str,
        parameters: Mapping[str, type],
        *,
        optional: int = 0,
        result: str,
        extension: bool = True,
    ) -> None:
        self.summary = summary
        self.parameters = parameters
        self.optional = optional
        self.result = result
        self.extension = extension


METHODS: Final[Mapping[str, Method]] = {
    "message.auth": Method(
        *("Say who you are. The first thing on a connection.", {"token": str}),
        optional=1,
        result="server.messages",
        extension=False,
    ),
    "message.send": Method(
        *("Customers: say something to support.", {"text": str}), result="server.message", extension=False
    ),
    "message.operatorSend": Method(
        "Operators: answer a customer; the current conversation's if none is named.",
        {"text": str, "user_id": int},
        optional=1,
        result="server.message",
        extension=False,
    ),
    "message.history": Method(
        "Read older messages; a customer reads its own.",
        {"user_id": int, "before_id": int, "limit": int},
        optional=3,
        result="server.messages",
    ),
    "message.conversations": Method(
        "Operators: list the conversations, the latest first; changes are pushed from now on.",
        {"before_id": int, "limit": int},
        optional=2,
        result="server.conversations",
    ),
    "message.assign": Method(
        *("Operators: take a conversation.", {"user_id": int}), result="server.conversation"
    ),
    "message.release": Method(
        *("Operators: give a conversation back.", {"user_id": int}), result="server.conversation"
    ),
    "message.seen": Method(
        *("Operators: mark a conversation as read.", {"user_id": int}), result="server.conversation"
    ),
}

_TYPES: Final = {str: "string", int: "integer"}


def _request(name: str, method: Method) -> Message:
    required = len(method.parameters) - method.optional
    named = [f"{each}?" if at >= required else each for at, each in enumerate(method.parameters)]
    items = [
        {
            "title": parameter,
            "type": _TYPES[kind] if position < required else [_TYPES[kind], "null"],
        }
        for position, (parameter, kind) in enumerate(method.parameters.items())
    ]
    params: dict[str, Any] = {
        "type": "array",
        "description": f"[{', '.join(named)}]",
        "items": items,
        "additionalItems": False,
        "minItems": required,
        "maxItems": len(items),
    }
    return Message(
        name=name,
        direction=Direction.FROM_CLIENT,
        summary=method.summary,
        payload=record({"method": constant(name), "params": params}, {"id": _ID}),
        replies=(method.result, "server.error"),
        correlation="/id",
        extension=method.extension,
    )


def _answer(name: str, summary: str, result: dict[str, Any], description: str = "", **more: Any) -> Message:
    return Message(
        name=name,
        direction=Direction.TO_CLIENT,
        summary=summary,
        description=description,
        payload=record({"error": constant(None), "result": record(result), "id": _ID}),
        correlation="/id",
        **more,
    )


_PUSHED: Final = (
    "The answer has the request's id. Pushed, when somebody else wrote, it has none: `id` is null, "
    '(or the message\'s own with `[support] push_id = "message_id"`).'
)
_SHOWN: Final = {"anyOf": [Of(OperatorMessage), Of(messages.Message)]}

MESSAGES: Final = (
    *(_request(name, method) for name, method in METHODS.items()),
    _answer(
        "messages", "What was said, oldest first; null if nothing was.", {"messages": or_null(listed(_SHOWN))}
    ),
    _answer(
        "message",
        "What was said just now. Operators are told whose conversation it is.",
        {"message": _SHOWN},
        _PUSHED,
    ),
    _answer(
        "conversations",
        "Conversations, the latest first.",
        {"conversations": listed(Of(Conversation))},
        extension=True,
    ),
    _answer(
        "conversation",
        "A conversation that has changed.",
        {"conversation": Of(Conversation)},
        "An answer to who changed it, and a push to the operators who have asked for conversations.",
        extension=True,
    ),
    Message(
        name="error",
        direction=Direction.TO_CLIENT,
        summary="The request failed.",
        payload=record({"error": Of(Error), "result": constant(None), "id": _ID}),
        correlation="/id",
    ),
)

ERRORS: Final = tuple(each for each in vars(messages).values() if isinstance(each, Error))

# -- stories ---------------------------------------------------------------------------------------

_CREATED: Final = 1_790_000_000
_QUESTION: Final = messages.Message(1, "Where is my parcel?", "", False, _CREATED)
_FOR_OPERATORS: Final = OperatorMessage(1, "Where is my parcel?", "", False, _CREATED, 1, "alice")
_REPLY: Final = messages.Message(2, "On its way.", "operator", True, _CREATED + 20)
_REPLY_OF_OPERATOR: Final = OperatorMessage(2, "On its way.", "operator", True, _CREATED + 20, 1, "alice")


def _says(who: str, request_id: int, method: str, *params: Any, text: str = "") -> Says:
    payload = {"method": f"message.{method}", "params": list(params), "id": request_id}
    return Says(who, f"client.message.{method}", payload, text)


def _hears(who: str, request_id: int | None, result: dict[str, Any], text: str = "") -> Hears:
    (key,) = result
    frame = (
        messages.encode_push(result, None)
        if request_id is None
        else messages.encode_result(result, Raw(b"%d" % request_id))
    )
    return Hears(who, f"server.{key}", msgspec.json.decode(frame), text)


def _fails(who: str, request_id: int, error: Error) -> Hears:
    frame = messages.encode_error(error, Raw(b"%d" % request_id))
    return Hears(who, "server.error", msgspec.json.decode(frame), error.message)


def _conversation(last: messages.Message, unread: int, assigned_to: int | None) -> Conversation:
    return Conversation(1, "alice", last, unread, assigned_to)


STORIES: Final = (
    Story(
        "A question and its answer",
        (
            Enters("alice"),
            _says("alice", 1, "auth", token_of("alice")),
            _hears("alice", 1, {"messages": None}, "Nothing was said yet"),
            _says("alice", 2, "send", _QUESTION.message_text),
            _hears("alice", 2, {"message": _QUESTION}, "The answer to message.send"),
            Enters("operator"),
            _says("operator", 1, "auth", token_of("operator")),
            _hears("operator", 1, {"messages": [_FOR_OPERATORS]}, "What waits for an operator"),
            _says("operator", 2, "conversations"),
            _hears("operator", 2, {"conversations": [_conversation(_QUESTION, 1, None)]}),
            _says("operator", 3, "assign", 1),
            _hears("operator", 3, {"conversation": _conversation(_QUESTION, 1, 4)}, "Taken by operator 4"),
            _says("operator", 4, "seen", 1),
            _hears("operator", 4, {"conversation": _conversation(_QUESTION, 0, 4)}, "Read"),
            _says("operator", 5, "operatorSend", "On its way.", text="To the current conversation"),
            _hears("operator", 5, {"message": _REPLY_OF_OPERATOR}, "The answer to message.operatorSend"),
            _hears("alice", None, {"message": _REPLY}, "A push"),
            _says("operator", 6, "history", 1, None, 50),
            _hears("operator", 6, {"messages": [_FOR_OPERATORS, _REPLY_OF_OPERATOR]}, "An operator reads back"),
            _says("operator", 7, "release", 1),
            _hears("operator", 7, {"conversation": _conversation(_REPLY, 0, None)}, "Given back"),
        ),
    ),
    Story(
        "What is refused",
        (
            Enters("bob"),
            _says("bob", 1, "auth", token_of("bob")),
            _hears("bob", 1, {"messages": None}, "Nothing was said yet"),
            _says("bob", 2, "send", " ", text="Nothing but a space"),
            _fails("bob", 2, messages.INCORRECT_ARGUMENT),
            _says("bob", 3, "operatorSend", "Hello", 1, text="To the customer 1"),
            _fails("bob", 3, messages.PERMISSION_DENIED),
            Enters("operator"),
            _says("operator", 1, "auth", token_of("operator")),
            _hears("operator", 1, {"messages": None}, "Nothing waits"),
            _says("operator", 2, "operatorSend", "Hello", 99, text="To nobody"),
            _fails("operator", 2, messages.NO_CONVERSATION),
        ),
    ),
    Story(
        "A token that is not good",
        (
            Enters("carol"),
            _says("carol", 1, "auth", "a token of yesterday"),
            Closed("carol", CloseCode.NOT_AUTHENTICATED),
        ),
    ),
)

DIAGRAMS: Final = (
    diagram(
        "A connection",
        session._NEXT,
        {
            (State.UNAUTHENTICATED, State.AUTHENTICATING): "message.auth",
            (State.AUTHENTICATING, State.UNAUTHENTICATED): "error 7",
            (State.AUTHENTICATING, State.SERVING): "token accepted",
            **{(state, State.OVER): "closed, lost" for state in State if state is not State.OVER},
        },
    ),
)


def describe() -> Description:
    """Return the description of support."""
    return Description(
        name="support",
        title="support: customers talk to operators",
        text="Customers write, operators answer. Requests are text frames in the shape of JSON-RPC 1.0, "
        '`{"method", "params": [...], "id"}`; answers are `{"error", "result", "id"}`, and what nobody asked '
        "for has the same shape.\n\n"
        "A token in the handshake will do too: `message.auth` without parameters takes it. Requests may be "
        "sent right behind `message.auth`; they wait for its answer. Times are Unix seconds.",
        address="/support",
        credentials=EVERYWHERE,
        messages=MESSAGES,
        errors=tuple(ErrorCase(str(each.code), each.message) for each in ERRORS),
        closes={
            **COMMON_CLOSES,
            CloseCode.NOT_AUTHENTICATED: "The token is not good, or something was asked before `message.auth`.",
            CloseCode.POLICY_VIOLATION: "Fifty errors in a minute.",
            CloseCode.UNSUPPORTED_FRAME: "A binary frame.",
        },
        stories=STORIES,
        diagrams=DIAGRAMS,
        sections=(
            Section(
                "Who hears what",
                "A message goes to the customer's other connections, and to the operator who has taken the "
                "conversation if connected; else to all operators. What comes while no operator is there "
                "waits for the next.",
            ),
        ),
    )
