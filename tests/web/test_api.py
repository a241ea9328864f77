"""What all HTTP APIs have in common: who may ask, and what a fault looks like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from twisted.internet.defer import Deferred, fail, succeed

from realtime.accounts.authentication import Authenticator, Identity
from realtime.accounts.errors import IssuerUnavailable, TokenInvalid
from realtime.accounts.store import User
from realtime.http.origins import OriginPolicy
from realtime.storage.errors import StorageUnavailable
from realtime.web.api import ApiResource, Call, Handler, not_found
from realtime.web.sharing import Sharing
from realtime.web.site import tree
from tests.web.requests import Response, SiteTestCase

ALICE = User(7, "alice", False)
BEARER = "Authorization: Bearer GOOD"


class FakeAuthenticator:
    """Knows one token."""

    away: Exception | None = None

    def authenticate(self, token: str | None) -> Deferred[Identity]:
        """Stand in for the real one."""
        if self.away is not None:
            return fail(self.away)
        return succeed(Identity(ALICE, None)) if token == "GOOD" else fail(TokenInvalid("wrong"))


class Things(ApiResource):
    """Answers with what it was asked; what it does before can be set."""

    first: Any = None

    async def read(self, call: Call) -> object:
        """GET."""
        if isinstance(self.first, Exception):
            raise self.first
        if self.first is not None:
            await self.first
        if call.path == ("nothing",):
            raise not_found()
        count = call.number("count", default=5, least=1, most=10)
        return {"user": call.user.name, "path": call.path, "count": count}

    handlers: ClassVar[Mapping[str, Handler]] = {"GET": read}


class ApiTests(SiteTestCase):
    """A resource at /v1/things."""

    def setUp(self) -> None:
        """Serve it to pages of one origin."""
        super().setUp()
        self.authenticator = FakeAuthenticator()
        sharing = Sharing(OriginPolicy(["https://app.example"]))
        self.things = Things(cast(Authenticator, self.authenticator), sharing)
        self.serve(tree({"v1/things": self.things}, Things(cast(Authenticator, self.authenticator), sharing)))

    def get(self, target: str = "/v1/things", *headers: str) -> Response:
        """The answer to a request with a good token."""
        return self.ask("GET", target, BEARER, *headers)

    def assert_refused(self, response: Response, status: int, code: str) -> None:
        """An error, as JSON, that says what it is."""
        self.assertEqual((response.status, response.headers["content-type"]), (status, "application/json"))
        error = json.loads(response.body)["error"]
        self.assertEqual((error["code"], set(error)), (code, {"code", "message"}))

    def test_answer(self) -> None:
        """JSON, which nobody keeps."""
        response = self.get("/v1/things/a/b%20c?count=3")
        self.assertEqual(response.status, 200)
        self.assertEqual(json.loads(response.body), {"user": "alice", "path": ["a", "b c"], "count": 3})
        self.assertEqual(response.headers["content-length"], str(len(response.body)))
        self.assertEqual(response.headers["cache-control"], "no-store")

    def test_head(self) -> None:
        """HEAD is answered as GET is, without the body."""
        response = self.ask("HEAD", "/v1/things", BEARER)
        self.assertEqual((response.status, response.body), (200, b""))
        self.assertEqual(response.headers["content-length"], str(len(self.get().body)))

    def test_no_token(self) -> None:
        """No token, a wrong one, or one where it does not belong: 401."""
        for headers in (
            (),
            ("Authorization: Bearer BAD",),
            ("Authorization: Basic GOOD",),
            ("Cookie: token=GOOD",),
        ):
            for target in ("/v1/things", "/v1/things?token=GOOD"):
                response = self.ask("GET", target, *headers)
                self.assert_refused(response, 401, "unauthorized")
                self.assertEqual(response.headers["www-authenticate"], "Bearer")

    def test_away(self) -> None:
        """While tokens can't be checked or the database is away: 503, and when to come back."""
        for away in (StorageUnavailable("away"), IssuerUnavailable("away")):
            self.authenticator.away = away
            response = self.get()
            self.assert_refused(response, 503, "unavailable")
            self.assertEqual(response.headers["retry-after"], "1")

    def test_other_methods(self) -> None:
        """What can't be done is told before anybody is asked for a token."""
        response = self.ask("POST", "/v1/things")
        self.assert_refused(response, 405, "method-not-allowed")
        self.assertEqual(response.headers["allow"], "GET, HEAD")

    def test_not_found(self) -> None:
        """A handler can say that there is nothing."""
        self.assert_refused(self.get("/v1/things/nothing"), 404, "not-found")

    def test_numbers(self) -> None:
        """What is no number from the least on is refused; what is too large counts as the most."""
        for text in ("0", "-1", "x", "", "1.5", "%FF", "1e3", "1_0", "9" * 5000, "9999999999999999999"):
            with self.subTest(text):
                response = self.get(f"/v1/things?count={text}")
                if len(text) == 19:
                    self.assertEqual(json.loads(response.body)["count"], 10)
                else:
                    self.assert_refused(response, 400, "bad-request")

    def test_fault(self) -> None:
        """A fault of ours is logged, and the answer says nothing about it."""
        self.things.first = ZeroDivisionError("secret")
        response = self.get()
        self.assert_refused(response, 500, "internal")
        self.assertNotIn(b"secret", response.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_gone(self) -> None:
        """When the client goes away what it asked for is given up."""
        waiting: Deferred[None] = Deferred()
        self.things.first = waiting
        self.request("GET", "/v1/things", BEARER).go()
        self.assertTrue(waiting.called)

    def test_sharing(self) -> None:
        """Pages of the origins that are allowed may ask and read the answer."""
        preflight = self.ask("OPTIONS", "/v1/things", "Origin: https://app.example")
        self.assertEqual(preflight.status, 204)
        self.assertEqual(preflight.headers["access-control-allow-methods"], "GET")
        allowed = "access-control-allow-origin"
        self.assertEqual(
            self.get("/v1/things", "Origin: https://app.example").headers[allowed], "https://app.example"
        )
        self.assertNotIn(allowed, self.get("/v1/things", "Origin: https://other.example").headers)
