"""The documents and the pages over HTTP: what is served, to whom, and how it is kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from unittest.mock import Mock

from realtime.documents.model import Description
from realtime.documents.resource import Documents
from realtime.http.origins import OriginPolicy
from realtime.protocols.documents import describe, openapi_of
from realtime.web.sharing import Sharing
from realtime.web.site import NotFound, tree
from tests.apidocs.validation import read
from tests.web.requests import Response, SiteTestCase


class ResourceTests(SiteTestCase):
    """`Documents`, of a server with talk and support."""

    def setUp(self) -> None:
        """Serve them; whether somebody asked for their descriptions is noted."""
        super().setUp()
        self.described = 0
        self.documents = documents = Documents(
            ["talk", "support"], self.describe, Sharing(OriginPolicy(("https://app.example",)))
        )
        self.serve(tree(documents.resources, NotFound()))

    def describe(self) -> tuple[Sequence[Description], dict[str, Any]]:
        """Describe the two."""
        self.described += 1
        found = describe(["talk", "support"])
        return found, openapi_of(found)

    def get(self, path: str, *headers: str) -> Response:
        """What a GET is answered with; it must be 200."""
        answer = self.ask("GET", path, *headers)
        self.assertEqual(answer.status, 200, path)
        return answer

    def test_asyncapi(self) -> None:
        """Each protocol's document is YAML."""
        answer = self.get("/asyncapi/talk.yaml")
        self.assertEqual(answer.headers["content-type"], "application/vnd.aai.asyncapi+yaml;version=3.0.0")
        self.assertEqual(read(answer.body)["asyncapi"], "3.0.0")
        self.assertEqual(list(read(self.get("/asyncapi/support.yaml").body)["channels"]), ["support"])

    def test_openapi(self) -> None:
        """The document of HTTP is JSON, and has what is served."""
        answer = self.get("/openapi.json")
        self.assertEqual(answer.headers["content-type"], "application/openapi+json")
        paths = json.loads(answer.body)["paths"]
        self.assertLessEqual({"/v1/auth/", "/v1/talks", "/healthz"}, set(paths))
        self.assertNotIn("/v1/workspaces", paths)

    def test_pages(self) -> None:
        """Pages are HTML that may load nothing but our style sheet."""
        for path in ("/docs/", "/docs/talk", "/docs/support", "/docs/http"):
            answer = self.get(path)
            self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
            policy = {"default-src 'none'", "style-src 'self'", "base-uri 'none'", "form-action 'none'"}
            told = set(answer.headers["content-security-policy"].split("; "))
            self.assertEqual(told, policy | {"frame-ancestors 'none'"})
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
            self.assertIn(b"style.css", answer.body)
        self.assertEqual(self.get("/docs/style.css").headers["content-type"], "text/css; charset=utf-8")

    def test_what_is_not_there(self) -> None:
        """Protocols that are not served have no document and no page; neither has anything else."""
        for path in (
            "/asyncapi/market.yaml",
            "/asyncapi/",
            "/asyncapi/talk",
            "/docs/market",
            "/docs/talk/",
            "/docs/x",
        ):
            self.assertEqual(self.ask("GET", path).status, 404, path)
        self.assertNotIn(b"market", self.get("/docs/").body)
        self.assertEqual(self.ask("GET", "/openapi.json/x").status, 404)

    def test_the_slash(self) -> None:
        """The first page is at a path with a slash, so that its addresses lead where they should."""
        answer = self.ask("GET", "/docs")
        self.assertEqual((answer.status, answer.headers["location"]), (308, "docs/"))

    def test_made_once_when_asked_for(self) -> None:
        """Nothing is described before somebody asks, and only once."""
        self.assertEqual(self.described, 0)
        self.get("/docs/style.css")
        self.assertEqual(self.described, 0)
        for path in ("/docs/", "/docs/talk", "/asyncapi/talk.yaml", "/openapi.json"):
            self.assertEqual(self.get(path).body, self.get(path).body)
        self.assertEqual(self.described, 1)
        pages: Any = self.documents.resources["docs"]
        asked = Mock(postpath=[b"talk"])
        self.assertIs(pages.file(asked), pages.file(asked))

    def test_kept(self) -> None:
        """Who has a document is told that it is still good."""
        for path in ("/asyncapi/talk.yaml", "/openapi.json", "/docs/talk"):
            tag = self.get(path).headers["etag"]
            again = self.ask("GET", path, f"If-None-Match: {tag}")
            self.assertEqual((again.status, again.body), (304, b""), path)

    def test_shared(self) -> None:
        """Pages of allowed origins may read documents; nobody may frame or read our pages."""
        answer = self.get("/asyncapi/talk.yaml", "Origin: https://app.example")
        self.assertEqual(answer.headers["access-control-allow-origin"], "https://app.example")
        self.assertIn("Origin", answer.headers["vary"])
        strange = self.get("/openapi.json", "Origin: https://elsewhere.example")
        self.assertNotIn("access-control-allow-origin", strange.headers)
        self.assertEqual(self.get("/docs/").headers["cross-origin-resource-policy"], "same-origin")
        preflight = self.ask("OPTIONS", "/openapi.json", "Origin: https://app.example")
        self.assertEqual((preflight.status, preflight.headers["access-control-allow-methods"]), (204, "GET"))

    def test_other_methods(self) -> None:
        """Documents can be read, and nothing else."""
        for path in ("/asyncapi/talk.yaml", "/openapi.json", "/docs/", "/docs/talk"):
            self.assertEqual(self.ask("POST", path).status, 405, path)
            head = self.ask("HEAD", path)
            self.assertEqual((head.status, head.body), (200, b""))
