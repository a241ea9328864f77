"""Clients that were lost from one process and come back at another: their places move there.

A private id names the process that made it. The place of a client that comes with one which is not known here
is asked for (``host``: the process that has the place; ``guest``: the one where the client is)::

    guest -> Claim     host -> Claimed   the place: its id, rooms and data; nobody else gets it from now on
                       host -> Mark      by the bus: when it has come, so has all that the host had heard
    guest    lets the client into its rooms, so that everything that is told to them from now on gets here
    guest -> Mark                        by the bus, too: when it has come, so has all that the guest had not
    guest -> Fetch     host -> [Event]   all that the client has missed up to that; the place is the guest's
                       host -> Mark      and all that the host has told of itself has come here, too

Between the claim and the last mark both sides hear the same. What the host has from that time and the guest has
heard too, in the same room and word by word, is one event: the client gets it once. (An id for each would say
so exactly; but how others look is told by no event, each process sees it for itself.) A guest that breaks off
gives the place back, or has it taken from it after a while. A client whose place can't be had, because its
process is gone or silent, begins anew.

A place that has moved is found by a lease: its private id still names the process where it began.
"""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_urlsafe
from typing import Final, Protocol

import msgspec
from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from realtime.cluster.bus import Topic
from realtime.cluster.cluster import Cluster
from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.peer_host import Request
from realtime.cluster.peers import NAME_LENGTH, Peers
from realtime.socketio.deadlines import Deadlines

CLAIM_SECONDS: Final = 3.0
"""For the other process to answer; a client waits for its CONNECT meanwhile."""

HOLD_SECONDS: Final = 15.0
"""In which a place that is claimed has to be fetched: a token is checked meanwhile, by a database."""

MARK_SECONDS: Final = 2.0
"""For a mark to come by the bus. If the bus is away, nothing else comes by it either."""

_SERVICE: Final = "recovery"


class Claim(Struct, frozen=True, array_like=True, tag=1):
    """A client has come with this private id and offset; ``ticket`` is what ``guest`` calls this."""

    namespace: str
    private_id: str
    offset: str | None
    ticket: str
    guest: str


class Fetch(Struct, frozen=True, array_like=True, tag=2):
    """What it has missed is asked for."""

    ticket: str


class GiveBack(Struct, frozen=True, array_like=True, tag=3):
    """It was not let in: the place is kept on, or nobody's."""

    ticket: str
    keep: bool


class Claimed(Struct, frozen=True, array_like=True):
    """A place: ``data`` is the handler's own."""

    socket_id: str
    rooms: tuple[str, ...]
    data: bytes


class Event(Struct, frozen=True, array_like=True):
    """An event that was missed, without its offset.

    ``room`` is ``None`` for one of the client's own; ``is_past``: it is in that room no more. ``is_late``: told
    since the claim.
    """

    room: str | None
    is_past: bool
    is_late: bool
    text: bytes
    binary: tuple[bytes, ...]


class Mark(Struct, frozen=True):
    """All that its sender had published, or heard of others, before has come."""

    ticket: str


_encode: Final = msgspec.msgpack.Encoder().encode
_read_question: Final = msgspec.msgpack.Decoder(Claim | Fetch | GiveBack).decode
_read_claimed: Final = msgspec.msgpack.Decoder(Claimed | None).decode
_read_events: Final = msgspec.msgpack.Decoder(tuple[Event, ...] | None).decode


class Place(Protocol):
    """A place that is claimed, on the side that has it."""

    claimed: Claimed

    def missed(self) -> Sequence[Event] | None:
        """Return what its client has missed up to now; ``None``: not all of it is there any more."""

    def give_back(self, *, keep: bool) -> None:
        """Its client was not let in."""


class Keeper(Protocol):
    """Who has places: a namespace."""

    name: str

    def claim(self, private_id: str, offset: str | None) -> Place | None:
        """Take a place out, for its client elsewhere."""


class Moving:
    """The places of a process, and its way to those of others. ``name`` is what its private ids begin with."""

    def __init__(self, peers: Peers, cluster: Cluster, clock: IReactorTime) -> None:
        self.name = peers.name
        self._peers = peers
        self._cluster = cluster
        self._clock = clock
        self._keepers: list[Keeper] = []
        self._claimed: dict[str, tuple[Place, str]] = {}
        self._marked: dict[str, Deferred[None]] = {}
        self._holding: Deadlines[str] = Deadlines(
            clock, HOLD_SECONDS, lambda ticket, _: self._end(ticket, keep=True)
        )
        peers.serve(_SERVICE, self._serve)
        cluster.bus.subscribe(_marks(self.name), self._mark)

    def add(self, keeper: Keeper) -> None:
        """Have the places of a namespace claimed by others."""
        self._keepers.append(keeper)

    # -- for the process where a client is -----------------------------------------------------

    async def claim(self, namespace: str, private_id: str, offset: str | None) -> Move | None:
        """Claim a place that is not here; ``None``: it can't be had."""
        ticket = token_urlsafe(15)
        marked = self._marked[ticket] = Deferred()
        try:
            host = await self._cluster.leases.holder(_lease(private_id)) or private_id[:NAME_LENGTH]
            if host == self.name:
                return None
            claim = Claim(namespace, private_id, offset, ticket, self.name)
            asked = self._peers.ask(host, _SERVICE, _encode(claim))
            asked.answered.addTimeout(CLAIM_SECONDS, self._clock)
            claimed = _read_claimed(await asked.answered)
            if claimed is None:
                return None
            await _in_time(marked, self._clock)
            return Move(self, host, ticket, claimed)
        except (ClusterUnavailable, TimeoutError, CancelledError, ValueError):
            return None
        finally:
            del self._marked[ticket]

    async def fetch(self, move: Move) -> Sequence[Event] | None:
        """See `Move.fetch`."""
        marked = self._marked[move.ticket] = Deferred()
        self._cluster.bus.publish(_marks(move.host), Mark(move.ticket))
        asked = self._peers.ask(move.host, _SERVICE, _encode(Fetch(move.ticket)))
        asked.answered.addTimeout(CLAIM_SECONDS, self._clock)
        try:
            events: Sequence[Event] | None = _read_events(await asked.answered)
            if events is not None:
                await _in_time(marked, self._clock)
        except (ClusterUnavailable, TimeoutError, CancelledError, ValueError):
            return None
        finally:
            del self._marked[move.ticket]
        return events

    def give_back(self, move: Move, *, keep: bool) -> None:
        """See `Move.give_back`."""
        payload = _encode(GiveBack(move.ticket, keep))
        self._peers.ask(move.host, _SERVICE, payload).answered.addErrback(lambda _: None)

    def arrived(self, private_id: str) -> None:
        """A place is here now."""
        taken = self._cluster.leases.take(_lease(private_id), self.name)
        taken.addErrback(lambda _: None)  # then its client begins anew if it is lost again

    def gone(self, private_id: str) -> None:
        """A place that has come here is nobody's any more."""
        self._cluster.leases.release(_lease(private_id), self.name).addErrback(lambda _: None)

    # -- for the process that has a place ------------------------------------------------------

    def _serve(self, request: Request) -> None:
        question = _read_question(request.payload)
        match question:
            case Claim():
                request.answer(_encode(self._give(question)))
            case Fetch():
                marked = self._marked.get(question.ticket, succeed(None))
                _in_time(marked, self._clock).addCallback(
                    lambda _: request.answer(_encode(self._end(question.ticket, keep=False)))
                )
            case GiveBack():
                self._end(question.ticket, keep=question.keep)
                request.answer(b"")

    def _give(self, claim: Claim) -> Claimed | None:
        for keeper in self._keepers:
            if keeper.name == claim.namespace:
                place = keeper.claim(claim.private_id, claim.offset)
                if place is not None:
                    self._claimed[claim.ticket] = place, claim.guest
                    self._marked[claim.ticket] = Deferred()
                    self._holding.start(claim.ticket)
                    self._cluster.bus.publish(_marks(claim.guest), Mark(claim.ticket))
                    return place.claimed
        return None

    def _mark(self, mark: Mark) -> None:
        marked = self._marked.get(mark.ticket)
        if marked is not None and not marked.called:
            marked.callback(None)

    def _end(self, ticket: str, *, keep: bool) -> tuple[Event, ...] | None:
        self._holding.stop(ticket)
        self._marked.pop(ticket, None)
        claimed = self._claimed.pop(ticket, None)
        if claimed is None:
            return None
        place, guest = claimed
        missed = None if keep else place.missed()
        place.give_back(keep=keep)
        if missed is None:
            return None
        self._cluster.bus.publish(_marks(guest), Mark(ticket))
        return tuple(missed)


class Move:
    """A place on its way here, from the process called ``host``."""

    def __init__(self, moving: Moving, host: str, ticket: str, claimed: Claimed) -> None:
        self.host = host
        self.ticket = ticket
        self.claimed = claimed
        self._moving = moving
        self._is_over = False

    async def fetch(self) -> Sequence[Event] | None:
        """Return what the client has missed; ``None``: that can't be known, and the place is lost.

        From when this is called, all that is told to its rooms must get here.
        """
        self._is_over = True
        return await self._moving.fetch(self)

    def give_back(self, *, keep: bool) -> None:
        """The client was not let in: its place is kept on where it was, or not. Not once it is fetched."""
        if not self._is_over:
            self._is_over = True
            self._moving.give_back(self, keep=keep)


def _in_time(marked: Deferred[None], clock: IReactorTime) -> Deferred[None]:
    """Fires when a mark has come, or won't come any more."""
    return marked.addTimeout(MARK_SECONDS, clock).addErrback(lambda _: None)


def _marks(process: str) -> Topic[Mark]:
    return Topic(f"socketio.marks.{process}", Mark)


def _lease(private_id: str) -> str:
    # Behind the name of the process stands the id of the socket, which is public; then the secret.
    return f"recovery.{private_id[NAME_LENGTH : NAME_LENGTH + (len(private_id) - NAME_LENGTH) // 2]}"
