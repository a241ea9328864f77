"""The bus of several processes, by Redis's channels.

Listeners of the publisher's own process hear at once, from memory. To the others a message goes as a process's
name and the message; what comes back to its publisher is passed over. Each topic that has listeners here is
one channel that this process hears.

Of messages that could not be sent, or whose arrival is not known, the topics are kept; when there is a
connection again their other listeners are told that they missed something. If those are too many everybody
is told.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import cache
from typing import Any, Final, cast

from msgspec import MsgspecError, Struct, inspect, json, msgpack
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from realtime.cluster.bus import MemoryBus, Message, Subscription, Topic
from realtime.cluster.redis_channels import Channel, Channels
from realtime.cluster.redis_process import RedisProcess
from realtime.cluster.redis_scripts import Names

_NAME_LENGTH: Final = 8

_MISSED: Final = 10_000
"""Topics that are kept; with more, everybody is told of a gap."""


class RedisBus:
    """A bus that reaches all processes.

    Arguments:
        names: of channels.
        channels: what this process hears.
        process: publishes.

    Attributes:
        undecodable: messages that could not be decoded: they were of another version.
        unsent: messages that did not go to other processes.
    """

    _log = Logger()

    def __init__(self, names: Names, channels: Channels, process: RedisProcess) -> None:
        self.name = secrets.token_bytes(_NAME_LENGTH)
        self.undecodable = 0
        self.unsent = 0
        self.local = MemoryBus()
        self.channels = channels
        self._names = names
        self._process = process
        self._missed: set[bytes] = set()
        self._missed_too_much = False
        self._told_of: set[type] = set()
        channels.want(_Everybody(self, names.everybody))

    def publish(self, topic: Topic[Message], message: Message) -> None:
        """See :meth:`Bus.publish`."""
        self._send(self._names.topic(topic.name), self.name + _codec(cast(Any, topic.message))[0](message))
        self.local.publish(topic, message)

    def subscribe(
        self,
        topic: Topic[Message],
        listener: Callable[[Message], None],
        gap: Callable[[], None] | None = None,
    ) -> Subscription:
        """See :meth:`Bus.subscribe`.

        While Redis is away the subscription is active after two seconds, and its ``gap`` called later.
        """
        name = self._names.topic(topic.name)
        carried = self.channels.get(name)
        if not isinstance(carried, _Carried):
            carried = _Carried(self, name, topic)
        self.channels.want(carried)
        return _RedisSubscription(carried, self.local.subscribe(topic, listener), gap)

    def missed(self, channels: list[bytes]) -> None:
        """Learn that messages may not have arrived."""
        self.unsent += len(channels)
        if len(self._missed) + len(channels) > _MISSED:
            self._missed_too_much = True
            self._missed.clear()
        elif not self._missed_too_much:
            self._missed.update(channels)

    def reconnected(self) -> None:
        """Tell the others of what they missed."""
        missed, self._missed = self._missed, set()
        if self._missed_too_much:
            self._missed_too_much = False
            missed = {self._names.everybody}
        for channel in missed:
            self._send(channel, self.name)

    def _send(self, channel: bytes, payload: bytes) -> None:
        if not self._process.publish(channel, payload):
            self.missed([channel])

    def heard(self, topic: Topic[Any], payload: bytes) -> bool:
        """Deliver what another process has published; return whether it tells of a gap instead."""
        if payload.startswith(self.name):
            return False
        if len(payload) <= _NAME_LENGTH:
            return True
        try:
            message = _codec(cast(Any, topic.message))[1](memoryview(payload)[_NAME_LENGTH:])
        except MsgspecError:
            self.undecodable += 1
            if topic.message not in self._told_of:
                self._told_of.add(topic.message)
                self._log.warn(
                    "cluster: {kind} of another version are dropped; said once", kind=topic.message.__name__
                )
            return False
        self.local.publish(topic, message)
        return False

    def gap_everywhere(self) -> None:
        """Call every listener's ``gap``."""
        for channel in self.channels.wanted():
            if isinstance(channel, _Carried):
                channel.gap()


class _Carried(Channel):
    """A topic with listeners here. Most have one, which stands for itself."""

    __slots__ = ("_listeners", "bus", "topic")

    def __init__(self, bus: RedisBus, name: bytes, topic: Topic[Any]) -> None:
        super().__init__(name)
        self.bus = bus
        self.topic = topic
        self._listeners: _RedisSubscription | dict[_RedisSubscription, None] | None = None

    def add(self, subscription: _RedisSubscription) -> None:
        if self._listeners is None:
            self._listeners = subscription
        elif isinstance(self._listeners, dict):
            self._listeners[subscription] = None
        else:
            self._listeners = {self._listeners: None, subscription: None}

    def remove(self, subscription: _RedisSubscription) -> None:
        if isinstance(self._listeners, dict):
            del self._listeners[subscription]
        if self._listeners is subscription or not self._listeners:
            self._listeners = None
            self.bus.channels.unwant(self)

    def heard(self, payload: bytes) -> None:
        if self.bus.heard(self.topic, payload):
            self.gap()

    def carried(self, *, after_gap: bool) -> None:
        if after_gap:
            self.gap()

    def gap(self) -> None:
        listeners = self._listeners
        every = [] if listeners is None else list(listeners) if isinstance(listeners, dict) else [listeners]
        for subscription in every:
            if subscription.gap is not None:
                try:
                    subscription.gap()
                except Exception:
                    RedisBus._log.failure("cluster: the gap of {topic} failed", topic=self.topic.name)


class _Everybody(Channel):
    """Where everybody is told of a gap."""

    __slots__ = ("_bus",)

    def __init__(self, bus: RedisBus, name: bytes) -> None:
        super().__init__(name)
        self._bus = bus

    def heard(self, payload: bytes) -> None:
        if payload != self._bus.name:
            self._bus.gap_everywhere()


class _RedisSubscription:
    __slots__ = ("_carried", "_local", "gap")

    def __init__(self, carried: _Carried, local: Subscription, gap: Callable[[], None] | None) -> None:
        self._carried: _Carried | None = carried
        self._local = local
        self.gap = gap
        carried.add(self)

    @property
    def active(self) -> Deferred[None]:
        if self._carried is None:
            return Deferred()
        return self._carried.bus.channels.active(self._carried)

    def cancel(self) -> None:
        carried, self._carried = self._carried, None
        if carried is not None:
            self.gap = None
            self._local.cancel()
            carried.remove(self)


_msgpack = msgpack.Encoder()
_json = json.Encoder()


@cache
def _codec(kind: type[Struct]) -> tuple[Callable[[Any], bytes], Callable[[memoryview], Any]]:
    """Return how messages of a type cross the wire.

    That is MessagePack; but what holds ready-made JSON (``Raw``) can only stand in JSON.
    """
    if _holds_raw(inspect.type_info(kind), set()):
        return _json.encode, json.Decoder(kind).decode
    return _msgpack.encode, msgpack.Decoder(kind).decode


def _holds_raw(what: Any, seen: set[Any]) -> bool:
    """Whether a type holds ``Raw`` anywhere. ``seen`` are the classes that were looked at, which may recur."""
    if isinstance(what, inspect.RawType):
        return True
    if isinstance(what, (list, tuple)):
        return any(_holds_raw(each, seen) for each in what)
    if isinstance(what, inspect.Field):
        return _holds_raw(what.type, seen)
    if not isinstance(what, inspect.Type):
        return False
    cls = getattr(what, "cls", None)
    if cls is not None:
        if cls in seen:
            return False
        seen.add(cls)
    return any(
        _holds_raw(getattr(what, name, None), seen)
        for name in ("fields", "types", "item_types", "item_type", "key_type", "value_type", "type")
    )
