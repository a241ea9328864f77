from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver, StringTransport
from twisted.logger import globalLogPublisher

from realtime.operations.health import Health
from realtime.operations.metrics import Metrics
from realtime.operations.site import OperationsSite
from tests.reactor import TestCase


class OperationsSiteTests(TestCase):
    """The site, from the bytes of a request to the bytes of the answer."""

    def setUp(self) -> None:
        """Have a site with one check that passes."""
        self.clock = Clock()
        health = Health(self.clock)
        health.add_check("database", lambda: succeed(None))
        self.site = OperationsSite(health, Metrics(), self.clock)

    def ask(self, line: str) -> tuple[str, str]:
        """The status line and the body of what a request is answered with."""
        transport = StringTransport()
        channel = self.site.buildProtocol(None)
        channel.makeConnection(transport)
        channel.dataReceived(f"{line} HTTP/1.0\r\n\r\n".encode())
        head, _, body = transport.value().decode().partition("\r\n\r\n")
        return head.split("\r\n")[0], body

    def test_pages(self) -> None:
        """The three pages are there."""
        self.assertEqual(self.ask("GET /healthz"), ("HTTP/1.0 200 OK", "alive\n"))
        self.assertEqual(self.ask("GET /readyz"), ("HTTP/1.0 200 OK", "ready\n"))
        status, body = self.ask("GET /metrics")
        self.assertEqual(status, "HTTP/1.0 200 OK")
        self.assertIn("realtime_build_info", body)

    def test_head(self) -> None:
        """A probe may ask for the head alone."""
        self.assertEqual(self.ask("HEAD /readyz"), ("HTTP/1.0 200 OK", ""))
        self.assertEqual(self.ask("HEAD /metrics"), ("HTTP/1.0 200 OK", ""))

    def test_everything_else(self) -> None:
        """Any other path is 404."""
        for path in ("/", "/support", "/metrics/x", "/healthz/", "/readyz/x", "/v1/auth/"):
            self.assertEqual(self.ask(f"GET {path}")[0], "HTTP/1.0 404 Not Found", path)

    def test_silent(self) -> None:
        """A probe leaves no line in the log."""
        events = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        self.site.doStart()
        self.ask("GET /healthz")
        self.site.doStop()
        self.assertEqual(list(events), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
