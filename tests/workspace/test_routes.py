"""workspace over HTTP: each route with each status that it may have, whatever is asked."""

from __future__ import annotations

import json
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail

from realtime.cluster.errors import ClusterUnavailable
from tests.web.requests import Response
from tests.workspace.test_resource import DEFAULT, ROOT, ResourceTestCase

TEAM = f"{ROOT}/team"
GENERAL, SECRET = "1", "2"

Route = tuple[str, str, object]

ROUTES: Final[list[tuple[int, Route]]] = [
    (200, ("GET", ROOT, None)),
    (201, ("POST", ROOT, {"id": "another", "name": "Another"})),
    (200, ("GET", f"{TEAM}/channels", None)),
    (201, ("POST", f"{TEAM}/channels", {"name": "another"})),
    (200, ("GET", f"{TEAM}/channels/{GENERAL}", None)),
    (200, ("PATCH", f"{TEAM}/channels/{GENERAL}", {"name": "renamed"})),
    (200, ("GET", f"{TEAM}/channels/{GENERAL}/messages", None)),
    (200, ("GET", f"{TEAM}/members", None)),
    (204, ("PUT", f"{TEAM}/members/3", None)),
    (204, ("PUT", f"{TEAM}/channels/{SECRET}/members/2", None)),
    (204, ("POST", f"{TEAM}/events", {"event": "event", "data": 1})),
    (204, ("DELETE", f"{TEAM}/channels/{SECRET}/members/2", None)),
    (204, ("DELETE", f"{TEAM}/channels/{GENERAL}", None)),
    (204, ("DELETE", f"{TEAM}/members/3", None)),
]
"""All that can be done, in an order in which an administrator can do it, with what is answered."""

WITH_BODY = [route for _, route in ROUTES if route[2] is not None]

ADMINISTRATORS_ALONE: Final[list[Route]] = [
    ("POST", ROOT, {"id": "another", "name": "Another"}),
    ("PUT", f"{TEAM}/members/3", None),
    ("DELETE", f"{TEAM}/members/1", None),
    ("POST", f"{TEAM}/events", {"event": "event", "data": 1}),
]
CREATORS: Final[list[Route]] = [
    ("PATCH", f"{TEAM}/channels/{GENERAL}", {"name": "renamed"}),
    ("DELETE", f"{TEAM}/channels/{GENERAL}", None),
    ("PUT", f"{TEAM}/channels/{SECRET}/members/2", None),
    ("DELETE", f"{TEAM}/channels/{SECRET}/members/1", None),
]

NONSENSE = [
    "0",
    "-1",
    "x",
    "1.5",
    "1e3",
    "%31%30%30",
    "9" * 10,
    "9" * 400,
    "%FF%FE",
    "%00",
    "..",
    "%2F",
    "%D9%A1",
    "%201",
]


DEEP = b"[" * 30_000
ODD_BODIES = [
    *(b"", b"{", b"null", b"[]", b"7", b'"x"', b"{}", b"\xff", DEEP),
    *(b'{"name":' + DEEP, b'{"name":"\\ud800x"}', b'{"name":NaN}', b'{"id":"a","name":"\\u0000"}'),
    *(b'{"event":"e","data":' + DEEP, b'{"event":"e","data":}'),
]


class RoutesTests(ResourceTestCase):
    """Alice and bob in a workspace of their own, with a channel, and a private one of alice's."""

    def setUp(self) -> None:
        """Build it."""
        super().setUp()
        self.assertEqual(self.call("admin", "POST", ROOT, {"id": "team", "name": "Team"}).status, 201)
        for user in (self.alice, self.bob):
            self.assertEqual(self.call("admin", "PUT", f"{TEAM}/members/{user.id}").status, 204)
        self.assertEqual(self.create("alice", "general", workspace=TEAM), GENERAL)
        self.assertEqual(self.create("alice", "secret", is_private=True, workspace=TEAM), SECRET)

    def answers(self, who: str) -> dict[Route, Response]:
        """What somebody is answered on each route, one after the other."""
        return {
            (method, target, None): self.call(who, method, target, body) for _, (method, target, body) in ROUTES
        }

    def test_all(self) -> None:
        """An administrator may take all; what has a body is JSON, and no answer is to be kept."""
        for status, (method, target, body) in ROUTES:
            response = self.call("admin", method, target, body)
            self.assertEqual(response.status, status, (method, target, response.body))
            self.assertEqual(response.headers["cache-control"], "no-store")
            if status == 204:
                self.assertEqual(response.body, b"")
                self.assertNotIn("content-type", response.headers)
            else:
                self.assertEqual(response.headers["content-type"], "application/json")
                json.loads(response.body)

    def test_head(self) -> None:
        """HEAD is answered as GET is, without a body."""
        for _, (method, target, _) in ROUTES:
            if method == "GET":
                asked, headed = self.call("bob", "GET", target), self.call("bob", "HEAD", target)
                self.assertEqual((headed.status, headed.body), (200, b""))
                self.assertEqual(headed.own_headers(), asked.own_headers())
        self.assertEqual(self.call("bob", "HEAD", f"{TEAM}/channels/{SECRET}").status, 404)

    def test_no_token(self) -> None:
        """Without a valid token nothing is answered, or done."""
        for route, response in self.answers("wrong").items():
            self.assertEqual(response.status, 401, route)
            self.assertEqual(response.headers["www-authenticate"], "Bearer")
        self.assertEqual(
            [each["name"] for each in self.get("bob", f"{TEAM}/channels")["channels"]], ["general"]
        )

    def test_away(self) -> None:
        """While the database is away everything is 503, with when to come back."""
        self.world.database.away = True
        for route, response in self.answers("admin").items():
            self.assertEqual(response.status, 503, route)
            self.assertEqual(response.headers["retry-after"], "1")

    def test_out_of_reach(self) -> None:
        """How members look can't be said while other processes are out of reach; all else can."""

        def away(*_: object) -> Deferred[bool]:
            return fail(ClusterUnavailable())

        self.patch(self.world.presence, "is_present", away)
        self.assert_refused(503, "bob", "GET", f"{TEAM}/members")
        self.assertEqual(self.call("bob", "GET", f"{TEAM}/channels").status, 200)

    def test_administrators_alone(self) -> None:
        """What is for administrators alone is forbidden to others, whether it is there or not."""
        for method, target, body in ADMINISTRATORS_ALONE:
            self.assert_refused(403, "bob", method, target, body)
            self.assert_refused(403, "bob", method, target.replace("team", "nothing"), body)

    def test_creators(self) -> None:
        """What is for a channel's creator is forbidden to its other members, and not there for others."""
        for method, target, body in CREATORS:
            self.assert_refused(404 if SECRET in target.split("/") else 403, "bob", method, target, body)
        self.assertEqual(self.call("alice", "PUT", f"{TEAM}/channels/{SECRET}/members/2").status, 204)
        for method, target, body in CREATORS:
            self.assert_refused(403, "bob", method, target, body)
        for method, target, body in CREATORS:
            self.assertIn(self.call("admin", method, target, body).status, (200, 204), (method, target))

    def test_outside(self) -> None:
        """To who is not in a workspace nothing of it is there."""
        self.call("admin", "DELETE", f"{TEAM}/members/{self.bob.id}")
        for _, (method, target, body) in ROUTES:
            if target != ROOT and (method, target, body) not in ADMINISTRATORS_ALONE:
                status = 403 if target == f"{TEAM}/members/3" else 404
                self.assert_refused(status, "bob", method, target, body)
        self.assert_refused(404, "bob", "DELETE", f"{TEAM}/members/{self.bob.id}")

    def test_nonsense(self) -> None:
        """Ids of any nonsense are 404; a path has as many parts as it has."""
        for nonsense in NONSENSE:
            for method, target, body in (
                ("GET", f"{ROOT}/{nonsense}/channels", None),
                ("POST", f"{ROOT}/{nonsense}/channels", {"name": "general"}),
                ("POST", f"{ROOT}/{nonsense}/events", {"event": "event"}),
                ("GET", f"{ROOT}/{nonsense}/members", None),
                ("PUT", f"{ROOT}/{nonsense}/members/1", None),
                ("PUT", f"{TEAM}/members/{nonsense}", None),
                ("DELETE", f"{TEAM}/members/{nonsense}", None),
                ("GET", f"{TEAM}/channels/{nonsense}", None),
                ("PATCH", f"{TEAM}/channels/{nonsense}", {"name": "general"}),
                ("DELETE", f"{TEAM}/channels/{nonsense}", None),
                ("GET", f"{TEAM}/channels/{nonsense}/messages", None),
                ("PUT", f"{TEAM}/channels/{nonsense}/members/1", None),
                ("PUT", f"{TEAM}/channels/{SECRET}/members/{nonsense}", None),
                ("DELETE", f"{TEAM}/channels/{SECRET}/members/{nonsense}", None),
                ("GET", f"{TEAM}/{nonsense}", None),
            ):
                self.assert_refused(404, "admin", method, target, body)

    def test_elsewhere(self) -> None:
        """A channel is there in its own workspace alone."""
        for method, tail, body in (
            ("GET", "", None),
            ("GET", "/messages", None),
            ("PATCH", "", {"name": "general"}),
            ("DELETE", "", None),
        ):
            self.assert_refused(404, "admin", method, f"{DEFAULT}/channels/{GENERAL}{tail}", body)
        self.assert_refused(404, "admin", "PUT", f"{DEFAULT}/channels/{SECRET}/members/2")

    def test_conflicts(self) -> None:
        """What is there already, or is everybody's, is 409."""
        for method, target, body in (
            ("POST", ROOT, {"id": "team", "name": "Team"}),
            ("PUT", f"{DEFAULT}/members/1", None),
            ("DELETE", f"{DEFAULT}/members/1", None),
            ("PUT", f"{TEAM}/channels/{GENERAL}/members/2", None),
            ("DELETE", f"{TEAM}/channels/{GENERAL}/members/2", None),
        ):
            self.assert_refused(409, "admin", method, target, body)

    def test_other_methods(self) -> None:
        """What no route has is 405, with what there is."""
        for method in ("TRACE", "COPY", "get"):
            response = self.call("admin", method, f"{TEAM}/channels")
            self.assertEqual(response.status, 405)
            allowed = {"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"}
            self.assertEqual(set(response.headers["allow"].split(", ")), allowed)

    def test_pages_of_browsers(self) -> None:
        """Pages of other origins may take each route, and read what is answered, errors too."""
        origin = "Origin: https://app.example"
        for _, (method, target, _) in ROUTES:
            preflight = self.ask("OPTIONS", target, origin, f"Access-Control-Request-Method: {method}")
            self.assertEqual(preflight.status, 204)
            self.assertIn(method, preflight.headers["access-control-allow-methods"].split(", "))
            self.assertIn("Authorization", preflight.headers["access-control-allow-headers"])
            response = self.ask(method, target, origin)
            self.assertEqual(response.status, 401)
            self.assertEqual(response.headers["access-control-allow-origin"], "https://app.example")

    def test_long_bodies(self) -> None:
        """A body that is too long is not read, and so is not the JSON that is expected."""
        for method, target, body in WITH_BODY:
            assert isinstance(body, dict)
            for more in (60_000, 70_000):
                status = self.call("admin", method, target, {**body, "more": "x" * more}).status
                self.assertEqual(status == 400, more == 70_000, (method, target))

    def test_odd_bodies(self) -> None:
        """Whatever is no JSON, or JSON of another shape, is 400, and is not a fault of ours."""
        for method, target, _ in WITH_BODY:
            for body in ODD_BODIES:
                response = self.ask(method, target, "Authorization: Bearer admin", body=body)
                self.assertEqual(response.status, 400, (method, target, body[:40]))

    def test_gone(self) -> None:
        """Whose account is removed after its token was checked has no valid one."""
        self.world.user("short-lived")
        self.world.database.query("DELETE FROM users WHERE user_name = 'short-lived'")
        self.assert_refused(401, "short-lived", "POST", f"{DEFAULT}/channels", {"name": "general"})

    def test_twice(self) -> None:
        """To put somebody where it is already is done, and told to nobody."""
        bob = self.world.enter("bob")
        path = f"{TEAM}/channels/{SECRET}/members/{self.bob.id}"
        for _ in range(2):
            self.assertEqual(self.call("alice", "PUT", path).status, 204)
            self.assertEqual(self.call("admin", "PUT", f"{TEAM}/members/{self.bob.id}").status, 204)
        self.assertEqual([event for event, _ in bob.got()], ["channel-created", "user-joined"])

    def test_published_to_anybody(self) -> None:
        """Ids of those to be told may be any nonsense, and there may be many, not too many."""
        bob = self.world.enter("bob")
        users = [self.bob.id, str(self.bob.id), *NONSENSE, *range(100, 1000)]
        body = {"event": "event", "data": {"a": [None]}, "userIds": users}
        self.assertEqual(self.call("admin", "POST", f"{TEAM}/events", body).status, 204)
        self.assertEqual(bob.one("event"), {"a": [None]})
        odd: list[object] = [list(range(1, 1002)), [1.5], [None], [True], "1", {}]
        for wrong in odd:
            self.assert_refused(400, "admin", "POST", f"{TEAM}/events", {"event": "event", "userIds": wrong})
        self.assertEqual(
            self.call("admin", "POST", f"{TEAM}/events", {"event": "e", "userIds": []}).status, 204
        )
        self.assertEqual(bob.got(), [])

    @settings(max_examples=60, deadline=None)
    @given(st.text(min_size=1, max_size=110))
    def test_names(self, name: str) -> None:
        """A name is what it was, or refused."""
        response = self.call("alice", "POST", f"{DEFAULT}/channels", {"name": name})
        fits = 3 <= len(name) <= 100 and "\0" not in name
        self.assertEqual(response.status, 201 if fits else 400)
        if fits:
            self.assertEqual(json.loads(response.body)["name"], name)
            newest = self.get("bob", f"{DEFAULT}/channels?limit=1")["channels"]
            self.assertEqual([each["name"] for each in newest], [name])
