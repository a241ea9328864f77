"""The table of market's opcodes: each with its number, its direction, its body and its meaning. Pure.

The codec, what a session does with a packet, the documents and the tests are driven from here. An opcode
has a body of its own, so a message says by its type which opcode it goes under (`of`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum, auto
from typing import Final

from msgspec import Struct

from realtime.market import messages


class Direction(Enum):
    """Who may send a packet."""

    FROM_CLIENT = auto()
    TO_CLIENT = auto()


_IN: Final = Direction.FROM_CLIENT
_OUT: Final = Direction.TO_CLIENT


class Opcode(IntEnum):
    """An opcode. ``title`` is its name in the protocol; ``body`` is the type of its messages."""

    title: str
    direction: Direction
    body: type[Struct]
    meaning: str

    def __new__(  # noqa: D102
        cls, number: int, title: str, direction: Direction, body: type[Struct], meaning: str
    ) -> Opcode:
        member = int.__new__(cls, number)
        member._value_ = number
        member.title = title
        member.direction = direction
        member.body = body
        member.meaning = meaning
        return member

    ERROR = 0x00, "ERROR", _OUT, messages.Error, "A request that has no reply of its own failed."
    PING = 0x01, "PING", _OUT, messages.Ping, "Are you there?"
    PONG = 0x02, "PONG", _IN, messages.Pong, "The answer to PING."
    ASK_CONVERSATIONS = (
        *(0x05, "ASK CONVERSATIONS", _IN, messages.AskConversations),
        "Ask for the newest conversations, or for those that come after one of them.",
    )
    RETURN_CONVERSATIONS = (
        *(0x06, "RETURN CONVERSATIONS", _OUT, messages.ReturnConversations),
        "Conversations, newest first, each with its newest messages and its services.",
    )
    CREATE_MESSAGE = 0x07, "CREATE MSG", _IN, messages.CreateMessage, "Say something."
    STATUS_MESSAGE = 0x08, "STATUS MSG", _OUT, messages.StatusMessage, "The message is stored, or is not."
    OPENED_CONVERSATION = (
        *(0x09, "OPENED CONVERSATION", _IN, messages.OpenConversation),
        "What is in a conversation has been seen.",
    )
    ALERT_NEW_MESSAGE = 0x10, "ALERT NEW MSG", _OUT, messages.AlertNewMessage, "Something was said."
    MESSAGE_SEEN = 0x11, "MSG SEEN", _OUT, messages.MessageSeen, "A message of yours was seen."
    UPDATE_CONVERSATION = (
        *(0xE0, "UPDATE CONVERSATION DATAS", _OUT, messages.UpdateConversation),
        "The services of a conversation have changed.",
    )
    SERVICE_CREATED = 0xE1, "SERVICE CREATED", _IN, messages.CreateService, "Propose a service."
    NOTE_SUBMITTED = 0xE2, "NOTE SUBMITTED", _IN, messages.SubmitNote, "Grade a service that is over."
    LITIGE_CREATED = 0xE3, "LITIGE CREATED", _IN, messages.OpenDispute, "Object to a service."
    SERVICE_TERMINATED = 0xE4, "SERVICE TERMINATED", _IN, messages.TerminateService, "The service is done."
    PRICE_EDITED = 0xE5, "PRICE EDITED", _IN, messages.EditPrice, "Name another price."
    NEGOTIATION_END = 0xE6, "NEGOTIATION END", _IN, messages.EndNegotiation, "Accept or decline a price."
    REPORT_CONVERSATION = (
        *(0xFE, "REPORT CONVERSATIONS", _IN, messages.ReportConversation),
        "Tell the administrators of a conversation.",
    )
    REPORT_MESSAGE = (
        *(0xFF, "REPORT MSG", _IN, messages.ReportMessage),
        "Tell the administrators of a message.",
    )


_OPCODES: Final[Mapping[type, Opcode]] = {opcode.body: opcode for opcode in Opcode}


def of(message: messages.ClientMessage | messages.ServerMessage) -> Opcode:
    """Return the opcode that a message goes under."""
    return _OPCODES[type(message)]
