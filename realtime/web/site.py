"""The tree of resources on the listening ports, and the bounds that a plain request is under."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site

LONGEST_BODY = 65_536
"""Bytes of a request's body that are kept. A longer one counts as one that is no JSON."""

_PATIENCE = 16 * 1024 * 1024
"""Bytes of a body that are read and thrown away before the connection is cut."""


class BoundedRequest(Request):
    """A request whose body can fill neither memory nor disk."""

    defaultContentType = None
    _received = 0

    def gotLength(self, length: int | None) -> None:
        """Keep the body in memory: twisted.web's own way is a temporary file of any size."""
        super().gotLength(0)

    def handleContentChunk(self, data: bytes) -> None:
        """Keep what may be kept of the body."""
        before, self._received = self._received, self._received + len(data)
        if self._received > _PATIENCE:
            self.channel.forceAbortClient()
        elif before <= LONGEST_BODY:
            super().handleContentChunk(data[: LONGEST_BODY + 1 - before])

    def __repr__(self) -> str:
        """Show no query, which may hold a token: twisted.web writes requests to its log like this."""
        method, path = self.method.decode("latin-1"), self.path.decode("latin-1")
        return f"<{type(self).__name__} {method} {path}>"

    def body(self) -> bytes | None:
        """Return the whole body; ``None`` if it was too long to be kept."""
        if self._received > LONGEST_BODY or self.content is None:
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
    """The site. A connection that is idle between requests is closed after ``idle`` seconds."""

    noisy = False
    _log = Logger()

    def __init__(self, root: IResource, clock: IReactorTime, idle: float = 60) -> None:
        super().__init__(
            root,
            requestFactory=BoundedRequest,
            timeout=idle,
            reactor=clock,
            parsePOSTFormSubmission=False,  # bodies are JSON, whatever type is claimed for them
        )

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
