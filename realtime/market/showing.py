"""What is done to messages before they are written: texts as HTML, and lists cut to what fits. Pure."""

from __future__ import annotations

import html

import msgspec
from msgspec.structs import replace

from realtime.market.messages import (
    AlertNewMessage,
    Conversation,
    Message,
    ReturnConversations,
    ServerMessage,
    Service,
    StatusMessage,
    UpdateConversation,
    User,
)


def in_html(message: ServerMessage) -> ServerMessage:
    """Return a message with ``& < >`` as entities in all that users wrote, their names among it."""
    match message:
        case ReturnConversations():
            return ReturnConversations(tuple(map(_conversation_in_html, message.conversations)))
        case StatusMessage(stored=Message() as said):
            return replace(message, stored=_message_in_html(said))
        case AlertNewMessage():
            return replace(message, message=_message_in_html(message.message))
        case UpdateConversation():
            return replace(message, services=tuple(map(_service_in_html, message.services)))
        case _:
            return message


def _escape(text: str) -> str:
    return html.escape(text, quote=False)


def _message_in_html(message: Message) -> Message:
    return replace(message, content=_escape(message.content), sender=_user_in_html(message.sender))


def _user_in_html(user: User) -> User:
    return replace(user, username=_escape(user.username))


def _service_in_html(service: Service) -> Service:
    notes = tuple(replace(note, comment=_escape(note.comment)) for note in service.notes)
    return replace(service, title=_escape(service.title), category=_escape(service.category), notes=notes)


def _conversation_in_html(conversation: Conversation) -> Conversation:
    return replace(
        conversation,
        other=_user_in_html(conversation.other),
        messages=tuple(map(_message_in_html, conversation.messages)),
        services=tuple(map(_service_in_html, conversation.services)),
    )


def newest_that_fit(conversations: tuple[Conversation, ...], most_bytes: int) -> tuple[Conversation, ...]:
    """Return the beginning of a list of conversations, as much of it as fits into ``most_bytes`` of JSON.

    The first one is always part of it, if need be with no more than the newest of its messages.
    """
    fitting: list[Conversation] = []
    left = most_bytes
    for conversation in conversations:
        left -= _size(conversation)
        if left < 0:
            break
        fitting.append(conversation)
    if conversations and not fitting:
        fitting.append(_shortened(conversations[0], most_bytes))
    return tuple(fitting)


def _shortened(conversation: Conversation, most_bytes: int) -> Conversation:
    left = most_bytes - _size(replace(conversation, messages=()))
    count = 0
    for message in reversed(conversation.messages):
        left -= _size(message)
        if left < 0 and count:
            break
        count += 1
    return replace(conversation, messages=conversation.messages[len(conversation.messages) - count :])


_encode = msgspec.json.Encoder().encode


def _size(item: Conversation | Message) -> int:
    return len(_encode(item)) + 1  # with the comma behind it
