"""messenger's SQL of dialogs: a mailbox for each receiver, and for each sender the outcomes not told yet.

A dialog is waiting until its receiver's end has it, or until it is given up; both end it once (`_END`
changes none that has ended). Its sender is told of that until its end has confirmed it.

What can't be accepted is a dialog as well, one that has failed at once and without what it said: so its
outcome waits for an absent sender, and the same `clientMessageId` finds it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from msgspec import Struct
from sqlalchemy import bindparam, false, insert, literal_column, select, true, update

from realtime.messenger.messages import Send, user_id_of
from realtime.storage.statements import Statement
from realtime.storage.tables import messenger_dialogs as dialogs
from realtime.storage.tables import users
from realtime.storage.transaction import Transaction

_LONGEST_RECEIVER: Final = 64
"""Characters, as the column has room for."""


class State(IntEnum):
    """What has become of a dialog."""

    WAITING = 0
    DELIVERED = 1
    FAILED = 2


class Dialog(Struct, frozen=True):
    """A dialog that was accepted. ``sent`` is in Unix milliseconds, ``client_data`` JSON as it came."""

    id: int
    sender: int
    receiver: str
    receiver_id: int
    client_message_id: str | None
    client_data: str
    sent: int

    def outcome(self, *, is_delivered: bool) -> Outcome:
        """What its sender is to be told."""
        return Outcome(self.id, self.sender, self.receiver, self.client_message_id, is_delivered)


class Outcome(Struct, frozen=True):
    """What a dialog's sender is to be told."""

    id: int
    sender: int
    receiver: str
    client_message_id: str | None
    is_delivered: bool


class Posted(Struct, frozen=True):
    """What became of a message that was sent: one of the three.

    It is stored and waits for its receiver; or it was stored before, and ``waits_for`` one still; or it has an
    outcome for its sender.
    """

    dialog: Dialog | None = None
    waits_for: int | None = None
    outcome: Outcome | None = None


_IS_WAITING: Final = dialogs.c.state == literal_column(str(int(State.WAITING)))
_WAITING_OF: Final = (dialogs.c.receiver_id == bindparam("receiver_is"), _IS_WAITING)
_RECEIVER: Final = Statement(
    select(
        users.c.id,
        select(dialogs.c.id).where(*_WAITING_OF).offset(bindparam("others")).limit(1).scalar_subquery(),
    ).where(users.c.id == bindparam("user"))
)
_POST: Final = Statement(
    insert(dialogs).values(
        sender_id=bindparam("sender"),
        receiver=bindparam("receiver"),
        receiver_id=bindparam("receiver_id"),
        client_data=bindparam("client_data"),
        client_message_id=bindparam("key"),
        sent=bindparam("sent"),
        state=bindparam("state"),
        is_untold=bindparam("is_untold"),
    )
)
_DIALOG: Final = select(
    *(dialogs.c.id, dialogs.c.sender_id, dialogs.c.receiver, dialogs.c.receiver_id),
    *(dialogs.c.client_message_id, dialogs.c.client_data, dialogs.c.sent),
)
_KNOWN: Final = Statement(
    _DIALOG.add_columns(dialogs.c.state).where(
        dialogs.c.sender_id == bindparam("sender"), dialogs.c.client_message_id == bindparam("key")
    )
)
_TELL_AGAIN: Final = Statement(
    update(dialogs).where(dialogs.c.id == bindparam("dialog")).values(is_untold=true())
)
_WAITING: Final = Statement(
    # A difference, for SQLite would take the index of times, and walk all that waits for anybody.
    _DIALOG.where(*_WAITING_OF, dialogs.c.sent - bindparam("sent_since") >= 0)
    .order_by(dialogs.c.id)
    .limit(bindparam("count"))
)
_END: Final = Statement(
    update(dialogs)
    .where(dialogs.c.id == bindparam("dialog"), *_WAITING_OF)
    .values(state=bindparam("ends_as"), is_untold=true())
)
_OUTCOME: Final = select(dialogs.c.id, dialogs.c.sender_id, dialogs.c.receiver, dialogs.c.client_message_id)
_UNTOLD: Final = Statement(
    _OUTCOME.add_columns(dialogs.c.state)
    .where(dialogs.c.sender_id == bindparam("sender"), dialogs.c.is_untold)
    .order_by(dialogs.c.id)
    .limit(bindparam("count"))
)
_TOLD: Final = Statement(
    update(dialogs)
    .where(dialogs.c.id == bindparam("dialog"), dialogs.c.sender_id == bindparam("sender"))
    .values(is_untold=false())
)
_OLD: Final = Statement(
    _OUTCOME.add_columns(dialogs.c.receiver_id)
    .where(_IS_WAITING, dialogs.c.sent < bindparam("sent_before"))
    .order_by(dialogs.c.sent)
    .limit(bindparam("count"))
)
_SENT_TO: Final = Statement(
    _DIALOG.where(
        dialogs.c.sender_id == bindparam("one_user"),
        dialogs.c.receiver_id == bindparam("other_user"),
        dialogs.c.state != State.FAILED,
        dialogs.c.id < bindparam("id_before"),
    )
    .order_by(dialogs.c.id.desc())
    .limit(bindparam("count"))
)


def post(transaction: Transaction, sender: int, send: Send, sent: int, mailbox_limit: int) -> Posted:
    """See `MessengerStore.post`."""
    key = send.client_message_id
    if key is not None:
        known = transaction.row(_KNOWN, sender=sender, key=key)
        if known is not None:
            return _again(transaction, Dialog(*known[:-1]), State(known[-1]))
    # A number may have more digits than the column has room for; no user has such an id.
    receiver = str(send.receiver)[:_LONGEST_RECEIVER]
    receiver_id, has_room = _receiver(transaction, user_id_of(send.receiver), mailbox_limit)
    dialog_id = transaction.insert(
        _POST,
        sender=sender,
        receiver=receiver,
        receiver_id=receiver_id,
        client_data=send.client_data if has_room else None,
        key=key,
        sent=sent,
        state=State.WAITING if has_room else State.FAILED,
        is_untold=not has_room,
    )
    if receiver_id is None or not has_room:
        return Posted(outcome=Outcome(dialog_id, sender, receiver, key, False))
    return Posted(dialog=Dialog(dialog_id, sender, receiver, receiver_id, key, send.client_data, sent))


def _again(transaction: Transaction, dialog: Dialog, state: State) -> Posted:
    """What has become of a dialog that is stored already."""
    if state is State.WAITING:
        return Posted(waits_for=dialog.receiver_id)
    transaction.execute(_TELL_AGAIN, dialog=dialog.id)
    return Posted(outcome=dialog.outcome(is_delivered=state is State.DELIVERED))


def _receiver(transaction: Transaction, user_id: int | None, mailbox_limit: int) -> tuple[int | None, bool]:
    """The id of a receiver, if there is such a user, and whether its mailbox has room."""
    if user_id is None or mailbox_limit < 1:
        return user_id, False
    found = transaction.row(_RECEIVER, user=user_id, receiver_is=user_id, others=mailbox_limit - 1)
    return (None, False) if found is None else (user_id, found[1] is None)


def waiting(transaction: Transaction, receiver_id: int, sent_since: int, count: int) -> list[Dialog]:
    """See `MessengerStore.waiting`."""
    rows = transaction.rows(_WAITING, receiver_is=receiver_id, sent_since=sent_since, count=count)
    return [Dialog(*row) for row in rows]


def delivered(transaction: Transaction, receiver_id: int, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """See `MessengerStore.delivered`."""
    return [
        outcome
        for outcome in outcomes
        if transaction.execute(_END, dialog=outcome.id, receiver_is=receiver_id, ends_as=State.DELIVERED)
    ]


def expire(transaction: Transaction, sent_before: int, count: int) -> list[Outcome]:
    """See `MessengerStore.expire`."""
    return [
        Outcome(dialog_id, sender, receiver, key, is_delivered=False)
        for dialog_id, sender, receiver, key, receiver_id in transaction.rows(
            _OLD, sent_before=sent_before, count=count
        )
        if transaction.execute(_END, dialog=dialog_id, receiver_is=receiver_id, ends_as=State.FAILED)
    ]


def outcomes(transaction: Transaction, sender: int, count: int) -> list[Outcome]:
    """See `MessengerStore.outcomes`."""
    return [
        Outcome(dialog_id, sender_id, receiver, key, state == State.DELIVERED)
        for dialog_id, sender_id, receiver, key, state in transaction.rows(_UNTOLD, sender=sender, count=count)
    ]


def told(transaction: Transaction, sender: int, dialog_ids: Sequence[int]) -> None:
    """See `MessengerStore.told`."""
    for dialog_id in dialog_ids:
        transaction.execute(_TOLD, dialog=dialog_id, sender=sender)


def between(transaction: Transaction, user_id: int, peer: int, before: int, count: int) -> list[Dialog]:
    """See `MessengerStore.between`."""
    page = {"id_before": before, "count": count}
    rows = transaction.rows(_SENT_TO, one_user=user_id, other_user=peer, **page)
    if peer != user_id:
        rows += transaction.rows(_SENT_TO, one_user=peer, other_user=user_id, **page)
    return sorted((Dialog(*row) for row in rows), key=lambda dialog: dialog.id)[-count:]
