"""The post office: dialogs and their outcomes on the way from one user's connection to another's.

Everything is stored first; what is then told to the connections of the user concerned only makes it fast. Who
misses it finds it in the database: dialogs that wait, outcomes that are not told. So there is nothing to do
when a process dies: what it had on the wire goes out where its receivers connect next, and what their senders
are to be told follows from that.

Dialogs that wait for longer than ``mailbox_days`` are given up: they are swept together while anybody is
connected, and none older is ever read from a mailbox.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec import Struct
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.cluster.bus import Bus, Subscription, Topic
from realtime.messenger.delivery import WINDOW, Window
from realtime.messenger.dialog_store import Dialog, Outcome
from realtime.messenger.messages import Send
from realtime.messenger.store import MessengerStore
from realtime.storage.errors import StorageUnavailable

_DAY: Final = 86_400_000
"""Milliseconds."""

_SWEEP: Final = 60.0
"""Seconds between two sweeps: against days it is soon enough."""

_SWEPT_AT_ONCE: Final = 500
"""Dialogs in one write: a commit that others wait for stays short."""

_READ_AT_ONCE: Final = 64
"""Mailboxes that are read in one go. After a gap of the bus all of a process are: more than the database lets
wait, and others have to read as well."""

_SWEEP_ON: Final = 1.0
"""Seconds until the next sweep if one has left some."""


class Post(Struct, frozen=True):
    """What a user's connection is told: a dialog for it, or what became of one of its own.

    If it is neither there may be something in the database.
    """

    dialog: Dialog | None = None
    outcome: Outcome | None = None


def _of_user(user_id: int) -> Topic[Post]:
    return Topic(f"messenger.post.{user_id}", Post)


class PostOffice:
    """What the mailboxes of a process share. ``mailbox_days`` is how long a dialog waits.

    ``window`` is how much a connection may have on the wire that it has not confirmed.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        store: MessengerStore,
        bus: Bus,
        clock: IReactorTime,
        mailbox_days: float,
        window: Window = WINDOW,
    ) -> None:
        self.window = window
        self.clock = clock
        self._store = store
        self._bus = bus
        self._longest = int(mailbox_days * _DAY)
        self._reading = DeferredSemaphore(_READ_AT_ONCE)
        self._followers = 0
        self._sweeping: IDelayedCall | None = None

    def now(self) -> int:
        """Return the time in Unix milliseconds."""
        return int(self.clock.seconds() * 1000)

    # -- who listens ---------------------------------------------------------------------------

    def follow(self, user_id: int, told: Callable[[Post], None], gap: Callable[[], None]) -> Subscription:
        """Hear what a user is told, until `unfollow`."""
        self._followers += 1
        if self._followers == 1:
            self._sweeping = self.clock.callLater(0, self._sweep)
        return self._bus.subscribe(_of_user(user_id), told, gap)

    def unfollow(self, subscription: Subscription) -> None:
        """Hear nothing more."""
        subscription.cancel()
        self._followers -= 1
        if not self._followers and self._sweeping is not None:
            sweeping, self._sweeping = self._sweeping, None
            sweeping.cancel()

    # -- dialogs -------------------------------------------------------------------------------

    async def send(self, sender: int, send: Send) -> None:
        """Store a dialog; once it is committed its receiver is told, or its sender if it has failed."""
        posted = await self._store.post(sender, send, self.now())
        if posted.dialog is not None:
            self._bus.publish(_of_user(posted.dialog.receiver_id), Post(dialog=posted.dialog))
        if posted.waits_for is not None:
            self._have_looked_up(posted.waits_for)  # perhaps nobody was told: it was stored in an outage
        if posted.outcome is not None:
            self._tell([posted.outcome])

    def waiting(self, receiver: int, count: int) -> Deferred[list[Dialog]]:
        """Fires with the first dialogs that wait for a receiver."""
        return self._reading.run(lambda: self._store.waiting(receiver, self.now() - self._longest, count))

    async def delivered(self, receiver: int, outcomes: Sequence[Outcome]) -> None:
        """Store that a receiver has the dialogs of these outcomes; then their senders are told."""
        new = await self._store.delivered(receiver, outcomes)
        self._tell(new)
        if len(new) < len(outcomes):
            # Of what was ended before its sender may have been told or not: only the database knows.
            told = {outcome.id for outcome in new}
            for sender in {outcome.sender for outcome in outcomes if outcome.id not in told}:
                self._have_looked_up(sender)

    def outcomes(self, sender: int, count: int) -> Deferred[list[Outcome]]:
        """Fires with the first outcomes that a sender has not confirmed."""
        return self._reading.run(self._store.outcomes, sender, count)

    def told(self, sender: int, dialog_ids: Sequence[int]) -> Deferred[None]:
        """Store that a sender has these outcomes."""
        return self._store.told(sender, dialog_ids)

    def _tell(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self._bus.publish(_of_user(outcome.sender), Post(outcome=outcome))

    def _have_looked_up(self, user_id: int) -> None:
        self._bus.publish(_of_user(user_id), Post())

    # -- what is given up ----------------------------------------------------------------------

    def _sweep(self) -> None:
        self._sweeping = None
        Deferred.fromCoroutine(self._give_up()).addErrback(self._failed)

    async def _give_up(self) -> None:
        pause = _SWEEP
        try:
            outcomes = await self._store.expire(self.now() - self._longest, _SWEPT_AT_ONCE)
            if len(outcomes) == _SWEPT_AT_ONCE:
                pause = _SWEEP_ON
            self._tell(outcomes)
        finally:
            if self._followers and self._sweeping is None:
                self._sweeping = self.clock.callLater(pause, self._sweep)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(StorageUnavailable):
            self._log.failure("messenger: the sweep of mailboxes failed", failure)
