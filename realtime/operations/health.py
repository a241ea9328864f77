"""Whether the process is alive, and whether it should be sent clients.

Alive means that the reactor turns: the answer itself is the proof. Ready means that every check
passes and that the server isn't stopping. An answer names the checks that fail and nothing else,
since who may ask is not known here; what was wrong with one is in the log, once when it begins to
fail and once when it passes again.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

_log = Logger()

_CHECK_SECONDS = 2.0
"""A check that takes longer has failed. Who asks has a deadline too, commonly a few seconds."""


class Readiness(NamedTuple):
    """Whether clients should be sent, and a line for each thing that is amiss."""

    is_ready: bool
    lines: Sequence[str]


class Health:
    """The checks that the server is ready by. ``draining`` is set when it begins to stop."""

    def __init__(self, clock: IReactorTime) -> None:
        self.draining = False
        self._clock = clock
        self._checks: dict[str, Callable[[], Deferred[None]]] = {}
        self._failing: set[str] = set()

    def add_check(self, name: str, check: Callable[[], Deferred[None]]) -> None:
        """Add a check; its Deferred fails, or takes over two seconds, when its part isn't ready.

        ``name`` is shown to whoever asks. A check that takes too long is cancelled.
        """
        self._checks[name] = check

    def not_ready(self) -> Deferred[list[str]]:
        """Run all checks at once and give what keeps the server from being ready, nothing if it is."""
        if self.draining:
            return succeed(["draining"])
        outcomes = [self._run(name, check) for name, check in self._checks.items()]
        return gatherResults(outcomes).addCallback(lambda names: [name for name in names if name is not None])

    def live_resource(self) -> Resource:
        """Give the resource for /healthz: always 200, as long as there is an answer."""
        return LiveResource()

    def ready_resource(self) -> Resource:
        """Give the resource for /readyz: 200 or 503, with a line for each failing check."""
        return ReadyResource(lambda: self.not_ready().addCallback(lambda names: Readiness(not names, names)))

    def _run(self, name: str, check: Callable[[], Deferred[None]]) -> Deferred[str | None]:
        def passed(_: object) -> None:
            if name in self._failing:
                self._failing.discard(name)
                _log.info("health: {name} is well again", name=name)

        def failed(failure: Failure) -> str:
            if name not in self._failing:
                self._failing.add(name)
                # Its text might hold an address or a password; its kind can't.
                _log.warn("health: {name} fails: {kind}", name=name, kind=type(failure.value).__name__)
            return name

        return maybeDeferred(check).addTimeout(_CHECK_SECONDS, self._clock).addCallbacks(passed, failed)


class LiveResource(Resource):
    """Always 200."""

    def render_GET(self, request: Request) -> bytes:
        """Answer."""
        return _answer(request, 200, ["alive"])


class ReadyResource(Resource):
    """200 or 503, and why, as ``readiness`` says when it is asked."""

    def __init__(self, readiness: Callable[[], Deferred[Readiness]]) -> None:
        super().__init__()
        self._readiness = readiness

    def render_GET(self, request: Request) -> int:
        """Ask, then answer."""
        gone: list[object] = []
        request.notifyFinish().addBoth(gone.append)

        def answer(readiness: Readiness) -> None:
            # Who asked may have hung up meanwhile.
            if not gone:
                first = ["ready"] if readiness.is_ready else []
                request.write(_answer(request, 200 if first else 503, [*first, *readiness.lines]))
                request.finish()

        self._readiness().addCallback(answer)
        return NOT_DONE_YET


def _answer(request: Request, status: int, lines: Sequence[str]) -> bytes:
    body = "".join(f"{line}\n" for line in lines).encode()
    request.setResponseCode(status)
    request.setHeader("content-type", "text/plain; charset=utf-8")
    request.setHeader("cache-control", "no-store")
    request.setHeader("content-length", str(len(body)))
    return body
