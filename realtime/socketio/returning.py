"""Who comes back to a namespace, on the clock: places kept, taken again, and let go of in time.

A private id is a socket's id with a secret behind it. So a client that comes back before its loss was noticed
finds its old socket, which gives way: no half-dead connection keeps anybody from what was missed.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from hmac import compare_digest
from secrets import token_urlsafe
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from realtime.socketio.engine_context import Reason
from realtime.socketio.engine_packets import Group
from realtime.socketio.recovery import Left, Membership, Recovered, RecoveryLog, Strand
from realtime.socketio.rooms import Room
from realtime.socketio.socket import Socket

LOSSES: Final = frozenset(
    reason.value
    for reason in (Reason.TRANSPORT_CLOSE, Reason.TRANSPORT_ERROR, Reason.PING_TIMEOUT, Reason.FORCED_CLOSE)
)
"""Ends after which a client may come back. One that broke the rules may not, and a server that stops has no use
for places."""

_SHARE: Final = 8
"""What is over is looked for this often in the time for which it is kept."""


class Returning:
    """The log of a namespace, and those who come back to it within ``seconds``."""

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        self.log = RecoveryLog(seconds)
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
        socket.private_id = socket.id + token_urlsafe(15)
        socket.position = self.log.position
        socket.own = None
        socket.past = ()

    def old_socket(self, sockets: Mapping[str, Socket], private_id: object) -> Socket | None:
        """Return the socket of a client that comes back before it was missed."""
        if not isinstance(private_id, str):
            return None
        socket = sockets.get(private_id[: len(private_id) // 2])
        if socket is None or socket.private_id is None:
            return None
        return socket if compare_digest(socket.private_id.encode(), private_id.encode()) else None

    def come_back(self, socket: Socket) -> Recovered | None:
        """Give a socket what its client had, if it may have it; not yet its rooms."""
        private_id, offset = socket.auth.get("pid"), socket.auth.get("offset")
        if not isinstance(private_id, str):
            return None
        recovered = self.log.come_back(private_id, offset, self._clock.seconds())
        if recovered is None:
            return None
        left = recovered.left
        socket.id, socket.private_id, socket.own = left.socket_id, private_id, left.own
        socket.position, socket.data = left.position, left.data
        socket.past = tuple(each for each in left.memberships if each.until is not None)
        socket.is_recovered = True
        self._coming[socket] = recovered
        return recovered

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
            self.log.put_back(recovered, self._clock.seconds() if is_lost else recovered.left.at)
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
