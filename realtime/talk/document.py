"""talk as developers of clients read it: its messages, its phases, and talks that show them all.

The stories are told over WebSocket; over Socket.IO an event's one argument is the ``payload``.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from realtime.closing import CloseCode
from realtime.documents.model import (
    COMMON_CLOSES,
    EVERYWHERE,
    Asks,
    Closed,
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
    as_json,
    constant,
    diagram,
    record,
    summary_of,
    token_of,
)
from realtime.talk import conversation, messages, session
from realtime.talk.conversation import Phase
from realtime.talk.messages import Answer, Answers, ChatStart, ChatStop, Confirm, Error, Find, Match, Question
from realtime.talk.session import State

# -- messages --------------------------------------------------------------------------------------


def _event(name: str, kind: type[Struct] | None) -> dict[str, Any]:
    event = {"event": constant(name)}
    return record(event) if kind is None else record({**event, "payload": Of(kind)})


def _from_client(name: str, kind: type[Struct], *replies: str, description: str = "") -> Message:
    return Message(
        name=name,
        direction=Direction.FROM_CLIENT,
        summary=summary_of(kind),
        description=description,
        payload=_event(name, kind),
        replies=replies,
        correlation="/payload/match_id" if "match_id" in kind.__struct_fields__ else "",
    )


def _to_client(kind: type[Any], description: str = "") -> Message:
    return Message(
        name=kind.event,
        direction=Direction.TO_CLIENT,
        summary=summary_of(kind),
        description=description,
        payload=_event(kind.event, None if kind is ChatStart else kind),
        correlation="/payload/match_id" if "match_id" in kind.__struct_fields__ else "",
    )


MESSAGES: Final = (
    _from_client("find", Find, "server.match", "server.error", description="Once, as the first message."),
    _from_client(
        *("confirm", Confirm, "server.chat-start", "server.error"),
        description="Within `confirm_timeout` (15 s). To say it again is harmless.",
    ),
    _from_client("message", messages.Message, description="While talking. The partner alone gets it."),
    _from_client(
        *("answers", Answers, "server.answers", "server.error"),
        description="All of them at once, within `answer_timeout` (60 s): one for each question of "
        "`chat-stop`. They may be corrected until both sides have answered. `id` is read as an alias of "
        "`question_id`.",
    ),
    _to_client(Match, "Say `confirm` if you want to talk."),
    _to_client(ChatStart),
    _to_client(messages.Message),
    _to_client(ChatStop, "After `talk_duration` (180 s)."),
    _to_client(Answers, "The connection is closed with 1000 behind it."),
    _to_client(Error, "A close comes behind it, unless both are answering: then the connection stays."),
)

# -- stories ---------------------------------------------------------------------------------------

_MATCH: Final = "123e4567-e89b-12d3-a456-426655440000"
_ALICES: Final = (Question(1, "Am I interesting?"), Question("q2", "Did you like the talk?"))
_BOBS: Final = (Question(1, "Am I boring?"),)


def _enters(who: str, name: str | None = None) -> Enters:
    return Enters(who, {"Authorization": f"Bearer {token_of(name or who)}"})


def _says(who: str, name: str, message: Any, text: str = "") -> Says:
    return Says(who, f"client.{name}", {"event": name, "payload": as_json(message)}, text)


def _hears(who: str, message: Any, text: str = "") -> Hears:
    return Hears(who, f"server.{message.event}", msgspec.json.decode(messages.encode(message)), text)


def _fails(who: str, error: Error) -> tuple[Hears, Closed]:
    return _hears(who, error, error.code), Closed(who, messages.CLOSE_CODES[error])


_MATCHED: Final = (
    _enters("alice"),
    _enters("bob"),
    _says("alice", "find", Find(0.3, _ALICES), "Somebody at 0.3, with two questions"),
    _says("bob", "find", Find(0.35, _BOBS), "Somebody at 0.35, with one question"),
    _hears("alice", Match("bob", 2, _MATCH)),
    _hears("bob", Match("alice", 1, _MATCH)),
)

STORIES: Final = (
    Story(
        "A whole talk",
        (
            *_MATCHED,
            _says("alice", "confirm", Confirm(_MATCH)),
            _says("bob", "confirm", Confirm(_MATCH)),
            _hears("alice", ChatStart()),
            _hears("bob", ChatStart()),
            _says("alice", "message", messages.Message("Hi, how are you?")),
            _hears("bob", messages.Message("Hi, how are you?")),
            _hears("alice", ChatStop(_BOBS), "The partner asked one question"),
            _hears("bob", ChatStop(_ALICES), "The partner asked two questions"),
            _says("alice", "answers", Answers(_MATCH, (Answer(1, "No."),))),
            _says("bob", "answers", Answers(_MATCH, (Answer(1, "Yes."), Answer("q2", "Very much.")))),
            _hears("alice", Answers(_MATCH, (Answer(1, "Yes."), Answer("q2", "Very much.")))),
            _hears("bob", Answers(_MATCH, (Answer(1, "No."),))),
            Closed("alice", CloseCode.DONE),
            Closed("bob", CloseCode.DONE),
            Asks(
                *("alice", "GET /v1/talks", {"limit": 1}),
                answer={
                    "talks": [
                        {
                            "id": 1,
                            "match_id": _MATCH,
                            "partner": {"user_id": 2, "username": "bob"},
                            "score": 0.3,
                            "matched": "2026-09-14T09:30:00Z",
                            "started": "2026-09-14T09:30:02Z",
                            "stopped": "2026-09-14T09:33:02Z",
                            "ended": "2026-09-14T09:33:20Z",
                            "outcome": "answered",
                            "questions": [
                                {"id": 1, "question": "Am I interesting?", "answer": "Yes."},
                                {"id": "q2", "question": "Did you like the talk?", "answer": "Very much."},
                            ],
                            "partner_questions": [{"id": 1, "question": "Am I boring?", "answer": "No."}],
                        }
                    ],
                    "next": 1,
                },
            ),
        ),
    ),
    Story(
        "One leaves",
        (*_MATCHED, Leaves("bob"), *_fails("alice", messages.PARTNER_LEFT)),
    ),
    Story(
        "Not allowed",
        (
            _enters("carol"),
            _says("carol", "confirm", Confirm(_MATCH), "Nothing to confirm yet"),
            *_fails("carol", messages.NOT_ALLOWED),
        ),
    ),
    Story(
        "From another device",
        (
            _enters("carol"),
            _says("carol", "find", Find(0.9, ()), "Somebody at 0.9, with no questions"),
            _enters("carol's telephone", "carol"),
            *_fails("carol", messages.REPLACED),
        ),
    ),
    Story("No token", (Enters("alice"), *_fails("alice", messages.UNAUTHORIZED))),
)

# -- phases ----------------------------------------------------------------------------------------

_CLOSED: Final = "closed, lost"

DIAGRAMS: Final = (
    diagram(
        "A connection",
        session._NEXT,
        {
            (State.AUTHENTICATING, State.IDLE): "token accepted",
            (State.IDLE, State.QUEUED): "find",
            (State.QUEUED, State.TALKING): "match",
            **{(state, State.OVER): _CLOSED for state in State if state is not State.OVER},
        },
    ),
    diagram(
        "The talk of two",
        conversation._NEXT,
        {
            (Phase.CONFIRMING, Phase.TALKING): "both confirm",
            (Phase.TALKING, Phase.ANSWERING): "time to stop",
            (Phase.ANSWERING, Phase.SAVING): "both answer",
            (Phase.SAVING, Phase.OVER): "saved, or not",
            (Phase.CONFIRMING, Phase.OVER): "time over, one leaves",
            (Phase.TALKING, Phase.OVER): "one leaves",
            (Phase.ANSWERING, Phase.OVER): "time over, one leaves",
        },
    ),
)

# -- HTTP ------------------------------------------------------------------------------------------


class TalkPartner(Struct, frozen=True):
    """Whom one talked to."""

    user_id: int
    username: str


class AnsweredQuestion(Struct, frozen=True):
    """A question and its answer, null if it was not given."""

    id: messages.QuestionId
    question: str
    answer: str | None


class StoredTalk(Struct, frozen=True):
    """A talk; times are ISO 8601 in UTC, `outcome` is `answered`, or the code of the error that ended it."""

    id: int
    match_id: str
    partner: TalkPartner
    score: float
    matched: str
    started: str | None
    stopped: str | None
    ended: str | None
    outcome: str | None
    questions: list[AnsweredQuestion]
    partner_questions: list[AnsweredQuestion]


class Talks(Struct, frozen=True):
    """Talks, newest first; `next` is what to ask for as `before`, null at the end."""

    talks: list[StoredTalk]
    next: int | None


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/v1/talks",
        summary="One's own talks, newest first.",
        parameters=(
            Parameter("limit", "How many, at most.", {"type": "integer", "minimum": 1, "default": 50}),
            Parameter("before", "Only those older than this talk.", {"type": "integer", "minimum": 1}),
        ),
        responses={200: Response("Talks.", Of(Talks))},
    ),
)


def describe() -> Description:
    """Return the description of talk."""
    return Description(
        name="talk",
        title="talk: strangers matched by score",
        text="Two strangers whose scores are close are brought together, talk for a while if both want to, "
        "and in the end answer each other's questions.\n\n"
        'Text frames hold `{"event": name, "payload": {…}}`, without `payload` where there is none; `data` is '
        "read as an alias of it. Within a connection the order is fixed: match, chat-start, messages, "
        "chat-stop, answers.",
        address="/talk",
        credentials=EVERYWHERE,
        messages=MESSAGES,
        errors=tuple(ErrorCase(each.code, each.message, code) for each, code in messages.CLOSE_CODES.items()),
        closes={
            **COMMON_CLOSES,
            CloseCode.DONE: "The talk is over, or came to nothing.",
            CloseCode.POLICY_VIOLATION: "What was sent can't be read or has no place in this phase.",
            CloseCode.UNSUPPORTED_FRAME: "A binary frame.",
            CloseCode.REPLACED: "The same user has connected anew.",
        },
        stories=STORIES,
        diagrams=DIAGRAMS,
        sections=(
            Section(
                "Over Socket.IO",
                "The same events in the namespace `/talk` at `/socket.io/`, with the `payload` as their one "
                "argument: an object, or a string that holds the JSON of one; a client is answered in the "
                "form that it uses. The token is `auth.token`, or the handshake's. A close is a DISCONNECT "
                "packet.",
            ),
        ),
        endpoints=ENDPOINTS,
    )
