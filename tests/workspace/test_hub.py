"""Rooms: who hears what, and for how long a room is listened to."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Raw
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster.bus import MemoryBus, Message, Subscription, Topic
from realtime.workspace.hub import Hub, Moved

LINGER = 120.0


class SlowBus(MemoryBus):
    """A bus of several processes: it has gaps, and a topic may be carried only after a while."""

    def __init__(self) -> None:
        super().__init__()
        self.gaps: dict[str, Callable[[], None]] = {}
        self.active: dict[str, Deferred[None]] = {}

    def subscribe(
        self,
        topic: Topic[Message],
        listener: Callable[[Message], None],
        gap: Callable[[], None] | None = None,
    ) -> Subscription:
        """See `Bus.subscribe`."""
        if gap is not None:
            self.gaps[topic.name] = gap
        return SlowSubscription(super().subscribe(topic, listener), self.active.get(topic.name))


class SlowSubscription:
    """One that is active when the test says so."""

    def __init__(self, subscription: Subscription, active: Deferred[None] | None) -> None:
        self.active = succeed(None) if active is None else active
        self.cancel = subscription.cancel


class HubTests(SynchronousTestCase):
    """Two processes on one bus."""

    def setUp(self) -> None:
        """Build them."""
        self.clock = Clock()
        self.bus = SlowBus()
        self.told: list[tuple[str, str, bytes]] = []
        self.hub = Hub(bus=self.bus, audience=self, clock=self.clock, linger=LINGER)
        self.other = Hub(bus=self.bus, audience=self, clock=self.clock, linger=0)

    def tell(self, room: str, event: str, payload: Raw) -> None:
        """See `hub.Audience`."""
        self.told.append((room, event, bytes(payload)))

    def test_told_where_somebody_is(self) -> None:
        """What is told anywhere is passed on once, where somebody is in the room."""
        self.other.tell("a", "event", {"n": 1})
        self.assertEqual(self.told, [])
        self.hub.entered(["a"])
        self.hub.entered(["a", "b"])
        self.other.tell("a", "event", {"n": 1})
        self.other.tell("c", "event", {"n": 1})
        self.assertEqual(self.told, [("a", "event", b'{"n":1}')])

    def test_lingers(self) -> None:
        """A room is listened to for a while after the last has gone, unless somebody comes back."""
        self.hub.entered(["a"])
        self.hub.left(["a"])
        self.clock.advance(LINGER - 1)
        self.other.tell("a", "event", 1)
        self.hub.entered(["a"])
        self.clock.advance(LINGER)
        self.other.tell("a", "event", 2)
        self.hub.left(["a"])
        self.clock.advance(LINGER)
        self.other.tell("a", "event", 3)
        self.assertEqual([payload for _, _, payload in self.told], [b"1", b"2"])
        self.assertEqual((len(self.hub), len(self.bus), self.clock.getDelayedCalls()), (0, 0, []))

    def test_at_once(self) -> None:
        """Where nobody comes back it is forgotten at once."""
        self.other.entered(["a"])
        self.other.left(["a"])
        self.assertEqual((len(self.other), len(self.bus)), (0, 0))

    def test_carried(self) -> None:
        """A room is carried once all that is told to it gets here."""
        active = self.bus.active["workspace.room.a"] = Deferred()
        self.hub.entered(["a", "b"])
        carried = self.hub.carried(["a", "b"])
        self.assertNoResult(carried)
        active.callback(None)
        self.successResultOf(carried)

    def test_in_turn(self) -> None:
        """When all want to look something up not all do so at once; a fault of one is its own."""
        waiting: list[Deferred[None]] = []

        async def look_up() -> None:
            waiting.append(Deferred())
            await waiting[-1]

        looked_up = [self.hub.in_turn(look_up) for _ in range(100)]
        self.assertEqual(len(waiting), 32)
        waiting[0].errback(ZeroDivisionError())
        self.failureResultOf(looked_up[0], ZeroDivisionError)
        self.assertEqual(len(waiting), 33)
        for number in range(1, 100):
            waiting[number].callback(None)
            self.successResultOf(looked_up[number])

    def test_gap(self) -> None:
        """When moves may have been lost they hear that they are to look where they belong."""
        moves: list[Moved] = []
        subscription = self.hub.follow(7, moves.append)
        self.bus.gaps["workspace.moves.7"]()
        self.assertEqual(moves, [Moved()])
        subscription.cancel()

    def test_moves(self) -> None:
        """A user's connections hear where they are to go, wherever they are."""
        moves: list[Moved] = []
        subscriptions = [hub.follow(7, moves.append) for hub in (self.hub, self.other)]
        self.hub.move(7, Moved(joins=("a",)))
        self.hub.move(8, Moved(joins=("b",)))
        self.assertEqual(moves, [Moved(joins=("a",))] * 2)
        for subscription in subscriptions:
            subscription.cancel()
        self.assertEqual(len(self.bus), 0)
