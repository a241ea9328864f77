"""What a connection has missed on the way between processes: it is told all of it, once, and nothing else."""

from __future__ import annotations

from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster.catching_up import AGAIN_SECONDS
from realtime.market import history_store
from realtime.market.catching_up import REMEMBERED, Knowledge
from realtime.market.codec import Form
from realtime.market.exchange import Told
from realtime.market.messages import AlertNewMessage, Conversation, Message, MessageSeen, User
from tests.cluster.separable import Separable, Shared
from tests.market.world import Market, Trader

ASK, CONVERSATIONS, CREATE, STATUS, OPENED, ALERT, SEEN = 5, 6, 7, 8, 9, 16, 17
UPDATE, PROPOSE, PRICE = 0xE0, 0xE1, 0xE5
PING = 1


class TwoProcesses:
    """Alice at a process that is cut off, her phone and Bob at the other."""

    def __init__(self, **settings: Any) -> None:
        self.shared = Shared()
        self.cut: Separable = self.shared.process()
        well = self.shared.process()
        self.here = Market(cluster=self.cut, **settings)
        self.there = Market(cluster=well, beside=self.here, **settings)
        self.alice_user, self.bob_user = self.here.user("alice"), self.here.user("bob")
        self.alice = self.here.enter("alice", Form.TEXT)
        self.phone = self.there.enter("alice", Form.BINARY)
        self.bob = self.there.enter("bob", Form.MSGPACK)

    def end(self) -> dict[str, int]:
        """All go; what is left."""
        for peer in self.there.peers + self.here.peers:
            peer.go()
        return {**self.there.left_over(close=False), **self.here.left_over()}


class MarketTestCase(SynchronousTestCase):
    """Two who have spoken."""

    def setUp(self) -> None:
        """Begin a conversation."""
        self.world = TwoProcesses()
        self.here, self.cut = self.world.here, self.world.cut
        self.alice, self.phone, self.bob = self.world.alice, self.world.phone, self.world.bob
        self.alice.send(CREATE, {"msg": "Hello", "to": self.world.bob_user.id})
        self.conversation: int = self.packets(self.alice)[0][1]["conversation"]
        self.packets(self.phone)
        self.packets(self.bob)

    def tearDown(self) -> None:
        """Go; nothing is left."""
        self.assertEqual(self.world.end(), {})

    def packets(self, trader: Trader) -> list[tuple[int, Any]]:
        """What came but PINGs."""
        return [packet for packet in trader.packets() if packet[0] != PING]

    def contents(self, trader: Trader) -> list[str]:
        """What somebody was told of, which was nothing but messages."""
        packets = self.packets(trader)
        self.assertEqual({opcode for opcode, _ in packets} - {ALERT}, set())
        return [body["json"]["content"] for _, body in packets]

    def say(self, trader: Trader, content: str) -> None:
        """Say something, and see the STATUS."""
        trader.send(CREATE, {"msg": content, "conversation": self.conversation})
        (body,) = [body for opcode, body in self.packets(trader) if opcode == STATUS]
        self.assertTrue(body["sent"])

    def again(self) -> None:
        """Let a second pass."""
        self.here.clock.advance(AGAIN_SECONDS)


class GapTests(MarketTestCase):
    """After a gap."""

    def test_across(self) -> None:
        """While all is well nobody can tell which process it is on."""
        self.say(self.bob, "one")
        self.assertEqual((self.contents(self.alice), self.contents(self.phone)), (["one"], ["one"]))
        self.bob.send(OPENED, {"conversation": self.conversation})
        for each in (self.alice, self.phone):
            ((opcode, _),) = self.packets(each)
            self.assertEqual(opcode, SEEN)

    def test_messages(self) -> None:
        """The other party's, and those of the own other connections; once, as they would have been told."""
        self.say(self.bob, "zero")
        self.assertEqual(self.contents(self.alice), ["zero"])
        self.cut.cut()
        self.say(self.bob, "one")
        self.say(self.phone, "two")
        self.say(self.alice, "three")
        self.packets(self.phone)
        self.packets(self.bob)
        self.cut.heal()
        told = self.packets(self.alice)
        self.assertEqual(
            [(opcode, body["json"]["content"]) for opcode, body in told], [(ALERT, "one"), (ALERT, "two")]
        )
        self.assertEqual(list(told[0][1]), ["conversation", "json"])
        self.assertEqual(told[0][1]["json"]["sender"], {"id": self.world.bob_user.id, "username": "bob"})
        self.assertEqual((self.contents(self.phone), self.contents(self.bob)), (["three"], ["three"]))
        self.assertEqual(self.packets(self.alice), [])
        self.cut.cut()
        self.cut.heal()
        self.assertEqual(self.packets(self.alice), [])

    def test_nothing_from_before(self) -> None:
        """A connection is told nothing that was said before it began."""
        self.here.clock.advance(0.002)
        late = self.here.enter("alice", Form.TEXT)
        self.cut.cut()
        self.say(self.bob, "one")
        self.cut.heal()
        self.assertEqual(self.contents(late), ["one"])

    def test_seen(self) -> None:
        """What it knows as unseen and is seen now; once, also if it hears of that later."""
        self.say(self.alice, "one")
        self.cut.cut()
        self.say(self.alice, "two")
        self.bob.send(OPENED, {"conversation": self.conversation})
        self.assertEqual(self.packets(self.alice), [])
        self.cut.heal()
        told = self.packets(self.alice)
        self.assertEqual([opcode for opcode, _ in told], [SEEN, SEEN, SEEN])
        self.assertEqual([body["message"] for _, body in told], [1, 2, 3])
        self.assertEqual(told[0][1], {"conversation": self.conversation, "message": 1})
        self.cut.heal()
        self.assertEqual(self.packets(self.alice), [])

    def test_seen_of_what_was_shown(self) -> None:
        """What it was shown in a list counts as known, though it was said before it began."""
        self.here.clock.advance(1)
        late = self.here.enter("alice", Form.TEXT)
        late.send(ASK)
        self.assertEqual([opcode for opcode, _ in self.packets(late)], [CONVERSATIONS])
        stranger = self.here.enter("alice", Form.TEXT)
        self.cut.cut()
        self.bob.send(OPENED, {"conversation": self.conversation})
        self.cut.heal()
        self.assertEqual([opcode for opcode, _ in self.packets(late)], [SEEN])
        self.assertEqual(self.packets(stranger), [])

    def test_services(self) -> None:
        """What the system said is followed by how things stand, once for each conversation."""
        self.cut.cut()
        self.bob.send(PROPOSE, {"conversation": self.conversation, "service": {"price": 10}})
        self.bob.send(PRICE, {"conversation": self.conversation, "price": 12})
        self.cut.heal()
        told = self.packets(self.alice)
        self.assertEqual([opcode for opcode, _ in told], [ALERT, ALERT, UPDATE])
        (service,) = told[-1][1]["services"]
        self.assertEqual((told[-1][1]["conversation"], service["price"]), (self.conversation, "12.00"))

    def test_what_was_listed(self) -> None:
        """Is not told once more, neither after a gap nor if it is heard of afterwards."""
        self.cut.cut()
        self.say(self.bob, "one")
        self.alice.send(ASK)
        ((_, (shown,)),) = self.packets(self.alice)
        self.assertEqual([each["content"] for each in shown["messages"]], ["Hello", "one"])
        self.cut.heal()
        self.assertEqual(self.packets(self.alice), [])

    def test_as_long_as_it_takes(self) -> None:
        """If the database is away as well it is looked at when it is back; what is heard is not kept back."""
        self.cut.cut()
        self.say(self.bob, "one")
        self.here.database.away = True
        self.cut.heal()
        self.again()
        self.here.database.away = False
        self.say(self.bob, "two")
        self.assertEqual(self.contents(self.alice), ["two"])
        self.again()
        self.assertEqual(self.contents(self.alice), ["one"])

    def test_what_comes_while_it_looks(self) -> None:
        """Is told behind what it finds."""
        self.cut.cut()
        self.say(self.bob, "one")
        read, looking = self.here.database.read, Deferred[Any]()
        with mock.patch.object(self.here.database, "read") as slow:
            slow.side_effect = lambda *asked: looking.addCallback(lambda _: found.result)
            found: Deferred[Any] = read(history_store.conversations, self.world.alice_user.id, None, 50)
            self.cut.heal()
            self.say(self.bob, "two")
            self.assertEqual(self.contents(self.alice), [])
            looking.callback(None)
        self.assertEqual(self.contents(self.alice), ["one", "two"])

    def test_what_it_is_just_saying(self) -> None:
        """Is answered and not told; the rest at once, and what is uncertain later."""
        self.cut.cut()
        self.say(self.phone, "one")
        self.say(self.bob, "two")
        self.here.database.held = True
        self.alice.send(CREATE, {"msg": "three", "conversation": self.conversation})
        self.cut.heal()
        self.assertEqual(self.contents(self.alice), ["two"])
        self.here.database.held = False
        self.here.database.commit()
        self.again()
        self.assertEqual(
            [(opcode, body["json"]["content"]) for opcode, body in self.packets(self.alice)],
            [(STATUS, "three"), (ALERT, "one")],
        )

    def test_gone(self) -> None:
        """Who has gone meanwhile is not looked for."""
        self.cut.cut()
        self.here.database.away = True
        self.cut.heal()
        self.alice.peer.go()
        self.here.database.away = False
        with mock.patch.object(self.here.database, "read") as read:
            self.again()
        read.assert_not_called()


class KnowledgeTests(SynchronousTestCase):
    """What is remembered, and for how long."""

    def setUp(self) -> None:
        """Alice's, from the moment 1000 on."""
        self.alice, self.bob = User(1, "alice"), User(2, "bob")
        self.knowledge = Knowledge(1, 1000)

    def message(self, number: int, sender: User | None = None, *, seen: bool = False) -> Message:
        """A message, created at the moment of its number."""
        return Message(number, sender or self.bob, "", seen, number, 3)

    def missed(self, *messages: Message) -> list[int]:
        """The messages and notices that are told if these are found."""
        found = Conversation(3, self.bob, 0, False, messages, ())
        told, is_all = self.knowledge.missed([found], but_own=False)
        self.assertTrue(is_all)
        return [
            each.message if isinstance(each, MessageSeen) else each.message.id
            for one in told
            for each in one.messages()
            if isinstance(each, (AlertNewMessage, MessageSeen))
        ]

    def test_the_same_object(self) -> None:
        """What is all news is passed on as it is, so that it is built once for all."""
        told = Told(alert=AlertNewMessage(3, self.message(1001)), seen=(MessageSeen(3, 7),))
        self.assertIs(self.knowledge.news_of(told), told)
        self.assertIsNone(self.knowledge.news_of(told))

    def test_a_notice_that_comes_late(self) -> None:
        """Is passed over, and others beside it are not."""
        self.knowledge.learn(self.message(1001, self.alice))
        self.assertEqual(self.missed(self.message(1001, self.alice, seen=True)), [1001])
        news = self.knowledge.news_of(Told(seen=(MessageSeen(3, 1001), MessageSeen(3, 1002))))
        self.assertEqual(news, Told(seen=(MessageSeen(3, 1002),)))

    def test_a_notice_in_time(self) -> None:
        """Is not given again."""
        self.knowledge.learn(self.message(1001, self.alice))
        self.knowledge.news_of(Told(seen=(MessageSeen(3, 1001),)))
        self.assertEqual(self.missed(self.message(1001, self.alice, seen=True)), [])

    def test_what_needs_no_memory(self) -> None:
        """What was said before it began is never news, and so not remembered: a list costs nothing."""
        self.knowledge.learn(self.message(999))
        self.assertNotIn(999, self.knowledge._told)
        self.assertEqual(self.missed(self.message(999)), [])

    def test_no_more_than_is_remembered(self) -> None:
        """What may have been told and forgotten is not told again."""
        for number in range(1000, 1001 + REMEMBERED):
            self.knowledge.learn(self.message(number))
        again = [self.message(number) for number in (999, 1000, 1001, 1001 + REMEMBERED)]
        self.assertEqual(self.missed(*again), [1001 + REMEMBERED])


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["say", "open", "ask", "cut", "heal", "hold", "commit", "tick"]), st.integers(0, 2)
    ),
    max_size=40,
)


class InterleavingTests(SynchronousTestCase):
    """Whatever is lost on the way, in whatever order things happen."""

    @settings(max_examples=40, deadline=None)
    @given(STEPS)
    def test_everything_is_told_once(self, steps: list[tuple[str, int]]) -> None:
        """In the end each connection has each message once, and its author one notice of each that is seen."""
        world = TwoProcesses()
        database, clock = world.here.database, world.here.clock
        traders = (world.alice, world.phone, world.bob)
        ids = (world.alice_user.id, world.alice_user.id, world.bob_user.id)
        for step, who in steps:
            if step == "say":
                traders[who].send(CREATE, {"msg": "m", "to": ids[2] if who < 2 else ids[0]})
            elif step == "open":
                traders[who].send(OPENED, {"conversation": 1})
            elif step == "ask":
                traders[who].send(ASK)
            elif step in ("cut", "heal"):
                getattr(world.shared.processes[who % 2], step)()
            elif step == "hold":
                database.held = True
            elif step == "commit":
                database.held = False
                database.commit()
            else:
                clock.advance(AGAIN_SECONDS / 2)
        database.held = False
        database.commit()
        for process in world.shared.processes:
            process.heal()
        for _ in range(3):
            clock.advance(AGAIN_SECONDS)
        stored = [row[0] for row in database.query("SELECT id FROM market_messages ORDER BY id")]
        seen = dict(database.query("SELECT first_user_id, second_seen_id FROM market_conversations"))
        seen |= dict(database.query("SELECT second_user_id, first_seen_id FROM market_conversations"))
        own = {
            user: [
                row[0]
                for row in database.query(
                    "SELECT id FROM market_messages WHERE sender_id = ? ORDER BY id", user
                )
            ]
            for user in set(ids)
        }
        for trader, user in zip(traders, ids, strict=True):
            told: list[int] = []
            listed: set[int] = set()
            known_seen: set[int] = set()
            noticed: list[int] = []
            for opcode, body in trader.packets():
                if opcode in (STATUS, ALERT) and "json" in body:
                    told.append(body["json"]["id"])
                    known_seen |= {body["json"]["id"]} if body["json"]["seen"] else set()
                elif opcode == SEEN:
                    noticed.append(body["message"])
                elif opcode == CONVERSATIONS:
                    shown = body if trader.form is Form.TEXT else body["conversations"]
                    messages = [each for one in shown for each in one["messages"]]
                    listed |= {each["id"] for each in messages}
                    known_seen |= {each["id"] for each in messages if each["seen"]}
            self.assertEqual(len(told), len(set(told)), "each once")
            self.assertEqual(sorted({*told, *listed}), stored)
            self.assertEqual(len(noticed), len(set(noticed)), "each notice once")
            expected = {each for each in own[user] if each <= seen.get(user, 0)}
            self.assertEqual(set(noticed) | (known_seen & set(own[user])), expected)
        self.assertEqual(world.end(), {})
