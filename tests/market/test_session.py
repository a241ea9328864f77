"""What the parties of a conversation tell each other, through real sessions and a real store."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from realtime.market.codec import Form
from tests.market.world import Market, Trader
from tests.websocket.peers import server_frames

ERROR, ASK, CONVERSATIONS, CREATE, STATUS, OPENED, ALERT, SEEN = 0, 5, 6, 7, 8, 9, 16, 17
UPDATE, PROPOSE, NOTE, DISPUTE, TERMINATE, PRICE, END, REPORT_CONVERSATION, REPORT = (
    *(0xE0, 0xE1, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6),
    *(0xFE, 0xFF),
)


class MarketTestCase(SynchronousTestCase):
    """Alice with two connections and Bob with one, each in another form; at the end nothing may be left."""

    def setUp(self) -> None:
        """Connect them."""
        self.configure()

    def configure(self, **settings: Any) -> None:
        """Serve with these settings."""
        self.market = Market(**settings)
        self.alice_user, self.bob_user = self.market.user("alice"), self.market.user("bob")
        self.alice = self.market.enter("alice", Form.TEXT)
        self.phone = self.market.enter("alice", Form.BINARY)
        self.bob = self.market.enter("bob", Form.MSGPACK)
        self.all = (self.alice, self.phone, self.bob)

    def tearDown(self) -> None:
        """Go."""
        self.assertEqual(self.market.left_over(), {})

    def say(self, content: str = "Hello", **more: Any) -> Any:
        """Alice says something to Bob; the STATUS."""
        self.alice.send(CREATE, {"msg": content, "to": self.bob_user.id, **more})
        opcode, body = self.alice.one()
        self.assertEqual(opcode, STATUS)
        return body

    def begun(self) -> int:
        """A conversation of the two, which all have heard of."""
        conversation: int = self.say()["conversation"]
        for each in self.all:
            each.packets()
        return conversation

    def assert_quiet(self, *traders: Trader) -> None:
        """Nothing came."""
        for each in traders:
            self.assertEqual(each.packets(), [])


class MessageTests(MarketTestCase):
    """Saying something."""

    def test_who_hears(self) -> None:
        """The author is answered; the other party and the author's other connections are alerted."""
        status = self.say(id="t1")
        message = status["json"]
        self.assertEqual(
            status, {"sent": True, "conversation": message["conversation"], "json": message, "fakeId": "t1"}
        )
        for each in (self.phone, self.bob):
            expected = {"conversation": message["conversation"], "json": message}
            self.assertEqual(each.one(), (ALERT, expected))
        self.assert_quiet(self.alice)

    def test_again(self) -> None:
        """The same temporary id in the same conversation is the same message, and nobody is alerted again."""
        first = self.say(id="t1")
        for each in self.all:
            each.packets()
        self.assertEqual(self.say("Something else", id="t1"), first)
        self.assert_quiet(self.phone, self.bob)
        self.assertNotEqual(self.say("Hello", id=1)["json"]["id"], first["json"]["id"])

    def test_nobody_there(self) -> None:
        """To nobody, to oneself, and into what is not one's own: the same answer."""
        conversation = self.begun()
        carol = self.market.user("carol")
        stranger = self.market.enter("carol", Form.BINARY)
        for where in ({"to": 999}, {"to": carol.id}, {"conversation": conversation}, {"conversation": 999}):
            stranger.send(CREATE, {"msg": "Hello", "id": 7, **where})
            expected = {
                "sent": False,
                "conversation": where.get("conversation"),
                "fakeId": 7,
                "error": "not-found",
            }
            self.assertEqual(stranger.one(), (STATUS, expected))
        self.assert_quiet(*self.all)

    def test_unsayable(self) -> None:
        """Nothing, and too much, is refused; as long as may be is not."""
        for content in ("", "x" * 4001, "\0"):
            self.assertEqual(self.say(content)["error"], "bad-request")
        self.assertTrue(self.say("x" * 4000)["sent"])

    def test_html(self) -> None:
        """With escape_html texts go out as HTML, to the author too; they are kept as they were."""
        self.market.left_over()
        self.configure(escape_html=True)
        self.assertEqual(self.say("<b>")["json"]["content"], "&lt;b&gt;")
        self.assertEqual(self.bob.one()[1]["json"]["content"], "&lt;b&gt;")
        rows = self.market.database.query("SELECT content FROM market_messages")
        self.assertEqual(rows, [("<b>",)])


class SeenTests(MarketTestCase):
    """Opening a conversation."""

    def test_once(self) -> None:
        """The author's connections hear of each message that was not seen before, once."""
        first = self.say()["json"]
        second = self.say("Are you there?")["json"]
        for each in self.all:
            each.packets()
        for _ in range(2):
            self.bob.send(OPENED, {"conversation": first["conversation"]})
        expected = [
            (SEEN, {"conversation": first["conversation"], "message": m["id"]}) for m in (first, second)
        ]
        self.assertEqual(self.alice.packets(), expected)
        self.assertEqual(self.phone.packets(), expected)
        self.assert_quiet(self.bob)

    def test_own(self) -> None:
        """One's own messages are not seen by looking at them oneself."""
        conversation = self.begun()
        self.alice.send(OPENED, {"conversation": conversation})
        self.assert_quiet(*self.all)

    def test_a_long_one(self) -> None:
        """However many they are, they are told of, some in each turn, in order."""
        conversation = self.begun()
        for number in range(249):
            self.alice.send(CREATE, {"msg": str(number), "conversation": conversation})
        for each in self.all:
            each.packets()
        turns: list[bytes] = []
        self.patch(self.alice.peer.wire, "write", turns.append)
        self.bob.send(OPENED, {"conversation": conversation})
        self.market.clock.advance(0)
        found = [[json.loads(frame.payload)["data"] for frame in server_frames(turn)[0]] for turn in turns]
        self.assertEqual([len(turn) for turn in found], [100, 100, 50])
        ids = [body["message"] for turn in found for body in turn]
        self.assertEqual(ids, sorted(set(ids)))

    def test_not_ones_own(self) -> None:
        """A conversation of others is answered as one that is not there."""
        conversation = self.begun()
        self.market.user("carol")
        stranger = self.market.enter("carol", Form.TEXT)
        answers = []
        for number in (conversation, 999):
            stranger.send(OPENED, {"conversation": number})
            answers.append(stranger.one())
        self.assertEqual(answers[0], answers[1])
        self.assertEqual((answers[0][0], answers[0][1]["code"]), (ERROR, "not-found"))


class ServiceTests(MarketTestCase):
    """Steps of a service."""

    def test_all_are_told(self) -> None:
        """Each step: what the system says, then how things stand, to all connections of both."""
        conversation = self.begun()
        self.bob.send(PROPOSE, {"conversation": conversation, "service": {"title": "Paint", "price": 9.5}})
        self.alice.send(END, {"conversation": conversation})
        told = [each.packets() for each in self.all]
        self.assertEqual(told[0], told[1])
        self.assertEqual(told[0], told[2])
        self.assertEqual([opcode for opcode, _ in told[0]], [ALERT, UPDATE, ALERT, UPDATE])
        self.assertEqual(told[0][0][1]["json"]["sender"], {"id": 0, "username": "system"})
        statuses = [body["services"][0]["status"] for opcode, body in told[0] if opcode == UPDATE]
        self.assertEqual(statuses, ["negotiating", "agreed"])

    def test_not_allowed(self) -> None:
        """A step that is not legal is told to who took it, and changes nothing."""
        conversation = self.begun()
        self.bob.send(PROPOSE, {"conversation": conversation, "service": {"price": 1}})
        for each in self.all:
            each.packets()
        for opcode, body in ((END, {}), (TERMINATE, {}), (DISPUTE, {}), (NOTE, {"grade": 5})):
            self.bob.send(opcode, {"conversation": conversation, **body})
            answer, error = self.bob.one()
            self.assertEqual((answer, error["opcode"], error["code"]), (ERROR, opcode, "not-allowed"))
        self.assert_quiet(self.alice, self.phone)

    def test_bad_prices(self) -> None:
        """Negative, absurd and unreadable prices are bad requests."""
        conversation = self.begun()
        for price in (-1, 1e300, "NaN", "", None, "1.005"):
            self.alice.send(PROPOSE, {"conversation": conversation, "service": {"price": price}})
            self.assertEqual(self.alice.one()[1]["code"], "bad-request")
        self.assert_quiet(self.bob)


class AskTests(MarketTestCase):
    """Asking for conversations and reporting them."""

    def test_each_form(self) -> None:
        """A list in the text form, under a key in the others; each sees the other party."""
        self.begun()
        shown = []
        for each in self.all:
            each.send(ASK)
            opcode, body = each.one()
            self.assertEqual(opcode, CONVERSATIONS)
            shown.append(body if each is self.alice else body["conversations"])
        self.assertEqual(shown[0], shown[1])
        self.assertEqual([shown[0][0]["with"]["username"], shown[2][0]["with"]["username"]], ["bob", "alice"])
        self.assertEqual([shown[0][0]["hasNewMessage"], shown[2][0]["hasNewMessage"]], [False, True])

    def test_from_when_on(self) -> None:
        """Who asks is answered once nothing that is said afterwards can be missed."""
        self.begun()
        active: Deferred[None] = Deferred()
        subscription = mock.Mock(active=active)
        self.patch(self.market.bus, "subscribe", lambda topic, listener, gap: subscription)
        late = self.market.enter("bob", Form.TEXT)
        late.send(ASK)
        self.assert_quiet(late)
        self.say("Are you there?")
        active.callback(None)
        (shown,) = late.one()[1]
        self.assertEqual([each["content"] for each in shown["messages"]], ["Hello", "Are you there?"])
        late.send(ASK)
        self.assertEqual(late.one()[0], CONVERSATIONS)
        late.peer.go()
        subscription.cancel.assert_called_once_with()

    def test_what_fits(self) -> None:
        """No more than fits."""
        self.market.left_over()
        self.configure(history_bytes=1500)
        for _ in range(20):
            self.alice.send(CREATE, {"msg": "x" * 100, "to": self.bob_user.id})
        for each in self.all:
            each.packets()
        self.alice.send(ASK)
        (shown,) = self.alice.one()[1]
        self.assertLess(0, len(shown["messages"]))
        self.assertLess(len(shown["messages"]), 15)

    def test_reports(self) -> None:
        """A report has no answer, but to what is not one's own."""
        conversation = self.begun()
        self.bob.send(REPORT_CONVERSATION, {"conversation": conversation, "reason": "rude"})
        self.alice.send(REPORT, "somebody is rude")
        self.assert_quiet(*self.all)
        rows = self.market.database.query("SELECT kind, reason FROM market_reports ORDER BY id")
        self.assertEqual(rows, [("conversation", "rude"), ("text", "somebody is rude")])
        self.bob.send(REPORT, {"message": 999})
        self.assertEqual(self.bob.one()[1]["code"], "not-found")


class FaultTests(MarketTestCase):
    """The peer's faults, and ours."""

    def test_twenty(self) -> None:
        """Twenty faults in a minute close with 1008."""
        for number in range(19):
            self.alice.send((0x42, STATUS, END)[number % 3], {})
            self.assertEqual(self.alice.one()[0], ERROR)
        self.alice.send(CREATE, {"msg": "", "to": 2})
        status, closed = self.alice.packets()
        self.assertEqual((status[0], closed), (STATUS, (-1, 1008)))

    def test_away(self) -> None:
        """While the database is away all requests say so, as often as they come, and then go on."""
        conversation = self.begun()
        self.market.database.away = True
        for _ in range(30):
            self.assertEqual(self.say()["error"], "unavailable")
            for opcode, body in (
                (ASK, {}),
                (OPENED, {"conversation": conversation}),
                (TERMINATE, {"conversation": 1}),
            ):
                self.alice.send(opcode, body)
                self.assertEqual(self.alice.one()[1]["code"], "unavailable")
        self.market.database.away = False
        self.assertTrue(self.say()["sent"])

    def test_acknowledged_after_the_commit(self) -> None:
        """Nobody is told of anything before it is stored; whoever left meanwhile is not told at all."""
        conversation = self.begun()
        self.market.database.held = True
        self.alice.send(CREATE, {"msg": "Hello", "conversation": conversation})
        self.bob.send(PROPOSE, {"conversation": conversation, "service": {"price": 1}})
        self.assert_quiet(*self.all)
        self.alice.peer.go()
        self.market.database.commit()
        expected = [ALERT, ALERT, UPDATE]
        self.assertEqual([opcode for opcode, _ in self.phone.packets()], expected)
        self.assertEqual([opcode for opcode, _ in self.bob.packets()], expected)

    def test_account_gone(self) -> None:
        """Whose account was deleted is not served on."""
        self.market.database.query("DELETE FROM users WHERE user_name = 'alice'")
        self.alice.send(REPORT, "anybody there?")
        self.assertEqual(self.alice.one(), (-1, 4401))
