from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from realtime.operations.metrics import ParentMetrics
from realtime.supervision.messages import Failing, FromWorker, Measured, frame
from realtime.supervision.metrics import families
from realtime.supervision.overview import Overview
from realtime.supervision.process import NoAnswer


class FakeWorker:
    """Answers as it is told to; None: never."""

    def __init__(self, failing: Any = (), registry: CollectorRegistry | None = None) -> None:
        self._failing = failing
        self._registry = registry

    def failing(self) -> Deferred[Failing]:
        """Answer."""
        if self._failing is None:
            return Deferred()
        if isinstance(self._failing, Exception):
            return fail(self._failing)
        return succeed(Failing(0, self._failing))

    def measured(self) -> Deferred[Measured]:
        """Answer, over the wire."""
        if self._registry is None:
            return Deferred()
        sent = frame(Measured(0, families(self._registry.collect())))
        (answer,) = FromWorker().feed(sent)
        assert isinstance(answer, Measured)
        return succeed(answer)


def registry(connections: int) -> CollectorRegistry:
    """What a worker has measured."""
    registry = CollectorRegistry()
    Gauge("realtime_connections", "Open.", ["protocol"], registry=registry).labels("talk").set(connections)
    Counter("realtime_sent_total", "Sent.", registry=registry).inc(connections * 2)
    Histogram("realtime_seconds", "Took.", unit="", buckets=(1, 2), registry=registry).observe(1.5)
    return registry


class OverviewTests(SynchronousTestCase):
    """Health and metrics of all."""

    def setUp(self) -> None:
        """Have nobody yet."""
        self.clock = Clock()
        self.workers: dict[int, FakeWorker | None] = {}
        self.metrics = ParentMetrics()
        self.overview = Overview(self.clock, lambda: self.workers.items(), self.metrics)

    def ask(self, resource: Any) -> DummyRequest:
        """Render a page."""
        request = DummyRequest([b""])
        self.assertNotIsInstance(resource.render(request), bytes)
        return request

    def readiness(self, wait: float = 0) -> tuple[int, bytes]:
        """What /readyz answers."""
        request = self.ask(self.overview.ready_resource())
        self.clock.advance(wait)
        self.assertEqual(request.finished, 1)
        return request.responseCode or 0, b"".join(request.written)

    def test_ready(self) -> None:
        """All are."""
        self.workers = {0: FakeWorker(), 1: FakeWorker()}
        self.assertEqual(self.readiness(), (200, b"ready\n"))

    def test_one_is_enough(self) -> None:
        """Who isn't ready, starts, has ended or doesn't answer is named; one that is ready is enough."""
        self.workers = {
            0: FakeWorker(("redis", "database")),
            1: None,
            2: FakeWorker(NoAnswer()),
            3: FakeWorker(None),
            4: FakeWorker(),
        }
        lines = b"worker 0: redis\nworker 0: database\nworker 1: starting\n"
        lines += b"worker 2: no answer\nworker 3: no answer\n"
        self.assertEqual(self.readiness(wait=3), (200, b"ready\n" + lines))
        del self.workers[4]
        self.assertEqual(self.readiness(wait=3), (503, lines))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_draining(self) -> None:
        """Nobody is asked any more."""
        self.workers = {0: FakeWorker()}
        self.overview.draining = True
        self.assertEqual(self.readiness(), (503, b"draining\n"))

    def test_nobody(self) -> None:
        """Without workers there is nobody to be ready."""
        self.assertEqual(self.readiness(), (503, b""))

    def test_live(self) -> None:
        """The parent is, whatever its workers are."""
        self.assertEqual(self.overview.live_resource().render(DummyRequest([b""])), b"alive\n")

    def scrape(self, accept: str = "") -> str:
        """What /metrics answers, in the time that all have."""
        request = DummyRequest([b""])
        request.requestHeaders.setRawHeaders("accept", [accept])
        self.overview.resource().render(request)
        self.clock.advance(3)
        self.assertEqual(request.finished, 1)
        return b"".join(request.written).decode()

    def test_metrics(self) -> None:
        """Each metric once, each sample with its worker; the parent's own beside."""
        self.workers = {
            0: FakeWorker(registry=registry(1)),
            3: FakeWorker(registry=registry(4)),
            4: FakeWorker(),
        }
        self.metrics.worker_restarts_total.labels("3").inc()
        text = self.scrape()
        found = list(text_string_to_metric_families(text))
        names = [family.name for family in found]
        self.assertEqual(len(names), len(set(names)))
        lines = text.splitlines()
        for line in (
            'realtime_connections{protocol="talk",worker="0"} 1.0',
            'realtime_connections{protocol="talk",worker="3"} 4.0',
            'realtime_sent_total{worker="3"} 8.0',
            'realtime_seconds_bucket{le="+Inf",worker="0"} 1.0',
            'realtime_worker_up{worker="0"} 1.0',
            'realtime_worker_up{worker="4"} 0.0',
            'realtime_worker_restarts_total{worker="3"} 1.0',
        ):
            self.assertIn(line, lines)
        self.assertTrue(
            any(line.startswith('process_resident_memory_bytes{worker="parent"}') for line in lines)
        )

    def test_open_metrics(self) -> None:
        """In the format that is asked for."""
        self.workers = {0: FakeWorker(registry=registry(1))}
        self.assertTrue(self.scrape("application/openmetrics-text; version=1.0.0").endswith("# EOF\n"))

    def test_a_slot_that_is_gone(self) -> None:
        """Has no sample any more."""
        self.workers = {0: None, 1: None}
        self.assertIn('realtime_worker_up{worker="1"} 0.0', self.scrape())
        del self.workers[1]
        self.assertNotIn('realtime_worker_up{worker="1"}', self.scrape())

    def test_who_hung_up(self) -> None:
        """Is not answered."""
        self.workers = {0: FakeWorker(None)}
        request = self.ask(self.overview.resource())
        request.processingFailed(Exception("gone"))
        self.clock.advance(3)
        self.assertEqual(request.written, [])
