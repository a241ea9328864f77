"""The hub: rooms of the whole cluster, and who is told what.

A room is a workspace, a private channel, or a user with all its connections. What is told to a room is
published once; every process that has somebody in it passes it on to those. Who is taken into a room, or put
out, while it is connected hears of that on its user's control topic and moves; as two processes may say so in
either order, and what they say may be lost, each connection then looks up where it belongs.

A room is listened to for a while after its last member here has gone: one that comes back within that time is
given what it has missed.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, Protocol

import msgspec
from msgspec import Raw, Struct
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from realtime.cluster.bus import Bus, Subscription, Topic
from realtime.workspace.messages import ChannelModel

_encode: Final = msgspec.json.Encoder().encode

_AT_ONCE: Final = 32
"""As many as are read from the database in one go. All connections of a process may want to at the same
moment, when other processes were out of reach: more than the database lets wait."""


class Moved(Struct, frozen=True):
    """What a user's connections are to do: rooms to join, and rooms to leave."""

    joins: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()


class _Told(Struct, frozen=True):
    event: str
    payload: Raw


class Audience(Protocol):
    """The rooms of this process."""

    def tell(self, room: str, event: str, payload: Raw) -> None:
        """Emit an event to all in a room."""


def room_of_workspace(workspace: str) -> str:
    """Return the room of all who belong to a workspace."""
    return f"workspace.{workspace}"


def room_of_channel(channel: ChannelModel) -> str:
    """Return the room of all who may see what happens in a channel."""
    if channel.is_private:
        return room_of_private(channel.id)
    return room_of_workspace(channel.workspace_id)


def room_of_private(channel_id: str | int) -> str:
    """Return the room of a private channel."""
    return f"channel.{channel_id}"


def room_of_user(user_id: str | int) -> str:
    """Return the room of a user's connections."""
    return f"user.{user_id}"


class _Room:
    """How many are in a room, and what follows it."""

    __slots__ = ("closing", "members", "subscription")

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.members = 0
        self.closing: IDelayedCall | None = None


class Hub:
    """What all workspace sessions of a process share. ``linger`` is in seconds, 0 for not at all."""

    def __init__(self, *, bus: Bus, audience: Audience, clock: IReactorTime, linger: float) -> None:
        self._bus = bus
        self._audience = audience
        self._clock = clock
        self._linger = linger
        self._rooms: dict[str, _Room] = {}
        self._looking_up = DeferredSemaphore(_AT_ONCE)

    # -- telling -------------------------------------------------------------------------------

    def tell(self, room: str, event: str, payload: object) -> None:
        """Tell everybody in a room, in the whole cluster."""
        raw = payload if isinstance(payload, Raw) else Raw(_encode(payload))
        self._bus.publish(_topic(room), _Told(event, raw))

    def move(self, user_id: int, moved: Moved) -> None:
        """Have a user's connections join and leave rooms."""
        self._bus.publish(_control(user_id), moved)

    def follow(self, user_id: int, moved: Callable[[Moved], None]) -> Subscription:
        """Hear what a user's connections are to do; nothing in particular, if some of that was lost."""
        return self._bus.subscribe(_control(user_id), moved, lambda: moved(Moved()))

    def in_turn(self, look_up: Callable[[], Coroutine[Any, Any, None]]) -> Deferred[None]:
        """Look up where a connection belongs, when not too many others do."""
        return self._looking_up.run(lambda: Deferred.fromCoroutine(look_up()))

    # -- who is here ---------------------------------------------------------------------------

    def entered(self, rooms: Iterable[str]) -> None:
        """Somebody here has joined these rooms: listen to them."""
        for name in rooms:
            room = self._rooms.get(name)
            if room is None:
                room = self._rooms[name] = _Room(self._bus.subscribe(_topic(name), self._passing_on(name)))
            if room.closing is not None:
                room.closing.cancel()
                room.closing = None
            room.members += 1

    def carried(self, rooms: Iterable[str]) -> Deferred[list[None]]:
        """Fires once all that is told to these rooms, in which somebody is, gets here."""
        return gatherResults([self._rooms[name].subscription.active for name in rooms])

    def left(self, rooms: Iterable[str]) -> None:
        """Somebody here has left these rooms."""
        for name in rooms:
            room = self._rooms[name]
            room.members -= 1
            if room.members:
                continue
            if self._linger:
                room.closing = self._clock.callLater(self._linger, self._close, name)
            else:
                self._close(name)

    def _close(self, name: str) -> None:
        self._rooms.pop(name).subscription.cancel()

    def _passing_on(self, room: str) -> Callable[[_Told], None]:
        def pass_on(told: _Told) -> None:
            self._audience.tell(room, told.event, told.payload)

        return pass_on

    def __len__(self) -> int:
        """Return the number of rooms that are listened to."""
        return len(self._rooms)


def _topic(room: str) -> Topic[_Told]:
    return Topic(f"workspace.room.{room}", _Told)


def _control(user_id: int) -> Topic[Moved]:
    return Topic(f"workspace.moves.{user_id}", Moved)
