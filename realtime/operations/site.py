"""The site for those who run the server, on a listener of its own: it needs no token.

``/healthz`` and ``/readyz`` (`realtime.operations.health`), ``/metrics`` (`realtime.operations.metrics`), or
those of all workers (`realtime.supervision.overview`); everything else is 404.
"""

from collections.abc import Mapping
from typing import Protocol, cast

from twisted.internet.interfaces import IReactorTime
from twisted.web import pages
from twisted.web.http import Request
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site


class Probes(Protocol):
    """What answers ``/healthz`` and ``/readyz``."""

    def live_resource(self) -> Resource:
        """Give the resource for /healthz."""

    def ready_resource(self) -> Resource:
        """Give the resource for /readyz."""


class Scraped(Protocol):
    """What answers ``/metrics``."""

    def resource(self) -> Resource:
        """Give the resource for /metrics."""


class OperationsSite(Site):
    """The site over `health` and `metrics`."""

    # Starting and stopping are logged by who listens.
    noisy = False

    def __init__(self, health: Probes, metrics: Scraped, clock: IReactorTime) -> None:
        root = _ByWholePath(
            {
                b"/healthz": health.live_resource(),
                b"/readyz": health.ready_resource(),
                b"/metrics": metrics.resource(),
            }
        )
        super().__init__(root, reactor=clock)

    def log(self, request: Request) -> None:
        """Leave it out of the log: probes come every few seconds, for ever."""


class _ByWholePath(Resource):
    """Pages without anything below them."""

    isLeaf = True

    def __init__(self, resources: Mapping[bytes, IResource]) -> None:
        super().__init__()
        self._resources = resources
        self._not_found = pages.notFound()

    def render(self, request: Request) -> bytes | int:
        resource = self._resources.get(request.path, self._not_found)
        return cast(bytes | int, resource.render(request))
