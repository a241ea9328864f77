"""How clients write their bodies: the shapes that are read, with bounds and aliases. Pure.

Each shape has ``meant()``, the message that it stands for. What does not fit its shape, or means nothing,
is a ``ValueError``.

- An id is a whole number from 1 to 4 294 967 295; 1.0, "1" and true are none. Where a whole object stands
  instead, its ``id`` is meant; a service may be null, or an object without one.
- A price is a number or a text of digits, from 0 to 9 999 999 999.99, with at most two decimal places
  that count: "1.500" is 1.50, "1.505" is refused; nothing is rounded. A number is taken at the shortest
  decimal that stands for it, which is how it was written.
- A temporary id is a finite number or a text of 1 to 200 characters.
- Where there are a name and its aliases, the first that is there counts: ``id``, ``ref``, ``fakeId``;
  ``msg``, ``text``, ``message``; ``conversation``, ``to``; ``grade`` and ``comment``, ``opinion``.
- What else may be null is as if it were left out.
- No text that is stored may hold U+0000, which PostgreSQL can't store.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final

from msgspec import Meta, Struct, field

from realtime.market import messages
from realtime.market.messages import MOST_CONVERSATIONS, Offer, TemporaryId

HIGHEST_PRICE: Final = Decimal("9999999999.99")

_HUNDREDTH: Final = Decimal("0.01")
_DIGITS: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_STORABLE: Final = r"\A[^\x00]*\Z"

_Id = Annotated[int, Meta(ge=1, le=2**32 - 1)]
_Title = Annotated[str, Meta(max_length=255, pattern=_STORABLE)]
_Explanation = Annotated[str, Meta(max_length=1_000, pattern=_STORABLE)]
_Grade = Annotated[int, Meta(ge=0, le=5)]
_TemporaryId = (
    Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    | float
    | Annotated[str, Meta(min_length=1, max_length=200, pattern=_STORABLE)]
)


def price_of(value: int | float | str | Decimal) -> Decimal:
    """Return a price with two decimal places. Raises ``ValueError`` for what can't be one."""
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise ValueError("not a price")
    amount = Decimal(repr(value) if isinstance(value, float) else value)
    if not (amount.is_finite() and 0 <= amount <= HIGHEST_PRICE):
        raise ValueError("no price is as high, or below nothing")
    price = abs(amount.quantize(_HUNDREDTH))  # there is a zero below zero
    if price != amount:
        raise ValueError("more than two decimal places")
    return price


class _Whole(Struct, frozen=True):
    id: _Id


class _MaybeWhole(Struct, frozen=True):
    id: _Id | None = None


_Named = _Id | _Whole
_MaybeNamed = _Id | _MaybeWhole | None


def _id(named: int | _Whole) -> int:
    return named if isinstance(named, int) else named.id


def _id_if_any(named: int | _Whole | _MaybeWhole | None) -> int | None:
    return named if named is None or isinstance(named, int) else named.id


class Shape(Struct, frozen=True):
    """A body as a client writes it."""

    def meant(self) -> messages.ClientMessage:
        """Return the message. Raises ``ValueError``."""
        raise ValueError("it means nothing")


class _Pong(Shape, frozen=True):
    def meant(self) -> messages.Pong:
        return messages.Pong()


class _AskConversations(Shape, frozen=True):
    limit: Annotated[int, Meta(ge=1)] | None = None
    before: _Named | None = None

    def meant(self) -> messages.AskConversations:
        limit = min(self.limit or MOST_CONVERSATIONS, MOST_CONVERSATIONS)
        return messages.AskConversations(limit, _id_if_any(self.before))


class _CreateMessage(Shape, frozen=True):
    id: _TemporaryId | None = None
    ref: _TemporaryId | None = None
    fake_id: _TemporaryId | None = field(name="fakeId", default=None)
    msg: str | None = None
    text: str | None = None
    message: str | None = None
    conversation: _Named | None = None
    to: _Named | None = None

    def meant(self) -> messages.CreateMessage:
        content = _first(self.msg, self.text, self.message)
        temporary_id: TemporaryId | None = _first(self.id, self.ref, self.fake_id)
        if content is None or (self.conversation is None and self.to is None):
            raise ValueError("nothing to say, or nowhere to say it")
        if isinstance(temporary_id, float) and not math.isfinite(temporary_id):
            raise ValueError("a temporary id that can't be sent back")
        to = self.to if self.conversation is None else None
        return messages.CreateMessage(content, _id_if_any(self.conversation), _id_if_any(to), temporary_id)


class _OpenConversation(Shape, frozen=True):
    conversation: _Named

    def meant(self) -> messages.OpenConversation:
        return messages.OpenConversation(_id(self.conversation))


class _Offer(Struct, frozen=True):
    price: int | float | str
    title: _Title | None = None
    category: _Title | None = None
    client: _Named | None = None
    recipient: _Named | None = None


class _CreateService(Shape, frozen=True):
    conversation: _Named
    service: _Offer

    def meant(self) -> messages.CreateService:
        offer = self.service
        return messages.CreateService(
            _id(self.conversation),
            Offer(
                price_of(offer.price),
                offer.title or "",
                offer.category or "",
                _id_if_any(offer.client),
                _id_if_any(offer.recipient),
            ),
        )


class _Opinion(Struct, frozen=True):
    grade: _Grade | None = None
    description: _Explanation | None = None


class _SubmitNote(Shape, frozen=True):
    conversation: _Named
    service: _MaybeNamed = None
    grade: _Grade | None = None
    comment: _Explanation | None = None
    opinion: _Opinion | None = None

    def meant(self) -> messages.SubmitNote:
        opinion = self.opinion or _Opinion()
        grade = _first(self.grade, opinion.grade)
        comment = _first(self.comment, opinion.description)
        if grade is None:
            raise ValueError("no grade")
        return messages.SubmitNote(_id(self.conversation), _id_if_any(self.service), grade, comment or "")


class _OpenDispute(Shape, frozen=True):
    conversation: _Named
    service: _MaybeNamed = None
    reason: _Explanation | None = None

    def meant(self) -> messages.OpenDispute:
        return messages.OpenDispute(_id(self.conversation), _id_if_any(self.service), self.reason or "")


class _TerminateService(Shape, frozen=True):
    conversation: _Named
    service: _MaybeNamed = None

    def meant(self) -> messages.TerminateService:
        return messages.TerminateService(_id(self.conversation), _id_if_any(self.service))


class _EditPrice(Shape, frozen=True):
    conversation: _Named
    price: int | float | str
    service: _MaybeNamed = None

    def meant(self) -> messages.EditPrice:
        return messages.EditPrice(_id(self.conversation), _id_if_any(self.service), price_of(self.price))


class _EndNegotiation(Shape, frozen=True):
    conversation: _Named
    service: _MaybeNamed = None
    accepted: bool | None = None

    def meant(self) -> messages.EndNegotiation:
        accepted = self.accepted is not False
        return messages.EndNegotiation(_id(self.conversation), _id_if_any(self.service), accepted)


class _ReportConversation(Shape, frozen=True):
    conversation: _Named
    reason: _Explanation | None = None

    def meant(self) -> messages.ReportConversation:
        return messages.ReportConversation(_id(self.conversation), self.reason or "")


class _ReportMessage(Shape, frozen=True):
    message: _Named
    reason: _Explanation | None = None

    def meant(self) -> messages.ReportMessage:
        return messages.ReportMessage(_id(self.message), self.reason or "")


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


BareReport = _Explanation
"""A report that is nothing but its text, and names no message."""

SHAPES: Final[Mapping[type[Struct], Any]] = {
    messages.Pong: _Pong,
    messages.AskConversations: _AskConversations,
    messages.CreateMessage: _CreateMessage,
    messages.OpenConversation: _OpenConversation,
    messages.CreateService: _CreateService,
    messages.SubmitNote: _SubmitNote,
    messages.OpenDispute: _OpenDispute,
    messages.TerminateService: _TerminateService,
    messages.EditPrice: _EditPrice,
    messages.EndNegotiation: _EndNegotiation,
    messages.ReportConversation: _ReportConversation,
    messages.ReportMessage: _ReportMessage | BareReport,
}
"""How each of the client's messages is written."""


def meaning(read: Shape | str) -> messages.ClientMessage:
    """Return what is meant by what was read in one of the `SHAPES`. Raises ``ValueError``."""
    return messages.ReportMessage(None, read) if isinstance(read, str) else read.meant()
