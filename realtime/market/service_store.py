"""market's SQL of services: read for any number of conversations at once, and taken one step further.

The functions run in the transaction of a work of `store`, which holds the conversation: nobody else takes
a step in it meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import FromClause, bindparam, insert, select, update

from realtime.market import messages, services
from realtime.market.messages import CreateService, Fault, Note, Service, ServiceStep
from realtime.market.services import Deal
from realtime.storage.statements import Statement
from realtime.storage.tables import market_conversations, market_notes, market_services
from realtime.storage.transaction import Transaction

_ADD: Final = Statement(
    insert(market_services).values(
        conversation_id=bindparam("conversation"),
        title=bindparam("given_title"),
        category=bindparam("given_category"),
        price=bindparam("hundredths"),
        client_user_id=bindparam("client"),
        recipient_user_id=bindparam("recipient"),
        priced_by_user_id=bindparam("by"),
        status=bindparam("now"),
        created=bindparam("at"),
    )
)
_CHANGE: Final = Statement(
    update(market_services)
    .where(market_services.c.id == bindparam("service"))
    .values(price=bindparam("hundredths"), priced_by_user_id=bindparam("by"), status=bindparam("now"))
)
_ADD_NOTE: Final = Statement(
    insert(market_notes).values(
        service_id=bindparam("service"),
        author_id=bindparam("by"),
        grade=bindparam("given_grade"),
        comment=bindparam("given_comment"),
        created=bindparam("at"),
    )
)


class Deals:
    """Reads the services of the conversations that a clause selects.

    Arguments:
        conversations: has the conversations' ids as ``id``, each once.
    """

    def __init__(self, conversations: FromClause) -> None:
        self._statement: Final = Statement(
            select(
                *(market_services.c.conversation_id, market_services.c.priced_by_user_id),
                *(market_services.c.id, market_services.c.title, market_services.c.category),
                *(market_services.c.price, market_services.c.client_user_id),
                *(market_services.c.recipient_user_id, market_services.c.status, market_services.c.created),
                *(market_notes.c.author_id, market_notes.c.grade, market_notes.c.comment),
            )
            .join_from(conversations, market_services, market_services.c.conversation_id == conversations.c.id)
            .outerjoin(market_notes, market_notes.c.service_id == market_services.c.id)
            .order_by(market_services.c.id, market_notes.c.id)
        )

    def read(self, transaction: Transaction, **parameters: Any) -> defaultdict[int, list[Deal]]:
        """Return the services of each conversation that has any, oldest first, for the clause's parameters."""
        found: defaultdict[int, dict[int, Deal]] = defaultdict(dict)
        for conversation, priced_by, service_id, *row in transaction.rows(self._statement, **parameters):
            deals = found[conversation]
            *about, author, grade, comment = row
            if service_id not in deals:
                deals[service_id] = Deal(_service(service_id, *about), priced_by)
            if author is not None:
                deal = deals[service_id]
                notes = (*deal.service.notes, Note(author, grade, comment))
                deals[service_id] = replace(deal, service=replace(deal.service, notes=notes))
        return defaultdict(list, {each: list(deals.values()) for each, deals in found.items()})


_OF_CONVERSATION: Final = Deals(
    select(market_conversations.c.id).where(market_conversations.c.id == bindparam("conversation")).subquery()
)


def proceed(
    transaction: Transaction, user: int, other: int, request: CreateService | ServiceStep, created: int
) -> tuple[list[Service], str] | Fault:
    """Carry out what a user of a conversation asks about a service in it.

    Returns all services of the conversation as they are then, oldest first, and what the system says; or
    `NOT_FOUND` or `NOT_ALLOWED`, and nothing is changed.
    """
    deals = _OF_CONVERSATION.read(transaction, conversation=request.conversation)[request.conversation]
    shown = [deal.service for deal in deals]
    try:
        if isinstance(request, CreateService):
            service, said = _propose(transaction, user, other, request, created)
            return [*shown, service], said
        deal = _meant(deals, request.service)
        if deal is None:
            return messages.NOT_FOUND
        service, said = _take(transaction, deal, user, request, created)
    except services.NotAllowed:
        return messages.NOT_ALLOWED
    return [service if each.id == service.id else each for each in shown], said


def _propose(
    transaction: Transaction, user: int, other: int, request: CreateService, created: int
) -> tuple[Service, str]:
    offer = request.service
    proposal = services.propose(offer, user, other)
    service_id = transaction.insert(
        _ADD,
        conversation=request.conversation,
        given_title=offer.title,
        given_category=offer.category,
        hundredths=_hundredths(offer.price),
        client=proposal.client,
        recipient=proposal.recipient,
        by=proposal.priced_by,
        now=proposal.status,
        at=created,
    )
    service = Service(
        *(service_id, offer.title, offer.category, offer.price, proposal.client, proposal.recipient),
        *(proposal.status, (), created),
    )
    return service, proposal.said


def _meant(deals: list[Deal], service: int | None) -> Deal | None:
    """Return the one of that id; if none is named, the newest unfinished one, else the newest."""
    if service is not None:
        return next((deal for deal in deals if deal.service.id == service), None)
    unfinished = [deal for deal in deals if deal.service.status in services.UNFINISHED]
    return next(reversed(unfinished or deals), None)


def _take(
    transaction: Transaction, deal: Deal, user: int, request: ServiceStep, created: int
) -> tuple[Service, str]:
    change = services.take(deal, user, request)
    service = change.deal.service
    transaction.execute(
        _CHANGE,
        service=service.id,
        hundredths=_hundredths(service.price),
        by=change.deal.priced_by,
        now=service.status,
    )
    if change.note is not None:
        transaction.insert(
            _ADD_NOTE,
            service=service.id,
            by=change.note.author,
            given_grade=change.note.grade,
            given_comment=change.note.comment,
            at=created,
        )
    return service, change.said


def _service(
    service_id: int,
    title: str,
    category: str,
    hundredths: int,
    client: int,
    recipient: int,
    status: str,
    created: int,
) -> Service:
    price = Decimal(hundredths).scaleb(-2)
    return Service(service_id, title, category, price, client, recipient, status, (), created)


def _hundredths(price: Decimal) -> int:
    return int(price.scaleb(2))
