"""Who is online, and what all who are hear: each arrival, each departure, each message of the room.

Presence counts the connections of a user in the whole cluster; this process's *roster* follows it, with the
profiles. Everybody here is shown the roster, once, and from then on each change of it, in order: so nobody
misses a change or is told of one twice, whatever happens in between, as there is one list and it changes in
one place.

The profile of who arrives by a connection here is known; that of who arrives elsewhere is read. Nobody hears
somebody whom it has not seen come: what is said by one who is not in the roster is kept back until the profile
is there. Who is not present then (it has said something and gone, or presence tells of it later) is shown to
come, heard, and shown to go. While the database is away such people are not shown.

After a gap of the bus what was said elsewhere meanwhile is told late (`cluster.heard`), and the profiles of
those who are elsewhere are read again. For some seconds nobody is shown to go (`cluster.following`): when Redis
has lost its data everybody is there again before that is over, and was never away.

Changes are told at the end of a reactor's turn. Those who arrive in one turn are let in together, after what
has changed was told to those before them: a crowd gets one list, built once, and a room that a crowd enters
is not begun anew for each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Raw, Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.cluster.bus import Bus, Topic
from realtime.cluster.catching_up import CatchingUp
from realtime.cluster.following import Following
from realtime.cluster.heard import Heard
from realtime.cluster.presence import Presence
from realtime.messenger import messages
from realtime.messenger.messages import Profile, Said, ServerMessage
from realtime.messenger.store import PROFILES, MessengerStore, RoomMessage
from realtime.storage.errors import StorageUnavailable

if TYPE_CHECKING:
    from realtime.messenger.visit import Visit

GROUP: Final = "messenger"
"""The group of presence whose members are the ids of users."""

_RETRY: Final = 2.0
"""Seconds until the database is asked again after it was away."""

_KEPT_BACK: Final = 100
"""Messages of one user whose profile is not known yet; of more, the newest. It takes an outage to need them."""


class _Told(Struct, frozen=True):
    """What is told to all in the cluster: a message of the room, or a changed profile."""

    said: RoomMessage | None = None
    changed: Profile | None = None


_TOPIC: Final = Topic("messenger.hall", _Told)


class Member(Protocol):
    """A connection in the hall."""

    def tell(self, message: ServerMessage) -> None:
        """Send a message."""


class Audience(Protocol):
    """The members that hear what is told to all, and how it reaches them."""

    def welcome(self, members: Sequence[Member], message: ServerMessage) -> None:
        """Tell newcomers a message, and let them hear what is told to all from now on."""

    def leave(self, member: Member) -> None:
        """Let it hear nothing more; again does nothing."""

    def tell(self, message: ServerMessage, but: Member | None = None) -> None:
        """Tell all, but one."""


class _Stranger:
    """Somebody who has come or has said something, and whose profile is not known yet."""

    __slots__ = ("is_here", "reading", "said")

    def __init__(self) -> None:
        self.is_here = False
        self.reading: Deferred[Profile | None] | None = None
        self.said: deque[ServerMessage] = deque(maxlen=_KEPT_BACK)


class Hall:
    """The room of one process. It lives as long as the process does.

    ``time`` writes Unix milliseconds as clients want them.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        presence: Presence,
        bus: Bus,
        store: MessengerStore,
        audience: Audience,
        clock: IReactorTime,
        time: Callable[[int], str],
    ) -> None:
        self.presence = presence
        self._bus = bus
        self._store = store
        self._audience = audience
        self._clock = clock
        self._roster: dict[int, Raw] = {}
        self._expected: dict[int, Visit] = {}
        self._strangers: dict[int, _Stranger] = {}
        self._members: dict[int, Member] = {}
        self._changes: list[tuple[ServerMessage, int | None]] = []
        self._arrivals: dict[Visit, None] = {}
        self._is_flushing = False
        self._retry: IDelayedCall | None = None
        self._time = time
        self._said = Heard(
            newest=store.said_since, read=store.those_said, tell=self._tell_what_was_said, clock=clock
        )
        self._following = Following(presence=presence, group=GROUP, changed=self._seen, clock=clock)
        self._catching_up = CatchingUp(clock)
        self._is_due = False
        bus.subscribe(_TOPIC, self._heard, self._missed)

    # -- what everybody is told ----------------------------------------------------------------

    def say(self, said: RoomMessage) -> None:
        """Tell everybody in the cluster what was said; it is stored already."""
        self._bus.publish(_TOPIC, _Told(said=said))

    def changed(self, profile: Profile) -> None:
        """Tell everybody in the cluster that a profile has changed; it is stored already."""
        self._bus.publish(_TOPIC, _Told(changed=profile))

    def _heard(self, told: _Told) -> None:
        if told.said is not None and self._said.hear(told.said.id):
            self._tell_what_was_said(told.said)
        if told.changed is not None:
            self._changed(int(told.changed.user_id), told.changed)

    def _tell_what_was_said(self, said: RoomMessage) -> None:
        body = Said(said.message, str(said.sender), self._time(said.sent))
        message = ServerMessage("CHAT_MESSAGE", server_data=body)
        if said.sender not in self._roster:
            self._meet(said.sender, said=message)
        elif self._changes:
            self._later(message)  # whoever says it may be among those about to be seen to come
        else:
            self._audience.tell(message)

    def _changed(self, user_id: int, profile: Profile) -> None:
        if user_id in self._expected:
            self._expected[user_id].profile = profile
        encoded = Raw(messages.encode(profile))
        if user_id in self._roster:
            if encoded != self._roster[user_id]:  # else it was read after the change
                self._roster[user_id] = encoded
                self._later(messages.connected(profile), but=user_id)
        elif user_id in self._strangers:
            self._appear(user_id, profile)  # what is being read may be older

    # -- who is there --------------------------------------------------------------------------

    def expect(self, visit: Visit) -> None:
        """Know the profile of somebody who is about to be seen to arrive by a connection here."""
        self._expected[visit.user_id] = visit

    def arrive(self, visit: Visit) -> None:
        """Let somebody in at the end of the turn."""
        self._arrivals[visit] = None
        self._flush_soon()

    def depart(self, visit: Visit) -> None:
        """Let a connection go, whether it was let in or not."""
        self._no_longer_expect(visit)
        self._arrivals.pop(visit, None)
        self._audience.leave(visit.member)
        if self._members.get(visit.user_id) is visit.member:
            del self._members[visit.user_id]

    def _no_longer_expect(self, visit: Visit) -> None:
        visit.profile = None
        if self._expected.get(visit.user_id) is visit:
            del self._expected[visit.user_id]

    def _seen(self, member: str, present: bool) -> None:
        user_id = int(member)
        if present:
            self._came(user_id)
            return
        stranger = self._strangers.get(user_id)
        if stranger is not None:
            stranger.is_here = False
            if not stranger.said:
                self._forget(user_id)
        elif self._roster.pop(user_id, None) is not None:
            self._later(messages.disconnected(user_id), but=user_id)

    def _came(self, user_id: int) -> None:
        if user_id in self._roster:
            return  # a connection here has arrived already
        visit = self._expected.get(user_id)
        if visit is not None and visit.profile is not None:
            self._appear(user_id, visit.profile, is_here=True)
        else:
            self._meet(user_id)

    def _appear(self, user_id: int, profile: Profile, *, is_here: bool = False) -> None:
        """Show somebody, who is here in any case or as far as presence has told."""
        stranger = self._forget(user_id)
        if user_id not in self._roster:
            self._roster[user_id] = Raw(messages.encode(profile))
            self._later(messages.connected(profile), but=user_id)
        if stranger is not None:
            for message in stranger.said:
                self._later(message)
            if not (is_here or stranger.is_here):
                del self._roster[user_id]
                self._later(messages.disconnected(user_id), but=user_id)

    # -- gaps ----------------------------------------------------------------------------------

    def unsettle(self) -> None:
        """Learn that this process was cut off: who seems to have gone is perhaps about to come back."""
        self._following.unsettle()

    def _missed(self) -> None:
        """The bus had a gap: perhaps something was said elsewhere, or a profile changed there."""
        self._following.unsettle()
        self._said.missed()
        if not self._is_due:
            self._is_due = True
            self._catching_up.run(self._compare)

    async def _compare(self) -> bool:
        """Read the profiles of those who are elsewhere, some at a time, and show what has changed."""
        self._is_due = False
        elsewhere = [user_id for user_id in self._roster if user_id not in self._members]
        for start in range(0, len(elsewhere), PROFILES):
            some = elsewhere[start : start + PROFILES]
            shown = [self._roster.get(user_id) for user_id in some]
            found = await self._store.profiles(some)
            for user_id, before in zip(some, shown, strict=True):
                if before is not None and before is self._roster.get(user_id) and user_id in found:
                    self._changed(user_id, found[user_id])  # nothing newer was told meanwhile
        return True

    # -- strangers -----------------------------------------------------------------------------

    def _meet(self, user_id: int, said: ServerMessage | None = None) -> None:
        """Have the profile read of somebody who has come, as it is then, or has said something."""
        stranger = self._strangers.get(user_id)
        is_new = stranger is None
        if stranger is None:
            stranger = self._strangers[user_id] = _Stranger()
        if said is None:
            stranger.is_here = True
        else:
            stranger.said.append(said)
        if is_new or said is None:
            self._read(user_id, stranger)

    def _read(self, user_id: int, stranger: _Stranger) -> None:
        if stranger.reading is not None:
            stranger.reading.cancel()
        reading = stranger.reading = self._store.profile(user_id)
        reading.addCallback(self._known, user_id).addErrback(self._not_known, user_id)

    def _known(self, profile: Profile | None, user_id: int) -> None:
        self._strangers[user_id].reading = None
        if profile is None:
            self._forget(user_id)  # the account is gone
        else:
            self._appear(user_id, profile)

    def _not_known(self, failure: Failure, user_id: int) -> None:
        if failure.check(CancelledError):
            return
        if failure.check(StorageUnavailable):
            self._strangers[user_id].reading = None
            if self._retry is None:
                self._retry = self._clock.callLater(_RETRY, self._read_again)
        else:
            self._log.failure("messenger: a profile can't be read", failure)
            self._forget(user_id)

    def _read_again(self) -> None:
        self._retry = None
        for user_id, stranger in list(self._strangers.items()):
            if stranger.reading is None:
                self._read(user_id, stranger)

    def _forget(self, user_id: int) -> _Stranger | None:
        """Let somebody be no stranger any more."""
        stranger = self._strangers.pop(user_id, None)
        if stranger is not None and stranger.reading is not None:
            stranger.reading.cancel()
        if not self._strangers and self._retry is not None:
            retry, self._retry = self._retry, None
            retry.cancel()
        return stranger

    # -- the end of a turn ---------------------------------------------------------------------

    def _later(self, message: ServerMessage, but: int | None = None) -> None:
        self._changes.append((message, but))
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._is_flushing:
            self._is_flushing = True
            self._clock.callLater(0, self._flush)

    def _flush(self) -> None:
        arrivals, self._arrivals = self._arrivals, {}
        for visit in arrivals:
            if visit.profile is not None:
                self._appear(visit.user_id, visit.profile, is_here=True)
            self._no_longer_expect(visit)
        changes, self._changes = self._changes, []
        self._is_flushing = False
        for message, but in changes:
            self._audience.tell(message, None if but is None else self._members.get(but))
        if arrivals:
            everybody = messages.authenticated(list(self._roster.values()))
            self._audience.welcome([visit.member for visit in arrivals], everybody)
            for visit in arrivals:
                older = self._members.get(visit.user_id)
                if older is not None:
                    self._audience.leave(older)  # it is about to be cut
                self._members[visit.user_id] = visit.member
            for visit in arrivals:
                visit.let_in()
