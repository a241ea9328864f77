"""What a load test says."""

from __future__ import annotations

from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from realtime.loadtest import report
from realtime.loadtest.load import Result, Second
from realtime.loadtest.statistics import Summary

_LATENCY = Summary(10, 5.0, 4.0, 123.4, 20.0, 30.0)
_SVG = "{http://www.w3.org/2000/svg}"


class ReportTests(SynchronousTestCase):
    """A line, a table and a picture."""

    def test_line(self) -> None:
        """Rates and percentiles, and errors if there are any."""
        self.assertEqual(
            report.line(Second(1.0, 7, 10, 9, 0, _LATENCY)),
            "7 connected  10/s sent  9/s received  p50 4.0 ms p95 123 ms p99 20.0 ms",
        )
        self.assertIn("3 errors", report.line(Second(1.0, 7, 10, 9, 3, Summary(0))))
        self.assertIn("p50 -", report.line(Second(1.0, 7, 10, 9, 3, Summary(0))))

    def test_table(self) -> None:
        """A row for each figure, and for each kind of error."""
        result = Result(7, 100, 90, 8, 2, {"ConnectionLost": 8}, 9.0, _LATENCY, Summary(0), [])
        rows = dict(line.rsplit("  ", 1) for line in report.table(result).splitlines())
        named = {name.strip(): value.strip() for name, value in rows.items()}
        self.assertEqual(named["messages sent"], "100")
        self.assertEqual(named["sent, but not received"], "8")
        self.assertEqual(named["latency, p95"], "123 ms")
        self.assertEqual(named["error: ConnectionLost"], "8")
        self.assertEqual(named["sent too late by us, p99"], "-")

    def test_picture(self) -> None:
        """Is SVG, with a curve for each figure; a second without latencies leaves a gap in theirs alone."""
        seconds = [Second(float(at), 7, 10 * at, 9, 0, _LATENCY if at != 2 else Summary(0)) for at in (1, 2, 3)]
        tree = ElementTree.fromstring(report.picture("market <3>", seconds))
        curves = [line.attrib["points"].split() for line in tree.iter(f"{_SVG}polyline")]
        self.assertEqual([len(points) for points in curves], [3, 3, 2, 2, 2, 3])
        heights = [float(point.split(",")[1]) for point in curves[0]]
        self.assertEqual(heights, sorted(heights, reverse=True))
        self.assertIn("market <3>", [text.text for text in tree.iter(f"{_SVG}text")])

    def test_an_empty_picture(self) -> None:
        """Of a test that was too short for anything."""
        ElementTree.fromstring(report.picture("nothing", []))
