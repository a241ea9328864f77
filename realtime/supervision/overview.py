"""Health and metrics of all workers, at the parent's operations listener.

- ``/healthz``: the parent is alive. It watches the workers.
- ``/readyz``: 200 if a worker is ready, since whichever is free takes the next connection; each one that is
  not has a line, as ``worker 1: redis`` or ``worker 1: no answer``. 503 if none is, or when the server stops.
- ``/metrics``: those of all (`metrics`), and the parent's own. A worker that doesn't answer in time is left
  out, and has ``realtime_worker_up`` 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from prometheus_client.exposition import choose_encoder
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from realtime.operations.health import LiveResource, Readiness, ReadyResource
from realtime.operations.metrics import ParentMetrics
from realtime.supervision.messages import Failing, Family, Measured
from realtime.supervision.metrics import Together, families

_ANSWER_SECONDS = 3.0
"""A worker that takes longer has not answered: its checks have 2 seconds, who asks commonly a few."""


class Asked(Protocol):
    """A worker, as far as it can be asked."""

    def failing(self) -> Deferred[Failing]:
        """Ask which checks fail."""

    def measured(self) -> Deferred[Measured]:
        """Ask for its metrics."""


class Overview:
    """Asks all workers that ``standing`` gives: each slot, with its worker if that has become ready."""

    def __init__(
        self,
        clock: IReactorTime,
        standing: Callable[[], Iterable[tuple[int, Asked | None]]],
        metrics: ParentMetrics,
    ) -> None:
        self.draining = False
        self._clock = clock
        self._standing = standing
        self._metrics = metrics

    def readiness(self) -> Deferred[Readiness]:
        """Ask whether clients should be sent here."""
        if self.draining:
            return succeed(Readiness(False, ["draining"]))
        asked = [self._failing(slot, worker) for slot, worker in self._standing()]

        def judge(answers: list[list[str]]) -> Readiness:
            return Readiness(not all(answers), [line for lines in answers for line in lines])

        return gatherResults(asked).addCallback(judge)

    def measured(self) -> Deferred[Together]:
        """Ask for all metrics."""
        asked = [self._measured(slot, worker) for slot, worker in self._standing()]

        def join(answers: list[tuple[int, tuple[Family, ...] | None]]) -> Together:
            together = Together()
            self._metrics.worker_up.clear()
            for slot, measured in answers:
                self._metrics.worker_up.labels(str(slot)).set(measured is not None)
                together.add(str(slot), measured or ())
            together.add("parent", families(self._metrics.registry.collect()))
            return together

        return gatherResults(asked).addCallback(join)

    def live_resource(self) -> Resource:
        """Give the resource for /healthz."""
        return LiveResource()

    def ready_resource(self) -> Resource:
        """Give the resource for /readyz."""
        return ReadyResource(self.readiness)

    def resource(self) -> Resource:
        """Give the resource for /metrics."""
        return _MetricsOfAll(self)

    def _failing(self, slot: int, worker: Asked | None) -> Deferred[list[str]]:
        if worker is None:
            return succeed([f"worker {slot}: starting"])
        return (
            worker.failing()
            .addTimeout(_ANSWER_SECONDS, self._clock)
            .addCallbacks(lambda answer: answer.checks, lambda _: ("no answer",))
            .addCallback(lambda checks: [f"worker {slot}: {check}" for check in checks])
        )

    def _measured(self, slot: int, worker: Asked | None) -> Deferred[tuple[int, tuple[Family, ...] | None]]:
        if worker is None:
            return succeed((slot, None))
        return (
            worker.measured()
            .addTimeout(_ANSWER_SECONDS, self._clock)
            .addCallbacks(lambda answer: (slot, answer.families), lambda _: (slot, None))
        )


class _MetricsOfAll(Resource):
    """A scrape's answer."""

    def __init__(self, overview: Overview) -> None:
        super().__init__()
        self._overview = overview

    def render_GET(self, request: Request) -> int:
        encode, content_type = choose_encoder(request.getHeader("accept") or "")
        request.setHeader("content-type", content_type)
        gone: list[object] = []
        request.notifyFinish().addBoth(gone.append)

        def answer(together: Together) -> None:
            if not gone:
                request.write(encode(together))
                request.finish()

        self._overview.measured().addCallback(answer)
        return NOT_DONE_YET
