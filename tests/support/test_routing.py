"""Who is shown what: customers' connections, operators, assignment."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from realtime.closing import CloseCode
from realtime.cluster.errors import ClusterUnavailable
from tests.support.world import START, RecordingPeer, World


class RoutingTestCase(SynchronousTestCase):
    """Two customers and two operators, each with one connection."""

    def setUp(self) -> None:
        """Make the world and enter it."""
        self.world = World()
        self.addCleanup(self.world.database.close)
        self.alice = self.world.user("alice")
        self.bob = self.world.user("bob")
        self.olga = self.world.user("olga", is_admin=True)
        self.otto = self.world.user("otto", is_admin=True)
        self.a, self.b = self.world.enter(self.alice), self.world.enter(self.bob)
        self.o, self.p = self.world.enter(self.olga), self.world.enter(self.otto)

    def heard(self) -> dict[str, list[str]]:
        """What each of the four was pushed since this was last asked, if anything."""
        heard = {name: getattr(self, name).heard() for name in "abop"}
        return {name: texts for name, texts in heard.items() if texts}


class PushTests(RoutingTestCase):
    """What is pushed, and to whom."""

    def test_a_customers_message(self) -> None:
        """Goes to the customer's other connections and to all operators, not to its sender."""
        tab = self.world.enter(self.alice)
        self.a.ask("message.send", "one")
        self.assertEqual(tab.heard(), ["one"])
        self.assertEqual(self.heard(), {"o": ["one"], "p": ["one"]})

    def test_an_operators_message(self) -> None:
        """Goes to the customer and to the other operators, not to its sender."""
        self.a.ask("message.send", "one")
        self.heard()
        answer = self.o.ask("message.operatorSend", "two")["message"]
        self.assertEqual((answer["invader_name"], answer["is_from_support"]), ("olga", True))
        self.assertEqual((answer["user_id"], answer["user_name"]), (self.alice.id, "alice"))
        self.assertEqual(self.heard(), {"a": ["two"], "p": ["two"]})

    def test_the_form_of_a_push(self) -> None:
        """Customers get the document's keys and nothing else; operators two more; the id is null."""
        self.o.ask("message.operatorSend", "one", self.alice.id)
        (push,) = self.a.sent
        self.assertEqual(
            push,
            {
                "error": None,
                "result": {
                    "message": {
                        "message_id": 1,
                        "message_text": "one",
                        "invader_name": "olga",
                        "is_from_support": True,
                        "created": START,
                    }
                },
                "id": None,
            },
        )
        (message,) = self.p.pushed("message")
        self.assertEqual((message["user_id"], message["user_name"]), (self.alice.id, "alice"))

    def test_the_id_as_the_sample_draws_it(self) -> None:
        """With ``push_id = "message_id"`` the id is the message's."""
        world = World(with_id=True)
        self.addCleanup(world.database.close)
        alice = world.user("alice")
        first, second = world.enter(alice), world.enter(alice)
        first.ask("message.send", "one")
        (push,) = second.sent
        self.assertEqual((push["id"], push["result"]["message"]["message_id"]), (1, 1))

    def test_nobody_is_there(self) -> None:
        """What is said waits, and is shown to the next operator, oldest first."""
        self.o.close(CloseCode.DONE)
        self.p.close(CloseCode.DONE)
        self.a.ask("message.send", "one")
        self.b.ask("message.send", "two")
        shown = self.world.connect().ask("message.auth", self.world.token(self.olga))["messages"]
        self.assertEqual(
            [(message["message_text"], message["user_id"]) for message in shown],
            [("one", self.alice.id), ("two", self.bob.id)],
        )

    def test_only_open_conversations_are_shown(self) -> None:
        """Those whose last message is the customer's, with all that was said in them."""
        for text in ("one", "two"):
            self.a.ask("message.send", text)
        self.b.ask("message.send", "three")
        self.o.ask("message.operatorSend", "four", self.bob.id)
        self.o.ask("message.operatorSend", "five", self.alice.id)
        self.a.ask("message.send", "six")
        shown = self.world.connect().ask("message.auth", self.world.token(self.otto))["messages"]
        self.assertEqual([message["message_text"] for message in shown], ["one", "two", "five", "six"])

    def test_a_long_conversation_hides_no_other(self) -> None:
        """Each open conversation has its share of the thousand messages."""
        self.b.ask("message.send", "the oldest")
        for _ in range(3):
            self.world.database.query(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)"
                " INSERT INTO messages (user_id, invader_name, message, is_from_support)"
                " SELECT ?, '', i, 0 FROM n",
                self.alice.id,
            )
        self.a.ask("message.send", "the newest")
        shown = self.world.connect().ask("message.auth", self.world.token(self.otto))["messages"]
        self.assertEqual(shown[0]["message_text"], "the oldest")
        self.assertEqual(shown[-1]["message_text"], "the newest")
        self.assertLessEqual(len(shown), 1000)


class AddresseeTests(RoutingTestCase):
    """Whom an operator answers."""

    def test_whoever_was_shown_last(self) -> None:
        """An answer without a name goes to the customer whose message was pushed last."""
        self.a.ask("message.send", "one")
        self.b.ask("message.send", "two")
        self.heard()
        self.o.ask("message.operatorSend", "to b")
        self.a.ask("message.send", "three")
        self.heard()
        self.o.ask("message.operatorSend", "to a")
        self.assertEqual(self.heard(), {"a": ["to a"], "p": ["to a"]})

    def test_whoever_was_addressed_last(self) -> None:
        """A name makes its customer the current one, from this moment on."""
        self.b.ask("message.send", "one")
        self.heard()
        self.world.database.held = True
        self.o.request("message.operatorSend", "two", self.alice.id)
        self.o.request("message.operatorSend", "three")
        self.world.database.commit()
        self.assertEqual(self.heard(), {"a": ["two", "three"], "p": ["two", "three"]})

    def test_addressed_from_another_connection(self) -> None:
        """Who was addressed last is the operator's, not the connection's."""
        tab = self.world.enter(self.olga)
        self.o.ask("message.operatorSend", "one", self.alice.id)
        self.assertIn("message", tab.ask("message.operatorSend", "two"))
        self.assertEqual(self.a.heard(), ["one", "two"])

    def test_another_operators_answer(self) -> None:
        """Does not change whom this one talks to."""
        self.a.ask("message.send", "one")
        self.p.ask("message.operatorSend", "two", self.bob.id)
        self.heard()
        self.o.ask("message.operatorSend", "three")
        self.assertEqual(self.a.heard(), ["three"])

    def test_what_was_shown_at_authentication(self) -> None:
        """Counts like a push: a client that knows only the document can answer it."""
        self.a.ask("message.send", "one")
        late = self.world.enter(self.otto)
        late.ask("message.operatorSend", "two")
        self.assertEqual(self.a.heard(), ["two"])

    def test_nobody(self) -> None:
        """Error 2, without an addressee or with one that doesn't exist; nothing is stored."""
        self.assertEqual(self.o.ask("message.operatorSend", "one"), 2)
        for nobody in (0, -1, 99, 2**32, 2**70):
            self.assertEqual(self.o.ask("message.operatorSend", "one", nobody), 2)
            self.assertEqual(self.o.ask("message.history", nobody), 2)
            self.assertEqual(self.o.ask("message.assign", nobody), 2)
        self.assertEqual(self.o.ask("message.history"), 2)
        self.assertEqual(self.world.database.query("SELECT count(*) FROM messages"), [(0,)])

    def test_an_unknown_customer_changes_nothing(self) -> None:
        """The current conversation stays what it was."""
        self.a.ask("message.send", "one")
        self.assertEqual(self.o.ask("message.operatorSend", "two", 99), 2)
        self.o.ask("message.operatorSend", "three")
        self.assertEqual(self.a.heard(), ["three"])

    def test_history_of_a_customer(self) -> None:
        """Operators read any conversation, the current one if none is named."""
        self.a.ask("message.send", "one")
        self.b.ask("message.send", "two")
        (shown,) = self.o.ask("message.history", self.alice.id)["messages"]
        self.assertEqual((shown["message_text"], shown["user_name"]), ("one", "alice"))
        (shown,) = self.o.ask("message.history")["messages"]
        self.assertEqual(shown["message_text"], "two")


class AssignmentTests(RoutingTestCase):
    """Who has which conversation."""

    def test_a_taken_conversation(self) -> None:
        """Is pushed to the operator who has it, on all connections, and to no other operator."""
        self.a.ask("message.send", "one")
        taken = self.o.ask("message.assign", self.alice.id)["conversation"]
        self.assertEqual((taken["user_id"], taken["assigned_to"]), (self.alice.id, self.olga.id))
        tab = self.world.enter(self.olga)
        self.heard()
        self.a.ask("message.send", "two")
        self.b.ask("message.send", "three")
        self.assertEqual(self.heard(), {"o": ["two", "three"], "p": ["three"]})
        self.assertEqual(tab.heard(), ["two", "three"])

    def test_taken_over(self) -> None:
        """Another operator may take it, and has it then."""
        self.a.ask("message.send", "one")
        self.o.ask("message.assign", self.alice.id)
        self.p.ask("message.assign", self.alice.id)
        self.heard()
        self.a.ask("message.send", "two")
        self.assertEqual(self.heard(), {"p": ["two"]})

    def test_given_back(self) -> None:
        """Only by who has it; then it is for all again."""
        self.a.ask("message.send", "one")
        self.o.ask("message.assign", self.alice.id)
        self.assertEqual(self.p.ask("message.release", self.alice.id), 2)
        given = self.o.ask("message.release", self.alice.id)["conversation"]
        self.assertIsNone(given["assigned_to"])
        self.heard()
        self.a.ask("message.send", "two")
        self.assertEqual(self.heard(), {"o": ["two"], "p": ["two"]})

    def test_nothing_to_take(self) -> None:
        """A customer who never wrote has no conversation."""
        for method in ("assign", "release", "seen"):
            self.assertEqual(self.o.ask(f"message.{method}", self.alice.id), 2)

    def test_the_operator_drops(self) -> None:
        """What is unanswered goes to the others, once; what they had seen does not come again."""
        self.a.ask("message.send", "one")
        self.o.ask("message.assign", self.alice.id)
        self.o.ask("message.assign", self.alice.id)
        self.a.ask("message.send", "two")
        self.a.ask("message.send", "three")
        self.assertEqual(self.p.heard(), ["one"])
        self.o.close(CloseCode.DONE)
        self.assertEqual(self.p.heard(), ["two", "three"])
        self.a.ask("message.send", "four")
        self.assertEqual(self.p.heard(), ["four"])
        self.p.ask("message.operatorSend", "five")
        self.assertEqual(self.a.heard(), ["five"])

    def test_only_the_last_connection_counts(self) -> None:
        """An operator with another connection keeps its conversations."""
        tab = self.world.enter(self.olga)
        self.a.ask("message.send", "one")
        self.o.ask("message.assign", self.alice.id)
        self.o.close(CloseCode.DONE)
        self.heard()
        self.a.ask("message.send", "two")
        self.assertEqual((self.p.heard(), tab.heard()), ([], ["one", "two"]))

    def test_the_operator_drops_while_the_database_is_away(self) -> None:
        """Its conversations are free all the same."""
        self.a.ask("message.send", "one")
        self.o.ask("message.assign", self.alice.id)
        self.heard()
        self.world.database.away = True
        self.o.close(CloseCode.DONE)
        self.world.database.away = False
        self.a.ask("message.send", "two")
        self.assertEqual(self.p.heard(), ["two"])

    def test_it_can_not_be_known_who_has_it(self) -> None:
        """What is stored is acknowledged all the same, and is for all operators."""
        self.patch(self.world.leases, "holder", lambda name: fail(ClusterUnavailable("away")))
        self.assertIn("message", self.a.ask("message.send", "one"))
        self.assertIn("message", self.o.ask("message.operatorSend", "two"))
        self.assertEqual(self.heard(), {"a": ["two"], "o": ["one"], "p": ["one", "two"]})

    def test_the_operator_drops_while_taking(self) -> None:
        """Nobody who is not there has a conversation."""
        self.a.ask("message.send", "one")
        take = self.world.leases.take

        def drop_first(name: str, holder: str) -> Any:
            self.o.close(CloseCode.DONE)
            return take(name, holder)

        self.patch(self.world.leases, "take", drop_first)
        self.o.request("message.assign", self.alice.id)
        lease = self.world.leases.holder(f"support.conversation.{self.alice.id}")
        self.assertIsNone(self.successResultOf(lease))


class ConversationTests(RoutingTestCase):
    """The list that operators work from."""

    def test_most_recent_first(self) -> None:
        """With the last message, the count of unread ones and who has it; by the page."""
        self.a.ask("message.send", "one")
        self.b.ask("message.send", "two")
        self.a.ask("message.send", "three")
        self.o.ask("message.assign", self.bob.id)
        listed = self.p.ask("message.conversations")["conversations"]
        self.assertEqual(
            [
                (
                    each["user_id"],
                    each["user_name"],
                    each["last_message"]["message_text"],
                    each["unread"],
                    each["assigned_to"],
                )
                for each in listed
            ],
            [
                (self.alice.id, "alice", "three", 2, None),
                (self.bob.id, "bob", "two", 1, self.olga.id),
            ],
        )
        self.assertEqual(list(listed[0]), ["user_id", "user_name", "last_message", "unread", "assigned_to"])
        newest = listed[0]["last_message"]["message_id"]
        (older,) = self.p.ask("message.conversations", newest)["conversations"]
        self.assertEqual(older["user_name"], "bob")
        self.assertEqual(len(self.p.ask("message.conversations", None, 1)["conversations"]), 1)

    def test_read_marks(self) -> None:
        """Marking as seen, and answering, leave nothing unread; what comes after is."""
        self.a.ask("message.send", "one")
        seen = self.o.ask("message.seen", self.alice.id)["conversation"]
        self.assertEqual(seen["unread"], 0)
        self.a.ask("message.send", "two")
        self.a.ask("message.send", "three")
        (listed,) = self.o.ask("message.conversations")["conversations"]
        self.assertEqual(listed["unread"], 2)
        self.o.ask("message.operatorSend", "four", self.alice.id)
        (listed,) = self.o.ask("message.conversations")["conversations"]
        self.assertEqual((listed["unread"], listed["last_message"]["message_text"]), (0, "four"))

    def test_changes(self) -> None:
        """Are pushed to operators who have asked for the list, but not to who made them."""
        self.a.ask("message.send", "one")
        self.p.ask("message.conversations")
        self.p.ask("message.conversations")
        self.heard()
        self.o.ask("message.assign", self.alice.id)
        self.o.ask("message.seen", self.alice.id)
        self.o.close(CloseCode.DONE)
        changes = self.p.pushed("conversation")
        self.assertEqual(
            [(each["assigned_to"], each["unread"]) for each in changes],
            [(self.olga.id, 1), (self.olga.id, 0), (None, 0)],
        )
        self.p.ask("message.seen", self.alice.id)
        self.assertEqual(self.p.pushed("conversation"), [])
        self.assertEqual((self.o.sent, self.a.sent), ([], []))


class GapTests(RoutingTestCase):
    """What was lost on the way between processes is found in the database."""

    def lose(self, *texts: str) -> None:
        """Let alice say something that nobody is told of, and tell all that there was a gap."""
        subscriptions = self.world.bus._listeners
        self.world.bus._listeners = {}
        for text in texts:
            self.world.desk.say(self.alice, text, "elsewhere")
        self.world.bus._listeners = subscriptions

    def test_both_sides_catch_up(self) -> None:
        """Each is shown what it missed, in order, once, and nothing that it had seen."""
        self.a.ask("message.send", "zero")
        self.heard()
        tab = self.world.enter(self.alice)
        self.lose("one", "two")
        for peer in (self.a, tab, self.o):
            participant: Any = peer.session._participant
            participant._gap()
        self.assertEqual(self.heard(), {"a": ["one", "two"], "o": ["one", "two"]})
        self.assertEqual(tab.heard(), ["one", "two"])
        self.a.ask("message.send", "three")
        self.assertEqual((tab.heard(), self.o.heard()), (["three"], ["three"]))

    def test_the_id_as_the_sample_draws_it(self) -> None:
        """A push of what was missed has the id that any other push has."""
        self.world = World(with_id=True)
        self.addCleanup(self.world.database.close)
        self.alice = self.world.user("alice")
        tab = self.world.enter(self.alice)
        self.lose("one")
        participant: Any = tab.session._participant
        participant._gap()
        self.assertEqual([(each["id"], each["error"]) for each in tab.sent], [(1, None)])


class EndTests(RoutingTestCase):
    """What stays when all have gone."""

    def test_nothing_stays(self) -> None:
        """No subscription, presence, lease or timer."""
        self.a.ask("message.send", "one")
        self.o.ask("message.assign", self.alice.id)
        self.p.ask("message.conversations")
        for name in "abop":
            getattr(self, name).close(CloseCode.DONE)
        self.assertEqual(len(self.world.bus), 0)
        members = self.successResultOf(self.world.presence.members("support.operators"))
        lease = self.world.leases.holder(f"support.conversation.{self.alice.id}")
        self.assertEqual((members, self.successResultOf(lease)), (frozenset(), None))
        self.assertEqual(self.world.clock.getDelayedCalls(), [])


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "leave", "send", "answer", "commit", "hold", "assign"]),
        st.integers(0, 3),
    ),
    max_size=60,
)


class InterleavingTests(SynchronousTestCase):
    """Whatever happens in whatever order."""

    @settings(max_examples=150, deadline=None)
    @given(STEPS)
    def test_everything_is_shown_once_in_order(self, steps: list[tuple[str, int]]) -> None:
        """What a connection is shown is what was stored since it came, each once, in order."""
        world = World()
        users = [world.user("alice"), world.user("bob")]
        operators = [world.user("olga", is_admin=True), world.user("otto", is_admin=True)]
        people = users + operators
        tokens = [world.token(user) for user in people]
        open_peers: list[tuple[int, RecordingPeer]] = []
        for number, (step, who) in enumerate(steps):
            own = [peer for owner, peer in open_peers if owner == who]
            if step == "enter":
                peer = world.connect()
                peer.request("message.auth", tokens[who])
                open_peers.append((who, peer))
            elif step == "commit":
                world.database.held = False
                world.database.commit()
            elif step == "hold":
                world.database.held = True
            elif own and step == "leave":
                own[0].close(CloseCode.DONE)
                open_peers.remove((who, own[0]))
            elif own and step == "send" and who < 2:
                own[0].request("message.send", f"m{number}")
            elif own and step == "answer" and who >= 2:
                own[0].request("message.operatorSend", f"m{number}", users[number % 2].id)
            elif own and step == "assign" and who >= 2:
                own[0].request("message.assign", users[number % 2].id)
        world.database.held = False
        world.database.commit()
        stored = {
            user.id: [
                row[0]
                for row in world.database.query(
                    "SELECT id FROM messages WHERE user_id = ? ORDER BY id", user.id
                )
            ]
            for user in users
        }
        for who, peer in open_peers:
            shown: list[int] = []
            for frame in peer.sent:
                self.assertIn(frame["error"], (None, {"code": 2, "message": "No conversation."}), frame)
                result = frame["result"] or {}
                shown += [each["message_id"] for each in result.get("messages") or ()]
                if "message" in result:
                    shown.append(result["message"]["message_id"])
            self.assertEqual(len(shown), len(set(shown)), "each once")
            if who < 2:
                self.assertEqual(shown, stored[people[who].id], "all, in order")
        for _, peer in open_peers:
            peer.close(CloseCode.DONE)
        self.assertEqual(len(world.bus), 0)
        members = self.successResultOf(world.presence.members("support.operators"))
        self.assertEqual(members, frozenset())
        world.database.close()
