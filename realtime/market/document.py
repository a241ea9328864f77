"""market as developers of clients read it: its opcodes, the forms of a packet, and a deal that shows them.

Messages are drawn in the text form, which holds the same bodies as the binary ones. What a client may write is
the shape that it is read in, aliases and all.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from realtime.closing import CloseCode
from realtime.documents.model import (
    COMMON_CLOSES,
    EVERYWHERE,
    Asks,
    Description,
    Diagram,
    Direction,
    Endpoint,
    Enters,
    ErrorCase,
    Hears,
    Message,
    Of,
    Parameter,
    Response,
    Says,
    Section,
    Step,
    Story,
    Transition,
    as_json,
    constant,
    listed,
    record,
    token_of,
)
from realtime.market import codec, messages, services
from realtime.market import opcodes as table
from realtime.market.codec import Form
from realtime.market.messages import Fault, Note, Service, User
from realtime.market.opcodes import Opcode
from realtime.market.reading import SHAPES
from realtime.market.report_store import Report

# -- messages --------------------------------------------------------------------------------------

_NAMED_SERVICE: Final = (
    "`service` may be left out: the conversation's newest unfinished is meant, else its newest. "
)
_BY_ID: Final = "A whole object may stand for an id; its `id` counts."

_TEXTS: Final[Mapping[Opcode, str]] = {
    Opcode.PING: "Every `ping_interval` (5 s). No PONG for `pong_timeout` (30 s) closes with 4408. "
    "In the binary forms it is its opcode alone.",
    Opcode.PONG: "Nothing is read of the body.",
    Opcode.ASK_CONVERSATIONS: "Any text will do as the body. `limit` is 50 at most; `before` is a "
    "conversation's id.",
    Opcode.RETURN_CONVERSATIONS: "At most 50 conversations of their newest 50 messages each, oldest first. In "
    'the binary forms the list stands in an object: `{"conversations": […]}`.',
    Opcode.CREATE_MESSAGE: "`msg` (or `text`, `message`) is what is said, `id` (or `ref`, `fakeId`) a name of "
    "your own for it, which comes back. `to` a user's id instead of `conversation` begins the conversation of "
    "the two, or finds it. The same `id` in the same conversation again is the same message again. " + _BY_ID,
    Opcode.STATUS_MESSAGE: "`json` is there if it was `sent`, else `error` is: the code of one of the errors.",
    Opcode.OPENED_CONVERSATION: "Also with `conv` beside `type`. " + _BY_ID,
    Opcode.ALERT_NEW_MESSAGE: "To all connections of the other party, and to the author's others.",
    Opcode.MESSAGE_SEEN: "To its author, once for each message.",
    Opcode.UPDATE_CONVERSATION: "To both parties, after each step.",
    Opcode.SERVICE_CREATED: "`client` pays `recipient`; who proposes pays if nobody is named.",
    Opcode.NOTE_SUBMITTED: _NAMED_SERVICE + "Once by each party, after it is terminated or disputed. "
    "`opinion: {grade, description}` is read too.",
    Opcode.LITIGE_CREATED: _NAMED_SERVICE + "By either, once it is agreed on.",
    Opcode.SERVICE_TERMINATED: _NAMED_SERVICE + "By the client.",
    Opcode.PRICE_EDITED: _NAMED_SERVICE + "By either, while it is negotiated.",
    Opcode.NEGOTIATION_END: _NAMED_SERVICE + "Accepted by who did not name the last price, declined by either.",
    Opcode.REPORT_CONVERSATION: "There is no answer. " + _BY_ID,
    Opcode.REPORT_MESSAGE: "There is no answer. The body may be the text of the report alone.",
}

_REPLIES: Final[Mapping[Opcode, tuple[Opcode, ...]]] = {
    Opcode.ASK_CONVERSATIONS: (Opcode.RETURN_CONVERSATIONS,),
    Opcode.CREATE_MESSAGE: (Opcode.STATUS_MESSAGE,),
    Opcode.OPENED_CONVERSATION: (),
    **dict.fromkeys(
        (
            *(Opcode.SERVICE_CREATED, Opcode.NOTE_SUBMITTED, Opcode.LITIGE_CREATED),
            *(Opcode.SERVICE_TERMINATED, Opcode.PRICE_EDITED, Opcode.NEGOTIATION_END),
        ),
        (Opcode.UPDATE_CONVERSATION,),
    ),
}

_EXTENSIONS: Final = frozenset({Opcode.ERROR})


def _key(opcode: Opcode) -> str:
    return _message(opcode).key


def _message(opcode: Opcode) -> Message:
    from_client = opcode.direction is table.Direction.FROM_CLIENT
    replies = [_key(each) for each in _REPLIES.get(opcode, ())]
    if from_client and opcode not in (Opcode.PONG, Opcode.CREATE_MESSAGE):
        replies.append(_key(Opcode.ERROR))
    return Message(
        name=opcode.title,
        direction=Direction.FROM_CLIENT if from_client else Direction.TO_CLIENT,
        summary=opcode.meaning,
        description=_TEXTS.get(opcode, ""),
        payload=_payload(opcode),
        replies=tuple(replies),
        correlation={Opcode.CREATE_MESSAGE: "/data/id", Opcode.STATUS_MESSAGE: "/data/fakeId"}.get(opcode, ""),
        extension=opcode in _EXTENSIONS,
        opcode=int(opcode),
    )


def _payload(opcode: Opcode) -> dict[str, Any]:
    number = {"type": constant(int(opcode))}
    match opcode:
        case Opcode.PING:
            return record({**number, "data": constant("ping")})
        case Opcode.PONG:
            return record(number, {"data": {"description": "Anything; clients send `pong`."}})
        case Opcode.ASK_CONVERSATIONS:
            return record(number, {"data": {"anyOf": [Of(SHAPES[opcode.body]), {"type": ["string", "null"]}]}})
        case Opcode.RETURN_CONVERSATIONS:
            return record({**number, "data": listed(Of(messages.Conversation))})
        case Opcode.OPENED_CONVERSATION:
            return record({**number, "data": Of(SHAPES[opcode.body])}, {"conv": {"type": "integer"}})
        case _:
            return record({**number, "data": Of(SHAPES.get(opcode.body, opcode.body))})


MESSAGES: Final = tuple(map(_message, Opcode))
ERRORS: Final = tuple(each for each in vars(messages).values() if isinstance(each, Fault))

# -- stories ---------------------------------------------------------------------------------------

_TIME: Final = 1_790_000_000_000
_PARTIES: Final = {"alice": User(1, "alice"), "bob": User(2, "bob")}


def _enters(who: str) -> Enters:
    headers = {"Authorization": f"Bearer {token_of(who)}", "Sec-WebSocket-Protocol": Form.TEXT.value}
    return Enters(who, headers)


def _says(who: str, opcode: Opcode, data: Any, text: str = "") -> Says:
    return Says(who, _key(opcode), {"type": int(opcode), "data": data}, text)


def _hears(who: str, message: Any, text: str = "") -> Hears:
    payload = msgspec.json.decode(codec.encode(Form.TEXT, message))
    return Hears(who, _key(table.of(message)), payload, text)


def _message_of(number: int, sender: User, content: str, *, seen: bool = False) -> messages.Message:
    return messages.Message(number, sender, content, seen, _TIME, 1)


def _service(price: str, status: str, *notes: Note) -> Service:
    return Service(1, "Garden", "", Decimal(price), 1, 2, status, notes, _TIME)


def _stepped(number: int, said: str, service: Service) -> tuple[Step, ...]:
    """Both parties hear of a step: what the system says of it, then how the service stands."""
    steps: list[Step] = []
    for who in _PARTIES:
        steps.append(
            _hears(
                who,
                messages.AlertNewMessage(1, _message_of(number, messages.SYSTEM, said)),
                "The system says what was done",
            )
        )
        steps.append(_hears(who, messages.UpdateConversation(1, (service,)), f"It is {service.status}"))
    return tuple(steps)


_HELLO: Final = _message_of(1, _PARTIES["alice"], "Is it still free?")
_AGREED: Final = _service("45.00", "agreed")
_TERMINATED: Final = _service("45.00", "terminated")
_NOTED: Final = _service("45.00", "terminated", Note(1, 5, "Thank you."))

STORIES: Final = (
    Story(
        "A deal",
        (
            _enters("alice"),
            _enters("bob"),
            _says(
                "alice", Opcode.CREATE_MESSAGE, {"id": "tmp-1", "msg": _HELLO.content, "to": 2}, "To the user 2"
            ),
            _hears("alice", messages.stored(_HELLO, "tmp-1"), "It is stored"),
            _hears("bob", messages.AlertNewMessage(1, _HELLO), "Somebody wrote"),
            _says("bob", Opcode.OPENED_CONVERSATION, {"conversation": 1}),
            _hears("alice", messages.MessageSeen(1, 1)),
            _says("bob", Opcode.ASK_CONVERSATIONS, {}),
            _hears(
                "bob",
                messages.ReturnConversations(
                    (
                        messages.Conversation(
                            1, _PARTIES["alice"], _TIME, False, (replace(_HELLO, seen=True),), ()
                        ),
                    )
                ),
            ),
            _says(
                *("alice", Opcode.SERVICE_CREATED),
                {"conversation": 1, "service": {"title": "Garden", "price": "40.00"}},
            ),
            *_stepped(2, "Proposed: Garden, 40.00.", _service("40.00", "negotiating")),
            _says("bob", Opcode.PRICE_EDITED, {"conversation": 1, "service": 1, "price": "45.00"}),
            *_stepped(3, "Price changed: Garden, 45.00.", _service("45.00", "negotiating")),
            _says("alice", Opcode.NEGOTIATION_END, {"conversation": 1, "service": 1, "accepted": True}),
            *_stepped(4, "Accepted: Garden, 45.00.", _AGREED),
            _says("bob", Opcode.SERVICE_TERMINATED, {"conversation": 1}, "By the recipient"),
            _hears("bob", messages.NOT_ALLOWED.of(Opcode.SERVICE_TERMINATED), "Only the client may"),
            _says("alice", Opcode.SERVICE_TERMINATED, {"conversation": 1}, "By the client"),
            *_stepped(5, "Terminated: Garden, 45.00.", _TERMINATED),
            _says(
                *("alice", Opcode.NOTE_SUBMITTED),
                {"conversation": 1, "service": 1, "grade": 5, "comment": "Thank you."},
            ),
            *_stepped(6, "Noted by the client: Garden, 5 of 5.", _NOTED),
            _says("bob", Opcode.LITIGE_CREATED, {"conversation": 1, "service": 1, "reason": "Not paid."}),
            *_stepped(
                7, "Disputed: Garden, 45.00.\nNot paid.", replace(_NOTED, status=services.Status.DISPUTED.value)
            ),
            _says("alice", Opcode.CREATE_MESSAGE, {"id": 7, "msg": "Hello?", "conversation": 99}, "To nobody"),
            _hears(
                "alice",
                messages.StatusMessage(False, 99, UNSET, 7, messages.NOT_FOUND.code),
                "There is no such conversation",
            ),
            _says("bob", Opcode.REPORT_MESSAGE, {"message": 1, "reason": "Rude."}),
            _says("bob", Opcode.REPORT_CONVERSATION, {"conversation": 99}),
            _hears("bob", messages.NOT_FOUND.of(Opcode.REPORT_CONVERSATION), "There is no such conversation"),
            Asks(
                *("operator", "GET /v1/reports", {"limit": 10}),
                answer={
                    "reports": [as_json(Report(1, User(2, "bob"), "message", 1, "Rude.", _TIME, None, None))],
                    "next": None,
                },
            ),
            Asks(
                *("operator", "POST /v1/reports/{id}/resolve", {"id": 1}),
                answer=as_json(Report(1, User(2, "bob"), "message", 1, "Rude.", _TIME, _TIME, 4)),
            ),
        ),
    ),
    Story(
        "Is anybody there?",
        (
            _enters("alice"),
            _hears("alice", messages.Ping()),
            _says("alice", Opcode.PONG, "pong"),
        ),
    ),
)

# -- the life of a service, and forms ----------------------------------------------------------------

_LIFE: Final = Diagram(
    "A service",
    tuple(services.Status),
    tuple(
        Transition(source, rule.status, step.name.replace("_", " ").lower())
        for (source, step), rule in services.RULES.items()
    ),
)

_FORMS: Final = {
    Form.BINARY: ("binary", "one byte, the opcode; then the body as a JSON object, or nothing"),
    Form.MSGPACK: ("binary", "one byte, the opcode; then the body as a MessagePack map, or nothing"),
    Form.TEXT: ("text", '`{"type": <opcode as a number>, "data": <body>}`'),
}


# -- HTTP ------------------------------------------------------------------------------------------


class Reports(Struct, frozen=True):
    """Reports, newest first; `next` is what to ask for as `before`, null at the end."""

    reports: list[Report]
    next: int | None


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/v1/reports",
        summary="What users have reported, newest first. For administrators.",
        parameters=(
            Parameter("limit", "How many, at most.", {"type": "integer", "minimum": 1, "default": 50}),
            Parameter("before", "Only those older than this report.", {"type": "integer", "minimum": 1}),
            Parameter(
                "all", "1: those that are resolved too.", {"type": "integer", "enum": [0, 1], "default": 0}
            ),
        ),
        responses={200: Response("Reports.", Of(Reports))},
    ),
    Endpoint(
        method="POST",
        path="/v1/reports/{id}/resolve",
        summary="Mark a report as resolved. For administrators.",
        parameters=(Parameter("id", "The report's id.", {"type": "integer", "minimum": 1}, in_path=True),),
        responses={200: Response("The report, resolved.", Of(Report))},
    ),
)


def describe() -> Description:
    """Return the description of market."""
    return Description(
        name="market",
        title="market: conversations about a service",
        text="Two parties talk about a service, agree on a price, and grade each other. A packet is an opcode "
        "and a body; it has three forms, and every message here is drawn in the text form.\n\n"
        "The token is checked before the upgrade: a refused one is an HTTP 401. Times are Unix milliseconds, "
        "prices decimals with two places, written as texts.",
        address="/market",
        credentials=EVERYWHERE,
        messages=MESSAGES,
        errors=tuple(ErrorCase(each.code, each.message) for each in ERRORS),
        closes={
            **COMMON_CLOSES,
            CloseCode.UNSUPPORTED_FRAME: "A kind of frame that the subprotocol excludes.",
            CloseCode.INVALID_PAYLOAD: "A frame that is no packet.",
            CloseCode.POLICY_VIOLATION: "Twenty bad packets in a minute.",
            CloseCode.NOT_AUTHENTICATED: "The account is gone.",
            CloseCode.NO_PONG: "No PONG in `pong_timeout` (30 s), or a WebSocket ping was not answered.",
        },
        stories=STORIES,
        diagrams=(_LIFE,),
        sections=(
            Section(
                "The forms of a packet",
                "The server answers in the form of the subprotocol; without one, in that of the client's last "
                "frame.",
                ("subprotocol", "frame", "a packet"),
                tuple((f"`{form.value}`", *_FORMS[form]) for form in Form),
            ),
            Section(
                "Opcodes",
                "The body of each is what stands under `data` below.",
                ("opcode", "as a number", "sent by", "name", "meaning"),
                tuple(
                    (
                        f"`0x{opcode:02X}`",
                        str(int(opcode)),
                        "client" if opcode.direction is table.Direction.FROM_CLIENT else "server",
                        opcode.title,
                        opcode.meaning,
                    )
                    for opcode in Opcode
                ),
            ),
        ),
        endpoints=ENDPOINTS,
        background=frozenset({_key(Opcode.PING)}),
    )
