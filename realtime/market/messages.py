"""What crosses the wire in market (document 002; market.md): the bodies of packets, as types. Pure.

From the server's side, after the upgrade at ``/market``, in the text form::

    -> {"type": 1, "data": "ping"}
    <- {"type": 2, "data": "pong"}
    <- {"type": 7, "data": {"id": "tmp-1", "msg": "Is it still free?", "conversation": 3}}
    -> {"type": 8, "data": {"sent": true, "conversation": 3, "json": Message, "fakeId": "tmp-1"}}
    -> {"type": 16, "data": {"conversation": 3, "json": Message}}          to the other party
    <- {"type": 9, "data": {"conversation": 3}}                             the other party looks
    -> {"type": 17, "data": {"conversation": 3, "message": 120}}           to the author
    <- {"type": 225, "data": {"conversation": 3, "service": {"title": "Garden", "price": "40.00"}}}
    -> {"type": 224, "data": {"conversation": 3, "services": [Service]}}   to both
    -> {"type": 0, "data": {"opcode": 228, "code": "not-allowed", "message": "This is not allowed now."}}

Which opcode carries which body stands in `opcodes`; what else a client may write instead, in `reading`.

What the document leaves open, and what was decided:

- Each body has all the keys of its kind, with null for what is not known: `fakeId` of a message that came
  without an id, `conversation` of one that was sent to somebody unknown. But of ``json`` and ``error`` a
  STATUS MSG has the one that there is.
- ``error`` of a STATUS MSG is the code of a `Fault`.
- A title, a category or a comment that was not given is the empty text.
- Ids of users are numbers wherever they stand alone; a sender and the other party have a name too.
- Times are in Unix milliseconds. Prices are decimals of two places, written as texts.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType, field

LONGEST_CONTENT: Final = 4_000
"""Characters of a message. (In UTF-8 that is at most 16 000 bytes: a TEXT holds 65 535.)"""

MOST_CONVERSATIONS: Final = 50
"""Of one RETURN CONVERSATIONS, the newest."""

MOST_MESSAGES: Final = 50
"""Of each conversation in it, the newest."""

TemporaryId = int | float | str
"""A client's own id of a message, which goes back to it as it came."""


def is_sayable(content: str) -> bool:
    """Whether ``content`` can be a message: 1 to 4000 characters, and storable."""
    return 0 < len(content) <= LONGEST_CONTENT and "\0" not in content


def key_of(temporary_id: TemporaryId) -> str:
    """Return a temporary id as a text of at most 201 characters to store; 1 and "1" differ."""
    return f'"{temporary_id}' if isinstance(temporary_id, str) else repr(temporary_id)


# -- from the client -------------------------------------------------------------------------------


class Pong(Struct, frozen=True):
    """The client is there."""


class AskConversations(Struct, frozen=True):
    """Show me my conversations: ``limit`` of them, those that come after ``before`` in the list."""

    limit: int = MOST_CONVERSATIONS
    before: int | None = None


class CreateMessage(Struct, frozen=True):
    """Say ``content`` in a conversation, or to a user where ``conversation`` is ``None``.

    The content is any text: what is not `is_sayable` is refused in a STATUS MSG, with its temporary id.
    """

    content: str
    conversation: int | None = None
    to: int | None = None
    temporary_id: TemporaryId | None = None


class OpenConversation(Struct, frozen=True):
    """I have seen what is in a conversation."""

    conversation: int


class Offer(Struct, frozen=True):
    """A service as it is proposed. Who pays and who is paid may be left open; see `services.propose`."""

    price: Decimal
    title: str = ""
    category: str = ""
    client: int | None = None
    recipient: int | None = None


class CreateService(Struct, frozen=True):
    """Propose a service."""

    conversation: int
    service: Offer


class SubmitNote(Struct, frozen=True):
    """Grade a service, 0 to 5. ``service`` is ``None``, here and below, for the conversation's newest."""

    conversation: int
    service: int | None
    grade: int
    comment: str = ""


class OpenDispute(Struct, frozen=True):
    """Object to a service."""

    conversation: int
    service: int | None = None
    reason: str = ""


class TerminateService(Struct, frozen=True):
    """Call a service done."""

    conversation: int
    service: int | None = None


class EditPrice(Struct, frozen=True):
    """Name another price."""

    conversation: int
    service: int | None
    price: Decimal


class EndNegotiation(Struct, frozen=True):
    """Take the price or leave it."""

    conversation: int
    service: int | None = None
    accepted: bool = True


class ReportConversation(Struct, frozen=True):
    """Tell the administrators of a conversation."""

    conversation: int
    reason: str = ""


class ReportMessage(Struct, frozen=True):
    """Tell the administrators of a message; ``None`` where a bare text named none."""

    message: int | None
    reason: str = ""


ServiceStep = SubmitNote | OpenDispute | TerminateService | EditPrice | EndNegotiation
ClientMessage = (
    Pong
    | AskConversations
    | CreateMessage
    | OpenConversation
    | CreateService
    | ServiceStep
    | ReportConversation
    | ReportMessage
)

# -- to the client ---------------------------------------------------------------------------------


class User(Struct, frozen=True):
    """Somebody, by number and name."""

    id: int
    username: str


SYSTEM: Final = User(0, "system")
"""The sender of what the server says in a conversation."""


class Message(Struct, frozen=True):
    """Something that was said."""

    id: int
    sender: User
    content: str
    seen: Annotated[bool, Meta(description="By the other party.")]
    created: Annotated[int, Meta(description="Unix milliseconds.")]
    conversation: int


class Note(Struct, frozen=True):
    """What one of the two thinks of a service."""

    author: Annotated[int, Meta(description="A user's id.")]
    grade: Annotated[int, Meta(description="0 to 5.")]
    comment: str


class Service(Struct, frozen=True):
    """A service: ``client`` pays ``recipient`` for it. The statuses stand in `services`."""

    id: int
    title: str
    category: str
    price: Annotated[Decimal, Meta(description="A decimal of two places.")]
    client: Annotated[int, Meta(description="Who pays.")]
    recipient: Annotated[int, Meta(description="Who is paid.")]
    status: str
    notes: tuple[Note, ...]
    created: Annotated[int, Meta(description="Unix milliseconds.")] = field(name="createdAt")


class Conversation(Struct, frozen=True):
    """A conversation as one of the two sees it; its messages oldest first."""

    id: int
    other: Annotated[User, Meta(description="The other party.")] = field(name="with")
    last: Annotated[int, Meta(description="When something was said last, in Unix milliseconds.")]
    has_new_message: bool = field(name="hasNewMessage")
    messages: tuple[Message, ...]
    services: tuple[Service, ...]


class Error(Struct, frozen=True):
    """A request that has no reply of its own failed; ``code`` is for programs, ``message`` for people."""

    opcode: Annotated[int, Meta(description="That of the request.")]
    code: Annotated[str, Meta(description="For programs.")]
    message: Annotated[str, Meta(description="For people.")]


class Ping(Struct, frozen=True):
    """Asks whether the client is there."""


class ReturnConversations(Struct, frozen=True):
    """Your conversations, newest first."""

    conversations: tuple[Conversation, ...]


class StatusMessage(Struct, frozen=True):
    """What became of a message."""

    sent: bool
    conversation: int | None
    stored: Message | UnsetType = field(name="json", default=UNSET)
    temporary_id: Annotated[TemporaryId | None, Meta(description="The request's own id.")] = field(
        name="fakeId", default=None
    )
    error: Annotated[str | UnsetType, Meta(description="The code of an error.")] = UNSET


class AlertNewMessage(Struct, frozen=True):
    """Somebody said something."""

    conversation: int
    message: Message = field(name="json")


class MessageSeen(Struct, frozen=True):
    """A message of yours was seen."""

    conversation: int
    message: int


class UpdateConversation(Struct, frozen=True):
    """The services of a conversation have changed; here they are, all of them."""

    conversation: int
    services: tuple[Service, ...]


ServerMessage = (
    Error | Ping | ReturnConversations | StatusMessage | AlertNewMessage | MessageSeen | UpdateConversation
)


class Fault(Struct, frozen=True):
    """A way to fail. Those that there are stand below."""

    code: str
    message: str

    def of(self, opcode: int) -> Error:
        """Return the answer to a packet that failed in this way."""
        return Error(opcode, self.code, self.message)


UNKNOWN_OPCODE: Final = Fault("unknown-opcode", "There is no such opcode for a client.")
BAD_REQUEST: Final = Fault("bad-request", "This can't be read.")
NOT_FOUND: Final = Fault("not-found", "There is no such thing.")
NOT_ALLOWED: Final = Fault("not-allowed", "This is not allowed now.")
UNAVAILABLE: Final = Fault("unavailable", "Temporarily unavailable.")


def stored(message: Message, temporary_id: TemporaryId | None) -> StatusMessage:
    """Return the answer to a message that is stored."""
    return StatusMessage(True, message.conversation, message, temporary_id)


def not_stored(request: CreateMessage, fault: Fault) -> StatusMessage:
    """Return the answer to a message that is not."""
    return StatusMessage(False, request.conversation, UNSET, request.temporary_id, fault.code)
