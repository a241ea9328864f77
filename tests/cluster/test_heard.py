"""What the bus has lost is told late, once, in order, and not without bounds."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster import heard
from realtime.cluster.heard import AT_ONCE, TOLD_LATE, Heard
from realtime.storage.errors import StorageUnavailable

START = 1_790_000_000


class Table:
    """A table, and who is told of what is in it. A message is its id and when it was stored."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.rows: dict[int, int] = {}
        self.told: list[int] = []
        self.away = False
        self.reads = 0
        self.held: list[Deferred[list[int]]] | None = None
        self.heard: Heard[int] = Heard(
            newest=self.newest, read=self.read, tell=self.told.append, clock=self.clock
        )

    def newest(self, since: int) -> Deferred[list[int]]:
        """Which there are."""
        found = [number for number, stored in self.rows.items() if stored >= since]
        if self.held is not None:
            self.held.append(Deferred())
            self.held[-1].addCallback(lambda _: found)
            return self.held[-1]
        return fail(StorageUnavailable()) if self.away else succeed(found)

    def read(self, numbers: Sequence[int]) -> Deferred[dict[int, int]]:
        """Some of them."""
        assert 0 < len(numbers) <= AT_ONCE
        self.reads += 1
        return succeed({number: number for number in numbers if number in self.rows})

    def store(self, *numbers: int) -> None:
        """Store messages."""
        for number in numbers:
            self.rows[number] = int(self.clock.seconds() * 1000)

    def publish(self, number: int) -> None:
        """One is told over the bus."""
        if self.heard.hear(number):
            self.told.append(number)

    def gap(self) -> None:
        """Some may be lost."""
        self.heard.missed()
        self.clock.advance(0.1)


class HeardTests(SynchronousTestCase):
    """A table, and a bus with gaps."""

    @given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=60), st.integers(0, 60))
    def test_each_once(self, messages: list[tuple[int, bool]], gap: int) -> None:
        """Whatever is lost, in whatever order ids are stored: after a gap each was told, once."""
        table = Table()
        for place, (number, is_lost) in enumerate(messages):
            if place == gap:
                table.gap()
            table.store(number)
            if not is_lost:
                table.publish(number)
        table.gap()
        self.assertEqual(sorted(table.told), sorted(table.rows))
        for number in table.rows:
            table.publish(number)
        table.gap()
        self.assertEqual(len(table.told), len(table.rows))
        self.assertEqual(table.clock.getDelayedCalls(), [])

    def test_in_order(self) -> None:
        """What was missed is told oldest first; what was there before is told to nobody."""
        table = Table()
        table.store(1, 2)
        table.clock.advance(1)
        later = Table()
        later.rows = {**table.rows, **dict.fromkeys((9, 4, 7), START * 1000 + 5)}
        later.rows[1] = later.rows[2] = START * 1000 - 5
        later.publish(7)
        later.gap()
        self.assertEqual(later.told, [7, 4, 9])

    def test_crowd_of_gaps(self) -> None:
        """Many gaps at once are one look; one that comes during a look is another."""
        table = Table()
        table.held = []
        for _ in range(5):
            table.heard.missed()
        table.gap()
        self.assertEqual(len(table.held), 1)
        table.store(1)
        table.gap()
        self.assertEqual(len(table.held), 2)
        for each in table.held:
            each.callback([])
        self.assertEqual(table.told, [1])

    def test_told_meanwhile(self) -> None:
        """What the bus brings while it is looked up is told once; what is gone by then, never."""
        table = Table()
        table.store(1, 2, 3)
        table.held = []
        table.gap()
        table.publish(2)
        del table.rows[3]
        table.held[0].callback([])
        self.assertEqual(table.told, [2, 1])

    def test_away(self) -> None:
        """While the database is away it is asked again and again."""
        table = Table()
        table.store(1)
        table.away = True
        table.gap()
        table.clock.pump([1.1] * 3)
        table.away = False
        table.clock.pump([1.1, 0.1])
        self.assertEqual(table.told, [1])

    def test_much_missed(self) -> None:
        """Of very much the newest are told, some at a time; of what is long told nothing is told again."""
        table = Table()
        table.store(*range(1, TOLD_LATE + 101))
        table.gap()
        self.assertEqual(table.told, list(range(101, TOLD_LATE + 101)))
        self.assertEqual(table.reads, TOLD_LATE / AT_ONCE)
        table.gap()
        self.assertEqual(len(table.told), TOLD_LATE)
        self.patch(heard, "NEWEST", 5)
        table = Table()
        table.store(*range(1, 10))
        for number in range(1, 10):
            table.publish(number)
        table.gap()
        self.assertEqual(table.told, list(range(1, 10)))
