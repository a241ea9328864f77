"""Where a connection is: in the rooms of all places where its user belongs, and in no other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from realtime.accounts.store import User
from realtime.cluster.errors import ClusterUnavailable
from realtime.web.api import Refused
from realtime.workspace.hub import Moved
from realtime.workspace.membership import Places
from realtime.workspace.messages import ChannelModel, SendMessage
from tests.workspace.world import Client, World

NAMES = ("alice", "bob", "carol")


class Reads:
    """Answers where users belong as it was when that was asked for, but when the test says so."""

    def __init__(self, test: AttendanceTestCase) -> None:
        self._membership: Any = test.world.parts.membership
        self._places = self._membership.places
        self._waiting: list[tuple[Deferred[Places], Places]] = []
        test.patch(self._membership, "places", self._ask)

    def _ask(self, user: User) -> Deferred[Places]:
        answers: list[Places] = []
        self._places(user).addCallback(answers.append)
        waiting: Deferred[Places] = Deferred()
        self._waiting.append((waiting, answers[0]))
        return waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def answer(self) -> None:
        """Answer the one that was asked first."""
        waiting, answer = self._waiting.pop(0)
        waiting.callback(answer)


class AttendanceTestCase(SynchronousTestCase):
    """A world with three users and an administrator; at the end nothing may be left."""

    is_open = True

    def setUp(self) -> None:
        """Build it."""
        self.world = World(is_open=self.is_open)
        self.users = {name: self.world.user(name) for name in NAMES}
        self.admin = self.world.user("admin", is_admin=True)

    def tearDown(self) -> None:
        """Go."""
        self.assertEqual(self.world.left_over(), {})

    def do(self, work: Any) -> Any:
        """Have something done; what comes of it."""
        return self.successResultOf(Deferred.fromCoroutine(work))

    def create(self, name: str, *, is_private: bool = True, workspace: str = "default") -> ChannelModel:
        """A channel of somebody's."""
        create = self.world.administration.create_channel
        channel: ChannelModel = self.do(create(self.users[name], workspace, "channel", is_private))
        return channel

    def take_in(self, channel: ChannelModel, name: str) -> None:
        """Take somebody in."""
        self.do(self.world.administration.take_in(channel, self.users[name].id))

    def put_out(self, channel: ChannelModel, name: str) -> None:
        """Put somebody out."""
        self.do(self.world.administration.put_out(channel, self.users[name].id))

    def hears(self, client: Client, channel: ChannelModel, speaker: Client) -> bool:
        """Whether somebody hears what is said in a channel."""
        client.got()
        speaker.send("message-send", channelId=channel.id, text="hello")
        return "message-created" in [event for event, _ in client.got()]


class MovedTests(AttendanceTestCase):
    """What happens to those who are connected."""

    def test_all_connections(self) -> None:
        """All connections of who is taken in hear of it and what is said; of who is put out, no more."""
        alice, *bobs = [self.world.enter(name) for name in ("alice", "bob", "bob")]
        secret = self.create("alice")
        for _ in range(2):  # twice is once
            self.take_in(secret, "bob")
        for bob in bobs:
            self.assertEqual([event for event, _ in bob.got()], ["channel-created", "user-joined"])
        for bob in bobs:
            self.assertTrue(self.hears(bob, secret, alice))
        self.put_out(secret, "bob")
        for bob in bobs:
            self.assertEqual(bob.got()[-1][0], "user-leaved-workspace")
            self.assertFalse(self.hears(bob, secret, alice))

    def test_deleted(self) -> None:
        """Who was in a channel that is deleted hears that, and nothing is left of the room."""
        alice, bob = self.world.enter("alice"), self.world.enter("bob")
        before = len(self.world.hub)
        secret = self.create("alice")
        self.take_in(secret, "bob")
        self.assertEqual(len(self.world.hub), before + 1)
        self.do(self.world.administration.delete_channel(secret))
        for client in (alice, bob):
            self.assertEqual(client.got()[-1], ("channel-deleted", {"channelId": secret.id}))
        self.assertEqual(len(self.world.hub), before)

    def test_changed_meanwhile(self) -> None:
        """What is done to a channel that is gone by then is answered, and told to nobody."""
        secret = self.create("alice")
        alice = self.world.enter("alice")
        administration = self.world.administration
        self.do(administration.delete_channel(secret))
        alice.got()
        for work in (
            administration.rename_channel(secret, "renamed"),
            administration.delete_channel(secret),
            administration.take_in(secret, self.users["bob"].id),
            administration.put_out(secret, self.users["alice"].id),
        ):
            refused: Any = self.failureResultOf(Deferred.fromCoroutine(work), Refused).value
            self.assertEqual(refused.status, 404)
        self.assertEqual(alice.got(), [])

    def test_any_order(self) -> None:
        """What two processes say may come in either order: where it ends is what the database says."""
        bob = self.world.enter("bob")
        rooms = bob.session.rooms
        secret = self.create("alice")
        self.world.hub.move(self.users["bob"].id, Moved(joins=(f"channel.{secret.id}",)))
        self.assertEqual(bob.session.rooms, rooms)
        self.world.hub.move(self.users["bob"].id, Moved(leaves=("workspace.default",)))
        self.assertEqual(bob.session.rooms, rooms)

    def test_put_out_while_it_comes_in(self) -> None:
        """Who is put out while it is looked up where it belongs does not get in."""
        alice, secret = self.world.enter("alice"), self.create("alice")
        self.take_in(secret, "bob")
        reads = Reads(self)
        bob = self.world.connect()
        bob.send("auth", data="bob")
        self.put_out(secret, "bob")
        reads.answer()
        self.assertEqual((bob.got(), bob.session.rooms), ([], frozenset()))
        reads.answer()
        self.assertEqual(bob.got()[0][0], "auth-success")
        self.assertFalse(self.hears(bob, secret, alice))
        self.assertEqual(len(reads), 0)

    def test_moved_while_it_is_looked_up(self) -> None:
        """However often one is moved meanwhile, it is looked up once more."""
        alice, bob = self.world.enter("alice"), self.world.enter("bob")
        secret = self.create("alice")
        reads = Reads(self)
        for _ in range(5):
            self.take_in(secret, "bob")
            self.put_out(secret, "bob")
        self.take_in(secret, "bob")
        for _ in range(2):
            self.assertEqual(len(reads), 1)
            reads.answer()
        self.assertEqual(len(reads), 0)
        self.assertTrue(self.hears(bob, secret, alice))

    def test_away(self) -> None:
        """While it can't be looked up one stays where one was told to be, and no longer."""
        bob, secret = self.world.enter("bob"), self.create("alice")
        self.world.database.away = True
        self.world.hub.move(self.users["bob"].id, Moved(joins=(f"channel.{secret.id}",)))
        self.world.clock.pump([1] * 5)
        self.assertIn(f"channel.{secret.id}", bob.session.rooms)
        self.world.database.away = False
        self.world.clock.advance(1)
        self.assertNotIn(f"channel.{secret.id}", bob.session.rooms)

    def test_a_fault_of_ours(self) -> None:
        """The same for a fault of ours, which is logged."""
        bob = self.world.enter("bob")
        broken: Deferred[Places] = Deferred()
        self.patch(self.world.parts.membership, "places", lambda _: broken)
        self.world.hub.move(self.users["bob"].id, Moved())
        broken.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        bob.send("online-status", onlineStatus="idle")
        self.assertEqual(bob.one("online-status-updated")["onlineStatus"], "idle")

    def test_gone_meanwhile(self) -> None:
        """Who goes while it is looked up leaves nothing, whether it was in or not."""
        bob, secret = self.world.enter("bob"), self.create("alice")
        reads = Reads(self)
        self.take_in(secret, "bob")
        coming = self.world.connect()
        coming.send("auth", data="bob")
        bob.go()
        coming.go()
        for _ in range(2):
            reads.answer()
        self.assertEqual((bob.session.rooms, coming.session.rooms), (frozenset(), frozenset()))

    def test_nothing_before_success(self) -> None:
        """Until all that is told in its rooms gets here it hears nothing and has not succeeded."""
        carried: Deferred[list[None]] = Deferred()
        self.patch(self.world.hub, "carried", lambda _: carried)
        bob = self.world.connect()
        bob.send("auth", data="bob")
        self.create("alice", is_private=False)
        secret = self.create("alice")
        self.take_in(secret, "bob")
        self.assertEqual(bob.got(), [])
        carried.callback([])
        self.create("alice", is_private=False)
        events = [event for event, _ in bob.got()]
        self.assertEqual(events, ["auth-success", "channel-created", "online-status-updated"])

    def test_out_of_reach(self) -> None:
        """While other processes are out of reach one can be there, but can't say how one looks."""

        def away(*_: object) -> Deferred[bool]:
            raise ClusterUnavailable

        bob = self.world.enter("bob")
        patch = self.patch(self.world.presence, "enter", away)
        alice = self.world.connect()
        alice.send("auth", data="alice", acknowledge=True)
        self.assertEqual([event for event, _ in alice.got()], ["auth-success"])
        alice.send("online-status", onlineStatus="idle", acknowledge=True)
        self.assertEqual(alice.one("socket-api-error")["message"], "Temporarily unavailable")
        alice.send("channel-create", name="general")
        self.assertEqual(bob.one("channel-created")["name"], "general")
        patch.restore()
        self.world.clock.advance(2)
        self.assertEqual(bob.one("online-status-updated")["onlineStatus"], "idle")

    def test_taken_in_where_it_is(self) -> None:
        """Who is in the room already hears of what is told there by the room alone."""
        bob, secret = self.world.enter("bob"), self.create("alice")
        self.take_in(secret, "bob")
        bob.got()
        self.world.hub.take_in(self.users["bob"].id, f"channel.{secret.id}", "user-joined", {"n": 1})
        self.assertEqual(bob.got(), [("user-joined", {"n": 1})])

    def test_taken_in_where_nobody_was(self) -> None:
        """What is told to a room before that gets here is heard late; and who comes hears of itself, once."""
        bob, secret = self.world.enter("bob"), self.create("alice")
        active: Deferred[None] = Deferred()
        subscribe = self.world.bus.subscribe

        def later(topic: Any, listener: Any, gap: Any = None) -> Any:
            deaf = subscribe(topic, lambda _: None, gap)
            return SimpleNamespace(active=active, cancel=deaf.cancel)

        patch = self.patch(self.world.bus, "subscribe", later)
        self.take_in(secret, "bob")
        patch.restore()
        self.assertEqual([event for event, _ in bob.got()], ["channel-created", "user-joined"])
        said = self.successResultOf(
            self.world.parts.channels.say(
                self.users["alice"], SendMessage(secret.id, "hello"), int(self.world.clock.seconds() * 1000)
            )
        )
        assert said is not None
        self.world.hub.say(said)
        self.assertEqual(bob.got(), [])
        active.callback(None)
        self.world.clock.advance(0.1)
        self.assertEqual(bob.one("message-created")["text"], "hello")


class ClosedTests(AttendanceTestCase):
    """A first workspace to which one is invited."""

    is_open = False

    def test_invited(self) -> None:
        """Who is invited finds itself among those who joined, and hears all from then on; twice is once."""
        administration = self.world.administration
        alice, bob = self.world.enter("alice"), self.world.enter("bob")
        self.do(administration.invite(self.admin, "default", self.users["bob"].id))
        bob.got()
        self.do(administration.invite(self.admin, "default", self.users["alice"].id))
        joined = {"user": {"id": str(self.users["alice"].id), "name": "alice"}, "workspaceId": "default"}
        looks = {"userId": str(self.users["alice"].id), "onlineStatus": "online"}
        for client in (alice, bob):
            self.assertEqual(client.got(), [("user-joined", joined), ("online-status-updated", looks)])
        self.do(administration.invite(self.admin, "default", self.users["alice"].id))
        self.assertEqual([client.got() for client in (alice, bob)], [[], []])
        alice.send("online-status", onlineStatus="idle")
        self.assertEqual(bob.one("online-status-updated"), alice.one("online-status-updated"))
        self.do(administration.remove(self.admin, "default", self.users["bob"].id))
        self.assertEqual(alice.one("user-leaved-workspace"), bob.one("user-leaved-workspace"))
        alice.go()
        self.assertEqual(bob.got(), [])
