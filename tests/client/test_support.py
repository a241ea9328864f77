"""support's clients: nothing that was said is missed, and nothing is heard twice."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realtime.client import ConnectionLost, Disconnected, RequestFailed, SupportClient, SupportOperator
from realtime.client.support import Message, OperatorMessage
from tests.client.world import FakeLine, World


def message(number: int, user_id: int | None = None) -> dict[str, Any]:
    """A message on the wire; an operator's, of a customer."""
    known = {"message_id": number, "message_text": str(number), "invader_name": "", "is_from_support": False}
    customer = {} if user_id is None else {"user_id": user_id, "user_name": f"user {user_id}"}
    return {**known, "created": 0, **customer}


def conversation(user_id: int, last: int) -> dict[str, Any]:
    """A conversation on the wire."""
    named = {"user_id": user_id, "user_name": f"user {user_id}", "last_message": message(last)}
    return {**named, "unread": 0, "assigned_to": None}


def answer(line: FakeLine, method: str, result: Any = None, error: int | None = None) -> list[Any]:
    """Answer the request that the client has just made; its parameters."""
    (request,) = line.take()
    assert request["method"] == method, request
    fault = None if error is None else {"code": error, "message": "No."}
    line.says({"error": fault, "result": result, "id": request["id"]})
    params: list[Any] = request["params"]
    return params


def push(line: FakeLine, result: dict[str, Any], push_id: int | None = None) -> None:
    """Have the server say something by itself."""
    line.says({"error": None, "result": result, "id": push_id})


class CustomerTests(SynchronousTestCase):
    """A customer."""

    def setUp(self) -> None:
        """One that was shown message 5."""
        self.world = World()
        self.client = self.world.make(SupportClient)
        self.heard: list[int] = []
        self.client.listen(Message, lambda message: self.heard.append(message.message_id))
        self.line = self.world.answer()
        self.assertEqual(answer(self.line, "message.auth", {"messages": [message(5)]}), ["secret"])

    def lost(self) -> FakeLine:
        """The next line."""
        self.line.ear.lost(1006)
        return self.world.again()

    def test_begins(self) -> None:
        """What was said before is shown, and not told."""
        self.assertTrue(self.client.is_connected)
        self.assertEqual([each.message_id for each in self.client.messages_at_start], [5])
        self.assertEqual(self.heard, [])

    def test_pushes(self) -> None:
        """Are told once, whatever id they have."""
        waits = self.client.send("hello")
        (request,) = self.line.take()
        push(self.line, {"message": message(6)})
        push(self.line, {"message": message(6)})
        push(self.line, {"message": message(7)}, push_id=int(request["id"]))
        self.assertNoResult(waits)
        self.assertEqual(self.heard, [6, 7])

    def test_missed(self) -> None:
        """What was said meanwhile is told before what is pushed, and only what is new."""
        sent = self.client.send("mine")
        answer(self.line, "message.send", {"message": message(8)})
        self.successResultOf(sent)
        line = self.lost()
        answer(line, "message.auth", {"messages": [message(number) for number in (4, 5, 7, 8, 9)]})
        push(line, {"message": message(10)})
        self.assertEqual(self.heard, [7, 9, 10])

    def test_missed_by_the_page(self) -> None:
        """As far back as is known; what is pushed meanwhile waits, and what is asked waits too."""
        line = self.lost()
        answer(line, "message.auth", {"messages": [message(20), message(21)]})
        push(line, {"message": message(22)})
        waits = self.client.send("hello")
        self.assertFalse(self.client.is_connected)
        params = answer(line, "message.history", {"messages": [message(10), message(11)]})
        self.assertEqual(params[:2], [None, 20])
        params = answer(line, "message.history", {"messages": [message(4), message(5), message(6)]})
        self.assertEqual(params[:2], [None, 10])
        self.assertEqual(self.heard, [6, 10, 11, 20, 21, 22])
        self.assertTrue(self.client.is_connected)
        answer(line, "message.send", {"message": message(23)})
        self.assertEqual(self.successResultOf(waits).message_id, 23)

    def test_asked_too_often(self) -> None:
        """A page is asked for again after a while; unless the connection is lost before."""
        line = self.lost()
        answer(line, "message.auth", {"messages": [message(20)]})
        answer(line, "message.history", error=6)
        self.assertEqual(line.take(), [])
        self.world.clock.advance(1)
        answer(line, "message.history", error=6)
        line.ear.lost(1006)
        following = self.world.again()
        answer(following, "message.auth", {"messages": [message(5), message(20)]})
        self.assertEqual(self.heard, [20])
        self.world.clock.advance(5)
        self.assertEqual(following.take(), [], "who waited over the connection before asks no more")

    def test_lost(self) -> None:
        """What was sent is not known to be stored, and fails; what was not sent is sent later."""
        sent = self.client.send("one")
        self.line.ear.lost(1006)
        waits = self.client.send("two")
        self.failureResultOf(sent, ConnectionLost)
        line = self.world.again()
        answer(line, "message.auth", {"messages": None})
        self.assertEqual(answer(line, "message.send", {"message": message(6)}), ["two"])
        self.successResultOf(waits)

    def test_errors(self) -> None:
        """Have the protocol's code."""
        sent = self.client.send("")
        answer(self.line, "message.send", error=1)
        self.assertEqual(self.failureResultOf(sent, RequestFailed).value.code, 1)

    def test_unavailable(self) -> None:
        """A server that can't look at the token now is asked again later."""
        told: list[int] = []
        self.client.listen(Disconnected, lambda lost: told.append(lost.code))
        line = self.lost()
        answer(line, "message.auth", error=7)
        answer(self.world.again(), "message.auth", {"messages": None})
        self.assertTrue(self.client.is_connected)
        self.assertEqual(told, [1006], "it was not connected in between")


class OperatorTests(SynchronousTestCase):
    """An operator."""

    def test_missed(self) -> None:
        """In all conversations in which anything was said, in one order."""
        world = World()
        client = world.make(SupportOperator)
        heard: list[tuple[int, int]] = []
        client.listen(OperatorMessage, lambda each: heard.append((each.user_id, each.message_id)))
        line = world.answer()
        answer(line, "message.auth", {"messages": [message(3, user_id=1)]})
        answer(line, "message.conversations", {"conversations": [conversation(2, 5)]})
        push(line, {"message": message(6, user_id=1)})
        line.ear.lost(1006)
        line = world.again()
        answer(line, "message.auth", {"messages": [message(9, user_id=1)]})
        listed = [conversation(1, 9), conversation(3, 8), conversation(2, 5), conversation(4, 4)]
        answer(line, "message.conversations", {"conversations": listed})
        params = answer(line, "message.history", {"messages": [message(each, 1) for each in (3, 6, 7, 9)]})
        self.assertEqual(params[0], 1)
        params = answer(line, "message.history", {"messages": [message(each, 3) for each in (2, 8)]})
        self.assertEqual(params[0], 3)
        answer(line, "message.conversations", {"conversations": [conversation(1, 9)]})
        self.assertEqual(heard, [(1, 6), (1, 7), (3, 8), (1, 9)])
        self.assertTrue(client.is_connected)
