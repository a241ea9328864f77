"""A client of market (docs/market.md), in any of its three forms.

- `MarketClient.say` fires when the message is stored. Each message has an id of the client's, by which market
  knows it again: what has no answer when a connection is lost is sent again over the next one.
- PINGs are answered.
- market has no answer to a step in the life of a service but UPDATE CONVERSATION DATAS, which the other party's
  steps bring about as well, or ERROR. So steps go one at a time, and each fires with the next state of the
  services of its conversation; whether that is what was wanted shows in it.
- What else was under way when the connection was lost fails with `ConnectionLost`.

Listeners: `AlertNewMessage`, `MessageSeen`, `UpdateConversation`, and `Error` for what failed without having an
answer of its own (a report, a conversation that was to be opened).
"""

from __future__ import annotations

from decimal import Decimal
from itertools import count
from typing import Any
from uuid import uuid4

from msgspec import UNSET
from twisted.internet.defer import Deferred

from realtime.client import market_packets
from realtime.client.client import Client, Options, Token
from realtime.client.errors import ClientError, RequestFailed
from realtime.client.line import Opening
from realtime.client.requests import Requests
from realtime.market import opcodes
from realtime.market.codec import Form
from realtime.market.messages import (
    AlertNewMessage,
    AskConversations,
    ClientMessage,
    Conversation,
    CreateMessage,
    CreateService,
    EditPrice,
    EndNegotiation,
    Error,
    Message,
    MessageSeen,
    Offer,
    OpenConversation,
    OpenDispute,
    Ping,
    Pong,
    ReportConversation,
    ReportMessage,
    ReturnConversations,
    Service,
    ServiceStep,
    StatusMessage,
    SubmitNote,
    TerminateService,
    UpdateConversation,
)
from realtime.market.opcodes import Opcode

__all__ = [
    "AlertNewMessage",
    "Conversation",
    "Error",
    "Form",
    "MarketClient",
    "Message",
    "MessageSeen",
    "Service",
    "UpdateConversation",
]

_Step = tuple[Opcode, int, int]
"""What a step is known by: its opcode, its conversation, and a number."""


class MarketClient(Client):
    """A party of conversations. ``form`` is how packets are written, either way."""

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        form: Form = Form.BINARY,
        options: Options | None = None,
        **named: Any,
    ) -> None:
        super().__init__(url, token, options=options, **named)
        self._form = form
        self._numbers = count(1)
        self._said: Requests[str, Message] = Requests(self._most_pending)
        self._asked: Requests[int, tuple[Conversation, ...]] = Requests(self._most_pending, window=1)
        self._steps: Requests[_Step, tuple[Service, ...]] = Requests(self._most_pending, window=1)

    # -- for users -----------------------------------------------------------------------------

    def say(
        self, content: str, *, conversation: int | None = None, to: int | None = None, key: str | None = None
    ) -> Deferred[Message]:
        """Say something in a conversation, or to a user, with whom it opens one; fires when it is stored.

        Fails with `RequestFailed`. With a ``key`` of one's own (1 to 200 characters) another client of the same
        user can send the message again: it is stored once.
        """
        if (conversation is None) == (to is None):
            raise ValueError("either a conversation or a user")
        key = uuid4().hex if key is None else key
        return self._said.add(key, self._frame(CreateMessage(content, conversation, to, key)), again=True)

    def conversations(
        self, limit: int | None = None, before: int | None = None
    ) -> Deferred[tuple[Conversation, ...]]:
        """Fires with the newest conversations, at most 50, or those that come after one of them in the list."""
        ask = AskConversations(before=before) if limit is None else AskConversations(limit, before)
        return self._asked.add(next(self._numbers), self._frame(ask))

    def opened(self, conversation: int) -> None:
        """Have seen what is in a conversation. Raises `NotConnected`."""
        self._send_message(OpenConversation(conversation))

    def propose(
        self,
        conversation: int,
        price: Decimal | str,
        *,
        title: str = "",
        category: str = "",
        client: int | None = None,
        recipient: int | None = None,
    ) -> Deferred[tuple[Service, ...]]:
        """Propose a service; ``client``, by default oneself, pays ``recipient``, by default the other party."""
        offer = Offer(Decimal(price), title, category, client, recipient)
        return self._step(CreateService(conversation, offer))

    def edit_price(
        self, conversation: int, price: Decimal | str, service: int | None = None
    ) -> Deferred[tuple[Service, ...]]:
        """Name another price; here and below, no ``service`` means the conversation's newest."""
        return self._step(EditPrice(conversation, service, Decimal(price)))

    def end_negotiation(
        self, conversation: int, service: int | None = None, *, accepted: bool = True
    ) -> Deferred[tuple[Service, ...]]:
        """Take the price or leave it."""
        return self._step(EndNegotiation(conversation, service, accepted))

    def terminate(self, conversation: int, service: int | None = None) -> Deferred[tuple[Service, ...]]:
        """Call a service done."""
        return self._step(TerminateService(conversation, service))

    def dispute(
        self, conversation: int, service: int | None = None, *, reason: str = ""
    ) -> Deferred[tuple[Service, ...]]:
        """Object to a service."""
        return self._step(OpenDispute(conversation, service, reason))

    def grade(
        self, conversation: int, grade: int, comment: str = "", service: int | None = None
    ) -> Deferred[tuple[Service, ...]]:
        """Grade a service, 0 to 5."""
        return self._step(SubmitNote(conversation, service, grade, comment))

    def report_conversation(self, conversation: int, reason: str = "") -> None:
        """Tell the administrators of a conversation. Raises `NotConnected`."""
        self._send_message(ReportConversation(conversation, reason))

    def report_message(self, message: int, reason: str = "") -> None:
        """Tell the administrators of a message. Raises `NotConnected`."""
        self._send_message(ReportMessage(message, reason))

    # -- writing -------------------------------------------------------------------------------

    def _frame(self, message: ClientMessage) -> bytes:
        return market_packets.encode(self._form, message)

    def _send_message(self, message: ClientMessage) -> None:
        self._send_now(self._frame(message), self._form.is_binary)

    def _step(self, step: ServiceStep | CreateService) -> Deferred[tuple[Service, ...]]:
        key = opcodes.of(step), step.conversation, next(self._numbers)
        return self._steps.add(key, self._frame(step))

    # -- the connection ------------------------------------------------------------------------

    def _opening(self, token: str) -> Opening:
        return Opening(self.url, {"Authorization": f"Bearer {token}"}, (self._form.value,))

    def _opened(self) -> None:
        self._serve()  # the token was good: else the handshake would have been refused

    def _received(self, payload: bytes, binary: bool) -> None:
        message = market_packets.decode(self._form, payload)
        match message:
            case Ping():
                self._connection.send(self._frame(Pong()), self._form.is_binary)
            case StatusMessage():
                self._take_status(message)
            case ReturnConversations():
                oldest = self._asked.oldest
                if oldest is not None:
                    self._asked.answered(oldest, message.conversations)
            case Error():
                self._take_error(message)
            case UpdateConversation():
                step = self._steps.oldest
                if step is not None and step[1] == message.conversation:
                    self._steps.answered(step, message.services)
                self._tell(message)
            case _:
                self._tell(message)

    def _take_status(self, status: StatusMessage) -> None:
        key = str(status.temporary_id)
        if status.stored is not UNSET:
            self._said.answered(key, status.stored)
        else:
            code = "" if status.error is UNSET else status.error
            self._said.failed(key, RequestFailed(code, "The message was not sent."))

    def _take_error(self, error: Error) -> None:
        failed = RequestFailed(error.code, error.message)
        step, asked = self._steps.oldest, self._asked.oldest
        if step is not None and step[0] == error.opcode:
            self._steps.failed(step, failed)
        elif asked is not None and error.opcode == Opcode.ASK_CONVERSATIONS:
            self._asked.failed(asked, failed)
        else:
            self._tell(error)

    def _served(self) -> None:
        send = self._connection.send
        for requests in (self._said, self._asked, self._steps):
            requests.opened(lambda frame: send(frame, self._form.is_binary))

    def _lost(self) -> None:
        for requests in (self._said, self._asked, self._steps):
            requests.lost()

    def _ended(self, error: ClientError) -> None:
        for requests in (self._said, self._asked, self._steps):
            requests.ended(error)
