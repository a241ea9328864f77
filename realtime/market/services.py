"""What may be done about a service, by whom and when. Pure.

::

                 price edited                                note: once by each of the two,
                    +--+                                     from terminated and from disputed
                    v  |
    proposed --> NEGOTIATING --accepted--> AGREED --terminated--> TERMINATED
                    |                        |                        |
                    +--declined--> DECLINED  +------disputed----------+--> DISPUTED

A step returns what becomes of the service and what the system says of it in the conversation; a step that
is not allowed raises, and nothing has changed. Who may take a step:

- A price is accepted by the one of the two who did not name it. It is declined, and edited, by either: who
  named it may take it back.
- The service is called done by the client, who pays. Either may dispute it.
- Naming the price that stands already is naming it: the other one may then accept.

Of the two in a conversation, one is the client and the other the recipient, whoever proposes. Who is
named decides both; if neither is, who proposes pays.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum, auto
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from realtime.market.messages import (
    EditPrice,
    EndNegotiation,
    Note,
    Offer,
    OpenDispute,
    Service,
    ServiceStep,
    SubmitNote,
    TerminateService,
)


class Status(StrEnum):
    """Where a service stands, as it is stored and sent."""

    NEGOTIATING = "negotiating"
    AGREED = "agreed"
    DECLINED = "declined"
    TERMINATED = "terminated"
    DISPUTED = "disputed"


UNFINISHED: Final = frozenset({Status.NEGOTIATING, Status.AGREED})
"""Of a conversation's services, the newest of these is meant where none is named; else its newest."""


class Step(Enum):
    """What can be done about a service that there is."""

    ACCEPT = auto()
    DECLINE = auto()
    EDIT_PRICE = auto()
    TERMINATE = auto()
    DISPUTE = auto()
    NOTE = auto()


class Actor(Enum):
    """Who may take a step."""

    EITHER = auto()
    CLIENT = auto()
    NOT_WHO_PRICED = auto()


class Rule(Struct, frozen=True):
    """A legal step: who may take it, and what the service's status is then."""

    actor: Actor
    status: Status


RULES: Final[Mapping[tuple[Status, Step], Rule]] = {
    (Status.NEGOTIATING, Step.ACCEPT): Rule(Actor.NOT_WHO_PRICED, Status.AGREED),
    (Status.NEGOTIATING, Step.DECLINE): Rule(Actor.EITHER, Status.DECLINED),
    (Status.NEGOTIATING, Step.EDIT_PRICE): Rule(Actor.EITHER, Status.NEGOTIATING),
    (Status.AGREED, Step.TERMINATE): Rule(Actor.CLIENT, Status.TERMINATED),
    (Status.AGREED, Step.DISPUTE): Rule(Actor.EITHER, Status.DISPUTED),
    (Status.TERMINATED, Step.DISPUTE): Rule(Actor.EITHER, Status.DISPUTED),
    (Status.TERMINATED, Step.NOTE): Rule(Actor.EITHER, Status.TERMINATED),
    (Status.DISPUTED, Step.NOTE): Rule(Actor.EITHER, Status.DISPUTED),
}
"""The legal steps. There are no others; and each of the two notes a service once."""


class NotAllowed(Exception):
    """The step is not legal, or not for this user."""


class Deal(Struct, frozen=True):
    """A service, and which of the two named its price."""

    service: Service
    priced_by: int


class Change(Struct, frozen=True):
    """What a step makes of a service, and the text that the system says of it.

    ``note`` is the one that the step added, if it did; it is the last of the service's.
    """

    deal: Deal
    said: str
    note: Note | None = None


class Proposal(Struct, frozen=True):
    """A service to begin with, which has no id yet: its offer with both named, its status, and what is said."""

    client: int
    recipient: int
    priced_by: int
    status: str
    said: str


def propose(offer: Offer, proposer: int, other: int) -> Proposal:
    """Begin a service between two users. Raises :class:`NotAllowed` if the offer names anybody else."""
    opposite = {None: proposer, proposer: other, other: proposer}  # who proposes pays if nobody is named
    client = offer.client or opposite.get(offer.recipient)
    recipient = offer.recipient or opposite.get(client)
    if client is None or recipient is None or opposite.get(client) != recipient:
        raise NotAllowed
    said = f"Proposed: {_named(offer.title)}{offer.price}."
    return Proposal(client, recipient, proposer, Status.NEGOTIATING.value, said)


def take(deal: Deal, user: int, request: ServiceStep) -> Change:
    """Return what a request of a user makes of a service. Raises :class:`NotAllowed`."""
    service = deal.service
    step = _step_of(request)
    rule = RULES.get((Status(service.status), step))
    if rule is None or not _is_for(rule.actor, deal, user):
        raise NotAllowed
    service = replace(service, status=rule.status.value)
    name = _named(service.title)
    match request:
        case EditPrice():
            service = replace(service, price=request.price)
            return Change(Deal(service, user), f"Price changed: {name}{request.price}.")
        case SubmitNote():
            return _noted(Deal(service, deal.priced_by), user, request)
        case EndNegotiation():
            said = f"{'Accepted' if request.accepted else 'Declined'}: {name}{service.price}."
        case TerminateService():
            said = f"Terminated: {name}{service.price}."
        case OpenDispute():
            said = f"Disputed: {name}{service.price}."
            if request.reason:
                said += f"\n{request.reason}"
    return Change(Deal(service, deal.priced_by), said)


def _noted(deal: Deal, user: int, request: SubmitNote) -> Change:
    service = deal.service
    if any(note.author == user for note in service.notes):
        raise NotAllowed
    note = Note(user, request.grade, request.comment)
    deal = Deal(replace(service, notes=(*service.notes, note)), deal.priced_by)
    by = "client" if user == service.client else "recipient"
    return Change(deal, f"Noted by the {by}: {_named(service.title)}{request.grade} of 5.", note)


def _step_of(request: ServiceStep) -> Step:
    match request:
        case EndNegotiation():
            return Step.ACCEPT if request.accepted else Step.DECLINE
        case EditPrice():
            return Step.EDIT_PRICE
        case TerminateService():
            return Step.TERMINATE
        case OpenDispute():
            return Step.DISPUTE
        case SubmitNote():
            return Step.NOTE


def _is_for(actor: Actor, deal: Deal, user: int) -> bool:
    service = deal.service
    if user not in (service.client, service.recipient):
        return False
    match actor:
        case Actor.EITHER:
            return True
        case Actor.CLIENT:
            return user == service.client
        case Actor.NOT_WHO_PRICED:
            return user != deal.priced_by


def _named(title: str) -> str:
    return f"{title}, " if title else ""
