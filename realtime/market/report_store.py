"""market's SQL of reports: what users tell the administrators of conversations and messages.

The functions are works of `store`.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import Struct
from sqlalchemy import Select, bindparam, select, update

from realtime.market import messages
from realtime.market.history_store import IS_OF_USER
from realtime.market.messages import Fault, ReportConversation, ReportMessage
from realtime.storage.statements import Statement
from realtime.storage.tables import market_conversations, market_messages, market_reports, users
from realtime.storage.transaction import Transaction
from realtime.storage.upserts import upsert

Kind = Literal["conversation", "message", "text"]


class Report(Struct, frozen=True):
    """A report of a conversation, of a message, or a text alone, of which ``object`` is ``None``.

    Times are Unix milliseconds. ``resolved_by`` is the administrator; ``None`` for one without an account.
    """

    id: int
    reporter: messages.User
    kind: Kind
    object: int | None
    reason: str | None
    created: int
    resolved: int | None
    resolved_by: int | None


_AFTER_ALL: Final = 2**32
"""Above every id."""

_CONVERSATION: Final = Statement(
    select(market_conversations.c.id).where(market_conversations.c.id == bindparam("object"), IS_OF_USER)
)
_MESSAGE: Final = Statement(
    select(market_messages.c.id)
    .join_from(
        market_messages,
        market_conversations,
        market_conversations.c.id == market_messages.c.conversation_id,
    )
    .where(market_messages.c.id == bindparam("object"), IS_OF_USER)
)
_ADD: Final = Statement(
    upsert(
        market_reports,
        key=["reporter_id", "kind", "object_id"],
        values=["reporter_id", "kind", "object_id", "reason", "created"],
        update=lambda new: {"created": market_reports.c.created},  # the first one stays as it is
    )
)
_REPORT: Final = select(
    market_reports.c.id,
    *(users.c.id, users.c.user_name),
    *(market_reports.c.kind, market_reports.c.object_id, market_reports.c.reason, market_reports.c.created),
    *(market_reports.c.resolved, market_reports.c.resolved_by_user_id),
).join_from(market_reports, users, users.c.id == market_reports.c.reporter_id)


def _newest(found: Select[Any]) -> Statement:
    return Statement(
        found.where(market_reports.c.id < bindparam("before"))
        .order_by(market_reports.c.id.desc())
        .limit(bindparam("count"))
    )


_ALL: Final = _newest(_REPORT)
_UNRESOLVED: Final = _newest(_REPORT.where(market_reports.c.resolved.is_(None)))
_ONE: Final = Statement(_REPORT.where(market_reports.c.id == bindparam("report")))
_RESOLVE: Final = Statement(
    update(market_reports)
    .where(market_reports.c.id == bindparam("report"), market_reports.c.resolved.is_(None))
    .values(resolved=bindparam("at"), resolved_by_user_id=bindparam("by"))
)


def add(
    transaction: Transaction, user_id: int, request: ReportConversation | ReportMessage, created: int
) -> Fault | None:
    """See `MarketStore.report`."""
    kind, object_id = _about(request)
    if object_id is not None:
        owned = _CONVERSATION if kind == "conversation" else _MESSAGE
        if transaction.row(owned, object=object_id, user=user_id) is None:
            return messages.NOT_FOUND
    transaction.execute(
        _ADD,
        reporter_id=user_id,
        kind=kind,
        object_id=object_id,
        reason=request.reason or None,
        created=created,
    )
    return None


def _about(request: ReportConversation | ReportMessage) -> tuple[Kind, int | None]:
    if isinstance(request, ReportConversation):
        return "conversation", request.conversation
    return "text" if request.message is None else "message", request.message


def newest(transaction: Transaction, before: int | None, limit: int, unresolved_only: bool) -> list[Report]:
    """See `MarketStore.reports`."""
    statement = _UNRESOLVED if unresolved_only else _ALL
    below = _AFTER_ALL if before is None else before
    return [_report(row) for row in transaction.rows(statement, before=below, count=limit)]


def resolve(transaction: Transaction, report_id: int, admin_id: int | None, at: int) -> Report | None:
    """See `MarketStore.resolve`."""
    transaction.execute(_RESOLVE, report=report_id, by=admin_id, at=at)
    row = transaction.row(_ONE, report=report_id)
    return None if row is None else _report(row)


def _report(row: tuple[Any, ...]) -> Report:
    report_id, reporter, name, *rest = row
    return Report(report_id, messages.User(reporter, name), *rest)
