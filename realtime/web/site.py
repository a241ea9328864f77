"""The tree of resources on the listening ports, and the bounds that a plain request is under."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, cast

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site

LONGEST_BODY = 65_536
"""Bytes of a request's body that are kept, but where a resource says otherwise. A longer one counts as none."""

_PATIENCE = 16 * 1024 * 1024
"""Bytes of a body that are read and thrown away before the connection is cut."""


class Bodies(Protocol):
    """A resource that says how long the bodies of its requests may be, before any of one is read."""

    def body_begins(self, request: Any, method: bytes, target: bytes, length: int | None) -> int:
        """A request's head has come, and a body of ``length`` bytes is to follow (``None``: in chunks).

        Returns how many bytes are kept of it. ``target`` is the path with its query; of the request,
        only ``notifyFinish`` means anything yet.
        """


class BoundedRequest(Request):
    """A request whose body can fill neither memory nor disk."""

    defaultContentType = None
    _longest = LONGEST_BODY
    _received = 0

    def gotLength(self, length: int | None) -> None:
        """Keep the body in memory: twisted.web's own way is a temporary file of any size."""
        super().gotLength(0)
        if length != 0:
            site: WebSite = cast(Any, self.channel).site
            self._longest = site.longest_body(self, length)
            if length is not None and length > self._longest:
                self._longest = -1  # none of it, then

    def handleContentChunk(self, data: bytes) -> None:
        """Keep the body, or nothing of it once it is too long."""
        self._received += len(data)
        if self._received <= self._longest:
            super().handleContentChunk(data)
        elif self._received > self._longest + _PATIENCE:
            self.channel.forceAbortClient()
        else:
            super().gotLength(0)

    def __repr__(self) -> str:
        """Show no query, which may hold a token: twisted.web writes requests to its log like this."""
        method, path = self.method.decode("latin-1"), self.path.decode("latin-1")
        return f"<{type(self).__name__} {method} {path}>"

    def body(self) -> bytes | None:
        """Return the whole body; ``None`` if it was too long to be kept."""
        if self._received > self._longest or self.content is None:
            return None
        return bytes(self.content.read())


class NotFound(Resource):
    """Answers 404 to everything."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """Say so."""
        request.setResponseCode(404)
        request.setHeader("content-type", "text/plain; charset=utf-8")
        return b"Not Found\n"


class Folder(Resource):
    """A path that has others below it; ``home`` is what is at the path itself."""

    def __init__(self, home: IResource | None = None) -> None:
        super().__init__()
        self._home = home or NotFound()
        self.putChild(b"", self._home)

    def render(self, request: Request) -> bytes | int:
        """Answer for the path without a slash at its end as for the one with it."""
        answer: bytes | int = self._home.render(request)
        return answer

    def getChildWithDefault(self, path: bytes, request: Request) -> Any:
        """Return what answers for the next step of a path; two slashes in a row are no way home."""
        if not path and request.postpath:
            return NotFound()
        return super().getChildWithDefault(path, request)

    def getChild(self, path: bytes, request: Request) -> Resource:
        """Return what answers for a path that is not there."""
        return NotFound()


class WebSite(Site):
    """The site. A connection that is idle between requests is closed after ``idle`` seconds.

    ``bodies`` says by path (``"socket.io"``) who is asked about the bodies of requests; a slash at the
    end of a request's path does not matter.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        root: IResource,
        clock: IReactorTime,
        idle: float = 60,
        bodies: Mapping[str, Bodies] | None = None,
    ) -> None:
        super().__init__(
            root,
            requestFactory=BoundedRequest,
            timeout=idle,
            reactor=clock,
            parsePOSTFormSubmission=False,  # bodies are JSON, whatever type is claimed for them
        )
        self._bodies = {b"/" + path.strip("/").encode("ascii"): each for path, each in (bodies or {}).items()}

    def longest_body(self, request: BoundedRequest, length: int | None) -> int:
        """Return how many bytes are kept of the body that a request is about to bring."""
        # What is in the request's own attributes when it is whole, the channel knows already; if a
        # release of Twisted's has other names for it, no path is anything special here.
        target: bytes = getattr(request.channel, "_path", b"")
        asked = self._bodies.get(target.partition(b"?")[0].rstrip(b"/"))
        if asked is None:
            return LONGEST_BODY
        return asked.body_begins(request, getattr(request.channel, "_command", b""), target, length)

    def log(self, request: Any) -> None:
        """Log a request without its query, which may hold a token."""
        self._log.debug(
            "web: {method} {path} {status}",
            method=request.method.decode("latin-1"),
            path=request.path.decode("latin-1"),
            status=request.code,
        )


def tree(resources: Mapping[str, IResource], home: IResource) -> Folder:
    """Return the root of a site with each resource at its path (``"v1/auth"``)."""
    root = Folder(home)
    for path, resource in resources.items():
        *folders, name = path.strip("/").encode("ascii").split(b"/")
        parent = root
        for folder in folders:
            child = parent.getStaticEntity(folder)
            if child is None:
                child = Folder()
                parent.putChild(folder, child)
            parent = child
        parent.putChild(name, resource)
    return root
