"""PING to all in turn, and the end of those that send no PONG."""

from __future__ import annotations

import gc
import weakref
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.market.heartbeat import Heartbeat

INTERVAL, TIMEOUT = 5.0, 30.0


class Peer:
    """A connection: when it was asked and when it was given up."""

    heartbeat_slot = 0

    def __init__(self, clock: Clock, heartbeat: Heartbeat, *, answers: bool = True) -> None:
        self._clock = clock
        self.answers = answers
        self.ponged = clock.seconds()
        self.asked: list[float] = []
        self.given_up: list[float] = []
        heartbeat.watch(self)

    def ask_pong(self) -> None:
        """Note the time; answer at once, or never."""
        self.asked.append(self._clock.seconds())
        if self.answers:
            self.ponged = self._clock.seconds()

    def no_pong(self) -> None:
        """Note the time."""
        self.given_up.append(self._clock.seconds())


class HeartbeatTests(SynchronousTestCase):
    """The times, the spread and the cost."""

    def setUp(self) -> None:
        """Make a clock that does not begin at a round moment."""
        self.clock = Clock()
        self.clock.advance(1_790_000_000.37)
        self.heartbeat = Heartbeat(self.clock, INTERVAL, TIMEOUT)

    def run_for(self, seconds: float, step: float = 0.05) -> None:
        """Let time pass, in steps."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)

    def peer(self, *, answers: bool = True) -> Peer:
        """Begin with one more connection."""
        return Peer(self.clock, self.heartbeat, answers=answers)

    def test_pings(self) -> None:
        """Each gets its first within the interval, and one in each interval from then on."""
        peers = []
        for _ in range(20):
            peers.append((self.clock.seconds(), self.peer()))
            self.run_for(0.35)
        self.run_for(50)
        for start, peer in peers:
            self.assertLessEqual(peer.asked[0] - start, INTERVAL + 0.2)
            gaps = [later - earlier for earlier, later in zip(peer.asked, peer.asked[1:], strict=False)]
            self.assertGreaterEqual(len(gaps), 9)
            self.assertApproximates(min(gaps), INTERVAL, 0.2)
            self.assertApproximates(max(gaps), INTERVAL, 0.2)
            self.assertEqual(peer.given_up, [])

    @given(
        interval=st.sampled_from([0.5, 1.0, 5.0]),
        factor=st.sampled_from([1.1, 2.0, 2.5, 6.0]),
        pongs=st.integers(0, 3),
        offset=st.floats(0, 6),
    )
    def test_the_silent(self, interval: float, factor: float, pongs: int, offset: float) -> None:
        """A silent one is given up once: the timeout after its last PONG, not before, and soon then."""
        self.setUp()
        timeout, step = interval * factor, interval / 100
        self.heartbeat = Heartbeat(self.clock, interval, timeout)
        other = self.peer()
        self.run_for(offset, 0.07)
        silent = self.peer()
        while len(silent.asked) < pongs:
            self.run_for(step, step)
        silent.answers = False
        self.run_for(timeout * 2 + interval, step)
        self.assertEqual(len(silent.given_up), 1)
        after = silent.given_up[0] - silent.ponged
        self.assertGreaterEqual(after, timeout)
        self.assertLessEqual(after, timeout + interval / 50 * 2 + step * 2 + 1e-6)
        self.assertLessEqual(silent.asked[-1], silent.given_up[0])
        self.assertEqual(other.given_up, [])

    def test_a_late_pong(self) -> None:
        """One just before the end is in time, and begins the timeout anew."""
        late = self.peer(answers=False)
        start = late.ponged
        self.run_for(TIMEOUT - 0.1)
        late.ponged = self.clock.seconds()
        self.run_for(TIMEOUT - 0.1)
        self.assertEqual(late.given_up, [])
        self.run_for(0.6)
        self.assertEqual(len(late.given_up), 1)
        self.assertGreaterEqual(late.given_up[0], start + 2 * TIMEOUT - 0.1)

    def test_spread_evenly(self) -> None:
        """Ten thousand that come at once are asked a few at a time, each once in an interval; one timer."""
        crowd = [self.peer() for _ in range(10_000)]
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for _ in range(60):
            self.clock.advance(0.1)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        asked = [moment for peer in crowd for moment in peer.asked]
        at_once = Counter(asked)
        self.assertLessEqual(max(at_once.values()), 2 * 10_000 // 50)
        self.assertTrue(all(1 <= len(peer.asked) <= 2 for peer in crowd))

    def test_spread_after_many_left(self) -> None:
        """Those who come take the places of those who left."""
        crowd = [self.peer() for _ in range(1_000)]
        for peer in crowd:
            if peer.heartbeat_slot < 25:
                self.heartbeat.forget(peer)
        crowd = [peer for peer in crowd if peer.heartbeat_slot >= 25] + [self.peer() for _ in range(500)]
        self.assertEqual(set(Counter(peer.heartbeat_slot for peer in crowd).values()), {20})

    def test_who_leaves(self) -> None:
        """It hears no more, also where its end was near; leaving twice is leaving once."""
        leaving, staying = self.peer(answers=False), self.peer()
        self.run_for(TIMEOUT - 0.5)
        asked = list(leaving.asked)
        self.heartbeat.forget(leaving)
        self.heartbeat.forget(leaving)
        self.run_for(60)
        self.assertEqual((leaving.asked, leaving.given_up), (asked, []))
        self.assertGreater(len(staying.asked), 15)
        self.heartbeat.forget(staying)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_timer_stops_with_the_last(self) -> None:
        """While nobody is watched nothing runs; it begins again with the next."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for _ in range(3):
            silent = self.peer(answers=False)
            self.run_for(TIMEOUT + 1)
            self.assertEqual(len(silent.given_up), 1)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.run_for(100, 1)

    def test_forgotten_by_another(self) -> None:
        """One that is forgotten by what another did in the same moment is left alone."""
        crowd = [self.peer() for _ in range(51)]
        one, two = (peer for peer in crowd if peer.heartbeat_slot == 0)
        heartbeat = self.heartbeat

        def take_along() -> None:
            for peer in crowd:
                heartbeat.forget(peer)

        one.ask_pong = take_along  # type: ignore[method-assign]
        self.run_for(6)
        self.assertEqual(two.asked, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_jump_of_the_clock(self) -> None:
        """After the machine has slept all are asked, once, before anybody is given up."""
        crowd = [self.peer() for _ in range(100)]
        silent = self.peer(answers=False)
        self.run_for(28)
        asked = [len(peer.asked) for peer in crowd]
        self.clock.advance(86_400)
        self.assertEqual([len(peer.asked) for peer in crowd], [before + 1 for before in asked])
        woken = self.clock.seconds()
        self.run_for(40)
        self.assertEqual([peer.given_up for peer in crowd], [[]] * 100)
        self.assertApproximates(silent.given_up[0] - woken, TIMEOUT, 0.3)

    def test_nobody_is_kept(self) -> None:
        """What was noted of one that has left goes, also where the moment of its end was slept through."""
        staying, leaving = self.peer(), self.peer(answers=False)
        self.run_for(TIMEOUT - 0.2)
        self.clock.advance(86_400)
        self.heartbeat.forget(leaving)
        left = weakref.ref(leaving)
        del leaving
        self.run_for(2 * INTERVAL)
        gc.collect()
        self.assertIsNone(left())
        self.assertEqual(staying.given_up, [])

    def test_there_is_time_to_answer(self) -> None:
        """A timeout that is no longer than the interval can't be set."""
        for interval, timeout in ((5, 5), (5, 4), (0, 5), (-1, 5)):
            with self.assertRaises(ValueError):
                Heartbeat(self.clock, interval, timeout)
