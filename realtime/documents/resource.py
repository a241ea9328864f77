"""The documents over HTTP: ``/asyncapi/<protocol>.yaml``, ``/openapi.json`` and the pages below ``/docs/``.

They are open to everybody, as what they describe is. Each is made when it is first asked for and kept from then
on: a server that nobody asks spends nothing on them. Answers can be kept and are asked about again (``ETag``),
so a new release is seen at once. Other sites' pages may read the documents as `Sharing` allows; our own pages
load nothing but their style sheet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from twisted.web.resource import IResource, Resource

from realtime.documents import yaml
from realtime.documents.asyncapi import MEDIA_TYPE, asyncapi
from realtime.documents.model import Description
from realtime.documents.pages import STYLE, Pages
from realtime.web.pages import File, send
from realtime.web.sharing import Sharing
from realtime.web.site import NotFound

_PAGE_HEADERS: Final = {
    "content-security-policy": "; ".join(
        (
            *("default-src 'none'", "style-src 'self'", "base-uri 'none'", "form-action 'none'"),
            "frame-ancestors 'none'",
        )
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
}

Describe = Callable[[], tuple[Sequence[Description], dict[str, Any]]]
"""Gives the descriptions of the protocols that are served, and the OpenAPI document of the server."""


class Documents:
    """The documents of the protocols ``names``; ``describe`` is called once, when one is first asked for."""

    def __init__(self, names: Sequence[str], describe: Describe, sharing: Sharing) -> None:
        self._describe = describe
        self._told: tuple[Mapping[str, Description], dict[str, Any]] | None = None
        asyncapis = {f"{name}.yaml": _document(partial(self._asyncapi, name), MEDIA_TYPE) for name in names}
        pages: dict[str, Callable[[], File]] = {
            "": lambda: _page(self._pages().index()),
            STYLE: lambda: File(STYLE, (Path(__file__).parent / STYLE).read_bytes()),
            "http": lambda: _page(self._pages().http(self._openapi())),
            **{name: partial(self._protocol, name) for name in names},
        }
        openapi = {"": _document(lambda: msgspec.json.encode(self._openapi()), "application/openapi+json")}
        self.resources: dict[str, IResource] = {
            "asyncapi": DocumentsResource(asyncapis, sharing),
            "openapi.json": DocumentsResource(openapi, sharing),
            "docs": PagesResource(pages),
        }

    def _descriptions(self) -> Mapping[str, Description]:
        if self._told is None:
            descriptions, openapi = self._describe()
            self._told = {each.name: each for each in descriptions}, openapi
        return self._told[0]

    def _openapi(self) -> dict[str, Any]:
        self._descriptions()
        assert self._told is not None
        return self._told[1]

    def _asyncapi(self, name: str) -> bytes:
        return yaml.dump(asyncapi(self._descriptions()[name])).encode()

    def _pages(self) -> Pages:
        return Pages(list(self._descriptions().values()))

    def _protocol(self, name: str) -> File:
        return _page(self._pages().protocol(self._descriptions()[name]))


class _Made(Resource):
    """Files by what stands behind our path, each made when it is first asked for."""

    isLeaf = True

    def __init__(self, makers: Mapping[str, Callable[[], File]]) -> None:
        super().__init__()
        self._makers = {name.encode("ascii"): make for name, make in makers.items()}
        self._made: dict[bytes, File] = {}

    def file(self, request: Any) -> File | None:
        """Return the file that a request asks for."""
        name = b"/".join(request.postpath)
        make = self._makers.get(name)
        if make is None:
            return None
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


class DocumentsResource(_Made):
    """Documents for programs."""

    def __init__(self, makers: Mapping[str, Callable[[], File]], sharing: Sharing) -> None:
        super().__init__(makers)
        self._sharing = sharing

    def render(self, request: Any) -> bytes | int:
        """Answer any method."""
        if request.method == b"OPTIONS":
            return self._sharing.preflight(request, "GET")
        file = self.file(request)
        if file is None:
            return NotFound().render(request)
        self._sharing.share(request)
        return send(request, file, {})


class PagesResource(_Made):
    """Documents for people."""

    def render(self, request: Any) -> bytes | int:
        """Answer any method."""
        if not request.postpath:
            request.setResponseCode(308)
            request.setHeader("location", request.path.rpartition(b"/")[2] + b"/")
            request.setHeader("content-type", "text/plain; charset=utf-8")
            return b""
        file = self.file(request)
        return NotFound().render(request) if file is None else send(request, file, _PAGE_HEADERS)


def _page(content: bytes) -> File:
    return File("page.html", content)


def _document(make: Callable[[], bytes], media_type: str) -> Callable[[], File]:
    def made() -> File:
        file = File("document.json", make())
        file.content_type = media_type
        return file

    return made
