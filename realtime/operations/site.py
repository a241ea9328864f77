"""The site for those who run the server, on a listener of its own: it needs no token.

``/healthz`` and ``/readyz`` (`realtime.operations.health`), ``/metrics``
(`realtime.operations.metrics`); everything else is 404.
"""

from collections.abc import Mapping
from typing import cast

from twisted.internet.interfaces import IReactorTime
from twisted.web import pages
from twisted.web.http import Request
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site

from realtime.operations.health import Health
from realtime.operations.metrics import Metrics


class OperationsSite(Site):
    """The site over `health` and `metrics`."""

    # Starting and stopping are logged by who listens.
    noisy = False

    def __init__(self, health: Health, metrics: Metrics, clock: IReactorTime) -> None:
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
