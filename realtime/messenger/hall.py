"""Who is online, and what all who are hear: each arrival, each departure, each message of the room.

Presence counts the connections of a user in the whole cluster; this process's *roster* follows it, with the
profiles. Everybody here is shown the roster, once, and from then on each change of it, in order: so nobody
misses a change or is told of one twice, whatever happens in between, as there is one list and it changes in
one place.

Changes are told at the end of a reactor's turn. Those who arrive in one turn are let in together, after what
has changed was told to those before them: a crowd gets one list, built once, and a room that a crowd enters
is not begun anew for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Raw, Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from realtime.cluster.bus import Bus, Topic
from realtime.cluster.presence import Presence
from realtime.messenger import messages
from realtime.messenger.messages import Profile, Said, ServerMessage
from realtime.messenger.store import MessengerStore
from realtime.storage.errors import StorageUnavailable

GROUP: Final = "messenger"
"""The group of presence whose members are the ids of users."""


class _Told(Struct, frozen=True):
    """What is told to all in the cluster: a message of the room, or a changed profile."""

    said: Said | None = None
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


class Hall:
    """The room of one process. It lives as long as the process does."""

    def __init__(
        self, *, presence: Presence, bus: Bus, store: MessengerStore, audience: Audience, clock: IReactorTime
    ) -> None:
        self.presence = presence
        self._bus = bus
        self._store = store
        self._audience = audience
        self._clock = clock
        self._roster: dict[int, Raw] = {}
        self._expected: dict[int, Profile] = {}
        self._read: dict[int, Deferred[None]] = {}
        self._members: dict[int, Member] = {}
        self._changes: list[tuple[ServerMessage, int | None]] = []
        self._arrivals: dict[Visit, None] = {}
        self._is_flushing = False
        presence.watch(GROUP, self._seen)
        bus.subscribe(_TOPIC, self._heard)

    # -- what everybody is told ----------------------------------------------------------------

    def say(self, said: Said) -> None:
        """Tell everybody in the cluster what was said; it is stored already."""
        self._bus.publish(_TOPIC, _Told(said=said))

    def changed(self, profile: Profile) -> None:
        """Tell everybody in the cluster that a profile has changed; it is stored already."""
        self._bus.publish(_TOPIC, _Told(changed=profile))

    def _heard(self, told: _Told) -> None:
        if told.said is not None:
            message = ServerMessage("CHAT_MESSAGE", server_data=told.said)
            if self._changes:
                self._later(message)  # whoever says it may be among those about to be seen to come
            else:
                self._audience.tell(message)
        if told.changed is not None:
            user_id = int(told.changed.user_id)
            if user_id in self._roster:
                self._roster[user_id] = Raw(messages.encode(told.changed))
                self._later(messages.connected(told.changed), but=user_id)

    # -- who is there --------------------------------------------------------------------------

    def expect(self, user_id: int, profile: Profile | None) -> None:
        """Know the profile of somebody who is about to be seen to arrive by a connection here, or is not."""
        if profile is None:
            self._expected.pop(user_id, None)
        else:
            self._expected[user_id] = profile

    def arrive(self, visit: Visit) -> None:
        """Let somebody in at the end of the turn."""
        profile = self._expected.pop(visit.user_id, None)
        if profile is not None:
            self._appear(visit.user_id, profile)
        self._arrivals[visit] = None
        self._flush_soon()

    def depart(self, visit: Visit) -> None:
        """Let a connection go, whether it was let in or not."""
        self._arrivals.pop(visit, None)
        self._audience.leave(visit.member)
        if self._members.get(visit.user_id) is visit.member:
            del self._members[visit.user_id]

    def _seen(self, member: str, present: bool) -> None:
        user_id = int(member)
        reading = self._read.pop(user_id, None)
        if reading is not None:
            reading.cancel()
        if not present:
            if self._roster.pop(user_id, None) is not None:
                self._later(messages.disconnected(user_id))
        elif user_id in self._expected:
            self._appear(user_id, self._expected[user_id])
        else:
            reading = Deferred.fromCoroutine(self._look_up(user_id))
            if not reading.called:
                self._read[user_id] = reading
            reading.addErrback(self._not_found, user_id)

    async def _look_up(self, user_id: int) -> None:
        profile = await self._store.profile(user_id)
        self._read.pop(user_id, None)
        if profile is not None:
            self._appear(user_id, profile)

    def _not_found(self, failure: Failure, user_id: int) -> None:
        """It went meanwhile, or the database is away: then it is shown when it next comes."""
        if not failure.check(CancelledError):
            self._read.pop(user_id, None)
            failure.trap(StorageUnavailable)

    def _appear(self, user_id: int, profile: Profile) -> None:
        if user_id not in self._roster:
            self._roster[user_id] = Raw(messages.encode(profile))
            self._later(messages.connected(profile))

    # -- the end of a turn ---------------------------------------------------------------------

    def _later(self, message: ServerMessage, but: int | None = None) -> None:
        self._changes.append((message, but))
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._is_flushing:
            self._is_flushing = True
            self._clock.callLater(0, self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        changes, self._changes = self._changes, []
        for message, but in changes:
            self._audience.tell(message, None if but is None else self._members.get(but))
        arrivals, self._arrivals = self._arrivals, {}
        if arrivals:
            everybody = messages.authenticated(list(self._roster.values()))
            self._audience.welcome([visit.member for visit in arrivals], everybody)
            for visit in arrivals:
                self._members[visit.user_id] = visit.member
            for visit in arrivals:
                visit.let_in()


class Visit:
    """One connection's stay in the hall."""

    __slots__ = ("_hall", "_is_counted", "_is_over", "_waiting", "member", "user_id")

    def __init__(self, hall: Hall, user_id: int, member: Member) -> None:
        self.user_id = user_id
        self.member = member
        self._hall = hall
        self._is_counted = False
        self._is_over = False
        self._waiting: Deferred[bool] | None = None

    async def count(self, profile: Profile) -> None:
        """Be there for presence: from now on the user is online."""
        self._hall.expect(self.user_id, profile)
        try:
            await self._hall.presence.enter(GROUP, str(self.user_id))
        except BaseException:
            self._hall.expect(self.user_id, None)
            raise
        self._is_counted = True
        if self._is_over:
            self._hall.expect(self.user_id, None)
            self._uncount()

    def enter(self) -> Deferred[bool]:
        """Fires when the member was shown who is there, and hears what is told; ``False``: it has left."""
        waiting: Deferred[bool] = Deferred()
        if self._is_over:
            waiting.callback(False)
        else:
            self._waiting = waiting
            self._hall.arrive(self)
        return waiting

    def let_in(self) -> None:
        """Be in."""
        self._answer(True)

    def leave(self) -> None:
        """Go."""
        self._is_over = True
        self._hall.depart(self)
        if self._is_counted:
            self._uncount()
        self._answer(False)

    def _answer(self, is_in: bool) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(is_in)

    def _uncount(self) -> None:
        self._is_counted = False
        self._hall.presence.leave(GROUP, str(self.user_id))
