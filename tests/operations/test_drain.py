from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.operations.drain import Drain
from realtime.operations.health import Health


class Connection:
    """A connection that leaves when it is asked to, unless told to be deaf."""

    def __init__(self, log: list[str], connections: "list[Connection]", name: str) -> None:
        self._log = log
        self._connections = connections
        self._name = name
        self.deaf = False
        self.broken = False
        self._asked = False
        connections.append(self)

    def close_going_away(self) -> None:
        """Leave."""
        if self.broken:
            raise RuntimeError("broken")
        if not self._asked:
            self._asked = True
            self._log.append(f"close {self._name}")
            if not self.deaf:
                self._connections.remove(self)

    def abort(self) -> None:
        """Leave at once."""
        self._log.append(f"abort {self._name}")
        self._connections.remove(self)


class DrainTests(SynchronousTestCase):
    """The tidy end, step by step."""

    def setUp(self) -> None:
        """Have a server with no connections that drains over ten seconds."""
        self.clock = Clock()
        self.health = Health(self.clock)
        self.log: list[str] = []
        self.connections: list[Connection] = []

    def connect(self, count: int) -> list[Connection]:
        """Open `count` connections, named by their number."""
        return [Connection(self.log, self.connections, str(number)) for number in range(count)]

    def drain(
        self,
        *,
        seconds: float = 10,
        stop_listening: Callable[[], Deferred[None]] | None = None,
        flush: Callable[[], Deferred[None]] | None = None,
    ) -> Deferred[None]:
        """Begin to drain; every step is written down."""

        def step(name: str) -> Callable[[], Deferred[None]]:
            def take() -> Deferred[None]:
                self.log.append(name)
                return succeed(None)

            return take

        return Drain(
            clock=self.clock,
            health=self.health,
            stop_listening=stop_listening or step("stop listening"),
            connections=self.connections,
            flush=flush or step("flush"),
            seconds=seconds,
            tell=self.log.append,
        ).run()

    def advance(self, seconds: float) -> None:
        """Let time pass in small steps, as it does."""
        self.clock.pump([0.05] * round(seconds / 0.05))

    def assert_over(self, drained: Deferred[None]) -> None:
        """The drain has ended well, with no timer left."""
        self.assertIsNone(self.successResultOf(drained))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobody_there(self) -> None:
        """Without connections it is over at once, with its steps in order."""
        self.assert_over(self.drain())
        self.assertEqual(self.log, ["STOPPING=1", "stop listening", "flush"])
        self.assertTrue(self.health.draining)

    def test_spread(self) -> None:
        """Connections are closed evenly over the time, the oldest first."""
        self.connect(5)
        drained = self.drain()
        counts = []
        for _ in range(5):
            counts.append(5 - len(self.connections))
            self.advance(1)
            self.assertLessEqual(5 - len(self.connections), counts[-1])
            self.advance(1.1)
        self.assertEqual(counts, [1, 2, 3, 4, 5])
        self.assertEqual(self.log[2:7], [f"close {number}" for number in range(5)])
        self.assert_over(drained)

    def test_many(self) -> None:
        """More connections than steps: as many in each half of the time."""
        self.connect(1000)
        drained = self.drain()
        self.advance(5)
        self.assertIn(len(self.connections), range(480, 521))
        self.advance(5.1)
        self.assertEqual(self.connections, [])
        self.assert_over(drained)

    def test_ends_with_the_last(self) -> None:
        """When all have gone by themselves, the rest of the time isn't waited for."""
        self.connect(5)
        drained = self.drain()
        self.advance(1)
        self.connections.clear()
        self.advance(0.2)
        self.assert_over(drained)
        self.assertEqual(self.log[-1], "flush")

    def test_at_once(self) -> None:
        """With no time to drain, all are closed at once."""
        self.connect(3)
        self.assert_over(self.drain(seconds=0))
        self.assertEqual(self.log[2:], ["close 0", "close 1", "close 2", "flush"])

    def test_cut(self) -> None:
        """Who doesn't go is cut a little after the drain time, and not before."""
        for connection in self.connect(2):
            connection.deaf = True
        drained = self.drain()
        self.advance(11.8)
        self.assertEqual(len(self.connections), 2)
        self.advance(0.4)
        self.assertEqual(self.log[2:], ["close 0", "close 1", "abort 0", "abort 1", "flush"])
        self.assert_over(drained)

    def test_late_comer(self) -> None:
        """A connection whose handshake was under way when the drain began is closed, too."""
        self.connect(2)
        drained = self.drain()
        self.advance(1)
        Connection(self.log, self.connections, "late")
        self.advance(9.2)
        self.assertIn("close late", self.log)
        self.assert_over(drained)

    def test_broken_connection(self) -> None:
        """One that can't even be closed keeps no other open, and is cut."""
        first, _ = self.connect(2)
        first.broken = True
        drained = self.drain(seconds=1)
        self.advance(3.2)
        self.assertEqual(self.log[2:], ["close 1", "abort 0", "flush"])
        self.assert_over(drained)
        self.assertTrue(self.flushLoggedErrors(RuntimeError))

    def test_failing_steps(self) -> None:
        """A step that fails is logged, and the others are taken."""
        self.connect(1)
        drained = self.drain(
            stop_listening=lambda: fail(OSError("ports")), flush=lambda: fail(OSError("storage"))
        )
        self.assert_over(drained)
        self.assertEqual(self.log, ["STOPPING=1", "close 0"])
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 2)

    def test_flush_is_waited_for(self) -> None:
        """The drain is over when what was accepted is committed."""
        committed: Deferred[None] = Deferred()
        drained = self.drain(flush=lambda: committed)
        self.advance(60)
        self.assertNoResult(drained)
        committed.callback(None)
        self.assert_over(drained)
