"""The bus: publish and subscribe by topic."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

Message = TypeVar("Message", bound=Struct)


@dataclass(frozen=True, slots=True)
class Topic(Generic[Message]):
    """A name to publish under, and the one type of message that is published there.

    The type is what a message is decoded to when it comes from another process.
    """

    name: str
    message: type[Message]


class Subscription(Protocol):
    """A listener's place on a topic."""

    @property
    def active(self) -> Deferred[None]:
        """Fires once nothing that is published from then on can be missed.

        Who reads the database after that, and follows the topic, has seen everything.
        """

    def cancel(self) -> None:
        """Hear nothing more, at once. Once is enough; again does nothing."""


class Bus(Protocol):
    """Carries messages from any process to every listener of a topic.

    - *At most once*: a message reaches a listener once or, if the connection between processes
      fails, not at all.
    - *Ordered for each publisher*: what one process publishes arrives in that order, across topics.
      Messages of two processes may arrive in either order.
    - *Local at once*: a listener of the same process is called before ``publish`` returns, unless
      ``publish`` was itself called by a listener: then right after that one has returned.
    - After messages may have been lost, the ``gap`` of every listener is called, once for each
      gap and after its topic is carried again: read the database.

    A listener that raises is logged; the others still hear the message.
    """

    def publish(self, topic: Topic[Message], message: Message) -> None:
        """Send ``message``, which must not be changed afterwards, to all listeners of ``topic``."""

    def subscribe(
        self,
        topic: Topic[Message],
        listener: Callable[[Message], None],
        gap: Callable[[], None] | None = None,
    ) -> Subscription:
        """Call ``listener`` with each message of ``topic`` until the subscription is cancelled."""


class MemoryBus:
    """The bus of a single process. It has no gaps.

    Most topics are one connection's own: its listener stands for itself, and only where there are more
    does a topic have a table of them, which would be larger than all the rest of a subscription.
    """

    _log = Logger()

    def __init__(self) -> None:
        self._listeners: dict[str, _MemorySubscription | dict[_MemorySubscription, None]] = {}
        self._published: deque[tuple[str, Struct]] = deque()
        self._delivering = False

    def publish(self, topic: Topic[Message], message: Message) -> None:
        """See :meth:`Bus.publish`."""
        if topic.name not in self._listeners:
            return
        self._published.append((topic.name, message))
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._published:
                name, published = self._published.popleft()
                listeners = self._listeners.get(name, {})
                if isinstance(listeners, _MemorySubscription):
                    self._deliver(listeners, published)
                else:
                    for subscription in list(listeners):
                        self._deliver(subscription, published)
        finally:
            self._delivering = False

    def _deliver(self, subscription: _MemorySubscription, message: Struct) -> None:
        if subscription.listener is not None:
            try:
                subscription.listener(message)
            except Exception:
                self._log.failure("cluster: a listener of {topic} failed", topic=subscription.name)

    def subscribe(
        self,
        topic: Topic[Message],
        listener: Callable[[Message], None],
        gap: Callable[[], None] | None = None,
    ) -> Subscription:
        """See :meth:`Bus.subscribe`."""
        subscription = _MemorySubscription(self, topic.name, listener)
        listeners = self._listeners.setdefault(topic.name, subscription)
        if isinstance(listeners, dict):
            listeners[subscription] = None
        elif listeners is not subscription:
            self._listeners[topic.name] = {listeners: None, subscription: None}
        return subscription

    def remove(self, subscription: _MemorySubscription) -> None:
        """Forget a subscription, and its topic with the last one."""
        listeners = self._listeners[subscription.name]
        if isinstance(listeners, dict):
            del listeners[subscription]
        if listeners is subscription or not listeners:
            del self._listeners[subscription.name]

    def __len__(self) -> int:
        """Return the number of topics that somebody listens to."""
        return len(self._listeners)


class _MemorySubscription:
    __slots__ = ("_bus", "listener", "name")

    def __init__(self, bus: MemoryBus, name: str, listener: Callable[[Any], None]) -> None:
        self._bus = bus
        self.name = name
        self.listener: Callable[[Any], None] | None = listener

    @property
    def active(self) -> Deferred[None]:
        return succeed(None)

    def cancel(self) -> None:
        if self.listener is not None:
            self.listener = None
            self._bus.remove(self)
