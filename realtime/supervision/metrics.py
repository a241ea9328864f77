"""The metrics of all workers as one: each sample with the label ``worker``, its slot or ``parent``.

A slot's number stays when its worker is replaced: to Prometheus that is a process that was started again, whose
counters begin at zero. One that drains, beside its successor, is left out.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from realtime.supervision.messages import Family


def families(metrics: Iterable[Metric]) -> tuple[Family, ...]:
    """Return metrics as they cross the pipe."""
    return tuple(
        Family(
            metric.name,
            metric.documentation,
            metric.type,
            metric.unit,
            tuple((each.name, each.labels, each.value, _seconds(each.timestamp)) for each in metric.samples),
        )
        for metric in metrics
    )


class Together(Collector):
    """What several processes have measured, for prometheus_client's encoders: each metric once."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}

    def add(self, worker: str, measured: Iterable[Family]) -> None:
        """Add what a process has measured; samples that name a worker already keep that."""
        for family in measured:
            metric = self._metrics.get(family.name)
            if metric is None:
                # Its unit is in its name already.
                metric = self._metrics[family.name] = Metric(family.name, family.documentation, family.kind)
                metric.unit = family.unit
            for name, labels, value, moment in family.samples:
                metric.add_sample(name, {"worker": worker, **labels}, value, moment)

    def collect(self) -> Iterable[Metric]:
        """Give all, for a scrape."""
        return self._metrics.values()


def _seconds(moment: object) -> float | None:
    return None if moment is None else float(moment)  # type: ignore[arg-type]
