"""What is told to many: to whom, in which order, and how often it is built."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster.bus import MemoryBus
from realtime.market.codec import Form, encode
from realtime.market.exchange import Exchange, Packets, Told
from realtime.market.messages import AlertNewMessage, MessageSeen, Ping, UpdateConversation
from realtime.market.store import Created, Seen, Step
from realtime.websocket import frames
from tests.market.packets import ALICE, BOB, MESSAGE, SAID, SERVICE

CONVERSATION = MESSAGE.conversation


class PacketsTests(SynchronousTestCase):
    """Frames of messages."""

    def test_kinds_of_frames(self) -> None:
        """A text frame for the text form, a binary one for the others."""
        packets = Packets(escape_html=False)
        for form in Form:
            frame = frames.binary if form.is_binary else frames.text
            self.assertEqual(packets.frame(form, Ping()), frame(encode(form, Ping())))

    def test_built_once(self) -> None:
        """What is told is built once for each form, however its receivers' forms alternate."""
        packets = Packets(escape_html=False)
        told = Told(alert=AlertNewMessage(CONVERSATION, MESSAGE))
        first = {form: packets.told(form, told) for form in Form}
        for form in (*Form, *Form):
            self.assertIs(packets.told(form, told), first[form])

    def test_another(self) -> None:
        """What is told next is built anew, though it be equal in part."""
        packets = Packets(escape_html=False)
        alert = AlertNewMessage(CONVERSATION, MESSAGE)
        before = packets.told(Form.TEXT, Told(alert=alert))
        update = UpdateConversation(CONVERSATION, (SERVICE,))
        expected = [packets.frame(Form.TEXT, message) for message in (alert, update)]
        self.assertEqual(packets.told(Form.TEXT, Told(alert=alert, update=update)), expected)
        self.assertEqual(before, expected[:1])

    def test_html(self) -> None:
        """Texts and names are written as HTML where that is asked for."""
        told = Told(alert=AlertNewMessage(CONVERSATION, MESSAGE))
        for escape_html, expected in ((False, b"Is it <free>?"), (True, b"Is it &lt;free&gt;?")):
            (frame,) = Packets(escape_html=escape_html).told(Form.BINARY, told)
            self.assertIn(expected, frame)


class ExchangeTests(SynchronousTestCase):
    """Who is told."""

    def setUp(self) -> None:
        """Listen to two users."""
        self.clock, self.bus = Clock(), MemoryBus()
        self.exchange = self.make_exchange()
        self.told: list[tuple[int, Told]] = []
        self.subscriptions = [self.follow(user.id) for user in (ALICE, BOB)]

    def tearDown(self) -> None:
        """Listen no more; nothing may be left."""
        for subscription in self.subscriptions:
            subscription.cancel()
        self.assertEqual((len(self.bus), self.clock.getDelayedCalls()), (0, []))

    def make_exchange(self) -> Exchange:
        """An exchange, which has no use for a store itself."""
        store: Any = None
        packets = Packets(escape_html=False)
        return Exchange(store=store, bus=self.bus, packets=packets, clock=self.clock, history_bytes=1)

    def follow(self, user_id: int) -> Any:
        """Write down what a user is told."""
        return self.exchange.follow(user_id, lambda told: self.told.append((user_id, told)), lambda: None)

    def test_said(self) -> None:
        """A message is told to both users as one object, so that it is built once; with who need not hear."""
        self.exchange.said(ALICE.id, Created(MESSAGE, BOB.id, True), "here")
        (first, told), (second, same) = self.told
        self.assertEqual((first, second), (BOB.id, ALICE.id))
        self.assertEqual(told, Told("here", alert=AlertNewMessage(CONVERSATION, MESSAGE)))
        self.assertIs(told, same)

    def test_stepped(self) -> None:
        """A step is told to both, what the system says of it first."""
        self.exchange.stepped(Step(CONVERSATION, (ALICE.id, BOB.id), SAID, [SERVICE]))
        (first, told), (second, same) = self.told
        self.assertEqual((first, second), (ALICE.id, BOB.id))
        self.assertIs(told, same)
        update = UpdateConversation(CONVERSATION, (SERVICE,))
        self.assertEqual(list(told.messages()), [AlertNewMessage(CONVERSATION, SAID), update])

    def test_seen(self) -> None:
        """What was seen is told to the author alone, a hundred in a turn, in order."""
        self.exchange.seen(CONVERSATION, Seen(ALICE.id, list(range(250))))
        self.assertEqual([len(told.seen) for _, told in self.told], [100])
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual({user_id for user_id, _ in self.told}, {ALICE.id})
        notices = [notice for _, told in self.told for notice in told.messages()]
        self.assertEqual(notices, [MessageSeen(CONVERSATION, number) for number in range(250)])

    def test_nothing_seen(self) -> None:
        """Where nothing was new nobody is told."""
        self.exchange.seen(CONVERSATION, Seen(ALICE.id, []))
        self.assertEqual(self.told, [])

    def test_origins(self) -> None:
        """A connection's name is its own, also among processes that number theirs alike."""
        other = self.make_exchange()
        names = {exchange.origin(number) for exchange in (self.exchange, other) for number in (1, 2)}
        self.assertEqual(len(names), 4)
        self.assertEqual(other.origin(1), other.origin(1))

    def test_now(self) -> None:
        """Time is in Unix milliseconds."""
        self.clock.advance(1_700_000_000.1239)
        self.assertEqual(self.exchange.now(), 1_700_000_000_123)
