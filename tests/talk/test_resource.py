"""``GET /v1/talks``."""

from __future__ import annotations

import json
from typing import Any

from msgspec import structs

from realtime.accounts.authentication import Authenticator, token_of
from realtime.accounts.store import AccountStore, User
from realtime.accounts.tokens import TokenSigner
from realtime.http.origins import OriginPolicy
from realtime.talk.messages import Answer, Question
from realtime.talk.resource import TalksResource
from realtime.talk.store import Seat, Talk, TalkStore
from realtime.web.home import HomeResource
from realtime.web.sharing import Sharing
from realtime.web.site import tree
from tests.databases import SynchronousDatabase
from tests.web.requests import SiteTestCase

NOON = 1_790_000_000


class TalksTests(SiteTestCase):
    """A site with two users who have talked."""

    def setUp(self) -> None:
        """Build it."""
        super().setUp()
        self.database = SynchronousDatabase()
        self.addCleanup(self.database.close)
        database: Any = self.database
        self.accounts = AccountStore(database)
        self.signer = TokenSigner(b"s" * 32, algorithms=["HS256"], ttl=60, leeway=0, now=self.clock.seconds)
        self.store = TalkStore(database)
        self.alice, self.bob = self.user("alice"), self.user("bob")
        self.configure()

    def configure(self, history_bytes: int = 524_288) -> None:
        """Serve the resource."""
        authenticator = Authenticator(accounts=self.accounts, signer=self.signer)
        talks = TalksResource(authenticator, Sharing(OriginPolicy(["*"])), self.store, history_bytes)
        self.serve(tree({"v1/talks": talks}, HomeResource([])))

    def user(self, name: str) -> User:
        """Make an account."""
        return self.successResultOf(self.accounts.add(name, ""))

    def talk(self, match_id: str, text: str = "Am I boring?", **changes: Any) -> Talk:
        """Store a talk of the two."""
        seats = (
            Seat(self.alice.id, "alice", 0.3, (Question(1, text), Question("b", "Why?")), None),
            Seat(self.bob.id, "bob", 0.35, (Question(1, "And I?"),), None),
        )
        talk = structs.replace(Talk(match_id, seats, NOON, None, None, None, None), **changes)
        self.successResultOf(self.store.save(talk))
        return talk

    def get(self, user: User, query: str = "") -> Any:
        """What a user is answered."""
        value = self.successResultOf(self.accounts.token_for(user.id))
        assert value is not None
        token = token_of(user, value, self.signer)
        response = self.ask("GET", f"/v1/talks{query}", f"Authorization: Bearer {token}")
        self.assertEqual(response.status, 200)
        return json.loads(response.body)

    def test_a_whole_talk(self) -> None:
        """Both see the talk from their own side: each question with the answer to it."""
        talk = self.talk("m")
        seats = (
            structs.replace(talk.seats[0], answers=(Answer(1, "No."),)),
            structs.replace(talk.seats[1], answers=(Answer("b", "Because."), Answer(1, "Yes."))),
        )
        self.talk("m", seats=seats, started=NOON + 5, stopped=NOON + 185, ended=NOON + 200, outcome="answered")
        alices = [
            {"id": 1, "question": "Am I boring?", "answer": "Yes."},
            {"id": "b", "question": "Why?", "answer": "Because."},
        ]
        bobs = [{"id": 1, "question": "And I?", "answer": "No."}]
        expected = {
            "id": 1,
            "match_id": "m",
            "partner": {"user_id": self.bob.id, "username": "bob"},
            "score": 0.3,
            "matched": "2026-09-21T14:13:20Z",
            "started": "2026-09-21T14:13:25Z",
            "stopped": "2026-09-21T14:16:25Z",
            "ended": "2026-09-21T14:16:40Z",
            "outcome": "answered",
            "questions": alices,
            "partner_questions": bobs,
        }
        self.assertEqual(self.get(self.alice), {"talks": [expected], "next": None})
        other = {
            **expected,
            "partner": {"user_id": self.alice.id, "username": "alice"},
            "score": 0.35,
            "questions": bobs,
            "partner_questions": alices,
        }
        self.assertEqual(self.get(self.bob), {"talks": [other], "next": None})

    def test_a_talk_that_goes_on(self) -> None:
        """What has not come yet is null."""
        self.talk("m")
        (talk,) = self.get(self.alice)["talks"]
        self.assertEqual([talk[name] for name in ("started", "stopped", "ended", "outcome")], [None] * 4)
        self.assertEqual([each["answer"] for each in talk["questions"]], [None, None])

    def test_nobody_elses(self) -> None:
        """Others' talks are not shown."""
        self.talk("m")
        self.assertEqual(self.get(self.user("carol")), {"talks": [], "next": None})

    def test_nothing_below(self) -> None:
        """There is the list, with a slash at its end or without, and nothing else."""
        value = self.successResultOf(self.accounts.token_for(self.alice.id))
        assert value is not None
        token = token_of(self.alice, value, self.signer)
        for path, status in (("/v1/talks", 200), ("/v1/talks/", 200), ("/v1/talks/1", 404)):
            response = self.ask("GET", path, f"Authorization: Bearer {token}")
            self.assertEqual(response.status, status, path)

    def test_pages(self) -> None:
        """So many at a time, newest first; ``next`` leads on until there are no more."""
        for number in range(5):
            self.talk(str(number))
        seen: list[list[str]] = []
        query: str | None = "?limit=2"
        while query is not None:
            page = self.get(self.alice, query)
            seen.append([talk["match_id"] for talk in page["talks"]])
            query = page["next"] and f"?limit=2&before={page['next']}"
        self.assertEqual(seen, [["4", "3"], ["2", "1"], ["0"]])

    def test_bytes(self) -> None:
        """A page holds what fits, and one talk in any case; the rest comes by asking on."""
        for number in range(3):
            self.talk(str(number), text="?" * 400)
        self.configure(history_bytes=1800)
        page = self.get(self.alice)
        self.assertEqual([talk["match_id"] for talk in page["talks"]], ["2", "1"])
        self.configure(history_bytes=10)
        page = self.get(self.alice, f"?before={page['next']}")
        self.assertEqual(([talk["match_id"] for talk in page["talks"]], page["next"]), (["0"], None))
