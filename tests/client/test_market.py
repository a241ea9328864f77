"""market's client and its packets."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from realtime.client import ConnectionLost, MarketClient, RequestFailed
from realtime.client.market import Error, UpdateConversation
from realtime.client.market_packets import decode, encode
from realtime.market import codec, messages, opcodes
from realtime.market.codec import Form
from realtime.market.messages import ClientMessage, Offer, ServerMessage
from tests.client.world import FakeLine, World

SAID = messages.Message(7, messages.User(1, "alice"), "hello", False, 1, 3)
SERVICE = messages.Service(4, "Garden", "", Decimal("40.00"), 1, 2, "agreed", (messages.Note(1, 5, ""),), 9)

FROM_CLIENT: tuple[ClientMessage, ...] = (
    messages.Pong(),
    messages.AskConversations(5, 6),
    messages.CreateMessage("hello", 3, None, "t1"),
    messages.CreateMessage("hello", None, 2, "t1"),
    messages.OpenConversation(3),
    messages.CreateService(3, Offer(Decimal("40.00"), "Garden", "home", 1, 2)),
    messages.CreateService(3, Offer(Decimal("40.00"))),
    messages.SubmitNote(3, None, 5, "fine"),
    messages.OpenDispute(3, 4, "broken"),
    messages.TerminateService(3),
    messages.EditPrice(3, 4, Decimal("45.50")),
    messages.EndNegotiation(3, None, False),
    messages.ReportConversation(3, "spam"),
    messages.ReportMessage(7, "spam"),
)
TO_CLIENT: tuple[ServerMessage, ...] = (
    messages.Error(9, "not-found", "No."),
    messages.Ping(),
    messages.ReturnConversations(
        (messages.Conversation(3, messages.User(2, "bob"), 1, True, (SAID,), (SERVICE,)),),
    ),
    messages.StatusMessage(True, 3, SAID, "t1"),
    messages.StatusMessage(False, None, temporary_id="t1", error="not-found"),
    messages.AlertNewMessage(3, SAID),
    messages.MessageSeen(3, 7),
    messages.UpdateConversation(3, (SERVICE,)),
)


class PacketTests(SynchronousTestCase):
    """The client's side against the server's codec, in all forms."""

    def test_every_opcode_is_here(self) -> None:
        """The lists above have one of each."""
        bodies = {type(each) for each in (*FROM_CLIENT, *TO_CLIENT)}
        self.assertEqual(bodies, {opcode.body for opcode in opcodes.Opcode})

    def test_what_the_client_writes(self) -> None:
        """The server reads as it was meant."""
        for form in Form:
            for message in FROM_CLIENT:
                self.assertEqual(codec.decode(form, encode(form, message)), message, form)

    def test_what_the_server_writes(self) -> None:
        """The client reads as it was meant."""
        for form in Form:
            for message in TO_CLIENT:
                self.assertEqual(decode(form, codec.encode(form, message)), message, form)

    def test_nonsense(self) -> None:
        """Is a ``ValueError``."""
        for form, payload in (
            (Form.BINARY, b""),
            (Form.BINARY, b"\x07{}"),
            (Form.TEXT, b"{"),
            (Form.MSGPACK, b"\x10x"),
        ):
            self.assertRaises(ValueError, decode, form, payload)


class MarketTests(SynchronousTestCase):
    """The client."""

    def setUp(self) -> None:
        """One that is connected."""
        self.world = World()
        self.client = self.world.make(MarketClient)
        self.line = self.world.answer()

    def says(self, message: ServerMessage, line: FakeLine | None = None) -> None:
        """Have the server send a packet."""
        (line or self.line).ear.received(codec.encode(Form.BINARY, message), True)

    def take(self, line: FakeLine | None = None) -> list[Any]:
        """What the client has sent since it was asked last, as the server reads it."""
        line = line or self.line
        sent, line.sent = line.sent, []
        return [codec.decode(Form.BINARY, each) for each in sent]

    def test_pings(self) -> None:
        """Are answered."""
        self.says(messages.Ping())
        self.assertEqual(self.take(), [messages.Pong()])

    def test_said_again(self) -> None:
        """What has no answer is sent again, under the same id."""
        one, two = self.client.say("one", conversation=3), self.client.say("two", to=2, key="mine")
        first, second = self.take()
        self.assertEqual(second, messages.CreateMessage("two", None, 2, "mine"))
        self.says(messages.StatusMessage(True, 3, SAID, first.temporary_id))
        self.assertEqual(self.successResultOf(one), SAID)
        self.line.ear.lost(1006)
        line = self.world.again()
        self.assertEqual(self.take(line), [second])
        self.says(messages.StatusMessage(False, 3, temporary_id="mine", error="not-found"), line)
        self.assertEqual(self.failureResultOf(two, RequestFailed).value.code, "not-found")
        self.assertRaises(ValueError, self.client.say, "where?")

    def test_steps(self) -> None:
        """Go one at a time; each fires with the next state of its conversation, or fails."""
        heard: list[Any] = []
        for kind in (UpdateConversation, Error):
            self.client.listen(kind, heard.append)
        first = self.client.propose(3, "40.00")
        second = self.client.terminate(3)
        self.assertEqual(self.take(), [messages.CreateService(3, Offer(Decimal("40.00")))])
        other, update = messages.UpdateConversation(8, ()), messages.UpdateConversation(3, (SERVICE,))
        self.says(other)
        self.assertNoResult(first)
        self.says(update)
        self.assertEqual(self.successResultOf(first), (SERVICE,))
        self.assertEqual(self.take(), [messages.TerminateService(3)])
        stray, fault = messages.NOT_FOUND.of(0x09), messages.NOT_ALLOWED.of(0xE4)
        self.says(stray)
        self.assertNoResult(second)
        self.says(fault)
        self.assertEqual(self.failureResultOf(second, RequestFailed).value.code, "not-allowed")
        self.assertEqual(heard, [other, update, stray])
        lost = self.client.terminate(3)
        self.line.ear.lost(1006)
        self.failureResultOf(lost, ConnectionLost)

    def test_a_step_that_follows_from_another(self) -> None:
        """Is not answered by what it follows from."""
        following: list[Any] = []
        self.client.listen(UpdateConversation, lambda _: following.append(self.client.terminate(3)))
        self.says(messages.UpdateConversation(3, (SERVICE,)))
        self.assertNoResult(following[0])
        following[0].addErrback(lambda _: None)

    def test_conversations(self) -> None:
        """In the order in which they were asked for."""
        one, two = self.client.conversations(), self.client.conversations(limit=2, before=9)
        self.assertEqual(self.take(), [messages.AskConversations()])
        self.says(messages.ReturnConversations(()))
        self.assertEqual(self.successResultOf(one), ())
        self.assertEqual(self.take(), [messages.AskConversations(2, 9)])
        self.says(messages.UNAVAILABLE.of(0x05))
        self.failureResultOf(two, RequestFailed)

    def test_values_left_out(self) -> None:
        """What says nothing is not written."""
        self.client.opened(3)
        self.assertEqual(msgspec.json.decode(self.line.sent[0][1:]), {"conversation": 3})
