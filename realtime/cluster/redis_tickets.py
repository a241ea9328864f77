"""Tickets of several processes, in Redis: what waits until it is made one of a pair, or given up.

Who fits whom is not this room's business: whoever decides that learns here of all tickets, and says which two
are a pair. A ticket belongs to the process that entered it, and goes when that dies; its outcome is told to the
address that it was entered with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from msgspec import Meta, MsgspecError, Struct, msgpack
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from realtime.cluster.redis_channels import Channel, Channels
from realtime.cluster.redis_process import RedisProcess
from realtime.cluster.redis_scripts import Names
from realtime.cluster.redis_ticket_scripts import (
    GIVE_UP,
    MEET,
    NOW,
    PAIR,
    STANDING,
    TICKETS,
    WAIT,
    WITHDRAW,
)

_MICROSECONDS = 1_000_000


class Outcome(Struct, frozen=True):
    """What became of a ticket: the pair it is one of, with the contents of both; or that nobody was found."""

    pair: str | None
    contents: tuple[str, ...]


class Waiting(Struct, frozen=True):
    """A ticket that waits. ``since`` is in seconds; ``recent`` are users whom its user met lately."""

    id: str
    user: int
    score: float
    since: float
    recent: frozenset[int]


class RedisTickets:
    """The tickets of all processes.

    Moments are seconds of a time that all processes agree on. What can't be carried out as Redis is away fails
    with ClusterUnavailable; to withdraw waits instead, until it can be.

    Arguments:
        names: of channels.
        channels: what this process hears.
        process: asks.
    """

    def __init__(self, names: Names, channels: Channels, process: RedisProcess) -> None:
        self._names = names
        self._channels = channels
        self._process = process

    def now(self) -> Deferred[float]:
        """Fires with Redis's time."""
        return self._process.ask(NOW).addCallback(lambda found: int(found) / _MICROSECONDS)

    # -- for who enters them -------------------------------------------------------------------

    def wait(
        self, ticket: Waiting, address: str, contents: bytes, now: float, counts: float
    ) -> Deferred[Outcome | None]:
        """Let a ticket wait; fires with what became of it, if something has already.

        Whom its user met lately (for ``counts`` seconds) is known here; ``recent`` is not looked at.
        ``contents``, which is UTF-8, is part of the outcome. To enter again what waits already changes no more
        than to whom it belongs.
        """
        who = (ticket.id, address, ticket.user, repr(ticket.score), _micro(ticket.since))
        waits = self._process.perform(WAIT, *who, _micro(now), _micro(counts), contents)
        return waits.addCallback(_outcome)

    def withdraw(self, *tickets: str) -> Deferred[list[Outcome | None]]:
        """Let tickets go and forget their outcomes, which this fires with. It waits as long as it takes."""

        def read(found: list[Any]) -> list[Outcome | None]:
            return [_outcome(each) for each in found]

        return self._process.perform(WITHDRAW, *tickets, patient=True).addCallback(read)

    def standing(self, tickets: Sequence[str]) -> Deferred[list[Outcome | bool]]:
        """Fires for each of some tickets with its outcome, or with whether it waits."""

        def read(found: list[Any]) -> list[Outcome | bool]:
            return [_outcome(each) or bool(each) for each in found]

        return self._process.ask(STANDING, *tickets).addCallback(read)

    def hear_outcomes(
        self, address: str, told: Callable[[Outcome], None], gap: Callable[[], None]
    ) -> Deferred[None]:
        """Hear from now on what becomes of an address's tickets; fires once nothing can be missed.

        ``gap`` is called when something may have been missed.
        """
        channel = _Heard(
            self._names.outcomes(address), lambda payload: told(_decoded(_read_outcome(payload))), gap
        )
        self._channels.want(channel)
        return self._channels.active(channel)

    def met(self, one: int, other: int, now: float, counts: float, most: int) -> Deferred[None]:
        """Remember that two users met: so many of one user's last meetings count, for some seconds."""
        met = self._process.perform(MEET, _micro(now), _micro(counts), most, one, other)
        return met.addCallback(lambda _: None)

    # -- for who decides -----------------------------------------------------------------------

    def hear_waiting(
        self, came: Callable[[Waiting], None], left: Callable[[str], None], gap: Callable[[], None]
    ) -> Hearing:
        """Hear from now on of tickets as they come, and of those that go without an outcome."""

        def heard(payload: bytes) -> None:
            change = _read_change(payload)
            if change.recent is None:
                left(change.id)
            else:
                came(_waiting(change.id, change))

        channel = _Heard(self._names.waiting, heard, gap)
        self._channels.replace(channel)
        return Hearing(self._channels, channel)

    async def all(self) -> list[Waiting]:
        """Return all that wait. One that comes or goes meanwhile may be among them or not."""
        found: dict[str, Waiting] = {}
        cursor: bytes = b"0"
        while True:
            cursor, entries = await self._process.ask(TICKETS, cursor, patient=True)
            for name, packed in zip(entries[::2], entries[1::2], strict=True):
                ticket = name.decode()
                found[ticket] = _waiting(ticket, _read_kept(packed))
            if cursor == b"0":
                return list(found.values())

    def pair(
        self, name: str, first: str, second: str, now: float, counts: float, most: int
    ) -> Deferred[tuple[bool, bool] | None]:
        """Make two tickets a pair, at once; their users have met then.

        Fires with ``None``; or, if one of the two does not wait any more, with whether the first and the second
        do: then nothing has happened.
        """
        arguments = (name, _micro(now), _micro(counts), most, first, second)
        paired = self._process.perform(PAIR, *arguments)
        return paired.addCallback(lambda found: (bool(found[0]), bool(found[1])) if found else None)

    def give_up(self, ticket: str) -> Deferred[None]:
        """Say that nobody was found for a ticket, if it still waits."""
        return self._process.perform(GIVE_UP, ticket).addCallback(lambda _: None)


class Hearing:
    """Who hears of all tickets."""

    def __init__(self, channels: Channels, channel: Channel) -> None:
        self._channels = channels
        self._channel = channel

    @property
    def active(self) -> Deferred[None]:
        """Fires once nothing can be missed."""
        return self._channels.active(self._channel)

    def cancel(self) -> None:
        """Hear nothing more. Once is enough."""
        self._channels.unwant(self._channel)


class _Heard(Channel):
    __slots__ = ("_gap", "_listener")

    _log = Logger()

    def __init__(self, name: bytes, listener: Callable[[bytes], None], gap: Callable[[], None]) -> None:
        super().__init__(name)
        self._listener = listener
        self._gap = gap

    def heard(self, payload: bytes) -> None:
        """Take what a script has published; what one of another version has is passed over."""
        try:
            self._listener(payload)
        except MsgspecError:
            pass
        except Exception:
            self._log.failure("cluster: who hears of tickets failed")

    def carried(self, *, after_gap: bool) -> None:
        """Be carried, perhaps after a gap."""
        if after_gap:
            self._gap()


class _Change(Struct, array_like=True):
    """A ticket as the scripts tell of it when it comes; its name alone when it goes."""

    id: str
    user: int = 0
    score: float = 0.0
    since: int = 0
    recent: list[int] | None = None


class _Kept(Struct, array_like=True):
    """A ticket as the scripts keep it."""

    process: str
    address: str
    user: int
    score: float
    since: int
    recent: list[int]


_read_change = msgpack.Decoder(_Change).decode
_read_kept = msgpack.Decoder(_Kept).decode
_read_outcome = msgpack.Decoder(Annotated[list[str], Meta(min_length=1)]).decode


def _waiting(ticket: str, found: _Change | _Kept) -> Waiting:
    since = found.since / _MICROSECONDS
    return Waiting(ticket, found.user, found.score, since, frozenset(found.recent or ()))


def _outcome(found: Any) -> Outcome | None:
    return _decoded(_read_outcome(found)) if isinstance(found, bytes) else None


def _decoded(texts: list[str]) -> Outcome:
    return Outcome(None, (texts[0],)) if len(texts) == 1 else Outcome(texts[0], tuple(texts[1:]))


def _micro(seconds: float) -> int:
    return round(seconds * _MICROSECONDS)
