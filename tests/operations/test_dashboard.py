"""The Grafana dashboard asks for metrics that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realtime.operations.metrics import Metrics

DASHBOARD = Path(__file__).parents[2] / "conf" / "grafana-dashboard.json"


class DashboardTests(SynchronousTestCase):
    """conf/grafana-dashboard.json."""

    def test_metrics(self) -> None:
        """Every name that a panel asks for is one of ours, with labels that it has."""
        metrics = Metrics()
        metrics.connections.labels(protocol="talk")
        names = {sample.name for family in metrics.registry.collect() for sample in family.samples}
        names |= {family.name for family in metrics.registry.collect()}
        names |= {f"{name}_total" for name in names} | {f"{name}_bucket" for name in names}
        panels = json.loads(DASHBOARD.read_text())["panels"]
        asked = {
            name
            for panel in panels
            for target in panel["targets"]
            for name in re.findall(r"\b(?:realtime|process)_\w+", target["expr"])
        }
        self.assertGreater(len(asked), 10)
        self.assertEqual(asked - names, set())

    def test_places(self) -> None:
        """No two panels have one id, or stand on each other."""
        panels = json.loads(DASHBOARD.read_text())["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken: set[tuple[int, int]] = set()
        for panel in panels:
            place = panel["gridPos"]
            cells = {
                (place["x"] + column, place["y"] + line)
                for column in range(place["w"])
                for line in range(place["h"])
            }
            self.assertFalse(taken & cells, panel["title"])
            taken |= cells
