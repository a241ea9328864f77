"""The channels of Redis that a process hears, by one connection for all of them.

What is subscribed to in one turn of the reactor leaves as one command. A channel that nobody wants any more is
given up some seconds later: a listener that comes and goes costs Redis nothing. After the connection was lost
everything is subscribed to again, and each channel learns of the gap when it is carried once more.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from realtime.cluster.redis_address import RedisAddress
from realtime.cluster.redis_connection import Lost, RedisConnection

LINGER_SECONDS: Final = 5.0
"""How long an unwanted channel is kept. A page that is loaded again takes a second or two."""

_LINGERING: Final = 10_000
"""Unwanted channels that are kept; of more, the oldest are given up at once."""

_AT_ONCE: Final = 1000
"""Channels of one command: Redis does nothing else while it carries it out."""

ACTIVE_SECONDS: Final = 2.0
"""How long who subscribes waits for a Redis that is away. From then on it hears its own process, and of a gap
when the channel is carried."""


class Channel:
    """What a process hears on one channel. Subclasses say what it means.

    Attributes:
        name: the channel's.
        is_carried: whether nothing that is published now can be missed.
    """

    __slots__ = ("_has_gap", "is_asked", "is_carried", "is_wanted", "name", "waiting")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.is_wanted = False
        self.is_asked = False
        self.is_carried = False
        self.waiting: list[Deferred[None]] | None = None
        self._has_gap = False

    def heard(self, payload: bytes) -> None:
        """Take a message."""

    def carried(self, *, after_gap: bool) -> None:
        """Be carried from now on, for the first time or after messages may have been lost."""

    def miss(self) -> None:
        """Owe a gap."""
        self._has_gap = True

    def confirm(self) -> None:
        """Be carried, and let those go who wait for it."""
        self.is_carried = True
        after_gap, self._has_gap = self._has_gap, False
        self.release()
        if self.is_wanted:
            self.carried(after_gap=after_gap)

    def release(self) -> None:
        """Let those go who wait."""
        waiting, self.waiting = self.waiting, None
        for each in waiting or ():
            each.callback(None)


class Channels:
    """All channels of a process.

    Arguments:
        address: the Redis.
        name: what Redis lists the connection as.
        reactor: connects, and is the clock.
    """

    _log = Logger()

    def __init__(self, address: RedisAddress, name: str, reactor: Any) -> None:
        self._clock = reactor
        self._channels: dict[bytes, Channel] = {}
        self._unwanted: dict[Channel, float] = {}
        self._asked_for: list[Channel] = []
        self._waited_for: dict[Channel, float] = {}
        self._sending: IDelayedCall | None = None
        self._giving_up: IDelayedCall | None = None
        self._impatient: IDelayedCall | None = None
        self._connection = RedisConnection(
            address=address,
            what="subscriptions",
            name=name,
            reactor=reactor,
            make=self._make,
            ready=self._ready,
            lost=self._lost,
        )

    def start(self) -> None:
        """Connect, and stay connected."""
        self._connection.start()

    def stop(self) -> Deferred[None]:
        """Hear nothing more; who waits is let go."""
        for timer in (self._sending, self._giving_up, self._impatient):
            if timer is not None and timer.active():
                timer.cancel()
        self._sending = self._giving_up = self._impatient = None
        for channel in list(self._waited_for):
            channel.release()
        self._waited_for.clear()
        return self._connection.stop()

    @property
    def is_connected(self) -> bool:
        """Whether messages can come."""
        return self._connection.protocol is not None

    def __len__(self) -> int:
        """Return the number of channels that are wanted, or were just now."""
        return len(self._channels)

    def get(self, name: bytes) -> Channel | None:
        """Return the channel of a name, also one that is not wanted any more but still there."""
        return self._channels.get(name)

    def wanted(self) -> list[Channel]:
        """Return all that are wanted."""
        return [channel for channel in self._channels.values() if channel.is_wanted]

    def want(self, channel: Channel) -> None:
        """Hear a channel: a new one, or one that ``get`` returned."""
        if channel.is_wanted:
            return
        channel.is_wanted = True
        self._unwanted.pop(channel, None)
        self._channels[channel.name] = channel
        if not channel.is_asked:
            channel.is_asked = True
            self._asked_for.append(channel)
            self._send_soon()

    def unwant(self, channel: Channel) -> None:
        """Hear a channel no more: in a while, if it isn't wanted again till then."""
        channel.is_wanted = False
        self._unwanted[channel] = self._clock.seconds() + LINGER_SECONDS
        if len(self._unwanted) > _LINGERING:
            self._give_up([next(iter(self._unwanted))])
        if self._giving_up is None:
            self._giving_up = self._clock.callLater(LINGER_SECONDS, self._give_up_unwanted)

    def replace(self, channel: Channel) -> None:
        """Want a channel instead of the one of its name that nobody wants any more, if there is one."""
        older = self._channels.get(channel.name)
        if older is not None:
            self._unwanted.pop(older, None)
            channel.is_asked, channel.is_carried = older.is_asked, older.is_carried
            self._asked_for = [channel if each is older else each for each in self._asked_for]
        self.want(channel)
        if channel.is_carried:
            channel.carried(after_gap=False)

    def active(self, channel: Channel) -> Deferred[None]:
        """Fires when the channel is carried; or after some time, with a gap to come."""
        if channel.is_carried:
            return succeed(None)
        waits: Deferred[None] = Deferred()
        if channel.waiting is None:
            channel.waiting = []
            self._waited_for[channel] = self._clock.seconds() + ACTIVE_SECONDS
            if self._impatient is None:
                self._impatient = self._clock.callLater(ACTIVE_SECONDS, self._wait_no_longer)
        channel.waiting.append(waits)
        return waits

    # -- sending -------------------------------------------------------------------------------

    def _send_soon(self) -> None:
        if self._sending is None:
            self._sending = self._clock.callLater(0, self._send)

    def _send(self) -> None:
        self._sending = None
        asked, self._asked_for = self._asked_for, []
        protocol = self._connection.protocol
        if protocol is None:
            return  # all are asked for when there is a connection
        for start in range(0, len(asked), _AT_ONCE):
            protocol.listen([channel.name for channel in asked[start : start + _AT_ONCE]])

    def _give_up_unwanted(self) -> None:
        self._giving_up = None
        now = self._clock.seconds()
        due: list[Channel] = []
        for channel, moment in self._unwanted.items():
            if moment > now:
                self._giving_up = self._clock.callLater(moment - now, self._give_up_unwanted)
                break
            due.append(channel)
        self._give_up(due)

    def _give_up(self, channels: list[Channel]) -> None:
        """Forget channels; what Redis still sends on them is passed over."""
        protocol = self._connection.protocol
        names = []
        for channel in channels:
            del self._unwanted[channel]
            if protocol is not None and not channel.is_carried:
                # The confirmation to come must not be taken for that of a later subscription.
                self.unwant(channel)
                continue
            del self._channels[channel.name]
            names.append(channel.name)
        if protocol is not None:
            for start in range(0, len(names), _AT_ONCE):
                protocol.ignore(names[start : start + _AT_ONCE])

    def _wait_no_longer(self) -> None:
        self._impatient = None
        now = self._clock.seconds()
        for channel, moment in list(self._waited_for.items()):
            if moment > now:
                self._impatient = self._clock.callLater(moment - now, self._wait_no_longer)
                return
            del self._waited_for[channel]
            channel.miss()
            channel.release()

    # -- the connection ------------------------------------------------------------------------

    def _make(self, lost: Lost) -> Any:
        from realtime.cluster.redis_protocol import SubscribingProtocol

        return SubscribingProtocol(lost, self._heard, self._confirmed)

    def _ready(self, _: Any) -> None:
        for channel in list(self._unwanted):
            del self._unwanted[channel]
            del self._channels[channel.name]
        self._asked_for = list(self._channels.values())
        for channel in self._asked_for:
            channel.is_asked = True
        self._send()

    def _lost(self, _: list[bytes]) -> None:
        for channel in self._channels.values():
            channel.is_carried = False
            channel.is_asked = True  # as soon as there is a connection
            channel.miss()

    def _heard(self, name: bytes, payload: bytes) -> None:
        channel = self._channels.get(name)
        if channel is not None and channel.is_wanted:
            channel.heard(payload)

    def _confirmed(self, name: bytes) -> None:
        channel = self._channels.get(name)
        if channel is not None:
            self._waited_for.pop(channel, None)
            try:
                channel.confirm()
            except Exception:
                self._log.failure("cluster: a channel that is carried again failed")
