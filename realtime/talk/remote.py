"""A conversation of two who are connected to two processes: the stand-in of each for the other process.

The process of the one that waited longer holds the conversation. There the other is a `RemoteParticipant`; with
that other's session the conversation is a `RemoteConversation`. Between them is a line (`forwarding`). If it
breaks, either side does what it would if its partner had left; but if it was this process that was cut off, it
says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from realtime.talk import messages
from realtime.talk.conversation import Conversation, Engagement, Participant
from realtime.talk.forwarding import Forwarding
from realtime.talk.items import Finished, Left, Refused
from realtime.talk.messages import ClientMessage, Error, Malformed, ServerMessage

BEGIN_SECONDS: Final = 5.0
"""In which who holds a conversation has to begin it; it has been told of the match at the same moment."""


class Visitor(Participant, Protocol):
    """A session, as far as the way to a conversation needs it."""

    def join(self, conversation: Engagement) -> None:
        """Take part in a conversation."""


class RemoteParticipant:
    """One of the two, which is connected to another process."""

    _conversation: Conversation | None = None

    def __init__(self, forwarding: Forwarding, match_id: str, process: str) -> None:
        self._line = forwarding.open(match_id, process, self._heard, self._broken)

    def join(self, conversation: Engagement) -> None:
        """See :meth:`Visitor.join`."""
        assert isinstance(conversation, Conversation)
        self._conversation = conversation

    def tell(self, message: ServerMessage) -> None:
        """See :meth:`Participant.tell`."""
        self._line.send(message)

    def refuse(self, error: Error) -> None:
        """See :meth:`Participant.refuse`."""
        self._line.send(Refused(error))

    def finish(self, error: Error | None) -> None:
        """See :meth:`Participant.finish`."""
        self._line.close(Finished(error))

    def _heard(self, item: Any) -> None:
        if self._conversation is None:
            return
        if isinstance(item, Left):
            self._conversation.leave(self)
        else:
            self._conversation.receive(self, item)

    def _broken(self, is_cut_off: bool) -> None:
        if self._conversation is not None:
            self._conversation.leave(self, messages.UNAVAILABLE if is_cut_off else messages.PARTNER_LEFT)


class RemoteConversation:
    """A conversation that another process holds, for the one of the two that is connected to this one.

    It has begun with the first that is heard of it: then the visitor joins. ``begun`` is told, or else
    ``missed``.
    """

    def __init__(
        self,
        visitor: Visitor,
        forwarding: Forwarding,
        match_id: str,
        process: str,
        *,
        clock: IReactorTime,
        begun: Callable[[], None],
        missed: Callable[[], None],
    ) -> None:
        self._visitor = visitor
        self._begun = begun
        self._missed = missed
        self._line = forwarding.open(match_id, process, self._heard, self._broken)
        self._waits: IDelayedCall | None = clock.callLater(BEGIN_SECONDS, self._does_not_begin)

    def receive(self, participant: Participant, message: ClientMessage | Malformed) -> None:
        """See :meth:`Engagement.receive`."""
        self._line.send(message)

    def leave(self, participant: Participant) -> None:
        """See :meth:`Engagement.leave`."""
        self._wait_no_longer()
        self._line.close(Left())

    def _heard(self, item: Any) -> None:
        if self._wait_no_longer():
            self._begun()
            self._visitor.join(self)
        if isinstance(item, Finished):
            self._visitor.finish(item.error)
        elif isinstance(item, Refused):
            self._visitor.refuse(item.error)
        else:
            self._visitor.tell(item)

    def _broken(self, is_cut_off: bool) -> None:
        if self._wait_no_longer():
            self._missed()
        else:
            self._visitor.finish(messages.UNAVAILABLE if is_cut_off else messages.PARTNER_LEFT)

    def _does_not_begin(self) -> None:
        self._waits = None
        self._line.close(Left())
        self._missed()

    def _wait_no_longer(self) -> bool:
        """Return whether the conversation had not begun."""
        waits, self._waits = self._waits, None
        if waits is not None:
            waits.cancel()
        return waits is not None
