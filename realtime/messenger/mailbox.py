"""A connection's mailbox: the dialogs for its user, and the outcomes of those that its user sent.

Both are delivered in the same way (`delivery`), each with a window of its own. This module is what the two
machines drive: it has the database read and written, builds the messages, and tries again after it was away.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

from msgspec import Raw
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.cluster.bus import Subscription
from realtime.messenger.delivery import Delivery, Parcel, Pings
from realtime.messenger.dialog_store import Dialog, Outcome
from realtime.messenger.messages import DialogHead, ServerMessage, delivery
from realtime.messenger.post_office import Post, PostOffice
from realtime.storage.errors import StorageUnavailable

_RETRY: Final = 2.0
"""Seconds until the database is asked again after it was away."""

_HEAD: Final = 160
"""Bytes of a dialog or an outcome on the wire beside what the clients put into it."""


class Recipient(Protocol):
    """The connection, as far as a mailbox needs it."""

    def tell(self, message: ServerMessage) -> None:
        """Send a message."""

    def ping(self, name: bytes) -> None:
        """Send a WebSocket ping with this payload."""


class Mailbox:
    """The mailbox of ``user_id`` at one connection; `start` begins with what waits."""

    __slots__ = ("_dialogs", "_office", "_outcomes", "_retry", "_subscription")

    def __init__(
        self, office: PostOffice, user_id: int, recipient: Recipient, time: Callable[[int], str]
    ) -> None:
        pings = Pings()
        self._office = office
        self._dialogs = _Dialogs(self, office, user_id, recipient, pings, time).delivery
        self._outcomes = _Outcomes(self, office, user_id, recipient, pings).delivery
        self._retry: IDelayedCall | None = None
        self._subscription: Subscription | None = None
        self._subscription = office.follow(user_id, self._told, self._missed)

    async def start(self) -> None:
        """Deliver what waits, and from then on what comes."""
        if self._subscription is not None:
            await self._subscription.active
            self._dialogs.start()
            self._outcomes.start()

    def pong(self, payload: bytes) -> None:
        """Take a pong of the connection."""
        self._dialogs.pong(payload)
        self._outcomes.pong(payload)

    def end(self) -> None:
        """The connection is over."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            self._office.unfollow(subscription)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._dialogs.end()
        self._outcomes.end()

    def retry_later(self) -> None:
        """Have what failed tried again: the database was away."""
        if self._retry is None and self._subscription is not None:
            self._retry = self._office.clock.callLater(_RETRY, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._dialogs.retry()
        self._outcomes.retry()

    def _told(self, post: Post) -> None:
        if post.dialog is not None:
            self._dialogs.posted(_parcel_of_dialog(post.dialog))
        elif post.outcome is not None:
            self._outcomes.posted(_parcel_of_outcome(post.outcome))
        else:
            self._missed()

    def _missed(self) -> None:
        self._dialogs.missed()
        self._outcomes.missed()


def _parcel_of_dialog(dialog: Dialog) -> Parcel:
    return Parcel(dialog.id, _HEAD + len(dialog.client_data.encode()), dialog)


def _parcel_of_outcome(outcome: Outcome) -> Parcel:
    return Parcel(outcome.id, _HEAD, outcome)


class _Wire:
    """What the two have in common."""

    __slots__ = ("_mailbox", "_office", "_recipient", "_user_id", "delivery")
    _log = Logger()

    def __init__(
        self, mailbox: Mailbox, office: PostOffice, user_id: int, recipient: Recipient, pings: Pings
    ) -> None:
        self._mailbox = mailbox
        self._office = office
        self._user_id = user_id
        self._recipient = recipient
        self.delivery = Delivery(self, pings, office.window)

    def write(self, parcel: Parcel) -> None:
        raise NotImplementedError

    def ping(self, name: bytes) -> None:
        self._recipient.ping(name)

    def load(self, limit: int) -> None:
        self._begin(self._load(limit), self.delivery.not_loaded)

    def settle(self, ids: Sequence[int]) -> None:
        self._begin(self._settle(ids), lambda: self.delivery.not_settled(ids))

    async def _load(self, limit: int) -> None:
        parcels = await self._read(limit)
        self.delivery.loaded(parcels, len(parcels) < limit)

    async def _settle(self, ids: Sequence[int]) -> None:
        await self._store(ids)
        self.delivery.settled(ids)

    async def _read(self, limit: int) -> list[Parcel]:
        raise NotImplementedError

    async def _store(self, ids: Sequence[int]) -> None:
        raise NotImplementedError

    def _begin(self, work: Coroutine[Any, Any, None], not_done: Callable[[], None]) -> None:
        def failed(failure: Failure) -> None:
            if not failure.check(StorageUnavailable):
                self._log.failure("messenger: a mailbox failed", failure)
            not_done()
            self._mailbox.retry_later()

        Deferred.fromCoroutine(work).addErrback(failed)


class _Dialogs(_Wire):
    """Dialogs for the user. Of those that were written it is remembered what their senders are to be told."""

    __slots__ = ("_time", "_written")

    def __init__(
        self,
        mailbox: Mailbox,
        office: PostOffice,
        user_id: int,
        recipient: Recipient,
        pings: Pings,
        time: Callable[[int], str],
    ) -> None:
        super().__init__(mailbox, office, user_id, recipient, pings)
        self._time = time
        self._written: dict[int, Outcome] = {}

    def write(self, parcel: Parcel) -> None:
        dialog = parcel.content
        if isinstance(dialog, Dialog):
            self._written[dialog.id] = dialog.outcome(is_delivered=True)
            head = DialogHead(str(dialog.id), str(dialog.sender), self._time(dialog.sent))
            data = Raw(dialog.client_data.encode())
            self._recipient.tell(ServerMessage("DIALOG_MESSAGE", client_data=data, server_data=head))

    async def _read(self, limit: int) -> list[Parcel]:
        return [_parcel_of_dialog(each) for each in await self._office.waiting(self._user_id, limit)]

    async def _store(self, ids: Sequence[int]) -> None:
        await self._office.delivered(self._user_id, [self._written[each] for each in ids])
        for each in ids:
            del self._written[each]
        if not self._written:
            self._written = {}  # an emptied one keeps its size


class _Outcomes(_Wire):
    """Outcomes of what the user sent."""

    __slots__ = ()

    def write(self, parcel: Parcel) -> None:
        outcome = parcel.content
        if isinstance(outcome, Outcome):
            self._recipient.tell(
                delivery(
                    str(outcome.id),
                    outcome.receiver,
                    outcome.client_message_id,
                    is_delivered=outcome.is_delivered,
                )
            )

    async def _read(self, limit: int) -> list[Parcel]:
        return [_parcel_of_outcome(each) for each in await self._office.outcomes(self._user_id, limit)]

    async def _store(self, ids: Sequence[int]) -> None:
        await self._office.told(self._user_id, ids)
