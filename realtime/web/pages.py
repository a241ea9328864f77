"""The pages for browsers and their parts: plain files of this package, read and packed once, at the start.

What is served, and to whom:

- ``/`` the playground and ``/console/`` the operators' console: ``static/playground/index.html`` and
  ``static/console/index.html``. They name their parts relatively (``static/…``, ``../static/…``), so a
  proxy may put the whole site below a path of its own.
- ``/static/<path>`` every file of the folder ``static/`` but those two, for our own pages only.
- ``/client.js`` and ``/widget.js`` for the pages of others: any origin may load them (CORS and CORP); which
  of those pages may then connect is ``[auth] origins``' to say.
- ``/static/server.json`` what a page has to know of this server: ``{"protocols": ["talk", …], "demo": false,
  "talk": {"find": 60.0, …}}``, the last being the seconds that each phase of a talk lasts.

Nothing is looked up on the disk while serving, so no path leads out of the folder. Every answer can be kept
and is asked about again (``ETag``, ``no-cache``), so a new release is seen at once. Pages run under a
Content-Security-Policy that lets in nothing from elsewhere, no inline script or style, and (``Trusted Types``,
where a browser has them) no text as HTML. Who asks for ``/`` without wanting HTML gets the plain page
(`realtime.web.home`).
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec.json import encode as _json
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET

from realtime.web.site import NotFound

FOLDER: Final = Path(__file__).parent / "static"

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",  # the server's own WebSockets too: 'self' covers ws and wss
        "img-src 'self' data:",  # avatars, and pictures chosen but not sent yet
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

_PAGE_HEADERS: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
}
_OWN: Final = {"cross-origin-resource-policy": "same-origin"}
_SHARED: Final = {"cross-origin-resource-policy": "cross-origin", "access-control-allow-origin": "*"}
_FOR_OTHERS: Final = ("client.js", "widget.js")

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
"""What a file's name may end with. Others, an editor's copies for one, are not served."""


class File:
    """A file as it is sent: its bytes, the same packed if that is shorter, and a tag for each."""

    def __init__(self, name: str, content: bytes) -> None:
        self.content_type = _TYPES[Path(name).suffix]
        tag = hashlib.sha256(content).hexdigest()[:20]
        self.plain = content, f'"{tag}"'
        packed = gzip.compress(content, mtime=0)
        self.packed = (packed, f'"{tag}-gzip"') if len(packed) < len(content) else None


class FileResource(Resource):
    """One file, at one path. GET and HEAD."""

    isLeaf = True

    def __init__(self, file: File, headers: Mapping[str, str]) -> None:
        super().__init__()
        self._file = file
        self._headers = headers

    def render(self, request: Any) -> bytes | int:
        """Answer any method."""
        if request.postpath not in ([], [b""]):
            return NotFound().render(request)
        return send(request, self._file, self._headers)


class FilesResource(Resource):
    """Files below a path, by their paths there."""

    isLeaf = True

    def __init__(self, files: Mapping[str, File]) -> None:
        super().__init__()
        self._files = {path.encode("ascii"): file for path, file in files.items()}

    def render(self, request: Any) -> bytes | int:
        """Answer any method."""
        file = self._files.get(b"/".join(request.postpath))
        return NotFound().render(request) if file is None else send(request, file, _OWN)


class FolderPageResource(Resource):
    """A page at a path that ends with a slash; without it, its relative addresses would lead elsewhere."""

    isLeaf = True

    def __init__(self, page: File) -> None:
        super().__init__()
        self._page = page

    def render(self, request: Any) -> bytes | int:
        """Answer any method."""
        if request.postpath == [b""]:
            return send(request, self._page, _OWN | _PAGE_HEADERS)
        if request.postpath:
            return NotFound().render(request)
        request.setResponseCode(308)
        request.setHeader("location", request.path.rpartition(b"/")[2] + b"/")
        request.setHeader("content-type", "text/plain; charset=utf-8")
        return b""


class HomePageResource(Resource):
    """The page at ``/`` for those who want HTML, and for all others ``plain``."""

    isLeaf = True

    def __init__(self, page: File, plain: IResource) -> None:
        super().__init__()
        self._page = page
        self._plain = plain

    def render(self, request: Any) -> bytes | int:
        """Answer any method."""
        wants_page = "text/html" in (request.getHeader("accept") or "")
        request.setHeader("vary", "Accept")
        if wants_page:
            return send(request, self._page, _OWN | _PAGE_HEADERS)
        answer: bytes | int = self._plain.render(request)
        return answer


class Pages:
    """What is switched on: ``resources`` by path, and `home`.

    ``protocols``, ``demo`` (whether the demo accounts are there) and ``talk`` (the seconds of its phases) are
    what pages are told of the server.
    """

    def __init__(
        self,
        *,
        playground: bool,
        console: bool,
        widget: bool,
        protocols: Sequence[str],
        demo: bool,
        talk: Mapping[str, float],
    ) -> None:
        files = read(FOLDER)
        self._playground = files.pop("playground/index.html") if playground else None
        console_page = files.pop("console/index.html") if console else None
        off = ("playground/" * (not playground), "console/" * (not console), "widget.js" * (not widget))
        files = {path: file for path, file in files.items() if not path.startswith(tuple(filter(None, off)))}
        told = {"protocols": list(protocols), "demo": demo, "talk": dict(talk)}
        files["server.json"] = File("server.json", _json(told))
        self.resources: dict[str, IResource] = {
            "static": FilesResource(files),
            **{name: FileResource(files[name], _SHARED) for name in _FOR_OTHERS if name in files},
        }
        if console_page is not None:
            self.resources["console"] = FolderPageResource(console_page)

    def home(self, plain: IResource) -> IResource:
        """Return what is at ``/``; ``plain`` is there for whoever does not want a page."""
        return plain if self._playground is None else HomePageResource(self._playground, plain)


def read(folder: Path) -> dict[str, File]:
    """Return the files of a folder and those below it, by their paths in it (``"console/main.js"``)."""
    return {
        path.relative_to(folder).as_posix(): File(path.name, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.suffix in _TYPES and path.is_file()
    }


def send(request: Any, file: File, headers: Mapping[str, str]) -> bytes | int:
    """Answer with a file, or that the asker's own copy is good still. GET and HEAD alone."""
    if request.method not in (b"GET", b"HEAD"):
        request.setResponseCode(405)
        request.setHeader("allow", "GET, HEAD")
        request.setHeader("content-type", "text/plain; charset=utf-8")
        return b""
    packed = file.packed if _takes_gzip(request.getHeader("accept-encoding") or "") else None
    content, tag = packed or file.plain
    vary = request.responseHeaders.getRawHeaders("vary", [])
    request.setHeader("vary", ", ".join([*vary, "Accept-Encoding"]))
    request.setHeader("etag", tag)
    request.setHeader("cache-control", "no-cache")
    request.setHeader("x-content-type-options", "nosniff")
    for name, value in headers.items():
        request.setHeader(name, value)
    if _is_among(tag, request.getHeader("if-none-match") or ""):
        request.setResponseCode(304)
        request.write(b"")
    else:
        if packed:
            request.setHeader("content-encoding", "gzip")
        request.setHeader("content-type", file.content_type)
        request.setHeader("content-length", str(len(content)))
        request.write(content)  # of which nothing is written if the head alone was asked for
    request.finish()
    return NOT_DONE_YET


def _takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding names gzip, and not with a weight of zero."""
    for each in accepted.lower().split(","):
        coding, *parameters = (part.strip() for part in each.split(";"))
        if coding == "gzip":
            return not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", parameter) for parameter in parameters)
    return False


def _is_among(tag: str, listed: str) -> bool:
    return listed.strip() == "*" or tag in re.findall(r'"[^"]*"', listed)
