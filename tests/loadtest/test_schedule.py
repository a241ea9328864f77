"""When clients start and messages are to be sent."""

from __future__ import annotations

from itertools import count, pairwise, takewhile

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.loadtest.schedule import Schedule


def times(schedule: Schedule) -> list[float]:
    """All times of messages."""
    return [
        time
        for time in takewhile(lambda each: each is not None, map(schedule.time_of, count(1)))
        if time is not None
    ]


class ScheduleTests(SynchronousTestCase):
    """A ramp, and what follows it."""

    def test_clients(self) -> None:
        """Start evenly over the ramp."""
        schedule = Schedule(clients=4, ramp=2.0, duration=10.0, rate=1.0)
        self.assertEqual([schedule.start_of(number) for number in range(5)], [0.0, 0.5, 1.0, 1.5, None])

    def test_messages(self) -> None:
        """Half as many in the ramp as in as long a time after it, more and more; then one after the other."""
        schedule = Schedule(clients=4, ramp=10.0, duration=5.0, rate=100.0)
        due = times(schedule)
        self.assertEqual(len(due), 1000)
        self.assertEqual(len([time for time in due if time <= 10.0]), 500)
        self.assertEqual(len([time for time in due if time <= 5.0]), 125)
        after = [time for time in due if time >= 10.0]
        for one, two in pairwise(after):
            self.assertAlmostEqual(two - one, 0.01)

    def test_without_a_ramp(self) -> None:
        """All begins at once."""
        schedule = Schedule(clients=2, ramp=0.0, duration=1.0, rate=4.0)
        self.assertEqual(times(schedule), [0.25, 0.5, 0.75, 1.0])
        self.assertEqual(schedule.start_of(1), 0.0)

    @given(
        st.floats(min_value=0.0, max_value=20.0),
        st.floats(min_value=1.0, max_value=5.0),
        st.floats(min_value=0.1, max_value=50.0),
    )
    def test_order(self, ramp: float, duration: float, rate: float) -> None:
        """Times never go back, and none is beyond the end."""
        schedule = Schedule(2, ramp, duration, rate)
        due = times(schedule)
        self.assertEqual(due, sorted(due))
        self.assertTrue(all(0 < time <= schedule.end for time in due))
