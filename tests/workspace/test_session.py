"""workspace's rules: authentication by event, error pairs, channels, messages, presence."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from realtime.accounts.authentication import Identity
from realtime.accounts.errors import IssuerUnavailable, TokenInvalid
from realtime.storage.errors import StorageUnavailable
from realtime.workspace import store
from tests.workspace.world import START, UNAUTHENTICATED, World


class SessionTestCase(SynchronousTestCase):
    """A world with three users; at the end nothing may be left."""

    def setUp(self) -> None:
        """Build it."""
        self.begin(World())

    def begin(self, world: World) -> None:
        """Have another one."""
        self.world = world
        self.alice, self.bob, self.carol = [world.user(name) for name in ("alice", "bob", "carol")]

    def tearDown(self) -> None:
        """Go."""
        self.assertEqual(self.world.left_over(), {})


class AuthenticationTests(SessionTestCase):
    """The event ``auth``."""

    def test_success(self) -> None:
        """A good token, under either name; the transaction comes back if there was one."""
        for payload, answer in (
            ({"data": "alice", "transaction": "t"}, {"transaction": "t", "userId": str(self.alice.id)}),
            ({"token": "alice", "more": 1}, {"userId": str(self.alice.id)}),
        ):
            client = self.world.connect()
            client.send("auth", payload, acknowledge=True)
            self.assertEqual(client.got()[0], ("auth-success", answer))
            self.assertEqual(client.acknowledged, [answer])

    def test_not_authenticated(self) -> None:
        """Before that nothing is done and nothing heard."""
        client, other = self.world.connect(), self.world.enter("bob")
        client.send("channel-create", name="general", transaction="t1", acknowledge=True)
        self.assertEqual(
            client.got(),
            [
                ("socket-api-error-t1", "Not authenticated"),
                ("socket-api-error", {"event": "channel-create", "message": "Not authenticated"}),
            ],
        )
        self.assertEqual(client.acknowledged, [{"error": "Not authenticated"}])
        other.send("channel-create", name="general")
        self.assertEqual(client.got(), [])

    def test_failures(self) -> None:
        """A wrong token leaves the connection open for another try; the fifth ends it."""
        client = self.world.connect()
        for number in range(4):
            client.send("auth", data="wrong", transaction=str(number))
            self.assertEqual(
                client.got(),
                [
                    (f"socket-api-error-{number}", "Invalid access token"),
                    ("socket-api-error", {"event": "auth", "message": "Invalid access token"}),
                ],
            )
        patient = self.world.connect()
        patient.send("auth", data="wrong")
        patient.send("auth", data="alice")
        self.assertEqual(patient.got()[-2][0], "auth-success")
        client.send("auth", data="wrong")
        self.assertEqual(client.got()[-1], ("disconnected", None))

    def test_odd(self) -> None:
        """What is no token is an invalid format, and none of the five."""
        client = self.world.connect()
        asleep = {"data": "alice", "onlineStatus": "asleep"}
        odd: list[object] = [{}, {"data": 1}, [], "alice", asleep, {"data": "a\0"}]
        for payload in odd:
            client.send("auth", payload)
            message = 'Invalid data format for "auth" event'
            self.assertEqual(client.got(), [("socket-api-error", {"event": "auth", "message": message})])

    def test_too_late(self) -> None:
        """Without a token in time it is disconnected."""
        client = self.world.connect()
        self.world.clock.advance(UNAUTHENTICATED - 1)
        self.assertEqual(client.got(), [])
        self.world.clock.advance(1)
        self.assertEqual(client.got(), [("disconnected", None)])

    def test_again(self) -> None:
        """The same user succeeds again; another one changes nothing."""
        client = self.world.enter("alice")
        client.send("auth", data="alice")
        self.assertEqual(client.one("auth-success"), {"userId": str(self.alice.id)})
        client.send("auth", data="bob")
        self.assertEqual(client.one("socket-api-error")["event"], "auth")
        client.send("channel-create", name="general")
        self.assertEqual(client.one("channel-created")["creator_id"], str(self.alice.id))

    def test_away(self) -> None:
        """A token that can't be checked now is not called wrong, however often."""
        for away in (StorageUnavailable("away"), IssuerUnavailable("away")):
            self.world.authenticator.away = away
            client = self.world.connect()
            for _ in range(6):
                client.send("auth", data="alice")
                self.assertEqual(client.one("socket-api-error")["message"], "Temporarily unavailable")
            self.world.authenticator.away = None
            client.send("auth", data="alice")
            self.assertEqual(client.got()[0][0], "auth-success")

    def test_held(self) -> None:
        """What comes right behind the token is taken after it; too much of it is refused."""
        held = self.world.authenticator.held = []
        client = self.world.connect()
        client.send("auth", data="alice")
        client.send("channel-create", name="general")
        self.assertEqual(client.got(), [])
        for _ in range(700):
            client.send("channel-create", name="another")
        refused = client.got()
        self.assertEqual(refused[0][1], {"event": "channel-create", "message": "Too many requests"})
        held[0].callback(Identity(self.alice, None))
        events = [event for event, _ in client.got()]
        self.assertEqual(events[:2], ["auth-success", "channel-created"])
        self.assertEqual(events[-1], "online-status-updated")

    def test_again_while_serving(self) -> None:
        """What is sent behind another token waits for it; what is told comes meanwhile."""
        alice, bob = self.world.enter("alice"), self.world.enter("bob")
        held = self.world.authenticator.held = []
        alice.send("auth", data="alice")
        alice.send("channel-create", name="general")
        alice.send("auth", data="wrong")
        self.assertEqual(alice.got(), [])
        bob.send("channel-create", name="another")
        self.assertEqual(alice.one("channel-created")["name"], "another")
        held[0].callback(Identity(self.alice, None))
        self.assertEqual([event for event, _ in alice.got()], ["auth-success", "channel-created"])
        held[1].errback(TokenInvalid("wrong"))
        self.assertEqual(alice.one("socket-api-error"), {"event": "auth", "message": "Invalid access token"})

    def test_expired_while_the_next_is_checked(self) -> None:
        """Who has shown a new token in time is served by that once it is checked, and not disconnected."""
        held = self.world.authenticator.held = []
        client = self.world.connect()
        client.send("auth", data="alice")
        held[0].callback(Identity(self.alice, START + 100.0))
        self.world.clock.advance(99)
        client.send("auth", data="alice")
        client.got()
        self.world.clock.advance(1)
        self.assertEqual(client.one("socket-api-error"), {"event": "auth", "message": "Token expired"})
        bob = self.world.connect()
        bob.send("auth", data="bob")
        held[2].callback(Identity(self.bob, None))
        bob.send("channel-create", name="meanwhile")
        self.assertEqual(client.got(), [])
        held[1].callback(Identity(self.alice, None))
        self.assertEqual(client.got()[0][0], "auth-success")
        self.world.clock.advance(100)
        bob.send("channel-create", name="general")
        self.assertEqual(client.one("channel-created")["name"], "general")

    def test_gone_meanwhile(self) -> None:
        """Who goes while the token is checked leaves nothing."""
        held = self.world.authenticator.held = []
        client = self.world.connect()
        client.send("auth", data="alice")
        client.go()
        held[0].callback(Identity(self.alice, None))
        self.assertEqual(self.world.identified, [])

    def test_too_many(self) -> None:
        """More connections than a user may have are disconnected."""
        self.world.too_many = True
        client = self.world.connect()
        client.send("auth", data="alice")
        self.assertEqual(client.got(), [("disconnected", None)])

    def test_expired(self) -> None:
        """When the token ends nothing more is delivered, and 30 seconds remain for another."""
        held = self.world.authenticator.held = []
        clients = [self.world.connect() for _ in range(2)]
        for client in clients:
            client.send("auth", data="alice")
        for waiting in held:
            waiting.callback(Identity(self.alice, START + 100.0))
        self.world.authenticator.held = None
        bob = self.world.enter("bob")
        self.world.clock.advance(100)
        expired = [("socket-api-error", {"event": "auth", "message": "Token expired"})]
        self.assertEqual([client.got() for client in clients], [expired, expired])
        self.assertEqual(bob.one("online-status-updated")["onlineStatus"], "offline")
        bob.send("channel-create", name="general")
        self.assertEqual([client.got() for client in clients], [[], []])
        clients[0].send("message-send", channelId="1", text="hello")
        self.assertEqual(clients[0].one("socket-api-error")["message"], "Not authenticated")
        clients[0].send("auth", data="alice")
        self.assertEqual(clients[0].got()[0][0], "auth-success")
        self.world.clock.advance(30)
        self.assertEqual(clients[1].got()[-1], ("disconnected", None))
        bob.send("channel-create", name="another")
        self.assertEqual(clients[0].got()[-1][1]["name"], "another")


class ChannelTests(SessionTestCase):
    """Channels and what is said in them."""

    def test_created(self) -> None:
        """A channel is told to every connection of every member, its creator's included."""
        alice, second, bob = [self.world.enter(name) for name in ("alice", "alice", "bob")]
        alice.send("channel-create", name="general", transaction="t", acknowledge=True)
        model = {
            "id": "1",
            "name": "general",
            "is_private": False,
            "workspace_id": "default",
            "creator_id": str(self.alice.id),
            "created_at": "2026-09-21T14:13:20.000Z",
        }
        for client in (alice, second, bob):
            self.assertEqual(client.one("channel-created"), model)
        self.assertEqual(alice.acknowledged, [model])

    def test_private(self) -> None:
        """A private one only to its own members."""
        alice, second, bob = [self.world.enter(name) for name in ("alice", "alice", "bob")]
        alice.send("channel-create", name="secret", isPrivate=True)
        for client in (alice, second):
            self.assertTrue(client.one("channel-created")["is_private"])
        alice.send("message-send", channelId="1", text="hello")
        self.assertEqual(second.one("message-created")["text"], "hello")
        bob.send("message-send", channelId="1", text="hello")
        self.assertEqual(bob.one("socket-api-error"), {"event": "message-send", "message": "Not found"})
        later = self.world.connect()
        later.send("auth", data="alice")
        later.got()
        alice.send("message-send", channelId="1", text="again")
        self.assertEqual(later.one("message-created")["text"], "again")

    def test_said(self) -> None:
        """A message is told once it is stored; the same ``clientId`` again stores and tells nothing."""
        alice, bob = self.world.enter("alice"), self.world.enter("bob")
        alice.send("channel-create", name="general")
        alice.got(), bob.got()
        self.world.database.held = True
        alice.send("message-send", channelId="1", text="Hello ☃", clientId="c1", acknowledge=True)
        self.assertEqual((bob.got(), alice.acknowledged), ([], []))
        self.world.database.held = False
        self.world.database.commit()
        message = {
            "id": "1",
            "channelId": "1",
            "userId": str(self.alice.id),
            "text": "Hello ☃",
            "createdAt": "2026-09-21T14:13:20.000Z",
        }
        self.assertEqual((bob.one("message-created"), alice.one("message-created")), (message, message))
        alice.send("message-send", channelId=1, text="Hello ☃", clientId="c1", acknowledge=True)
        self.assertEqual((bob.got(), alice.got()), ([], []))
        self.assertEqual(alice.acknowledged, [message, message])
        bob.send("message-send", channelId="1", text="mine", clientId="c1")
        self.assertEqual(alice.one("message-created")["text"], "mine")

    def test_odd(self) -> None:
        """Wrong payloads and unknown events have their errors."""
        alice = self.world.enter("alice")
        alice.send("channel-create", name="general")
        alice.got()
        odd: list[tuple[str, object]] = [
            ("channel-create", {"name": "ab"}),
            ("channel-create", {"name": "x" * 101}),
            ("channel-create", {"name": "general", "isPrivate": "yes"}),
            ("channel-create", None),
            ("message-send", {"channelId": "1", "text": ""}),
            ("message-send", {"channelId": "1", "text": "x" * 10_001}),
            ("message-send", {"channelId": "1", "text": "a\0b"}),
            ("message-send", {"channelId": 1.5, "text": "hello"}),
            ("online-status", {}),
            ("online-status", {"onlineStatus": "Online"}),
        ]
        for event, payload in odd:
            alice.send(event, payload)
            message = f'Invalid data format for "{event}" event'
            self.assertEqual(alice.one("socket-api-error"), {"event": event, "message": message}, payload)
        alice.send("no-such", transaction="t")
        self.assertEqual(
            [payload for _, payload in alice.got()],
            ["Unknown event", {"event": "no-such", "message": "Unknown event"}],
        )
        for channel in ("2", "0", "x", 2**40):
            alice.send("message-send", channelId=channel, text="hello")
            self.assertEqual(alice.one("socket-api-error")["message"], "Not found")
        for transaction in ("", "x" * 129, 1, None, ["t"]):
            alice.send("no-such", transaction=transaction)
            self.assertEqual(alice.one("socket-api-error")["message"], "Unknown event")

    def test_unavailable(self) -> None:
        """While the database is away nothing is told, and the sender hears why."""
        alice, bob = self.world.enter("alice"), self.world.enter("bob")
        alice.send("channel-create", name="general")
        alice.got(), bob.got()
        self.world.database.away = True
        for event, payload in (
            ("message-send", {"channelId": "1", "text": "hello"}),
            ("channel-create", {"name": "another"}),
        ):
            alice.send(event, payload, acknowledge=True)
            self.assertEqual(alice.one("socket-api-error")["message"], "Temporarily unavailable")
        self.assertEqual((bob.got(), alice.acknowledged), ([], [{"error": "Temporarily unavailable"}] * 2))

    def test_fault_of_ours(self) -> None:
        """A fault of ours is logged, and is as if we were away."""
        alice = self.world.enter("alice")
        broken: Deferred[None] = Deferred()
        self.patch(self.world.parts.channels, "say", lambda *_: broken)
        alice.send("message-send", channelId="1", text="hello")
        broken.errback(ZeroDivisionError())
        self.assertEqual(alice.one("socket-api-error")["message"], "Temporarily unavailable")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_account_gone(self) -> None:
        """Whose account is removed while it is connected has no valid token any more."""
        bob = self.world.enter("bob")
        bob.send("channel-create", name="general")
        bob.got()
        for event, payload in (
            ("message-send", {"channelId": "1", "text": "hello"}),
            ("channel-create", {"name": "another"}),
            ("channel-create", {"name": "another", "isPrivate": True}),
        ):
            user = self.world.user("short-lived")
            client = self.world.enter("short-lived")
            bob.got()
            self.world.database.query("DELETE FROM users WHERE id = ?", user.id)
            client.send(event, payload, acknowledge=True)
            self.assertEqual(client.acknowledged, [{"error": "Invalid access token"}])
            error = ("socket-api-error", {"event": event, "message": "Invalid access token"})
            self.assertEqual(client.got(), [error, ("disconnected", None)])
            self.assertEqual(bob.one("online-status-updated")["onlineStatus"], "offline")

    def test_deleted_meanwhile(self) -> None:
        """Who writes into a channel that is deleted at that moment hears that it is not there, and stays."""
        alice = self.world.enter("alice")
        alice.send("channel-create", name="general")
        alice.got()
        self.world.database.query("DELETE FROM workspace_channels")
        alice.send("message-send", channelId="1", text="hello", acknowledge=True)
        self.assertEqual(alice.acknowledged, [{"error": "Not found"}])
        alice.got()
        alice.send("channel-create", name="another")
        self.assertEqual(alice.one("channel-created")["name"], "another")

    def test_too_many(self) -> None:
        """Who is in too many private channels may make no more of them."""
        self.patch(store, "MOST_PRIVATE", 1)
        alice = self.world.enter("alice")
        alice.send("channel-create", name="secret", isPrivate=True)
        alice.got()
        alice.send("channel-create", name="another", isPrivate=True, acknowledge=True)
        self.assertEqual(alice.one("socket-api-error")["message"], "Not allowed")
        self.assertEqual(alice.acknowledged, [{"error": "Not allowed"}])
        alice.send("channel-create", name="general")
        self.assertEqual(alice.one("channel-created")["name"], "general")


class PresenceTests(SessionTestCase):
    """How present a user looks."""

    def test_statuses(self) -> None:
        """The most present of a user's connections counts, and only changes are told."""
        bob = self.world.enter("bob")
        first = self.world.connect()
        first.send("auth", data="alice", onlineStatus="idle")
        self.assertEqual(
            bob.one("online-status-updated"), {"userId": str(self.alice.id), "onlineStatus": "idle"}
        )
        second = self.world.connect()
        second.send("auth", data="alice")
        self.assertEqual(bob.one("online-status-updated")["onlineStatus"], "online")
        first.send("online-status", onlineStatus="online", acknowledge=True)
        self.assertEqual(first.acknowledged, [{"userId": str(self.alice.id), "onlineStatus": "online"}])
        second.send("online-status", onlineStatus="idle")
        self.assertEqual(bob.got(), [])
        first.send("online-status", onlineStatus="offline")
        self.assertEqual(bob.one("online-status-updated")["onlineStatus"], "idle")
        first.send("online-status", onlineStatus="idle")
        self.assertEqual(bob.got(), [])
        second.go()
        self.assertEqual(bob.got(), [])
        first.go()
        self.assertEqual(bob.one("online-status-updated")["onlineStatus"], "offline")

    def test_hidden(self) -> None:
        """Who says offline is there, and nobody is told."""
        bob, alice = self.world.enter("bob"), self.world.enter("alice", "offline")
        self.assertEqual(bob.got(), [])
        alice.go()
        self.assertEqual(bob.got(), [])
