"""What crosses the wire in talk (document 000; talk.md), and its codec. Pure.

From the server's side, after the upgrade at ``/talk``, with a token in the handshake::

    <- {"event": "find", "payload": {"score": 0.3, "questions": [{"id": 1, "question": "Am I boring?"}]}}
    -> {"event": "match", "payload": {"username": "viper", "user_id": 5, "match_id": "<uuid>"}}
    <- {"event": "confirm", "payload": {"match_id": "<uuid>"}}
    -> {"event": "chat-start"}                                            both have confirmed
    <- {"event": "message", "payload": {"message": "Hi, how are you?"}}   goes out as it came
    -> {"event": "chat-stop", "payload": {"questions": [Question, …]}}    the partner's
    <- {"event": "answers", "payload": {"match_id": "<uuid>", "answers": [Answer, …]}}
    -> {"event": "answers", "payload": {"match_id": "<uuid>", "answers": [Answer, …]}}
    -> {"event": "error", "payload": {"message": "Your partner has left.", "code": "partner-left"}}

What the document leaves open, and what was decided:

- ``data`` is read as an alias of ``payload``, and an answer's ``id`` as one of its ``question_id``; where
  both are there, the document's own name counts.
- A question's id is an integer of 64 bits or a string; 1 and "1" are two ids. What is an integer is not
  read from a fraction (``1.0``), nor from ``true``.
- No text may hold U+0000, which PostgreSQL can't store: such a message can't be read, on all databases.
- The same messages go over WebSocket (`decode`, `encode`) and as the events of a transport that has
  names for them itself (`from_event`, `payload_of`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from realtime.closing import CloseCode

MOST_QUESTIONS: Final = 20
"""Of one client. (Their answers are as many.)"""

_STORABLE: Final = r"\A[^\x00]*\Z"

QuestionId = (
    Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    | Annotated[str, Meta(min_length=1, max_length=255, pattern=_STORABLE)]
)
QuestionText = Annotated[str, Meta(min_length=1, max_length=500, pattern=_STORABLE)]
AnswerText = Annotated[str, Meta(max_length=4_000, pattern=_STORABLE)]
MessageText = Annotated[str, Meta(min_length=1, max_length=4_000, pattern=_STORABLE)]


class Question(Struct, frozen=True):
    """What a client wants to be told of itself when the talk is over."""

    id: QuestionId
    question: QuestionText


class Answer(Struct, frozen=True):
    """What the partner tells it."""

    question_id: QuestionId
    answer: AnswerText


Questions = Annotated[tuple[Question, ...], Meta(max_length=MOST_QUESTIONS)]

# -- from the client -------------------------------------------------------------------------------


class Find(Struct, frozen=True):
    """Look for somebody to talk to. ``score`` is finite."""

    score: Annotated[float, Meta(description="Whoever is closest to it is found.")]
    questions: Annotated[Questions, Meta(description="What the partner will be asked when the talk is over.")]

    def __post_init__(self) -> None:
        """Refuse two questions of one id, which could not be told apart in the answers."""
        if len({question.id for question in self.questions}) < len(self.questions):
            raise ValueError("two questions have one id")


class Confirm(Struct, frozen=True):
    """Be willing to talk to the partner of this match."""

    match_id: Annotated[str, Meta(description="That of `match`.")]


class Malformed(Struct, frozen=True):
    """Stands for what could not be read: not JSON, an unknown event, a payload of the wrong shape."""


# -- either way ------------------------------------------------------------------------------------


class Message(Struct, frozen=True):
    """Something said; the partner gets it as it came."""

    event: ClassVar[str] = "message"

    message: MessageText


class Answers(Struct, frozen=True):
    """The answers to the partner's questions, from the client; to the client, the partner's."""

    event: ClassVar[str] = "answers"

    match_id: str
    answers: tuple[Answer, ...]


# -- to the client ---------------------------------------------------------------------------------


class Match(Struct, frozen=True):
    """Somebody was found: the partner's name and id, and what the match is called."""

    event: ClassVar[str] = "match"

    username: Annotated[str, Meta(description="The partner's.")]
    user_id: Annotated[int, Meta(description="The partner's.")]
    match_id: Annotated[str, Meta(description="Names the match in what is said next.")]


class ChatStart(Struct, frozen=True):
    """Both have confirmed. It has no payload."""

    event: ClassVar[str] = "chat-start"


class ChatStop(Struct, frozen=True):
    """The talk is over; here are the partner's questions."""

    event: ClassVar[str] = "chat-stop"

    questions: tuple[Question, ...]


class Error(Struct, frozen=True):
    """Something went wrong; ``code`` is for programs. Those that there are stand below."""

    event: ClassVar[str] = "error"

    message: Annotated[str, Meta(description="For people.")]
    code: Annotated[str, Meta(description="For programs.")]


UNAUTHORIZED: Final = Error("The token is absent or not valid.", "unauthorized")
BAD_REQUEST: Final = Error("This can't be read.", "bad-request")
NOT_ALLOWED: Final = Error("This is not allowed now.", "not-allowed")
NO_MATCH: Final = Error("Nobody was found to talk to.", "no-match")
CONFIRM_TIMEOUT: Final = Error("The match was not confirmed in time.", "confirm-timeout")
PARTNER_LEFT: Final = Error("Your partner has left.", "partner-left")
ANSWER_TIMEOUT: Final = Error("The questions were not answered in time.", "answer-timeout")
REPLACED: Final = Error("You have connected anew elsewhere.", "replaced")
UNAVAILABLE: Final = Error("Temporarily unavailable.", "unavailable")

CLOSE_CODES: Final[Mapping[Error, CloseCode]] = {
    UNAUTHORIZED: CloseCode.NOT_AUTHENTICATED,
    BAD_REQUEST: CloseCode.POLICY_VIOLATION,
    NOT_ALLOWED: CloseCode.POLICY_VIOLATION,
    NO_MATCH: CloseCode.DONE,
    CONFIRM_TIMEOUT: CloseCode.DONE,
    PARTNER_LEFT: CloseCode.DONE,
    ANSWER_TIMEOUT: CloseCode.DONE,
    REPLACED: CloseCode.REPLACED,
    UNAVAILABLE: CloseCode.TRY_AGAIN_LATER,
}
"""The code of the close that comes behind each error."""

ClientMessage = Find | Confirm | Message | Answers
ServerMessage = Match | ChatStart | Message | ChatStop | Answers | Error

# -- the codec -------------------------------------------------------------------------------------


class _ReadAnswer(Struct, frozen=True):
    answer: AnswerText
    question_id: QuestionId | None = None
    id: QuestionId | None = None

    def __post_init__(self) -> None:
        if self.question_id is None and self.id is None:
            raise ValueError("an answer to no question")

    def meant(self) -> Answer:
        identifier = self.id if self.question_id is None else self.question_id
        assert identifier is not None
        return Answer(identifier, self.answer)


class _ReadAnswers(Struct, frozen=True):
    match_id: str
    answers: Annotated[tuple[_ReadAnswer, ...], Meta(max_length=MOST_QUESTIONS)]


_Payload = TypeVar("_Payload")


class _Read(Struct, Generic[_Payload], tag_field="event"):
    payload: _Payload | None = None
    data: _Payload | None = None


class _ReadFind(_Read[Find], tag="find"):
    pass


class _ReadConfirm(_Read[Confirm], tag="confirm"):
    pass


class _ReadMessage(_Read[Message], tag="message"):
    pass


class _ReadAnswersEvent(_Read[_ReadAnswers], tag="answers"):
    pass


class _Written(Struct, frozen=True):
    event: str
    payload: ServerMessage | UnsetType = UNSET


_MALFORMED: Final = Malformed()

_read = msgspec.json.Decoder(_ReadFind | _ReadConfirm | _ReadMessage | _ReadAnswersEvent).decode
_read_text = msgspec.json.Decoder(str).decode
_read_payload: Final[Mapping[str, msgspec.json.Decoder[Any]]] = {
    "find": msgspec.json.Decoder(Find),
    "confirm": msgspec.json.Decoder(Confirm),
    "message": msgspec.json.Decoder(Message),
    "answers": msgspec.json.Decoder(_ReadAnswers),
}
CLIENT_EVENTS: Final = tuple(_read_payload)
"""The names of the events that a client may send."""

_write = msgspec.json.Encoder().encode


def decode(frame: bytes) -> ClientMessage | Malformed:
    """Read a text frame."""
    try:
        read = _read(frame)
    except (ValueError, RecursionError):  # of msgspec's errors, and of UTF-8's
        return _MALFORMED
    return _meant(read.data if read.payload is None else read.payload)


def from_event(name: str, payload: bytes) -> ClientMessage | Malformed:
    """Read an event. ``payload`` is JSON: an object, or a string that holds the JSON of one."""
    decoder = _read_payload.get(name)
    if decoder is None:
        return _MALFORMED
    try:
        if payload[:1] == b'"':
            payload = _read_text(payload).encode()
        return _meant(decoder.decode(payload))
    except (ValueError, RecursionError):
        return _MALFORMED


def _meant(read: Find | Confirm | Message | _ReadAnswers | None) -> ClientMessage | Malformed:
    if read is None:
        return _MALFORMED
    if isinstance(read, _ReadAnswers):
        return Answers(read.match_id, tuple(answer.meant() for answer in read.answers))
    return read


def encode(message: ServerMessage) -> bytes:
    """Return the text frame of a message, without a ``payload`` if it has none."""
    return _write(_Written(message.event, UNSET if isinstance(message, ChatStart) else message))


def payload_of(message: ServerMessage) -> bytes | None:
    """Return the payload of a message as JSON, or ``None`` if it has none. Its name is ``event``."""
    return None if isinstance(message, ChatStart) else _write(message)
