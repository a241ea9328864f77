from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher
from twisted.web.test.requesthelper import DummyRequest

from realtime.operations.health import Health
from tests.reactor import TestCase


class HealthTests(TestCase):
    """Alive is not the same as ready."""

    def setUp(self) -> None:
        """Have no checks and a clock that stands."""
        self.clock = Clock()
        self.health = Health(self.clock)

    def ask(self) -> DummyRequest:
        """A request for /readyz, rendered."""
        request = DummyRequest([b"readyz"])
        self.health.ready_resource().render(request)
        return request

    def assert_answered(self, request: DummyRequest, status: int, body: bytes) -> None:
        """The request has been answered so."""
        self.assertEqual(request.finished, 1)
        self.assertEqual((request.responseCode, b"".join(request.written)), (status, body))

    def test_alive(self) -> None:
        """Alive whatever the checks say, and while stopping."""
        self.health.add_check("database", lambda: fail(OSError()))
        self.health.draining = True
        request = DummyRequest([b"healthz"])
        self.assertEqual(self.health.live_resource().render(request), b"alive\n")
        self.assertEqual(request.responseCode, 200)

    def test_ready(self) -> None:
        """Ready when every check passes; no cache keeps the answer."""
        self.health.add_check("database", lambda: succeed(None))
        self.health.add_check("redis", lambda: succeed(None))
        request = self.ask()
        self.assert_answered(request, 200, b"ready\n")
        self.assertEqual(request.responseHeaders.getRawHeaders("cache-control"), ["no-store"])

    def test_not_ready(self) -> None:
        """Every failing check is named, and nothing of what it said."""

        def raises() -> Deferred[None]:
            raise RuntimeError("secret")

        self.health.add_check("database", lambda: fail(OSError("secret")))
        self.health.add_check("bus", lambda: succeed(None))
        self.health.add_check("redis", raises)
        self.assert_answered(self.ask(), 503, b"database\nredis\n")

    def test_draining(self) -> None:
        """A server that stops isn't ready, and runs no check for it."""
        ran: list[str] = []

        def check() -> Deferred[None]:
            ran.append("database")
            return succeed(None)

        self.health.add_check("database", check)
        self.health.draining = True
        self.assert_answered(self.ask(), 503, b"draining\n")
        self.assertEqual(ran, [])

    def test_slow_check(self) -> None:
        """A check that takes longer than two seconds has failed, and is cancelled."""
        cancelled: list[object] = []
        self.health.add_check("database", lambda: Deferred(cancelled.append))
        request = self.ask()
        self.clock.advance(1.9)
        self.assertEqual((request.finished, cancelled), (0, []))
        self.clock.advance(0.2)
        self.assert_answered(request, 503, b"database\n")
        self.assertEqual(len(cancelled), 1)

    def test_in_time(self) -> None:
        """A check that passes in time leaves no timer behind."""
        check: Deferred[None] = Deferred()
        self.health.add_check("database", lambda: check)
        request = self.ask()
        self.clock.advance(1)
        check.callback(None)
        self.assert_answered(request, 200, b"ready\n")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_hung_up(self) -> None:
        """Who hangs up before the answer gets none, and nothing breaks."""
        check: Deferred[None] = Deferred()
        self.health.add_check("database", lambda: check)
        request = self.ask()
        request.processingFailed(ConnectionError())
        check.callback(None)
        self.assertEqual((request.finished, request.written), (0, []))

    def test_log(self) -> None:
        """A check that goes and comes back is logged once each way, without its text."""
        events = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        outcomes = [OSError("secret"), OSError("secret"), None, None]
        self.health.add_check("database", lambda: fail(error) if (error := outcomes.pop(0)) else succeed(None))
        for _ in range(4):
            self.ask()
        self.assertEqual(
            [event["log_format"].format(**event) for event in events],
            ["health: database fails: OSError", "health: database is well again"],
        )
