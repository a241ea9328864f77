"""The operator's side: answers customers, and is shown what they say."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ClassVar

from twisted.internet.defer import Deferred

from realtime.cluster.bus import Subscription
from realtime.support import messages
from realtime.support.desk import Changed, Posted
from realtime.support.messages import Message, OperatorMessage
from realtime.support.participants import Method, Participant, Refused, Result, expect
from realtime.support.store import LATEST


class Operator(Participant):
    """An operator's connection. ``current`` is the customer whom an answer without a name goes to."""

    __slots__ = ("_follows_changes", "current")
    _remembered = 2_000

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.current: int | None = None
        self._follows_changes = False

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
            self._shown.add(message.message_id)
            return {"message": message}

        sent = self._desk.answer(self.user, customer, text, self._outlet.origin)
        return sent.addCallback(answered)

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
        if not self._follows_changes:
            # Only to a client that knows of conversations: the document has no such push.
            self._follows_changes = True
            self._subscriptions += (self._desk.follow_changes(self._changed),)

        async def read() -> Result:
            found = await self._desk.conversations(*limits)
            return {"conversations": messages.first_that_fit(found, self._history_bytes)}

        return Deferred.fromCoroutine(read())

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
        if changed.origin != self._outlet.origin:
            self._outlet.send_frame(self._pushes.changed(changed))

    methods: ClassVar[Mapping[str, Method]] = {
        "message.send": Participant.forbidden,
        "message.operatorSend": answer,
        "message.history": history,
        "message.conversations": conversations,
        "message.assign": assign,
        "message.release": release,
        "message.seen": seen,
    }
