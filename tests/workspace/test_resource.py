"""workspace over HTTP: every route, who may take it, and what those who are connected hear of it."""

from __future__ import annotations

import json
from typing import Any

from realtime.http.origins import OriginPolicy
from realtime.web.home import HomeResource
from realtime.web.sharing import Sharing
from realtime.web.site import tree
from realtime.workspace.resource import WorkspacesResource
from tests.web.requests import Response, SiteTestCase
from tests.workspace.world import World

ROOT = "/v1/workspaces"
DEFAULT = f"{ROOT}/default"


class ResourceTestCase(SiteTestCase):
    """A site beside a world with two users and an administrator; at the end nothing may be left."""

    is_open = True

    def setUp(self) -> None:
        """Build it."""
        super().setUp()
        self.world = World(is_open=self.is_open)
        self.alice, self.bob = self.world.user("alice"), self.world.user("bob")
        self.admin = self.world.user("admin", is_admin=True)
        resource = WorkspacesResource(
            self.world.parts.authenticator, Sharing(OriginPolicy(["*"])), self.world.administration
        )
        self.serve(tree({"v1/workspaces": resource}, HomeResource([])))

    def tearDown(self) -> None:
        """Go."""
        self.assertEqual(self.world.left_over(), {})

    def call(self, who: str, method: str, target: str, body: object = None) -> Response:
        """What somebody is answered."""
        payload = b"" if body is None else json.dumps(body).encode()
        return self.ask(method, target, f"Authorization: Bearer {who}", body=payload)

    def get(self, who: str, target: str) -> Any:
        """What somebody is shown."""
        response = self.call(who, "GET", target)
        self.assertEqual(response.status, 200, response.body)
        return json.loads(response.body)

    def assert_refused(self, status: int, who: str, method: str, target: str, body: object = None) -> None:
        """Somebody is refused, in JSON."""
        response = self.call(who, method, target, body)
        self.assertEqual(response.status, status, (method, target, response.body))
        self.assertEqual(set(json.loads(response.body)["error"]), {"code", "message"})

    def create(self, who: str, name: str, *, is_private: bool = False, workspace: str = DEFAULT) -> str:
        """Make a channel; its id."""
        response = self.call(who, "POST", f"{workspace}/channels", {"name": name, "isPrivate": is_private})
        self.assertEqual(response.status, 201, response.body)
        channel: str = json.loads(response.body)["id"]
        return channel


class ChannelTests(ResourceTestCase):
    """Channels."""

    def test_created(self) -> None:
        """A channel is answered with 201 and its model, and told."""
        bob = self.world.enter("bob")
        response = self.call("alice", "POST", f"{DEFAULT}/channels", {"name": "general"})
        self.assertEqual(response.status, 201)
        model = json.loads(response.body)
        self.assertEqual(
            (model["id"], model["is_private"], model["creator_id"]), ("1", False, str(self.alice.id))
        )
        self.assertEqual(bob.one("channel-created"), model)
        self.assertEqual(self.get("bob", f"{DEFAULT}/channels"), {"channels": [model], "next": None})
        self.assertEqual(self.get("bob", f"{DEFAULT}/channels/1"), model)

    def test_pages(self) -> None:
        """Channels come newest first, page by page."""
        ids = [self.create("alice", f"channel {number}") for number in range(5)]
        first = self.get("bob", f"{DEFAULT}/channels?limit=2")
        self.assertEqual([each["id"] for each in first["channels"]], [ids[4], ids[3]])
        second = self.get("bob", f"{DEFAULT}/channels?limit=2&before={first['next']}")
        self.assertEqual([each["id"] for each in second["channels"]], [ids[2], ids[1]])
        last = self.get("bob", f"{DEFAULT}/channels?limit=2&before={second['next']}")
        self.assertEqual(([each["id"] for each in last["channels"]], last["next"]), ([ids[0]], None))

    def test_changed(self) -> None:
        """Its creator and administrators give it another name; nobody else does."""
        channel = self.create("alice", "general")
        bob = self.world.enter("bob")
        for who, name in (("alice", "random"), ("admin", "lounge")):
            response = self.call(who, "PATCH", f"{DEFAULT}/channels/{channel}", {"name": name})
            self.assertEqual((response.status, json.loads(response.body)["name"]), (200, name))
            self.assertEqual(bob.one("channel-updated")["name"], name)
        self.assert_refused(403, "bob", "PATCH", f"{DEFAULT}/channels/{channel}", {"name": "mine"})
        self.assertEqual(bob.got(), [])

    def test_deleted(self) -> None:
        """The same for removing it, with what was said in it."""
        channel = self.create("alice", "general")
        bob = self.world.enter("bob")
        bob.send("message-send", channelId=channel, text="hello")
        bob.got()
        self.assert_refused(403, "bob", "DELETE", f"{DEFAULT}/channels/{channel}")
        response = self.call("alice", "DELETE", f"{DEFAULT}/channels/{channel}")
        self.assertEqual((response.status, response.body), (204, b""))
        self.assertEqual(bob.one("channel-deleted"), {"channelId": channel})
        self.assert_refused(404, "alice", "DELETE", f"{DEFAULT}/channels/{channel}")
        bob.send("message-send", channelId=channel, text="hello")
        self.assertEqual(bob.one("socket-api-error")["message"], "Not found")

    def test_history(self) -> None:
        """What was said is read back, oldest first, page by page."""
        channel = self.create("alice", "general")
        bob = self.world.enter("bob")
        for number in range(5):
            bob.send("message-send", channelId=channel, text=str(number))
        said = [payload for _, payload in bob.got()]
        found = self.get("alice", f"{DEFAULT}/channels/{channel}/messages?limit=2")
        self.assertEqual((found["messages"], found["next"]), (said[3:], said[3]["id"]))
        found = self.get("alice", f"{DEFAULT}/channels/{channel}/messages?before={found['next']}")
        self.assertEqual(found, {"messages": said[:3], "next": None})

    def test_private(self) -> None:
        """A private channel is there for its members, and for administrators."""
        channel = self.create("alice", "secret", is_private=True)
        path = f"{DEFAULT}/channels/{channel}"
        for target in (path, f"{path}/messages"):
            self.assert_refused(404, "bob", "GET", target)
            self.assertEqual(self.call("admin", "GET", target).status, 200)
        self.assertEqual(self.get("bob", f"{DEFAULT}/channels")["channels"], [])
        self.assertEqual(
            [each["id"] for each in self.get("alice", f"{DEFAULT}/channels")["channels"]], [channel]
        )
        alice, bob = self.world.enter("alice"), self.world.enter("bob")
        self.assert_refused(404, "bob", "PUT", f"{path}/members/{self.bob.id}")
        self.assertEqual(self.call("alice", "PUT", f"{path}/members/{self.bob.id}").status, 204)
        self.assertEqual(alice.one("user-joined")["user"], {"id": str(self.bob.id), "name": "bob"})
        self.assertEqual([event for event, _ in bob.got()], ["channel-created", "user-joined"])
        bob.send("message-send", channelId=channel, text="hello")
        self.assertEqual((alice.one("message-created"), bob.one("message-created"))[0]["text"], "hello")
        self.assert_refused(403, "bob", "DELETE", f"{path}/members/{self.alice.id}")
        self.assertEqual(self.call("bob", "DELETE", f"{path}/members/{self.bob.id}").status, 204)
        left = {"userId": str(self.bob.id), "workspaceId": "default", "channelId": channel}
        self.assertEqual((alice.one("user-leaved-workspace"), bob.one("user-leaved-workspace")), (left, left))
        alice.send("message-send", channelId=channel, text="he is gone")
        self.assertEqual(bob.got(), [])

    def test_members_of_an_open_channel(self) -> None:
        """Nobody is taken into a channel that is everybody's."""
        channel = self.create("alice", "general")
        for method in ("PUT", "DELETE"):
            self.assert_refused(409, "alice", method, f"{DEFAULT}/channels/{channel}/members/{self.bob.id}")


class WorkspaceTests(ResourceTestCase):
    """Workspaces and their members."""

    def test_listed(self) -> None:
        """Everybody belongs to the first one while it is open, and can't leave it."""
        self.assertEqual(self.get("alice", ROOT), {"workspaces": [{"id": "default", "name": "default"}]})
        self.assert_refused(409, "admin", "PUT", f"{DEFAULT}/members/{self.bob.id}")
        self.assert_refused(409, "bob", "DELETE", f"{DEFAULT}/members/{self.bob.id}")

    def test_members(self) -> None:
        """Members are listed with how present they look."""
        self.world.enter("alice"), self.world.enter("bob", "idle")
        members = self.get("alice", f"{DEFAULT}/members")
        self.assertEqual(
            [(each["name"], each["onlineStatus"]) for each in members["members"]],
            [("alice", "online"), ("bob", "idle"), ("admin", "offline")],
        )
        first = self.get("alice", f"{DEFAULT}/members?limit=2")
        second = self.get("alice", f"{DEFAULT}/members?limit=2&after={first['next']}")
        self.assertEqual([each["name"] for each in second["members"]], ["admin"])

    def test_another(self) -> None:
        """Administrators make another and invite; who is connected hears at once what happens there."""
        self.assert_refused(403, "alice", "POST", ROOT, {"id": "team", "name": "Team"})
        response = self.call("admin", "POST", ROOT, {"id": "team", "name": "Team"})
        self.assertEqual((response.status, json.loads(response.body)), (201, {"id": "team", "name": "Team"}))
        self.assert_refused(409, "admin", "POST", ROOT, {"id": "team", "name": "Again"})
        alice, bob = self.world.enter("alice"), self.world.enter("bob")
        self.assert_refused(404, "alice", "GET", f"{ROOT}/team/channels")
        self.assert_refused(404, "alice", "POST", f"{ROOT}/team/channels", {"name": "general"})
        self.assert_refused(403, "alice", "PUT", f"{ROOT}/team/members/{self.alice.id}")
        self.assertEqual(self.call("admin", "PUT", f"{ROOT}/team/members/{self.alice.id}").status, 204)
        joined = {"user": {"id": str(self.alice.id), "name": "alice"}, "workspaceId": "team"}
        looks = {"userId": str(self.alice.id), "onlineStatus": "online"}
        self.assertEqual(alice.got(), [("user-joined", joined), ("online-status-updated", looks)])
        self.assertEqual(bob.got(), [])
        channel = self.create("alice", "general", workspace=f"{ROOT}/team")
        self.assertEqual((alice.one("channel-created")["workspace_id"], bob.got()), ("team", []))
        bob.send("message-send", channelId=channel, text="hello")
        self.assertEqual(bob.one("socket-api-error")["message"], "Not found")
        self.assertEqual([each["id"] for each in self.get("alice", ROOT)["workspaces"]], ["default", "team"])
        secret = self.create("alice", "secret", is_private=True, workspace=f"{ROOT}/team")
        alice.got()
        self.assertEqual(self.call("alice", "DELETE", f"{ROOT}/team/members/{self.alice.id}").status, 204)
        self.assertEqual(alice.one("user-leaved-workspace")["workspaceId"], "team")
        for each in (channel, secret):
            alice.send("message-send", channelId=each, text="hello")
            self.assertEqual(alice.one("socket-api-error")["message"], "Not found")
        self.assert_refused(404, "admin", "DELETE", f"{ROOT}/team/members/{self.alice.id}")
        self.assert_refused(404, "admin", "PUT", f"{ROOT}/team/members/999")

    def test_publish(self) -> None:
        """A back end tells everybody, or some, an event of its own."""
        alice, bob = self.world.enter("alice"), self.world.enter("bob")
        body: dict[str, object] = {"event": "task-created", "data": {"id": 7, "☃": [None]}}
        self.assert_refused(403, "alice", "POST", f"{DEFAULT}/events", body)
        self.assertEqual(self.call("admin", "POST", f"{DEFAULT}/events", body).status, 204)
        for client in (alice, bob):
            self.assertEqual(client.one("task-created"), {"id": 7, "☃": [None]})
        body["userIds"] = [str(self.bob.id), self.bob.id, "999"]
        self.assertEqual(self.call("admin", "POST", f"{DEFAULT}/events", body).status, 204)
        self.assertEqual((alice.got(), bob.one("task-created")["id"]), ([], 7))
        for event in ("connect", "disconnect", ""):
            self.assert_refused(400, "admin", "POST", f"{DEFAULT}/events", {"event": event})


class ClosedTests(ResourceTestCase):
    """A first workspace to which one is invited."""

    is_open = False

    def test_invited(self) -> None:
        """Who is not invited finds nothing."""
        self.assertEqual(self.get("alice", ROOT), {"workspaces": []})
        alice = self.world.enter("alice")
        alice.send("channel-create", name="general")
        self.assertEqual(alice.one("socket-api-error")["message"], "Not found")
        self.assertEqual(self.call("admin", "PUT", f"{DEFAULT}/members/{self.alice.id}").status, 204)
        alice.got()
        alice.send("channel-create", name="general")
        self.assertEqual(alice.one("channel-created")["name"], "general")
        self.assertEqual(
            [each["name"] for each in self.get("alice", f"{DEFAULT}/members")["members"]], ["alice"]
        )


class FaultTests(ResourceTestCase):
    """Whatever is asked."""

    def test_no_token(self) -> None:
        """Without a valid token: 401."""
        self.assert_refused(401, "wrong", "GET", ROOT)
        self.assertEqual(self.ask("GET", ROOT).status, 401)

    def test_not_there(self) -> None:
        """What is not there is 404, whatever stands in its place."""
        channel = self.create("alice", "general")
        for target in (
            *(
                f"{ROOT}/other/channels",
                f"{DEFAULT}/nothing",
                f"{DEFAULT}/channels/999",
                f"{DEFAULT}/channels/x",
            ),
            *(f"{DEFAULT}/channels/{2**40}", f"{DEFAULT}/channels/-1", f"{DEFAULT}/channels/{channel}/x"),
            *(f"{ROOT}/other/members", f"{ROOT}/other/channels/{channel}", f"{ROOT}/%00/channels"),
        ):
            self.assert_refused(404, "alice", "GET", target)
        for method in ("POST", "PATCH", "PUT", "DELETE"):
            self.assert_refused(404, "admin", method, f"{DEFAULT}/nothing/at/all", {"name": "general"})

    def test_bodies(self) -> None:
        """What is not the JSON that is expected is 400."""
        channel = self.create("alice", "general")
        bad: list[object] = [
            {},
            [],
            {"name": "ab"},
            {"name": 7},
            {"name": "x" * 101},
            {"name": "a\0bc"},
            "general",
        ]
        for body in bad:
            self.assert_refused(400, "alice", "POST", f"{DEFAULT}/channels", body)
            self.assert_refused(400, "alice", "PATCH", f"{DEFAULT}/channels/{channel}", body)
        response = self.ask("POST", f"{DEFAULT}/channels", "Authorization: Bearer alice", body=b"{" * 70_000)
        self.assertEqual(response.status, 400)
        for body in ({"id": "a b", "name": "x"}, {"id": "", "name": "x"}, {"id": "x" * 65, "name": "x"}):
            self.assert_refused(400, "admin", "POST", ROOT, body)
        self.assert_refused(400, "alice", "GET", f"{DEFAULT}/channels?limit=0")

    def test_unavailable(self) -> None:
        """While the database is away: 503."""
        self.world.database.away = True
        for method, target, body in (
            ("GET", ROOT, None),
            ("POST", f"{DEFAULT}/channels", {"name": "general"}),
            ("GET", f"{DEFAULT}/members", None),
        ):
            self.assert_refused(503, "alice", method, target, body)

    def test_pages_of_browsers(self) -> None:
        """A browser's question what it may is answered with all methods."""
        response = self.ask("OPTIONS", ROOT, "Origin: https://app.example")
        self.assertEqual(response.status, 204)
        allowed = set(response.headers["access-control-allow-methods"].split(", "))
        self.assertEqual(allowed, {"GET", "POST", "PATCH", "PUT", "DELETE"})
