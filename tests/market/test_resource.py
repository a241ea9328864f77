"""Reports over HTTP: for administrators alone."""

from __future__ import annotations

import json
from typing import Any

from realtime.accounts.authentication import Authenticator, token_of
from realtime.accounts.store import AccountStore, User
from realtime.accounts.tokens import TokenSigner
from realtime.http.origins import OriginPolicy
from realtime.market.messages import CreateMessage, ReportConversation, ReportMessage
from realtime.market.resource import ReportsResource
from realtime.market.store import Created, MarketStore
from realtime.web.home import HomeResource
from realtime.web.sharing import Sharing
from realtime.web.site import tree
from tests.databases import SynchronousDatabase
from tests.web.requests import Response, SiteTestCase

PATH = "/v1/reports"


class ReportsTests(SiteTestCase):
    """A site with two who have a conversation, and an administrator."""

    def setUp(self) -> None:
        """Build it."""
        super().setUp()
        self.clock.advance(5)
        self.database = SynchronousDatabase()
        self.addCleanup(self.database.close)
        database: Any = self.database
        self.accounts = AccountStore(database)
        self.signer = TokenSigner(b"s" * 32, algorithms=["HS256"], ttl=60, leeway=0, now=self.clock.seconds)
        self.store = MarketStore(database)
        authenticator = Authenticator(accounts=self.accounts, signer=self.signer)
        sharing = Sharing(OriginPolicy(["*"]))
        reports = ReportsResource(authenticator, sharing, self.store, self.clock)
        self.serve(tree({"v1/reports": reports}, HomeResource([])))
        self.alice, self.bob = self.user("alice"), self.user("bob")
        self.admin = self.user("admin", is_admin=True)
        said = self.successResultOf(self.store.create(self.alice, CreateMessage("Hello", to=self.bob.id), 1000))
        assert isinstance(said, Created)
        self.message = said.message

    def user(self, name: str, *, is_admin: bool = False) -> User:
        """Make an account."""
        return self.successResultOf(self.accounts.add(name, "", is_admin=is_admin))

    def report(self, request: ReportConversation | ReportMessage, created: int = 2000) -> None:
        """Bob reports something."""
        self.assertIsNone(self.successResultOf(self.store.report(self.bob.id, request, created)))

    def as_user(self, user: User, method: str, target: str) -> Response:
        """What a user is answered."""
        value = self.successResultOf(self.accounts.token_for(user.id))
        assert value is not None
        token = token_of(user, value, self.signer)
        return self.ask(method, target, f"Authorization: Bearer {token}")

    def listed(self, query: str = "") -> Any:
        """What the administrator is shown."""
        response = self.as_user(self.admin, "GET", PATH + query)
        self.assertEqual(response.status, 200)
        return json.loads(response.body)

    def test_listed_and_resolved(self) -> None:
        """A report is listed until it is resolved; then it is among all of them."""
        self.report(ReportMessage(self.message.id, "rude"))
        expected = {
            "id": 1,
            "reporter": {"id": self.bob.id, "username": "bob"},
            "kind": "message",
            "object": self.message.id,
            "reason": "rude",
            "created": 2000,
            "resolved": None,
            "resolved_by": None,
        }
        self.assertEqual(self.listed(), {"reports": [expected], "next": None})
        response = self.as_user(self.admin, "POST", f"{PATH}/1/resolve")
        expected |= {"resolved": 5000, "resolved_by": self.admin.id}
        self.assertEqual((response.status, json.loads(response.body)), (200, expected))
        self.assertEqual(self.listed(), {"reports": [], "next": None})
        self.assertEqual(self.listed("?all=1"), {"reports": [expected], "next": None})

    def test_resolved_once(self) -> None:
        """Who resolves what is resolved changes nothing."""
        self.report(ReportConversation(self.message.conversation, ""))
        first = self.as_user(self.admin, "POST", f"{PATH}/1/resolve")
        self.clock.advance(9)
        again = self.as_user(self.user("other", is_admin=True), "POST", f"{PATH}/1/resolve")
        self.assertEqual(json.loads(again.body), json.loads(first.body))

    def test_pages(self) -> None:
        """So many at a time, newest first."""
        for number in range(5):
            self.report(ReportMessage(None, f"text {number}"))
        seen = []
        query: str | None = "?limit=2"
        while query is not None:
            page = self.listed(query)
            seen.append([report["reason"] for report in page["reports"]])
            query = page["next"] and f"?limit=2&before={page['next']}"
        self.assertEqual(seen, [["text 4", "text 3"], ["text 2", "text 1"], ["text 0"]])

    def test_administrators_alone(self) -> None:
        """Others may neither see nor resolve anything, whether it is there or not."""
        self.report(ReportMessage(None, "secret"))
        for method, target in (("GET", PATH), ("POST", f"{PATH}/1/resolve"), ("POST", f"{PATH}/9/resolve")):
            response = self.as_user(self.bob, method, target)
            self.assertEqual(response.status, 403)
            self.assertNotIn(b"secret", response.body)
        self.assertEqual(len(self.listed()["reports"]), 1)

    def test_not_there(self) -> None:
        """Paths that lead nowhere, and reports that there are not."""
        for method, path in (
            *(("GET", "/1"), ("GET", "/1/resolve"), ("POST", ""), ("POST", "/1"), ("POST", "/x/resolve")),
            *(("POST", "/1/resolve"), ("POST", "/99999999999/resolve"), ("POST", "/-1/resolve")),
        ):
            with self.subTest(f"{method} {path}"):
                self.assertEqual(self.as_user(self.admin, method, PATH + path).status, 404)
