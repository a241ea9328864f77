"""What all HTTP APIs have in common: who may ask, and what a fault looks like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, cast

from msgspec import Meta, Struct
from twisted.internet.defer import Deferred, fail, succeed

from realtime.accounts.authentication import Authenticator, Identity
from realtime.accounts.errors import IssuerUnavailable, TokenInvalid
from realtime.accounts.store import User
from realtime.http.origins import OriginPolicy
from realtime.storage.errors import StorageUnavailable
from realtime.web.api import Answered, ApiResource, Call, Handler, not_found
from realtime.web.sharing import Sharing
from realtime.web.site import LONGEST_BODY, tree
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


class Thing(Struct):
    """What can be made."""

    name: Annotated[str, Meta(min_length=1)]
    size: int = 1


class Shop(Things):
    """Makes, changes and removes things as well."""

    async def make(self, call: Call) -> object:
        """POST."""
        return Answered(201, call.body(Thing))

    async def change(self, call: Call) -> object:
        """PATCH."""
        return call.body(dict[str, int])

    async def remove(self, call: Call) -> object:
        """DELETE."""
        return Answered(204, "what is left out")

    handlers: ClassVar[Mapping[str, Handler]] = {
        "GET": Things.read,
        "POST": make,
        "PATCH": change,
        "PUT": remove,
        "DELETE": remove,
    }


class ApiTests(SiteTestCase):
    """A resource at /v1/things."""

    def setUp(self) -> None:
        """Serve it to pages of one origin."""
        super().setUp()
        self.authenticator = FakeAuthenticator()
        sharing = Sharing(OriginPolicy(["https://app.example"]))
        self.things = Things(cast(Authenticator, self.authenticator), sharing)
        shop = Shop(cast(Authenticator, self.authenticator), sharing)
        self.serve(tree({"v1/things": self.things, "v1/shop": shop}, self.things))

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

    def test_another_status(self) -> None:
        """Another status can be answered; with 204 comes no body, and the next answer is in its place."""
        made = self.ask("POST", "/v1/shop", BEARER, body=b'{"name": "a", "more": []}')
        self.assertEqual((made.status, json.loads(made.body)), (201, {"name": "a", "size": 1}))
        self.assertEqual(made.headers["content-length"], str(len(made.body)))
        for method in ("DELETE", "PUT"):
            removed = self.ask(method, "/v1/shop", BEARER)
            self.assertEqual((removed.status, removed.body), (204, b""))
            self.assertEqual(removed.own_headers(), {"vary": "Origin", "cache-control": "no-store"})
        peer = self.request("DELETE", "/v1/shop", BEARER)
        peer.write(f"GET /v1/shop/next HTTP/1.1\r\nHost: chat.example\r\n{BEARER}\r\n\r\n".encode())
        first = Response(peer.wire.value())
        self.assertEqual((first.status, Response(first.body).status), (204, 200))

    def test_body(self) -> None:
        """A body is JSON of the shape that is asked for, however it comes."""
        self.assertEqual(self.ask("PATCH", "/v1/shop", BEARER, body=b' {"a": 1}\n').body, b'{"a":1}')
        chunked = (BEARER, "Transfer-Encoding: chunked")
        peer = self.request("PATCH", "/v1/shop", *chunked)
        peer.write(b'4\r\n{"a"\r\n3\r\n:1}\r\n0\r\n\r\n')
        self.assertEqual(Response(peer.wire.value()).status, 200)

    def test_wrong_body(self) -> None:
        """Anything else is 400, and says nothing of what it was."""
        deep = b"[" * 60_000
        wrong = [
            b"",
            b"{",
            b"null",
            b'{"name": ""}',
            b'{"name": 1}',
            b'{"name": "a", "size": 1.5}',
            b"\xff",
            deep,
        ]
        for body in [*wrong, b'{"name": "a", "x": ' + deep, b'{"name": "secret"', b'{"name": "\\ud800"}']:
            with self.subTest(body[:40]):
                response = self.ask("POST", "/v1/shop", BEARER, body=body)
                self.assert_refused(response, 400, "bad-request")
                self.assertNotIn(b"secret", response.body)

    def test_long_body(self) -> None:
        """A body that is too long is not kept, and so is none; whether its length is said before or not."""
        body = b'{"a": 1' + b" " * LONGEST_BODY + b"}"
        self.assert_refused(self.ask("PATCH", "/v1/shop", BEARER, body=body), 400, "bad-request")
        peer = self.request("PATCH", "/v1/shop", BEARER, "Transfer-Encoding: chunked")
        peer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        self.assert_refused(Response(peer.wire.value()), 400, "bad-request")
        just = b'{"a": 1' + b" " * (LONGEST_BODY - 8) + b"}"
        self.assertEqual(self.ask("PATCH", "/v1/shop", BEARER, body=just).status, 200)

    def test_no_token_no_body(self) -> None:
        """Who has no token is not told what is wrong with the body, nor anything else."""
        self.assert_refused(self.ask("POST", "/v1/shop", body=b"{"), 401, "unauthorized")

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
        preflight = self.ask("OPTIONS", "/v1/shop", "Origin: https://app.example")
        methods = "GET, POST, PATCH, PUT, DELETE"
        self.assertEqual(preflight.headers["access-control-allow-methods"], methods)
        allowed = "access-control-allow-origin"
        self.assertEqual(
            self.get("/v1/things", "Origin: https://app.example").headers[allowed], "https://app.example"
        )
        self.assertNotIn(allowed, self.get("/v1/things", "Origin: https://other.example").headers)
