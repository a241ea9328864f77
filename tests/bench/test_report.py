"""The benchmark's report: medians, ratios and tables."""

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from bench.report import Report, figure, medians, ratios
from bench.workloads import Measurement


def echo(system: str, cost: float, busy: float = 0.5) -> Measurement:
    """One run of the echo, a second long."""
    return Measurement("echo", system, cost, 1000, 1.0, 40.0, 90.0, busy)


ROUNDS = [
    *(echo("realtime", 10), echo("ws", 20)),
    *(echo("realtime", 40), echo("ws", 50)),  # a slow hour for both
    *(echo("realtime", 12), echo("ws", 10)),
]


class FiguresTests(SynchronousTestCase):
    """What is made of the runs."""

    def test_each_figure_has_its_own_median(self) -> None:
        """The median cost need not be of the run with the median of another figure."""
        runs = [echo("ws", 1, busy=0.9), echo("ws", 3, busy=0.1), echo("ws", 2, busy=0.2)]
        [found] = medians(runs).values()
        self.assertEqual((found.cost, found.client_busy), (2, 0.2))

    def test_ratios_are_taken_within_a_round(self) -> None:
        """The median of the ratios, not the ratio of the medians, which would be 0.6."""
        self.assertEqual(ratios(ROUNDS, "ws")["echo", "realtime"], 0.8)

    def test_no_ratio_without_the_reference(self) -> None:
        """A workload in which the reference took no part has none."""
        self.assertEqual(ratios([echo("realtime", 10)], "ws"), {})

    def test_figures_have_about_three_digits(self) -> None:
        """Small costs have decimals, large ones none."""
        self.assertEqual([figure(cost) for cost in (0.714, 12.34, 512.6)], ["0.71", "12.3", "513"])


class ReportTests(SynchronousTestCase):
    """What is written."""

    def setUp(self) -> None:
        """A report of three rounds, of which one system could not be part."""
        self.report = Report(ROUNDS, 1.0, {"kernel": "Linux"}, {"picows": "it is not installed"})

    def test_markdown_has_costs_rates_and_what_was_left_out(self) -> None:
        """A row for the workload in each table, ratios in parentheses, and the plain line of a missing peer."""
        text = self.report.as_markdown()
        for line in (
            "| workload | realtime | ws |",
            "| echo, µs a message | 12.0 (0.80) | 20.0 |",
            "| echo | 1000 (50%) | 1000 (50%) |",
            "Latency of an echo, µs, p50 and p99: realtime 40 and 90, ws 40 and 90.",
            "Left out: picows: it is not installed.",
            "- kernel: Linux",
        ):
            self.assertIn(line, text.splitlines())
        self.assertIn("medians of 3 rounds of 1 s", text)

    def test_json_has_every_run(self) -> None:
        """Nothing that was measured is lost."""
        read = msgspec.json.decode(self.report.as_json())
        self.assertEqual(msgspec.convert(read["runs"], list[Measurement]), ROUNDS)
        self.assertEqual(read["ratios"][0], {"workload": "echo", "system": "realtime", "ratio": 0.8})
