"""Who comes back to a namespace, on the clock: places kept, taken again, and let go of in time.

A private id is a socket's id with a secret behind it. So a client that comes back before its loss was noticed
finds its old socket, which gives way: no half-dead connection keeps anybody from what was missed. Where there
are several processes it begins with the name of the one that made it; `moving` is how a place gets to another.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from hmac import compare_digest
from secrets import token_urlsafe
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from realtime.socketio.engine_context import Reason
from realtime.socketio.engine_packets import Group
from realtime.socketio.moving import Claimed, Event, Moving
from realtime.socketio.recovery import Left, Membership, Recovered, RecoveryLog, Strand
from realtime.socketio.rooms import Room
from realtime.socketio.socket import Socket

LOSSES: Final = frozenset(
    reason.value
    for reason in (Reason.TRANSPORT_CLOSE, Reason.TRANSPORT_ERROR, Reason.PING_TIMEOUT, Reason.FORCED_CLOSE)
)
"""Ends after which a client may come back. One that broke the rules may not, and a server that stops has no use
for places; but one of several processes that stops has them taken by the others meanwhile."""

_LENGTH: Final = 40
"""Characters of a private id, behind the name of a process."""

_SHARE: Final = 8
"""What is over is looked for this often in the time for which it is kept."""


class Returning:
    """The log of a namespace, and those who come back to it within ``seconds``.

    With ``moving`` they may come from other processes, and go to them.
    """

    def __init__(self, clock: IReactorTime, seconds: float, moving: Moving | None = None) -> None:
        self.log = RecoveryLog(seconds, gone=self.gone)
        self._moving = moving
        self._name = "" if moving is None else moving.name
        self._moved: set[str] = set()
        self._clock = clock
        self._seconds = seconds
        self._coming: dict[Socket, Recovered] = {}
        self._timer: IDelayedCall | None = None

    # -- what is told --------------------------------------------------------------------------

    def add(self, group: Group, strand: Strand, but: str | None) -> None:
        """Log an event."""
        self.log.add(group, strand, self._clock.seconds(), but)
        self._watch()

    def own(self, socket: Socket) -> Strand:
        """Return what is told to a socket alone."""
        if socket.own is None:
            socket.own = self.log.strand(socket.id)
        return socket.own

    def left_room(self, socket: Socket, membership: Membership) -> None:
        """Remember for a while what a socket was told in a room: it may not have arrived."""
        now = self._clock.seconds()
        if membership.strand.has_since(membership.since):
            past = itertools.dropwhile(lambda each: not self.log.is_recent(each, now), socket.past)
            socket.past = (*past, membership._replace(until=self.log.position, ended=now))

    # -- who comes and goes --------------------------------------------------------------------

    def begin(self, socket: Socket) -> None:
        """Let a socket begin, as one that may come back."""
        socket.private_id = self._name + socket.id + token_urlsafe(15)
        socket.position = self.log.position
        socket.own = None
        socket.past = ()

    def old_socket(self, sockets: Mapping[str, Socket], private_id: object) -> Socket | None:
        """Return the socket of a client that comes back before it was missed."""
        if not isinstance(private_id, str):
            return None
        begin = len(self._name)
        socket = sockets.get(private_id[begin : begin + (len(private_id) - begin) // 2])
        if socket is None or socket.private_id is None:
            return None
        return socket if compare_digest(socket.private_id.encode(), private_id.encode()) else None

    def come_back(self, socket: Socket) -> Recovered | None:
        """Give a socket what its client had, if it may have it; not yet its rooms."""
        private_id, offset = socket.auth.get("pid"), socket.auth.get("offset")
        if not isinstance(private_id, str):
            return None
        recovered = self.claim(private_id, offset)
        if recovered is None:
            return None
        left = recovered.left
        socket.id, socket.private_id, socket.own = left.socket_id, private_id, left.own
        socket.position, socket.data = left.position, left.data
        socket.past = tuple(each for each in left.memberships if each.until is not None)
        socket.is_recovered = True
        self._coming[socket] = recovered
        return recovered

    def claim(self, private_id: str, offset: object) -> Recovered | None:
        """Take a place out."""
        return self.log.come_back(private_id, offset, self._clock.seconds())

    def take_missed(self, socket: Socket) -> list[Group]:
        """Return what a socket that is let in has missed, but for rooms that it was put out of as it came."""
        recovered = self._coming.pop(socket, None)
        if recovered is None or not socket.is_recovered:
            return []
        return [
            missed.group
            for missed in recovered.missed
            if missed.is_past or missed.room is None or missed.room in socket.rooms
        ]

    def give_up(self, socket: Socket, *, is_lost: bool) -> None:
        """A socket was not let in: its place is kept on, unless the handler has taken it away.

        If its client was lost again, the time to come back begins anew.
        """
        recovered = self._coming.pop(socket, None)
        if recovered is not None and socket.is_recovered:
            self.put_back(recovered, self._clock.seconds() if is_lost else recovered.left.at)

    def put_back(self, recovered: Recovered, at: float | None = None) -> None:
        """Keep a place that was claimed on."""
        self.log.put_back(recovered, recovered.left.at if at is None else at)
        self._watch()

    def leave(self, socket: Socket, rooms: Mapping[str, Room]) -> None:
        """Keep the place of a socket whose connection was lost."""
        if socket.private_id is None:
            return
        now = self._clock.seconds()
        memberships = [each for each in socket.past if self.log.is_recent(each, now)]
        for name, since in socket.rooms.items():
            strand = rooms[name].strand
            if strand is not None:
                memberships.append(Membership(name, strand, since))
        left = Left(socket.id, self.own(socket), tuple(memberships), socket.data, socket.position, now)
        self.log.leave(socket.private_id, left)
        self._watch()

    # -- from another process ------------------------------------------------------------------

    def is_elsewhere(self, sockets: Mapping[str, Socket], private_id: object) -> bool:
        """Whether a client may have its place in another process."""
        return (
            self._moving is not None
            and isinstance(private_id, str)
            and len(private_id) == len(self._name) + _LENGTH
            and private_id.isascii()
            and not self.log.has(private_id)
            and self.old_socket(sockets, private_id) is None
        )

    def begin_moved(self, socket: Socket, private_id: str, socket_id: str, data: object) -> None:
        """Give a socket what its client had in another process; not yet its rooms, nor what it has missed."""
        socket.id, socket.private_id, socket.own, socket.past = socket_id, private_id, None, ()
        socket.position, socket.data = self.log.position, data
        socket.is_recovered = True

    def arrive(self, socket: Socket, missed: Iterable[Event]) -> list[Group]:
        """Tell again what a socket has missed in another process, and what it has heard here meanwhile.

        Returns the first. The second waits, with what else does, but for what is among the first as well. All
        of it is an event of its own from now on, and what its rooms were told before counts no more.
        """
        log, now, own = self.log, self._clock.seconds(), self.own(socket)
        socket.position = log.position
        twice: Counter[tuple[str, bytes]] = Counter()
        told: list[Group] = []
        for event in missed:
            if event.room is None or event.is_past or event.room in socket.rooms:
                told.append(log.tell_again(event.text, event.binary, own, now))
                if event.is_late and event.room is not None:
                    twice[event.room, event.text] += 1
        waiting: list[tuple[Group, str | None]] = []
        for group, room in socket.waiting:
            plain = log.plain(group)
            if plain is None:
                waiting.append((group, room))
            elif room is not None and twice[room, plain]:
                twice[room, plain] -= 1
            elif room is None or room in socket.rooms:
                waiting.append((log.tell_again(plain, group.binary, own, now), None))
        socket.waiting = waiting
        self._watch()
        private_id = socket.private_id
        if self._moving is not None and private_id is not None:
            self._moved.add(private_id)
            self._moving.arrived(private_id)
        return told

    def forget(self, socket: Socket) -> None:
        """A socket is over and nobody comes back to it."""
        if socket.private_id is not None:
            self.gone(socket.private_id)

    def gone(self, private_id: str) -> None:
        """A place is nobody's here any more."""
        if private_id in self._moved and self._moving is not None:
            self._moved.discard(private_id)
            self._moving.gone(private_id)

    # -- time ----------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._timer is None:
            moment = self.log.next_expiry()
            if moment is not None:
                seconds = max(moment - self._clock.seconds(), self._seconds / _SHARE)
                self._timer = self._clock.callLater(seconds, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self.log.expire(self._clock.seconds())
        self._watch()


class Leaving:
    """A place that is claimed from elsewhere: see `moving.Place`. Its client's rooms are still listened to."""

    def __init__(self, returning: Returning, recovered: Recovered, data: bytes) -> None:
        rooms = tuple(each.room for each in recovered.left.memberships if each.until is None)
        self.claimed = Claimed(recovered.left.socket_id, rooms, data)
        self._returning = returning
        self._recovered = recovered

    def missed(self) -> list[Event] | None:
        """See `moving.Place.missed`."""
        log, position = self._returning.log, self._recovered.position
        missed = log.missed_by_now(self._recovered)
        if missed is None:
            return None
        events = []
        for number, room, is_past, group in missed:
            text = log.plain(group)
            if text is not None:
                events.append(Event(room, is_past, number > position, text, group.binary))
        return events

    def give_back(self, *, keep: bool) -> None:
        """See `moving.Place.give_back`."""
        if keep:
            self._returning.put_back(self._recovered)
        else:
            self._returning.gone(self._recovered.private_id)
