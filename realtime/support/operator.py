"""The operator's side: answers customers, and is shown what they say."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ClassVar

from twisted.internet.defer import Deferred

from realtime.cluster.bus import Subscription
from realtime.support import messages
from realtime.support.desk import Changed, Posted
from realtime.support.messages import Conversation, Message, OperatorMessage
from realtime.support.participants import Method, Participant, Refused, Result, expect
from realtime.support.store import LATEST


class Listed:
    """How the conversations stood that a client was last told of: who has them, and how much is unread.

    Of the last 1000 that it was told of, as many as are looked at after a gap.
    """

    __slots__ = ("_newest", "_told")

    def __init__(self) -> None:
        self._newest = 0
        self._told: dict[int, tuple[int, int | None]] = {}

    def add(self, conversation: Conversation) -> None:
        """Note how one stands."""
        self._newest = max(self._newest, conversation.last_message.message_id)
        self._told.pop(conversation.user_id, None)
        self._told[conversation.user_id] = _standing(conversation)
        if len(self._told) > messages.MESSAGES_AT_ONCE:
            del self._told[next(iter(self._told))]

    def is_news(self, conversation: Conversation) -> bool:
        """Whether one stands otherwise than was told, or is one that came later than all that was told."""
        told = self._told.get(conversation.user_id)
        if told is None:
            return conversation.last_message.message_id > self._newest
        return told != _standing(conversation)


def _standing(conversation: Conversation) -> tuple[int, int | None]:
    return conversation.unread, conversation.assigned_to


class Operator(Participant):
    """An operator's connection. ``current`` is the customer whom an answer without a name goes to."""

    __slots__ = ("_began_after", "_has_changes_gap", "_listed", "current")
    _remembered = 10_000

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.current: int | None = None
        self._began_after = LATEST
        self._listed: Listed | None = None
        self._has_changes_gap = False

    async def follow(self) -> list[Message]:
        """Note first what there was before: nothing older is news to this connection.

        (Not even in a conversation that is opened again, which it was not shown when it came.)
        """
        self._began_after = await self._desk.store.newest_id()
        return await super().follow()

    def begin(self, found: list[Message]) -> None:
        """The newest message that was shown makes its conversation the current one."""
        for message in found:
            if isinstance(message, OperatorMessage) and not message.is_from_support:
                self.current = message.user_id
        super().begin(found)

    def _listen(self) -> Subscription:
        return self._desk.follow_operators(self._heard, self._gap)

    def _read(self) -> Deferred[Any]:
        return self._desk.store.open_messages()

    async def _read_lately(self) -> list[OperatorMessage]:
        # Not only the open conversations: in others it may have missed a question with its answer.
        return await self._desk.said_lately(self.user, self._began_after)

    def _is_own(self, message: Message) -> bool:
        return message.invader_name == self.user.name

    def _concerns(self, posted: Posted) -> bool:
        if posted.origin == self._outlet.origin:
            return False
        message = posted.message
        if posted.author == self.user.id:
            self.current = message.user_id  # addressed from another of the operator's connections
        if posted.assigned_to not in (None, self.user.id):
            return False
        if not message.is_from_support:
            self.current = message.user_id
        return True

    def _encode(self, posted: Posted) -> bytes:
        return self._pushes.operator(posted)

    def answer(self, params: Any) -> Deferred[Result]:
        """``message.operatorSend [text, user_id?]``."""
        text, customer = expect(params, str, int, optional=1)
        if not messages.is_sayable(text):
            raise Refused(messages.INCORRECT_ARGUMENT)
        customer = self.current if customer is None else customer
        if customer is None or not 0 < customer <= LATEST:
            raise Refused(messages.NO_CONVERSATION)

        # At once: what is said next, before this is stored, goes to the same customer.
        before, self.current = self.current, customer

        def answered(message: OperatorMessage | None) -> Result:
            if message is None:
                if self.current == customer:
                    self.current = before
                raise Refused(messages.NO_CONVERSATION)
            return {"message": message}

        sent = self._desk.answer(self.user, customer, text, self._outlet.origin)
        return self._say(sent).addCallback(answered)

    def history(self, params: Any) -> Deferred[Result]:
        """``message.history [user_id?, before_id?, limit?]``; the current one's if none is named."""
        customer, *limits = expect(params, int, int, int, optional=3)
        before, count = self._history_limits(*limits)
        customer = self.current if customer is None else customer
        if customer is None or not 0 < customer <= LATEST:
            raise Refused(messages.NO_CONVERSATION)

        def read(found: list[OperatorMessage] | None) -> Result:
            if found is None:
                raise Refused(messages.NO_CONVERSATION)
            return self._as_result(found)

        return self._desk.store.history_for_operator(customer, before, count).addCallback(read)

    def conversations(self, params: Any) -> Deferred[Result]:
        """``message.conversations [before_id?, limit?]``; from now on changes are pushed too."""
        limits = self._history_limits(*expect(params, int, int, optional=2))
        if self._listed is None:
            # Only to a client that knows of conversations: the document has no such push.
            self._listed = Listed()
            self._subscriptions += (self._desk.follow_changes(self._changed, self._changes_gap),)
        return Deferred.fromCoroutine(self._list(self._listed, *limits))

    async def _list(self, listed: Listed, before: int, count: int) -> Result:
        found, is_known = await self._desk.conversations(before, count)
        fitting = messages.first_that_fit(found, self._history_bytes)
        for conversation in reversed(fitting):
            listed.add(conversation)
        if not is_known:
            self._changes_gap()
        return {"conversations": fitting}

    def assign(self, params: Any) -> Deferred[Result]:
        """``message.assign [user_id]``."""
        return self._change(params, lambda *one: self._desk.assign(self.user, *one))

    def release(self, params: Any) -> Deferred[Result]:
        """``message.release [user_id]``."""
        return self._change(params, lambda *one: self._desk.release(self.user, *one))

    def seen(self, params: Any) -> Deferred[Result]:
        """``message.seen [user_id]``."""
        return self._change(params, self._desk.mark_seen)

    def _change(self, params: Any, change: Callable[[int, str], Coroutine[Any, Any, Any]]) -> Deferred[Result]:
        (customer,) = expect(params, int)
        if not 0 < customer <= LATEST:
            raise Refused(messages.NO_CONVERSATION)

        async def run() -> Result:
            conversation = await change(customer, self._outlet.origin)
            if conversation is None:
                raise Refused(messages.NO_CONVERSATION)
            return {"conversation": conversation}

        return Deferred.fromCoroutine(run())

    def _changed(self, changed: Changed) -> None:
        if self._listed is not None:
            self._listed.add(changed.conversation)
        if changed.origin != self._outlet.origin:
            self._outlet.send_frame(self._pushes.changed(changed))

    def _changes_gap(self) -> None:
        """Changes may have been lost on the way here, or could not be known: look for them."""
        if not self._has_changes_gap:
            self._has_changes_gap = True
            self._desk.catching_up.run(self._catch_up_on_changes)

    async def _catch_up_on_changes(self) -> bool:
        if not self._subscriptions or self._listed is None:
            return True
        self._has_changes_gap = False
        try:
            found = await self._desk.conversations_now()
        except Exception:
            self._has_changes_gap = True
            raise
        for conversation in reversed(found):
            if self._subscriptions and self._listed.is_news(conversation):
                self._changed(Changed(conversation, ""))
        return True

    methods: ClassVar[Mapping[str, Method]] = {
        "message.send": Participant.forbidden,
        "message.operatorSend": answer,
        "message.history": history,
        "message.conversations": conversations,
        "message.assign": assign,
        "message.release": release,
        "message.seen": seen,
    }
