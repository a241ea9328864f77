"""When a server that fails is asked again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.accounts.circuit_breaker import CircuitBreaker, State


class BreakerTestCase(SynchronousTestCase):
    """A circuit with the usual numbers, at a time of its own."""

    def setUp(self) -> None:
        """Make it."""
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.breaker = CircuitBreaker(self.clock)

    def permit(self) -> int:
        """A permit, which has to be given."""
        permit = self.breaker.admit()
        assert permit is not None
        return permit

    def fail(self, times: int = 1) -> None:  # type: ignore[override]
        """So many requests in turn that fail."""
        for _ in range(times):
            self.breaker.failed(self.permit())

    def assert_pause(self, seconds: float) -> None:
        """Nobody may ask for so long, and then one may, whose permit is not used up here."""
        self.clock.advance(seconds - 0.1)
        self.assertIsNone(self.breaker.admit())
        self.clock.advance(0.1)
        self.assertEqual(self.breaker.state, State.OPEN)


class ClosedTests(BreakerTestCase):
    """As long as the server answers."""

    def test_everybody_may(self) -> None:
        """However many at once."""
        permits = [self.permit() for _ in range(1000)]
        for permit in permits:
            self.breaker.succeeded(permit)
        self.assertEqual(self.breaker.state, State.CLOSED)

    def test_five_in_a_row(self) -> None:
        """The fifth failure opens it, not the fourth."""
        self.fail(4)
        self.assertEqual(self.breaker.state, State.CLOSED)
        self.fail()
        self.assertEqual(self.breaker.state, State.OPEN)
        self.assertIsNone(self.breaker.admit())

    def test_in_a_row(self) -> None:
        """A success in between begins the count anew."""
        for _ in range(10):
            self.fail(4)
            self.breaker.succeeded(self.permit())
        self.assertEqual(self.breaker.state, State.CLOSED)

    def test_all_at_once(self) -> None:
        """Of a hundred that fail together five open it; the others don't make the pause longer."""
        for permit in [self.permit() for _ in range(100)]:
            self.breaker.failed(permit)
        self.assert_pause(10)
        self.assertIsNotNone(self.breaker.admit())


class OpenTests(BreakerTestCase):
    """A pause, and one who tries."""

    def setUp(self) -> None:
        """Open it."""
        super().setUp()
        self.before = self.permit()
        self.fail(5)

    def test_one_tries(self) -> None:
        """After the pause one may ask, and nobody else until it has its answer."""
        self.assert_pause(10)
        self.permit()
        self.assertEqual(self.breaker.state, State.HALF_OPEN)
        self.clock.advance(1000)
        for _ in range(10):
            self.assertIsNone(self.breaker.admit())

    def test_success_closes(self) -> None:
        """Everybody may ask again, and five more failures are put up with."""
        self.assert_pause(10)
        self.breaker.succeeded(self.permit())
        self.assertEqual(self.breaker.state, State.CLOSED)
        self.fail(4)
        self.assertEqual(self.breaker.state, State.CLOSED)
        self.fail()
        self.assert_pause(10)

    def test_pauses_double(self) -> None:
        """Each try that fails doubles the pause, up to a minute; a success makes it short again."""
        for seconds in (10, 20, 40, 60, 60):
            self.assert_pause(seconds)
            self.fail()
        self.assert_pause(60)
        self.breaker.succeeded(self.permit())
        self.fail(5)
        self.assert_pause(10)

    def test_results_of_before(self) -> None:
        """What was asked before it opened changes nothing, neither in the pause nor during the try."""
        self.breaker.succeeded(self.before)
        self.assertEqual(self.breaker.state, State.OPEN)
        self.breaker.failed(self.before)
        self.assert_pause(10)
        trying = self.permit()
        self.breaker.failed(self.before)
        self.breaker.succeeded(self.before)
        self.assertEqual(self.breaker.state, State.HALF_OPEN)
        self.breaker.succeeded(trying)
        for _ in range(10):
            self.breaker.failed(self.before)
        self.assertEqual(self.breaker.state, State.CLOSED)

    def test_clock_set_back(self) -> None:
        """A clock that is set back doesn't make the pause any longer."""
        self.clock.rightNow -= 1_000_000
        self.assertIsNotNone(self.breaker.admit())


class AnyOrderTests(SynchronousTestCase):
    """Whatever happens, in whatever order."""

    @given(
        st.lists(
            st.one_of(
                st.just("ask"),
                st.tuples(st.integers(0, 5), st.booleans()),
                st.floats(0, 90),
            ),
            max_size=60,
        )
    )
    def test_rules(self, steps: list[str | float | tuple[int, bool]]) -> None:
        """After a pause one asks at a time; in a pause, never longer than a minute, nobody does."""
        clock = Clock()
        breaker = CircuitBreaker(clock, failures=2)
        permits: list[int] = []
        opened = clock.seconds()
        for step in steps:
            before = breaker.state
            if isinstance(step, tuple):
                if permits:
                    permit = permits.pop(step[0] % len(permits))
                    (breaker.succeeded if step[1] else breaker.failed)(permit)
            elif isinstance(step, float):
                clock.advance(step)
            else:
                permitted = breaker.admit()
                passed = clock.seconds() - opened
                if before is State.CLOSED or (before is State.OPEN and passed >= 60):
                    self.assertIsNotNone(permitted)
                if before is State.HALF_OPEN or (before is State.OPEN and passed < 10):
                    self.assertIsNone(permitted)
                if permitted is not None:
                    permits.append(permitted)
            if breaker.state is State.OPEN and before is not State.OPEN:
                opened = clock.seconds()
            if before is State.HALF_OPEN and breaker.state is before:
                self.assertIsNone(breaker.admit())
