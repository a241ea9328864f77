"""The customer's side: says something, and is shown its own conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from twisted.internet.defer import Deferred

from realtime.cluster.bus import Subscription
from realtime.support import messages
from realtime.support.desk import Posted
from realtime.support.messages import Message
from realtime.support.participants import Method, Participant, Refused, Result, expect
from realtime.support.store import LATEST


class Customer(Participant):
    """A customer's connection."""

    __slots__ = ()
    _remembered = messages.MESSAGES_AT_ONCE

    def _listen(self) -> Subscription:
        return self._desk.follow_customer(self.user, self._heard, self._gap)

    def _read(self) -> Deferred[list[Message]]:
        return self._desk.store.history(self.user.id, LATEST, messages.MESSAGES_AT_ONCE)

    async def _read_lately(self) -> list[Message]:
        return await self._read()

    def _is_own(self, message: Message) -> bool:
        return not message.is_from_support

    def _concerns(self, posted: Posted) -> bool:
        return posted.origin != self._outlet.origin

    def _encode(self, posted: Posted) -> bytes:
        return self._pushes.customer(posted)

    def say(self, params: Any) -> Deferred[Result]:
        """``message.send [text]``."""
        (text,) = expect(params, str)
        if not messages.is_sayable(text):
            raise Refused(messages.INCORRECT_ARGUMENT)

        said = self._say(self._desk.say(self.user, text, self._outlet.origin))
        return said.addCallback(lambda message: {"message": message})

    def history(self, params: Any) -> Deferred[Result]:
        """``message.history [user_id?, before_id?, limit?]``; only its own."""
        customer, *limits = expect(params, int, int, int, optional=3)
        if customer not in (None, self.user.id):
            raise Refused(messages.PERMISSION_DENIED)
        found = self._desk.store.history(self.user.id, *self._history_limits(*limits))
        return found.addCallback(self._as_result)

    methods: ClassVar[Mapping[str, Method]] = {
        "message.send": say,
        "message.history": history,
        "message.operatorSend": Participant.forbidden,
        "message.conversations": Participant.forbidden,
        "message.assign": Participant.forbidden,
        "message.release": Participant.forbidden,
        "message.seen": Participant.forbidden,
    }
