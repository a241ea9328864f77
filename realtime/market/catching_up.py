"""What a connection was told, and so what it has missed when messages between processes were lost.

After a gap a connection looks at the conversations as they would be shown to it if it asked for them now. What
it finds there it is told as it would have been at the time: ALERT for each message since it began that it was
not told of, with UPDATE behind the last one of the system's in each conversation, then SEEN for each message of
its user's that it knows as unseen and that has been seen meanwhile. Nothing is told twice: what it hears later,
and has found already, is passed over; so is what it has read in a list of conversations.

It remembers ids, of messages since it began: a connection to which nothing is said remembers nothing. What lies
further back than it remembers, or than it is shown if it asks, it finds when it asks for more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from realtime.cluster.catching_up import Told as Ids
from realtime.market.exchange import SEEN_AT_ONCE, Told
from realtime.market.messages import (
    SYSTEM,
    AlertNewMessage,
    Conversation,
    Message,
    MessageSeen,
    UpdateConversation,
)

REMEMBERED: Final = 256
"""Messages of each kind, the newest: 2 KiB for a connection that hears much."""


class Knowledge:
    """What the client of one connection of a user knows; ``since`` is when it began, in Unix milliseconds."""

    __slots__ = ("_noticed", "_since", "_told", "_unseen", "_user_id")

    def __init__(self, user_id: int, since: int) -> None:
        self._user_id = user_id
        self._since = since
        self._told = Ids(REMEMBERED)
        self._unseen: Ids | None = None
        self._noticed: Ids | None = None

    def learn(self, message: Message) -> None:
        """The client has a message: it was told of it, or shown it, or has sent it."""
        if message.created >= self._since:
            self._told.add(message.id)
        if message.sender.id == self._user_id:
            if not message.seen:
                if self._unseen is None:
                    self._unseen = Ids(REMEMBERED)
                self._unseen.add(message.id)
            elif self._unseen is not None:
                self._unseen.discard(message.id)

    def news_of(self, told: Told) -> Told | None:
        """Learn what is told; return what of it the client does not know: the same object, if that is all."""
        if told.alert is not None:
            if told.alert.message.id in self._told:
                return None  # with how the services stood then: it knows how they stood later
            self.learn(told.alert.message)
        if told.seen:
            if self._noticed is not None and any(each.message in self._noticed for each in told.seen):
                told = replace(
                    told, seen=tuple(each for each in told.seen if each.message not in self._noticed)
                )
            if self._unseen is not None:
                for notice in told.seen:
                    self._unseen.discard(notice.message)
        return told

    def missed(self, found: Iterable[Conversation], *, but_own: bool) -> tuple[list[Told], bool]:
        """Return what a client has missed, in the order of events, and learn it; and whether that is all.

        ``found`` is what it would be shown now. Its user's own messages are left out if ``but_own``: it may be
        sending them just then.
        """
        news = sorted(
            (
                (message, conversation)
                for conversation in found
                for message in conversation.messages
                if message.created >= self._since and self._told.is_news(message.id)
            ),
            key=lambda pair: pair[0].id,
        )
        stepped = {message.conversation: message.id for message, _ in news if message.sender.id == SYSTEM.id}
        told: list[Told] = []
        seen = self._seen_meanwhile(found)
        is_all = True
        for message, conversation in news:
            if but_own and message.sender.id == self._user_id:
                is_all = False
                continue
            update = None
            if stepped.get(conversation.id) == message.id:
                update = UpdateConversation(conversation.id, conversation.services)
            told.append(Told(alert=AlertNewMessage(conversation.id, message), update=update))
            self.learn(message)
        for start in range(0, len(seen), SEEN_AT_ONCE):
            told.append(Told(seen=tuple(seen[start : start + SEEN_AT_ONCE])))
        return told, is_all

    def _seen_meanwhile(self, found: Iterable[Conversation]) -> list[MessageSeen]:
        """Return notices for what is seen now and was not, and remember that they are given."""
        unseen = self._unseen
        if unseen is None:
            return []
        notices = [
            MessageSeen(conversation.id, message.id)
            for conversation in found
            for message in conversation.messages
            if message.seen and message.id in unseen
        ]
        if notices and self._noticed is None:
            self._noticed = Ids(REMEMBERED)
        for notice in notices:
            unseen.discard(notice.message)
            if self._noticed is not None:
                self._noticed.add(notice.message)
        return notices
