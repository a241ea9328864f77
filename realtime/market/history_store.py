"""market's SQL of what a user is shown: its conversations, newest first, with what was said in them.

A page of them takes four statements at most, however many there are and however long they are. What is shown
is found by indexes; MariaDB alone runs over all of a conversation's entries in one of them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from sqlalchemy import ClauseElement, Select, Subquery, bindparam, func, or_, select, true, union_all

from realtime.market import messages
from realtime.market.messages import SYSTEM, Conversation, Message, Service
from realtime.market.service_store import Deals
from realtime.storage.statements import Statement
from realtime.storage.tables import market_conversations, market_messages, users
from realtime.storage.transaction import Transaction

IS_OF_USER: Final = or_(
    market_conversations.c.first_user_id == bindparam("user"),
    market_conversations.c.second_user_id == bindparam("user"),
)
"""Whether ``user`` is one of a conversation's two."""

_END: Final = 2**63 - 1, 2**32
"""Behind the place of every conversation in the order of `latest` and id."""

_OLDEST_SHOWN: Final = (
    select(market_messages.c.id)
    .where(market_messages.c.conversation_id == market_conversations.c.id)
    .order_by(market_messages.c.id.desc())
    .limit(1)
    .offset(messages.MOST_MESSAGES - 1)
    .correlate(market_conversations)
    .scalar_subquery()
)


def _page() -> Subquery:
    """Select the conversations of ``user`` that come after a place, ``count`` of them, newest first.

    Two indexes give them in order: one of those whose first user it is, one of those whose second.
    """

    def of(own: str, other: str) -> Select[Any]:
        found = (
            select(
                *(market_conversations.c.id, market_conversations.c.latest),
                market_conversations.c[f"{other}_user_id"].label("other"),
                market_conversations.c[f"{own}_newest_id"].label("own_newest"),
                market_conversations.c[f"{own}_seen_id"].label("own_seen"),
                market_conversations.c[f"{other}_seen_id"].label("other_seen"),
                func.coalesce(_OLDEST_SHOWN, 0).label("oldest_shown"),
            )
            .where(
                market_conversations.c[f"{own}_user_id"] == bindparam("user"),
                market_conversations.c.latest <= bindparam("latest_before"),
                or_(
                    market_conversations.c.latest < bindparam("latest_before"),
                    market_conversations.c.id < bindparam("id_before"),
                ),
            )
            .order_by(market_conversations.c.latest.desc(), market_conversations.c.id.desc())
            .limit(bindparam("count"))
        )
        return select(found.subquery())

    both = union_all(of("first", "second"), of("second", "first")).subquery()
    return select(both).order_by(both.c.latest.desc(), both.c.id.desc()).limit(bindparam("count")).subquery()


_shown: Final = _page()
_own: Final = users.alias("own")
_other: Final = users.alias("other")


_PLACE: Final = Statement(
    select(market_conversations.c.latest, market_conversations.c.id).where(
        market_conversations.c.id == bindparam("conversation"), IS_OF_USER
    )
)
_SHOWN: Final = Statement(
    select(
        *(_shown.c.id, _shown.c.latest, _own.c.id, _own.c.user_name, _other.c.id, _other.c.user_name),
        *(_shown.c.own_newest, _shown.c.own_seen, _shown.c.other_seen),
    )
    .join_from(_shown, _other, _other.c.id == _shown.c.other)
    .join(_own, _own.c.id == bindparam("user"))
    .order_by(_shown.c.latest.desc(), _shown.c.id.desc())
)
_MESSAGE: Final = select(
    *(market_messages.c.conversation_id, market_messages.c.id, market_messages.c.sender_id),
    *(market_messages.c.content, market_messages.c.created),
)


def _said(name: str) -> ClauseElement:
    """Select the newest messages of the conversations that are shown, for the database of that name."""
    of_conversation = market_messages.c.conversation_id == _shown.c.id
    if name == "postgresql":
        # It can't tell how few follow the oldest that is shown, and would read the whole table for them.
        newest = (
            _MESSAGE.where(of_conversation)
            .order_by(market_messages.c.id.desc())
            .limit(messages.MOST_MESSAGES)
            .lateral()
        )
        return select(newest).join_from(_shown, newest, true()).order_by(newest.c.id)
    is_shown = market_messages.c.id >= _shown.c.oldest_shown
    return _MESSAGE.join_from(_shown, market_messages, of_conversation & is_shown).order_by(
        market_messages.c.id
    )


_SAID: Final = Statement(_said)
_DEALS: Final = Deals(_shown)


def conversations(transaction: Transaction, user_id: int, before: int | None, limit: int) -> list[Conversation]:
    """See `MarketStore.conversations`."""
    place = _END if before is None else transaction.row(_PLACE, conversation=before, user=user_id)
    if place is None:
        return []
    page = {"user": user_id, "latest_before": place[0], "id_before": place[1], "count": limit}
    said: defaultdict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for conversation, *row in transaction.rows(_SAID, **page):
        said[conversation].append(tuple(row))
    deals = _DEALS.read(transaction, **page)
    return [
        _conversation(row, said[row[0]], tuple(deal.service for deal in deals[row[0]]))
        for row in transaction.rows(_SHOWN, **page)
    ]


def _conversation(
    row: tuple[Any, ...], said: list[tuple[Any, ...]], services: tuple[Service, ...]
) -> Conversation:
    conversation, latest, own_id, own_name, other_id, other_name, own_newest, own_seen, other_seen = row
    own, other = messages.User(own_id, own_name), messages.User(other_id, other_name)
    # To whom a message is said, and up to which that one has seen.
    senders = {own_id: (own, other_seen), other_id: (other, own_seen), None: (SYSTEM, own_seen)}

    def message(message_id: int, sender: int | None, content: str, created: int) -> Message:
        user, seen = senders[sender]
        return Message(message_id, user, content, message_id <= seen, created, conversation)

    shown = tuple(message(*each) for each in said)
    return Conversation(conversation, other, latest, own_newest > own_seen, shown, services)
