"""The hub: rooms of the whole cluster, and who is told what.

A room is a workspace, a private channel, or a user with all its connections. What is told to a room is
published once; every process that has somebody in it passes it on to those. Who is taken into a room, or put
out, while it is connected hears of that on its user's control topic and moves; as two processes may say so in
either order, and what they say may be lost, each connection then looks up where it belongs.

A room is listened to for a while after its last member here has gone: one that comes back within that time is
given what it has missed.

How somebody looks is not told over the bus: each process sees it (`standing`), and tells its own members.

After a gap of the bus connections look up where they belong; what was said meanwhile is told late
(`cluster.heard`), and how users look, as far as it has changed. What became of channels and members meanwhile
is not told again: it is read back over HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

import msgspec
from msgspec import Raw, Struct
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from realtime.cluster.bus import Bus, Subscription, Topic
from realtime.cluster.catching_up import Attempt, CatchingUp
from realtime.cluster.heard import Heard
from realtime.cluster.presence import Presence
from realtime.workspace.messages import ChannelModel, OnlineStatus, StatusUpdated, iso_time
from realtime.workspace.standing import Lookout
from realtime.workspace.store import Said

_encode: Final = msgspec.json.Encoder().encode

_WORKSPACE: Final = "workspace."
"""What the names of the rooms of workspaces begin with."""

_MESSAGE_CREATED: Final = "message-created"

_EARLIER: Final = 5.0
"""Seconds in which a process surely hears that somebody was moved into a room; clocks differ too."""


class Told(Struct, frozen=True):
    """An event; ``message`` is the id of the message it tells of, if it does."""

    event: str
    payload: Raw
    message: int = 0


class Moved(Struct, frozen=True):
    """What a user's connections are to do: join rooms, and leave rooms; ``told`` to those that join."""

    joins: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    told: Told | None = None


class Audience(Protocol):
    """The rooms of this process."""

    def tell(self, room: str, event: str, payload: Raw) -> None:
        """Emit an event to all in a room."""


class Messages(Protocol):
    """What was said, as it is stored. See `Heard`."""

    def said_since(self, since: int) -> Deferred[list[int]]:
        """Fires with the ids of what was said since a time."""

    def those_said(self, message_ids: Sequence[int]) -> Deferred[dict[int, Said]]:
        """Fires with messages by their ids."""


def room_of_workspace(workspace: str) -> str:
    """Return the room of all who belong to a workspace."""
    return _WORKSPACE + workspace


def workspaces_of(rooms: Iterable[str]) -> list[str]:
    """Return the workspaces whose rooms are among these."""
    return [room.removeprefix(_WORKSPACE) for room in rooms if room.startswith(_WORKSPACE)]


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
    """How many are in a room, since when, and what follows it."""

    __slots__ = ("closing", "lookout", "members", "since", "subscription")

    def __init__(self, subscription: Subscription, lookout: Lookout | None, since: str) -> None:
        self.subscription = subscription
        self.lookout = lookout
        self.since = since
        self.members = 0
        self.closing: IDelayedCall | None = None

    def stop(self) -> None:
        self.subscription.cancel()
        if self.lookout is not None:
            self.lookout.stop()


class Hub:
    """What all workspace sessions of a process share. ``linger`` is in seconds, 0 for not at all."""

    def __init__(
        self,
        *,
        bus: Bus,
        presence: Presence,
        messages: Messages,
        audience: Audience,
        clock: IReactorTime,
        linger: float,
    ) -> None:
        self._bus = bus
        self._presence = presence
        self._audience = audience
        self._clock = clock
        self._linger = linger
        self._rooms: dict[str, _Room] = {}
        self._heard = Heard(
            newest=messages.said_since, read=messages.those_said, tell=self._tell_late, clock=clock
        )
        self._looking_up = CatchingUp(clock)

    # -- telling -------------------------------------------------------------------------------

    def tell(self, room: str, event: str, payload: object) -> None:
        """Tell everybody in a room, in the whole cluster."""
        raw = payload if isinstance(payload, Raw) else Raw(_encode(payload))
        self._bus.publish(_topic(room), Told(event, raw))

    def say(self, said: Said) -> None:
        """Tell everybody who may see it what was said; it is stored already."""
        told = Told(_MESSAGE_CREATED, Raw(_encode(said.message)), int(said.message.id))
        self._bus.publish(_topic(room_of_channel(said.channel)), told)

    def take_in(self, user_id: int, room: str, event: str, payload: object) -> None:
        """Have a user's connections join a room, and tell them and those who are in it.

        Those that join are told each by itself: it takes a while until what is told to the room gets to where
        nobody was in it.
        """
        told = Told(event, Raw(_encode(payload)))
        self._bus.publish(_topic(room), told)
        self.move(user_id, Moved(joins=(room,), told=told))

    def move(self, user_id: int, moved: Moved) -> None:
        """Have a user's connections join and leave rooms."""
        self._bus.publish(_control(user_id), moved)

    def follow(self, user_id: int, moved: Callable[[Moved], None]) -> Subscription:
        """Hear what a user's connections are to do; nothing in particular, if some of that was lost."""
        return self._bus.subscribe(_control(user_id), moved, lambda: moved(Moved()))

    def in_turn(self, look_up: Attempt) -> None:
        """Look up where a connection belongs, when not too many others do; again if that is not known now."""
        self._looking_up.run(look_up)

    # -- who is here ---------------------------------------------------------------------------

    def entered(self, rooms: Iterable[str], *, is_moved: bool = False) -> None:
        """Somebody here has joined these rooms: listen to them.

        Who ``is_moved`` hears at once what is told there, also what is told before it gets here: late.
        """
        for name in rooms:
            room = self._rooms.get(name)
            if room is None:
                room = self._rooms[name] = self._open(name, _EARLIER if is_moved else 0)
                carried = room.subscription.active
                if is_moved and not carried.called:
                    carried.addCallback(lambda _: self._heard.missed())
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

    def unsettle(self) -> None:
        """Learn that this process was cut off: who seems to have gone is perhaps about to come back."""
        for room in self._rooms.values():
            if room.lookout is not None:
                room.lookout.unsettle()

    def _open(self, name: str, earlier: float) -> _Room:
        lookout = None
        if name.startswith(_WORKSPACE):
            workspace = name.removeprefix(_WORKSPACE)
            lookout = Lookout(self._presence, self._clock, workspace, self._telling_how(name))
        subscription = self._bus.subscribe(_topic(name), self._passing_on(name), lambda: self._missed(name))
        return _Room(subscription, lookout, iso_time(int((self._clock.seconds() - earlier) * 1000)))

    def _close(self, name: str) -> None:
        self._rooms.pop(name).stop()

    def _missed(self, name: str) -> None:
        lookout = self._rooms[name].lookout
        if lookout is not None:
            lookout.unsettle()
        self._heard.missed()

    def _tell_late(self, said: Said) -> None:
        name = room_of_channel(said.channel)
        room = self._rooms.get(name)
        # What was said before anybody here was in the room concerns nobody here.
        if room is not None and said.message.created_at >= room.since:
            self._audience.tell(name, _MESSAGE_CREATED, Raw(_encode(said.message)))

    def _passing_on(self, room: str) -> Callable[[Told], None]:
        def pass_on(told: Told) -> None:
            if not told.message or self._heard.hear(told.message):
                self._audience.tell(room, told.event, told.payload)

        return pass_on

    def _telling_how(self, room: str) -> Callable[[str, OnlineStatus], None]:
        def tell(user_id: str, status: OnlineStatus) -> None:
            self._audience.tell(room, "online-status-updated", Raw(_encode(StatusUpdated(user_id, status))))

        return tell

    def __len__(self) -> int:
        """Return the number of rooms that are listened to."""
        return len(self._rooms)


def _topic(room: str) -> Topic[Told]:
    return Topic(f"workspace.room.{room}", Told)


def _control(user_id: int) -> Topic[Moved]:
    return Topic(f"workspace.moves.{user_id}", Moved)
