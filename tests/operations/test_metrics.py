from prometheus_client import REGISTRY
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from realtime import __version__
from realtime.closing import CloseCode
from realtime.operations.metrics import Metrics, close_code_label


def scrape(metrics: Metrics, accept: str = "") -> tuple[str, str]:
    """The content type and the text that a scrape gets."""
    request = DummyRequest([b"metrics"])
    request.requestHeaders.setRawHeaders("accept", [accept])
    body = metrics.resource().render(request)
    (content_type,) = request.responseHeaders.getRawHeaders("content-type", [])
    return content_type, body.decode()


class MetricsTests(SynchronousTestCase):
    """What is counted is what a scrape shows."""

    def test_counts_are_shown(self) -> None:
        """A counter, a gauge, a histogram and a gauge with a function appear with their values."""
        metrics = Metrics()
        metrics.connections.labels(protocol="support").inc()
        metrics.messages_sent_total.of("support").count += 3
        metrics.database_commit_seconds.observe(0.002)
        metrics.database_writes_waiting.set_function(lambda: 7)
        _, text = scrape(metrics)
        self.assertIn('realtime_connections{protocol="support"} 1.0\n', text)
        self.assertIn('realtime_messages_sent_total{protocol="support"} 3.0\n', text)
        self.assertIn('realtime_database_commit_seconds_bucket{le="0.0025"} 1.0\n', text)
        self.assertIn('realtime_database_commit_seconds_bucket{le="0.001"} 0.0\n', text)
        self.assertIn("realtime_database_writes_waiting 7.0\n", text)

    def test_process_and_version(self) -> None:
        """The version, the process and the interpreter are there without anybody counting."""
        _, text = scrape(Metrics())
        self.assertIn(f'realtime_build_info{{version="{__version__}"}} 1.0\n', text)
        for name in ("process_cpu_seconds_total", "python_info", "python_gc_collections_total"):
            self.assertIn(f"\n{name}", text)

    def test_format_is_negotiated(self) -> None:
        """A scraper that prefers OpenMetrics gets it, any other gets the text format."""
        kind, text = scrape(Metrics(), "application/openmetrics-text; version=1.0.0")
        self.assertTrue(kind.startswith("application/openmetrics-text"))
        self.assertTrue(text.endswith("# EOF\n"))
        kind, text = scrape(Metrics())
        self.assertTrue(kind.startswith("text/plain"))
        self.assertNotIn("# EOF", text)

    def test_instances_are_apart(self) -> None:
        """What one instance counts is neither in another nor in the global registry."""
        first, second = Metrics(), Metrics()
        first.refused_total.labels(reason="rate").inc()
        self.assertNotIn('reason="rate"', scrape(second)[1])
        self.assertIsNone(REGISTRY.get_sample_value("realtime_refused_total", {"reason": "rate"}))


class CloseCodeLabelTests(SynchronousTestCase):
    """A peer can't make new label values."""

    def test_known(self) -> None:
        """Our own codes, and those that stand for a lost connection, are their own label."""
        self.assertEqual([close_code_label(int(code)) for code in CloseCode], [*map(str, map(int, CloseCode))])
        self.assertEqual(close_code_label(1005), "1005")
        self.assertEqual(close_code_label(None), "1006")

    def test_unknown(self) -> None:
        """All others share one."""
        self.assertEqual({close_code_label(code) for code in range(4500, 5000)}, {"other"})
