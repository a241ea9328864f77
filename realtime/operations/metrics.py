"""Every metric of the daemon, each declared here and nowhere else.

`Metrics` owns a registry, so that each test, or a second daemon in one process, counts from zero;
nothing is added to prometheus_client's global registry.

The values of a label come from a short list that the server knows: never from a peer, and never a
user, an address, a token or a message. Close codes go through `close_code_label` for that reason,
since a peer may send any of two thousand.

Finding a child with ``labels()`` costs more than counting with it: who counts often finds its child
once and keeps it. What counts every message is a `Tally`: prometheus_client's counters take a lock each
time, for threads that don't count here, and that is a tenth of what a message costs.
"""

from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource

from realtime import __version__
from realtime.closing import CloseCode

# 1005 and 1006 are never sent: they stand for a close without a code and for none at all.
_KNOWN_CLOSE_CODES = frozenset(int(code) for code in CloseCode) | {1005, 1006}

# From a commit on an idle solid-state disk to one that is about to be given up.
_COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Tally:
    """A number that only grows; counted in the reactor's thread alone: ``tally.count += 1``."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Tallies(Collector):
    """A counter metric with one `Tally` for each value of its one label."""

    def __init__(self, name: str, documentation: str, label: str, *, registry: CollectorRegistry) -> None:
        self._name = name
        self._documentation = documentation
        self._label = label
        self._tallies: dict[str, Tally] = {}
        registry.register(self)

    def of(self, value: str) -> Tally:
        """Return the tally for a value of the label."""
        return self._tallies.setdefault(value, Tally())

    def describe(self) -> Iterable[Metric]:
        """Name the metric, for the registry."""
        return [CounterMetricFamily(self._name, self._documentation, labels=[self._label])]

    def collect(self) -> Iterable[Metric]:
        """Give what was counted, for a scrape."""
        family = CounterMetricFamily(self._name, self._documentation, labels=[self._label])
        for value, tally in self._tallies.items():
            family.add_metric([value], tally.count)
        return [family]


class Metrics:
    """The daemon's metrics, as prometheus_client objects that the parts count with.

    Labels: ``protocol`` is one of the five protocols' names; ``code`` is what `close_code_label`
    gives; ``reason`` says why the server refused: ``token``, ``unauthenticated``, ``rate``,
    ``size``, ``connections``, ``slow-reader``; ``outcome`` of a sign-in is ``accepted``,
    ``refused``, ``throttled`` or ``unavailable``. Times are in seconds.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        # They read /proc and the interpreter when they are asked, and cost nothing in between.
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

        self.build = Info("realtime_build", "The version that runs.", registry=registry)
        self.build.info({"version": __version__})

        self.connections = Gauge(
            "realtime_connections",
            "Open connections.",
            ["protocol"],
            registry=registry,
        )
        self.connections_opened_total = Counter(
            "realtime_connections_opened_total",
            "Connections opened.",
            ["protocol"],
            registry=registry,
        )
        self.connections_closed_total = Counter(
            "realtime_connections_closed_total",
            "Connections closed, by close code.",
            ["protocol", "code"],
            registry=registry,
        )
        self.messages_received_total = Tallies(
            "realtime_messages_received_total",
            "Messages received.",
            "protocol",
            registry=registry,
        )
        self.messages_sent_total = Tallies(
            "realtime_messages_sent_total",
            "Messages sent, one for each receiver.",
            "protocol",
            registry=registry,
        )
        self.refused_total = Counter(
            "realtime_refused_total",
            "Connections and messages refused, by reason.",
            ["reason"],
            registry=registry,
        )
        self.sign_ins_total = Counter(
            "realtime_sign_ins_total",
            "Attempts to sign in with a password, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self.database_commits_total = Counter(
            "realtime_database_commits_total",
            "Transactions committed.",
            registry=registry,
        )
        self.database_writes_total = Counter(
            "realtime_database_writes_total",
            "Writes committed, many in a transaction.",
            registry=registry,
        )
        self.database_commit_seconds = Histogram(
            "realtime_database_commit_seconds",
            "Time a transaction took, from its first statement to the end of its commit.",
            buckets=_COMMIT_SECONDS,
            registry=registry,
        )
        # Its owner gives the function that reads it: set_function(lambda: …).
        self.database_writes_waiting = Gauge(
            "realtime_database_writes_waiting",
            "Writes that wait for a transaction.",
            registry=registry,
        )

    def count_commit(self, writes: int, seconds: float) -> None:
        """Count a transaction that was committed: ``writes`` in it, ``seconds`` for it."""
        self.database_commits_total.inc()
        self.database_writes_total.inc(writes)
        self.database_commit_seconds.observe(seconds)

    def resource(self) -> Resource:
        """Give the resource that answers a scrape in the format that its Accept header asks for."""
        return _MetricsResource(self.registry)


class ParentMetrics:
    """What the parent of several workers counts; ``worker`` is a slot's number, ``state`` one of a worker's."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        # Its owner gives the function that reads it, for each state.
        self.workers = Gauge("realtime_workers", "Worker processes.", ["state"], registry=registry)
        self.worker_up = Gauge(
            "realtime_worker_up", "Whether a worker is ready and answers.", ["worker"], registry=registry
        )
        self.worker_restarts_total = Counter(
            "realtime_worker_restarts_total",
            "Workers that were started again after an end nobody asked for.",
            ["worker"],
            registry=registry,
        )


def close_code_label(code: int | None) -> str:
    """Give the label for a close code: itself if it is one of ours, else ``other``.

    None stands for a connection that was lost without a closing handshake, and counts as 1006.
    """
    if code is None:
        return "1006"
    return str(code) if code in _KNOWN_CLOSE_CODES else "other"


class _MetricsResource(Resource):
    """A scrape's answer, made in the reactor's thread.

    prometheus_client.twisted would make it in the reactor's thread pool, where a gauge's function
    reads its part's state from a foreign thread; it also imports the global reactor.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._registry = registry

    def render_GET(self, request: IRequest) -> bytes:
        accept = request.getHeader("accept")
        encode, content_type = choose_encoder(accept or "")
        request.setHeader("content-type", content_type)
        return encode(self._registry)
