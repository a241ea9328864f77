"""talk's client: one talk after the other, each over a connection of its own."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realtime.client import ConnectionEnded, ConnectionLost, NotConnected, RequestFailed, TalkClient
from realtime.client.talk import Answer, Message, Question
from tests.client.world import FakeLine, World

MATCH = {"event": "match", "payload": {"username": "bob", "user_id": 2, "match_id": "m1"}}
START = {"event": "chat-start"}
STOP = {"event": "chat-stop", "payload": {"questions": [{"id": 1, "question": "?"}]}}
ANSWERS = {"event": "answers", "payload": {"match_id": "m1", "answers": []}}


def error(code: str) -> dict[str, Any]:
    """An error on the wire."""
    return {"event": "error", "payload": {"message": "No.", "code": code}}


class TalkTests(SynchronousTestCase):
    """A client that is connected."""

    def setUp(self) -> None:
        """Connect it."""
        self.world = World()
        self.client = self.world.make(TalkClient)
        self.line = self.world.answer()

    def talking(self, line: FakeLine) -> None:
        """Be matched, and confirm."""
        found = self.client.find(0.3)
        line.says(MATCH)
        self.assertEqual(self.successResultOf(found).match_id, "m1")
        started = self.client.confirm()
        line.says(START)
        self.successResultOf(started)

    def test_a_talk(self) -> None:
        """From the first to the last event, and the next talk over the next connection."""
        self.assertEqual(self.line.opening.headers, {"Authorization": "Bearer secret"})
        self.talking(self.line)
        heard = self.client.next(Message)
        self.line.says({"event": "message", "payload": {"message": "Hi"}})
        self.assertEqual(self.successResultOf(heard).message, "Hi")
        self.client.say("Hello")
        stopped = self.client.stopped()
        self.line.says(STOP)
        self.assertEqual(self.successResultOf(stopped).questions, (Question(1, "?"),))
        self.successResultOf(self.client.stopped())
        answered = self.client.answer([Answer(1, "yes")])
        sent = [(each["event"], each["payload"]) for each in self.line.take()]
        self.assertEqual(sent[0], ("find", {"score": 0.3, "questions": []}))
        self.assertEqual(sent[1:3], [("confirm", {"match_id": "m1"}), ("message", {"message": "Hello"})])
        self.assertEqual(sent[3][1], {"match_id": "m1", "answers": [{"question_id": 1, "answer": "yes"}]})
        self.line.says(ANSWERS)
        self.successResultOf(answered)
        self.assertIsNone(self.client.match)

        found = self.client.find(0.5)
        self.assertEqual(self.line.take(), [], "this connection is over")
        self.line.ear.lost(1000)
        line = self.world.answer()
        self.assertEqual([each["event"] for each in line.take()], ["find"])
        line.says(MATCH)
        self.successResultOf(found)

    def test_over(self) -> None:
        """Without another talk there is no connection, until one is looked for."""
        self.talking(self.line)
        self.line.says(error("partner-left"))
        self.line.ear.lost(1000)
        self.world.clock.advance(100)
        self.assertEqual(len(self.world.attempts), 1)
        self.client.find(0.3).addErrback(lambda _: None)
        self.assertEqual(len(self.world.attempts), 2)

    def test_errors(self) -> None:
        """Fail whatever waits, with the protocol's code; who asks again then waits for another connection."""
        self.talking(self.line)
        again: list[Any] = []
        stopped, whoever_asks = self.client.stopped(), self.client.stopped()
        whoever_asks.addErrback(lambda _: again.append(self.client.find(0.3)))
        self.line.take()
        self.line.says(error("partner-left"))
        self.assertEqual(self.failureResultOf(stopped, RequestFailed).value.code, "partner-left")
        self.assertEqual(self.line.take(), [])
        self.line.ear.lost(1000)
        self.assertEqual([each["event"] for each in self.world.answer().take()], ["find"])
        self.assertNoResult(again[0])

    def test_nobody_found(self) -> None:
        """Is an error of `find`."""
        found = self.client.find(0.3)
        self.line.says(error("no-match"))
        self.assertEqual(self.failureResultOf(found, RequestFailed).value.code, "no-match")
        found = self.world.make(TalkClient).find(0.3)
        self.world.answer().says(error("bad-request"))
        self.failureResultOf(found, RequestFailed)

    def test_answers_may_be_corrected(self) -> None:
        """What is wrong with them ends nothing."""
        self.talking(self.line)
        self.line.says(STOP)
        wrong = self.client.answer([])
        self.line.says(error("bad-request"))
        self.failureResultOf(wrong, RequestFailed)
        right = self.client.answer([Answer(1, "yes")])
        self.line.says(ANSWERS)
        self.successResultOf(right)

    def test_lost(self) -> None:
        """A talk is lost with its connection; who still looks goes on looking."""
        found = self.client.find(0.3)
        self.line.ear.lost(1006)
        line = self.world.again()
        self.assertEqual([each["event"] for each in line.take()], ["find"])
        line.says(MATCH)
        self.successResultOf(found)
        confirmed, stopped = self.client.confirm(), self.client.stopped()
        line.ear.lost(1001)
        for each in (confirmed, stopped):
            self.failureResultOf(each, ConnectionLost)
        self.assertRaises(NotConnected, self.client.say, "Hello?")
        self.assertEqual(self.world.again().take(), [])

    def test_delays_grow(self) -> None:
        """A server that lets nobody talk is not besieged."""
        self.client.find(0.3).addErrback(lambda _: None)
        waited = 0.0
        for _ in range(10):
            begin = self.world.clock.seconds()
            self.world.lines[-1].ear.lost(1013)
            self.world.again()
            waited += self.world.clock.seconds() - begin
        self.assertGreater(waited, 15.0)

    def test_refused(self) -> None:
        """A token that is not valid ends it; so does a newer connection."""
        for code, close_code in (("unauthorized", 4401), ("replaced", 4409)):
            client = self.world.make(TalkClient)
            line = self.world.answer()
            found = client.find(0.3)
            line.says(error(code))
            line.ear.lost(close_code)
            self.assertEqual(self.failureResultOf(found, RequestFailed).value.code, code)
            self.assertEqual(self.failureResultOf(client.find(0.3), ConnectionEnded).value.code, close_code)

    def test_what_would_end_the_talk(self) -> None:
        """Is refused before it is sent."""
        self.assertRaises(NotConnected, self.client.confirm)
        self.assertRaises(ValueError, self.client.find, float("nan"))
        self.assertRaises(ValueError, self.client.find, 0.3, [Question(1, "")])
        self.talking(self.line)
        self.assertRaises(ValueError, self.client.say, "")
        self.assertRaises(ValueError, self.client.find, 0.3)
