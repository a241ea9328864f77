"""Clients of support (docs/support.md): a customer's, and an operator's.

After a connection was lost, what was said meanwhile is read from the history and given to the listeners, oldest
first and each message once, right after `Connected` and before anything new.

What was not acknowledged before the connection was lost fails with `ConnectionLost` and is not sent again:
support can't tell a repetition. If it was stored nonetheless, it is among what is given to the listeners.

Listeners: `Message` (a customer's), `OperatorMessage` and `Conversation` (an operator's).
"""

from __future__ import annotations

from itertools import count
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from realtime.client.client import Client
from realtime.client.errors import ClientError, ConnectionLost, RequestFailed
from realtime.client.remembering import Seen
from realtime.client.requests import Requests
from realtime.support.messages import Conversation, Error, Message, OperatorMessage

__all__ = ["Conversation", "Message", "OperatorMessage", "SupportClient", "SupportOperator"]

_PAGE: Final = 200
"""Messages, or conversations, that are asked for at a time."""

_MOST_MISSED: Final = 10_000
"""Messages that are read after a connection was lost, the newest."""

_TOO_MANY_REQUESTS: Final = 6
_PAUSE: Final = 1.0
"""Seconds after which the server is asked again if it was too often."""

M = TypeVar("M", bound=Message)


class _Frame(Struct):
    error: Error | None
    result: Raw
    id: str | int | None = None


_read_frame = msgspec.json.Decoder(_Frame).decode
_write = msgspec.json.Encoder().encode


class _Support(Client, Generic[M]):
    """What customers and operators have in common. ``messages_at_start`` is what `start` was shown."""

    _shape: ClassVar[Any]

    def _prepare(self) -> None:
        self.messages_at_start: tuple[M, ...] = ()
        # The ids of requests are texts: a push may have the number of its message.
        self._numbers = map(str, count(1))
        self._requests: Requests[str, Raw] = Requests(self._most_pending)
        self._greetings: Requests[str, Raw] = Requests(self._most_pending)
        self._seen = Seen()
        self._held: list[M] | None = None
        self._pause: Deferred[None] | None = None
        result = msgspec.defstruct(
            "Result",
            [
                ("message", self._shape | None, None),
                ("messages", list[self._shape] | None, None),  # type: ignore[name-defined]
                ("conversation", Conversation | None, None),
                ("conversations", list[Conversation] | None, None),
            ],
        )
        self._read: Any = _decoders.setdefault(self._shape, msgspec.json.Decoder(result).decode)

    # -- for customers and operators -----------------------------------------------------------

    def _ask(self, method: str, *params: Any, requests: Requests[str, Raw] | None = None) -> Deferred[Any]:
        number = next(self._numbers)
        frame = _write({"method": method, "params": params, "id": number})
        answered = (self._requests if requests is None else requests).add(number, frame)
        return answered.addCallback(self._read)

    def _ask_for_message(self, method: str, *params: Any) -> Deferred[M]:
        def known(result: Any) -> M:
            message: M = result.message
            self._seen.add(message.message_id)
            return message

        return self._ask(method, *params).addCallback(known)

    def _history(self, user_id: int | None, before: int | None, limit: int | None) -> Deferred[list[M]]:
        answered = self._ask("message.history", user_id, before, limit)
        return answered.addCallback(lambda result: result.messages or [])

    # -- the connection ------------------------------------------------------------------------

    def _opened(self) -> None:
        self._held = []
        self._greetings.opened(self._connection.send)
        Deferred.fromCoroutine(self._greet(self._held)).addErrback(self._not_greeted)

    async def _greet(self, held: list[M]) -> None:
        result = await self._ask("message.auth", self._token_now, requests=self._greetings)
        found: list[M] = result.messages or []
        if self._has_served:
            missed = await self._missed(found)
        else:
            self.messages_at_start = tuple(found)
            missed = []
        newest = await self._newest(found)
        self._held = None
        # First of all: who has waited for `start` may want to hear what comes now.
        self._serve()
        for message in (*missed, *held):
            self._heard(message)
        self._seen.begin_above(newest)

    def _not_greeted(self, failure: Failure) -> None:
        if failure.check(RequestFailed):
            self._connection.drop()  # it can't be served now: after a while, perhaps
        elif not failure.check(ConnectionLost, CancelledError):
            name = type(failure.value).__name__
            self._connection.fail(ClientError(f"the greeting can't be read: {name}"))

    async def _newest(self, found: list[M]) -> int:
        """Return the id up to which all is known to who has just begun."""
        return found[-1].message_id if found else 0

    async def _missed(self, found: list[M]) -> list[M]:
        """Return what was said while there was no connection, oldest first."""
        raise NotImplementedError

    async def _pages_back(self, user_id: int | None, page: list[M]) -> list[M]:
        """Return what is new in a conversation, of which ``page`` is the newest part."""
        missed: list[M] = []
        while page:
            new = [message for message in page if self._seen.is_missed(message.message_id)]
            missed[:0] = new
            oldest = page[0].message_id
            if not new or oldest <= self._seen.floor or len(missed) >= _MOST_MISSED:
                break
            page = await self._greeted_with("message.history", user_id, oldest, _PAGE)
        return missed

    async def _greeted_with(self, method: str, *params: Any) -> Any:
        """Ask for something before the greeting is over, again and again if that is too often."""
        while True:
            try:
                result = await self._ask(method, *params, requests=self._greetings)
            except RequestFailed as failed:
                if failed.code != _TOO_MANY_REQUESTS:
                    raise
                self._pause = deferLater(self._clock, _PAUSE)
                await self._pause
            else:
                return result.messages or result.conversations or []

    def _received(self, payload: bytes, binary: bool) -> None:
        frame = _read_frame(payload)
        if isinstance(frame.id, str):
            requests = self._requests if frame.id in self._requests else self._greetings
            if frame.error is None:
                requests.answered(frame.id, frame.result)
            else:
                requests.failed(frame.id, RequestFailed(frame.error.code, frame.error.message))
        elif frame.error is None:
            result = self._read(frame.result)
            if result.message is None:
                if result.conversation is not None:
                    self._tell(result.conversation)
            elif self._held is not None:
                self._held.append(result.message)
            else:
                self._heard(result.message)

    def _heard(self, message: M) -> None:
        if self._seen.add(message.message_id):
            self._tell(message)

    def _served(self) -> None:
        self._requests.opened(self._connection.send)

    def _lost(self) -> None:
        self._held = None
        if self._pause is not None:
            self._pause.cancel()
        self._greetings.lost()
        self._requests.lost()

    def _ended(self, error: ClientError) -> None:
        self._greetings.ended(error)
        self._requests.ended(error)


_decoders: dict[type, Any] = {}


class SupportClient(_Support[Message]):
    """A customer: says something, and hears what operators, and its other connections, say."""

    _shape = Message

    def send(self, text: str) -> Deferred[Message]:
        """Say something; fires with the message when it is stored."""
        return self._ask_for_message("message.send", text)

    def history(self, before: int | None = None, limit: int | None = None) -> Deferred[list[Message]]:
        """Fires with the newest messages, or those before one, oldest first; at most 1000 at a time."""
        return self._history(None, before, limit)

    async def _missed(self, found: list[Message]) -> list[Message]:
        return await self._pages_back(None, found)


class SupportOperator(_Support[OperatorMessage]):
    """An operator (a user with ``is_admin``): hears customers, and answers them."""

    _shape = OperatorMessage

    def answer(self, text: str, user_id: int | None = None) -> Deferred[OperatorMessage]:
        """Answer a customer, or the one that was heard or addressed last; fires when it is stored."""
        params = (text,) if user_id is None else (text, user_id)
        return self._ask_for_message("message.operatorSend", *params)

    def history(
        self, user_id: int | None = None, before: int | None = None, limit: int | None = None
    ) -> Deferred[list[OperatorMessage]]:
        """Fires with the newest messages of a customer's conversation, or those before one, oldest first."""
        return self._history(user_id, before, limit)

    def conversations(
        self, before: int | None = None, limit: int | None = None
    ) -> Deferred[list[Conversation]]:
        """Fires with conversations, most recent first; with ``before``, those whose last message is older."""
        answered = self._ask("message.conversations", before, limit)
        return answered.addCallback(lambda result: result.conversations or [])

    def assign(self, user_id: int) -> Deferred[Conversation]:
        """Take a customer's conversation."""
        return self._change("message.assign", user_id)

    def release(self, user_id: int) -> Deferred[Conversation]:
        """Give it back."""
        return self._change("message.release", user_id)

    def seen(self, user_id: int) -> Deferred[Conversation]:
        """Mark it as read."""
        return self._change("message.seen", user_id)

    def _change(self, method: str, user_id: int) -> Deferred[Conversation]:
        return self._ask(method, user_id).addCallback(lambda result: result.conversation)

    async def _newest(self, found: list[OperatorMessage]) -> int:
        newest: list[Conversation] = await self._greeted_with("message.conversations", None, 1)
        return max((each.last_message.message_id for each in newest), default=0)

    async def _missed(self, found: list[OperatorMessage]) -> list[OperatorMessage]:
        missed: list[OperatorMessage] = []
        before = None
        while page := await self._greeted_with("message.conversations", before, _PAGE):
            for conversation in page:
                last = conversation.last_message.message_id
                if last <= self._seen.floor or len(missed) >= _MOST_MISSED:
                    return sorted(missed, key=lambda message: message.message_id)
                newest = await self._greeted_with("message.history", conversation.user_id, None, _PAGE)
                missed += await self._pages_back(conversation.user_id, newest)
                before = last
        return sorted(missed, key=lambda message: message.message_id)
