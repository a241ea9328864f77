"""Rooms: who hears what, and for how long a room is listened to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from msgspec import Raw
from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster.bus import MemoryBus, Message, Subscription, Topic
from realtime.cluster.presence import MemoryPresence
from realtime.storage.errors import StorageUnavailable
from realtime.workspace import messages
from realtime.workspace.hub import Hub, Moved
from realtime.workspace.messages import ChannelModel, iso_time
from realtime.workspace.store import Said

LINGER = 120.0
CHANNEL = ChannelModel("3", "general", False, "default", "7", iso_time(0))


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


class HubTestCase(SynchronousTestCase):
    """Two processes on one bus."""

    def setUp(self) -> None:
        """Build them."""
        self.clock = Clock()
        self.bus = SlowBus()
        self.told: list[tuple[str, str, bytes]] = []
        self.clock.advance(1_790_000_000)
        self.presence = MemoryPresence()
        self.said: dict[int, Said] = {}
        self.away = False
        self.hub, self.other = self.make(LINGER), self.make(0)

    def make(self, linger: float) -> Hub:
        """A process's."""
        return Hub(
            bus=self.bus,
            presence=self.presence,
            messages=self,
            audience=self,
            clock=self.clock,
            linger=linger,
        )

    def said_since(self, since: int) -> Deferred[list[int]]:
        """See `hub.Messages`."""
        return fail(StorageUnavailable("away")) if self.away else succeed(list(self.said))

    def those_said(self, message_ids: Sequence[int]) -> Deferred[dict[int, Said]]:
        """See `hub.Messages`."""
        return succeed({each: self.said[each] for each in message_ids})

    def store(self, number: int, channel: ChannelModel = CHANNEL) -> Said:
        """Something that was said just now."""
        now = iso_time(int(self.clock.seconds() * 1000))
        said = self.said[number] = Said(
            messages.Message(str(number), channel.id, "7", "hello", now), channel, True
        )
        return said

    def numbers(self) -> list[tuple[str, int]]:
        """The rooms and numbers of the messages that were told since the last time."""
        told, self.told = self.told, []
        return [(room, int(json.loads(payload)["id"])) for room, _, payload in told]

    def tell(self, room: str, event: str, payload: Raw) -> None:
        """See `hub.Audience`."""
        self.told.append((room, event, bytes(payload)))


class HubTests(HubTestCase):
    """Who hears what."""

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


class GapTests(HubTestCase):
    """What was said while the bus carried nothing."""

    def gap(self) -> None:
        """Lose what was published, and learn that."""
        self.bus.gaps["workspace.room.workspace.default"]()

    def test_told_late(self) -> None:
        """It is told in its room, in order, once: to those who were there when it was said."""
        self.hub.entered(["workspace.default"])
        self.hub.say(self.store(2))
        for number in (3, 1):
            self.store(number)
        self.store(4, replace(CHANNEL, id="9", is_private=True))
        self.hub.say(self.store(5))
        self.assertEqual(self.numbers(), [("workspace.default", 2), ("workspace.default", 5)])
        self.gap()
        self.gap()
        self.clock.advance(1)
        self.assertEqual(self.numbers(), [("workspace.default", 1), ("workspace.default", 3)])
        self.other.say(self.said[3])  # the bus had it all the time
        self.gap()
        self.clock.advance(1)
        self.assertEqual(self.numbers(), [])

    def test_before_anybody_came(self) -> None:
        """What was said before concerns nobody."""
        self.store(1)
        self.clock.advance(1)
        self.hub.entered(["workspace.default"])
        self.store(2)
        self.gap()
        self.clock.advance(1)
        self.assertEqual(self.numbers(), [("workspace.default", 2)])

    def test_database_away(self) -> None:
        """It is asked again until it answers."""
        self.hub.entered(["workspace.default"])
        self.store(1)
        self.away = True
        self.gap()
        self.clock.pump([1] * 5)
        self.assertEqual(self.numbers(), [])
        self.away = False
        self.clock.pump([1, 1])
        self.assertEqual(self.numbers(), [("workspace.default", 1)])

    def test_who_seems_to_have_gone(self) -> None:
        """Nobody is told so before all have had time to come back; after a cut neither."""
        self.presence.enter("workspace.default", "online.7")
        for unsettle in (self.gap, self.hub.unsettle):
            self.hub.entered(["workspace.default"])
            unsettle()
            self.presence.leave("workspace.default", "online.7")
            self.clock.advance(1)
            self.presence.enter("workspace.default", "online.7")
            self.clock.pump([1] * 10)
            self.assertEqual(self.told, [])
        self.presence.leave("workspace.default", "online.7")
        self.clock.advance(0)
        self.assertEqual(
            self.told,
            [("workspace.default", "online-status-updated", b'{"userId":"7","onlineStatus":"offline"}')],
        )
