"""What a connection has missed on the way between processes: it is shown all of it, once, and nothing else."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.accounts.store import User
from realtime.closing import CloseCode
from realtime.cluster.catching_up import AGAIN_SECONDS
from realtime.support.messages import MESSAGES_AT_ONCE
from tests.cluster.separable import Shared
from tests.support.world import RecordingPeer, World


class GapTestCase(SynchronousTestCase):
    """Alice and Olga at a process that is cut off; Otto, and a tab of Alice's, at the other."""

    def setUp(self) -> None:
        """Start both, and enter."""
        self.begin()

    def begin(self, **settings: Any) -> None:
        """Start two processes with these settings."""
        self.shared = Shared()
        self.cut, self.well = self.shared.process(), self.shared.process()
        self.here = World(cluster=self.cut, **settings)
        self.there = World(cluster=self.well, beside=self.here, **settings)
        self.alice, self.bob = self.here.user("alice"), self.here.user("bob")
        self.olga, self.otto = (self.here.user(name, is_admin=True) for name in ("olga", "otto"))
        self.a, self.o = self.here.enter(self.alice), self.here.enter(self.olga)
        self.tab, self.b = self.there.enter(self.alice), self.there.enter(self.bob)
        self.p = self.there.enter(self.otto)

    def tearDown(self) -> None:
        """All go; nothing is left."""
        for peer in (self.a, self.o, self.tab, self.b, self.p):
            peer.close(CloseCode.DONE)
        self.here.clock.advance(AGAIN_SECONDS)
        self.assertEqual(self.here.clock.getDelayedCalls(), [])
        self.here.database.close()

    def miss(self, *said: tuple[RecordingPeer, str, User | None]) -> None:
        """Let something be said there while here is cut off."""
        self.cut.cut()
        for peer, text, customer in said:
            if customer is None:
                peer.ask("message.send", text)
            else:
                peer.ask("message.operatorSend", text, customer.id)

    def store(self, customer: User, text: str, number: int | None = None, *, operator: str = "") -> None:
        """Let a message be committed that nobody hears of."""
        self.here.database.query(
            "INSERT INTO messages (id, user_id, invader_name, message, is_from_support) VALUES (?, ?, ?, ?, ?)",
            *(number, customer.id, operator, text, bool(operator)),
        )


class MessageTests(GapTestCase):
    """Messages."""

    def test_a_customer(self) -> None:
        """Is shown its own conversation, in order, with what was heard meanwhile in its place."""
        self.miss((self.tab, "one", None), (self.b, "no", None), (self.p, "two", self.alice))
        self.a.ask("message.send", "three")
        self.cut.heal()
        self.assertEqual(self.a.heard(), ["one", "two"])
        self.cut.heal()
        self.assertEqual(self.a.heard(), [])

    def test_an_operator(self) -> None:
        """Is shown open conversations and those that were answered; nothing from before it came."""
        self.b.ask("message.send", "before")
        self.p.ask("message.operatorSend", "answered", self.bob.id)
        late = self.here.enter(self.olga)
        self.assertEqual(self.o.heard(), ["before", "answered"])
        self.miss((self.tab, "one", None), (self.p, "two", self.alice), (self.b, "three", None))
        self.cut.heal()
        self.assertEqual((self.o.heard(), late.heard()), (["one", "two", "three"], ["one", "two", "three"]))
        late.close(CloseCode.DONE)

    def test_anothers_conversation(self) -> None:
        """What is in a conversation that another operator has is not shown."""
        self.miss((self.tab, "one", None), (self.b, "two", None))
        self.p.ask("message.assign", self.bob.id)
        self.cut.heal()
        self.assertEqual(self.o.heard(), ["one"])

    def test_whom_the_operator_talks_to(self) -> None:
        """Only what is news makes its conversation the current one."""
        self.b.ask("message.send", "one")
        self.o.ask("message.operatorSend", "two", self.alice.id)
        self.cut.cut()
        self.cut.heal()
        self.o.ask("message.operatorSend", "three")
        self.assertEqual(self.a.heard(), ["two", "three"])
        self.miss((self.b, "four", None))
        self.cut.heal()
        self.o.ask("message.operatorSend", "five")
        self.assertEqual(self.b.heard(), ["five"])

    def test_as_long_as_it_takes(self) -> None:
        """If the database is away as well, it is looked at when it is back; what is heard is shown before."""
        self.miss((self.tab, "one", None))
        self.here.database.away = True
        self.cut.heal()
        for _ in range(3):
            self.here.clock.advance(AGAIN_SECONDS)
        self.here.database.away = False
        self.tab.ask("message.send", "two")
        self.assertEqual((self.a.heard(), self.o.heard()), (["two"], ["two"]))
        self.here.clock.advance(AGAIN_SECONDS)
        self.assertEqual((self.a.heard(), self.o.heard()), (["one"], ["one"]))

    def test_while_it_authenticates(self) -> None:
        """A gap before a client was shown what there is: it is looked at afterwards."""
        self.cut.cut()
        late = self.here.connect()
        read = self.here.database.read

        def heal_first(*arguments: Any) -> Any:
            found = read(*arguments)
            if self.cut.is_cut and arguments[0].__name__ == "_history":
                self.store(self.alice, "just behind")
                self.cut.heal()
            return found

        self.patch(self.here.database, "read", heal_first)
        late.ask("message.auth", self.here.token(self.alice))
        self.here.clock.advance(AGAIN_SECONDS)
        self.assertEqual(late.heard(), ["just behind"])
        late.close(CloseCode.DONE)

    def test_what_it_is_just_saying(self) -> None:
        """Is not pushed to who says it, though it is stored and not acknowledged yet."""
        self.miss((self.tab, "one", None))
        self.here.database.held = True
        self.a.request("message.send", "two")
        self.o.request("message.operatorSend", "three", self.alice.id)
        self.cut.heal()
        self.here.database.held = False
        self.here.database.commit()
        for _ in range(2):
            self.here.clock.advance(AGAIN_SECONDS)
        self.assertEqual((sorted(self.a.heard()), sorted(self.o.heard())), (["one", "three"], ["one", "two"]))

    def test_committed_out_of_order(self) -> None:
        """A lower id that comes after a higher one was shown is shown, however much was shown since."""
        self.here.database.query("INSERT INTO sqlite_sequence (name, seq) VALUES ('messages', 50)")
        self.tab.ask("message.send", "higher")
        for number in range(100):
            self.tab.ask("message.send", str(number))
        self.a.heard()
        self.o.heard()
        self.store(self.alice, "lower", 50)
        self.cut.cut()
        self.cut.heal()
        self.assertEqual((self.a.heard(), self.o.heard()), (["lower"], ["lower"]))

    def test_more_than_one_page(self) -> None:
        """The newest thousand, as one is shown that authenticates."""
        self.cut.cut()
        for number in range(MESSAGES_AT_ONCE + 10):
            self.store(self.alice, str(number))
        self.cut.heal()
        expected = [str(number) for number in range(10, MESSAGES_AT_ONCE + 10)]
        self.assertEqual((self.a.heard(), self.o.heard()), (expected, expected))

    def test_as_much_as_fits(self) -> None:
        """And no more than `history_bytes`."""
        self.tearDown()
        self.begin(history_bytes=1000)
        self.cut.cut()
        for number in range(50):
            self.store(self.alice, str(number))
        self.cut.heal()
        heard = self.a.heard()
        self.assertEqual(heard, [str(number) for number in range(50 - len(heard), 50)])
        self.assertTrue(1 < len(heard) < 15)

    def test_gone(self) -> None:
        """Who has gone meanwhile is not looked for."""
        self.miss((self.tab, "one", None))
        self.here.database.away = True
        self.cut.heal()
        self.a.close(CloseCode.DONE)
        self.here.database.away = False
        self.here.clock.advance(AGAIN_SECONDS)
        self.assertEqual(self.a.sent, [])


class ChangesTests(GapTestCase):
    """How conversations stand."""

    def setUp(self) -> None:
        """Three conversations, which Olga has listed."""
        super().setUp()
        self.carol = self.here.user("carol")
        self.tab.ask("message.send", "one")
        self.b.ask("message.send", "two")
        self.o.ask("message.conversations")
        self.o.heard()

    def told(self) -> list[tuple[str, int, int | None]]:
        """What Olga was told since this was last asked."""
        changes = self.o.pushed("conversation")
        return sorted((each["user_name"], each["unread"], each["assigned_to"]) for each in changes)

    def test_only_what_differs(self) -> None:
        """Taken, given back and read; once."""
        self.cut.cut()
        self.p.ask("message.assign", self.alice.id)
        self.cut.heal()
        self.assertEqual(self.told(), [("alice", 1, self.otto.id)])
        self.cut.heal()
        self.assertEqual(self.told(), [])
        self.cut.cut()
        self.p.ask("message.release", self.alice.id)
        self.p.ask("message.seen", self.bob.id)
        self.cut.heal()
        self.assertEqual(self.told(), [("alice", 1, None), ("bob", 0, None)])

    def test_one_that_began(self) -> None:
        """A conversation that is newer than all that was listed is told; one that is older is not."""
        self.cut.cut()
        caro = self.there.enter(self.carol)
        caro.ask("message.send", "three")
        self.p.ask("message.assign", self.carol.id)
        late = self.here.enter(self.olga)
        late.ask("message.conversations", None, 1)
        self.cut.heal()
        self.here.clock.advance(AGAIN_SECONDS)
        self.assertEqual(self.told(), [("carol", 1, self.otto.id)])
        self.assertEqual([each["user_name"] for each in late.pushed("conversation")], ["carol"])
        for peer in (caro, late):
            peer.close(CloseCode.DONE)

    def test_nobody_asked(self) -> None:
        """Who knows only the document is told nothing of conversations."""
        late = self.here.enter(self.olga)
        self.cut.cut()
        self.p.ask("message.assign", self.alice.id)
        self.cut.heal()
        self.assertEqual(late.pushed("conversation"), [])
        late.close(CloseCode.DONE)

    def test_while_it_can_not_be_known(self) -> None:
        """What was listed while Redis was away is set right when it is back, also without a gap."""
        self.p.ask("message.assign", self.alice.id)
        self.told()
        late = self.here.enter(self.olga)
        self.cut.cut()
        listed = late.ask("message.conversations")["conversations"]
        self.assertEqual([each["assigned_to"] for each in listed], [None, None])
        self.cut.is_cut = False
        self.here.clock.advance(AGAIN_SECONDS)
        (change,) = late.pushed("conversation")
        self.assertEqual((change["user_name"], change["assigned_to"]), ("alice", self.otto.id))
        late.close(CloseCode.DONE)


STEPS = st.lists(
    st.tuples(st.sampled_from(["send", "answer", "cut", "heal", "hold", "commit", "tick"]), st.integers(0, 3)),
    max_size=40,
)


class InterleavingTests(SynchronousTestCase):
    """Whatever is lost on the way, in whatever order things happen."""

    @settings(max_examples=40, deadline=None)
    @given(STEPS)
    def test_everything_is_shown_once(self, steps: list[tuple[str, int]]) -> None:
        """In the end a customer's connection was shown all that is stored, each once; so was an operator's."""
        shared = Shared()
        processes = [shared.process(), shared.process()]
        worlds = [World(cluster=processes[0])]
        worlds.append(World(cluster=processes[1], beside=worlds[0]))
        database = worlds[0].database
        alice, olga = worlds[0].user("alice"), worlds[0].user("olga", is_admin=True)
        customers = [worlds[number % 2].enter(alice) for number in range(4)]
        operators = [worlds[number % 2].enter(olga) for number in range(4)]
        for number, (step, who) in enumerate(steps):
            if step == "send":
                customers[who].request("message.send", f"m{number}")
            elif step == "answer":
                operators[who].request("message.operatorSend", f"m{number}", alice.id)
            elif step == "cut":
                processes[who % 2].cut()
            elif step == "heal":
                processes[who % 2].heal()
            elif step == "hold":
                database.held = True
            elif step == "tick":
                worlds[0].clock.advance(AGAIN_SECONDS)
            else:
                database.held = False
                database.commit()
        database.held = False
        database.commit()
        for process in processes:
            process.heal()
        for _ in range(3):
            worlds[0].clock.advance(AGAIN_SECONDS)
        stored = [row[0] for row in database.query("SELECT id FROM messages ORDER BY id")]
        for peer in (*customers, *operators):
            shown = [frame["result"]["message"]["message_id"] for frame in peer.sent]
            self.assertEqual(sorted(shown), stored)
            peer.close(CloseCode.DONE)
        worlds[0].clock.advance(AGAIN_SECONDS)
        self.assertEqual((worlds[0].clock.getDelayedCalls(), shared.held), ([], {}))
        database.close()
