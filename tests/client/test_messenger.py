"""messenger's client: what it sends arrives once, what it receives is confirmed."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from realtime.client import ConnectionLost, MessengerClient, NotDelivered, RequestFailed
from realtime.client.messenger import Dialog, Said, Went
from tests.client.world import FakeLine, World


def profile(user_id: str) -> dict[str, str]:
    """A profile on the wire."""
    rest = dict.fromkeys(("avatar", "language", "status", "lastOnline", "registerDate"), "")
    return {"userId": user_id, "nickname": f"user {user_id}", **rest}


ENTERED = {"type": "AUTH_MESSAGE", "status": "SUCCESS", "serverData": {"userList": [profile("1")]}}


def dialog(number: int) -> dict[str, Any]:
    """A dialog on the wire."""
    head = {"messageId": str(number), "sender": "2", "sendTime": "1790000000"}
    return {"type": "DIALOG_MESSAGE", "clientData": {"n": number}, "serverData": head}


def outcome(key: str, status: str = "SUCCESS") -> dict[str, Any]:
    """What became of a dialog, on the wire."""
    body = {"messageId": "7", "receiver": "2", "clientMessageId": key}
    return {"type": "DELIVERY_MESSAGE", "status": status, "serverData": body}


class MessengerTests(SynchronousTestCase):
    """A client that is let in."""

    def setUp(self) -> None:
        """Let it in."""
        self.world = World()
        self.client = self.world.make(MessengerClient)
        self.line = self.world.answer()
        self.line.says(ENTERED)

    def lost(self) -> FakeLine:
        """Lose the connection; the next line, over which it is let in again."""
        self.line.ear.lost(1006)
        line = self.world.again()
        line.says(ENTERED)
        return line

    def test_enters(self) -> None:
        """With the token in its header; it serves when the list has come."""
        self.assertEqual(self.line.opening.headers, {"authToken": "secret"})
        self.assertTrue(self.client.is_connected)
        self.assertEqual(list(self.client.online), ["1"])

    def test_refused(self) -> None:
        """By the protocol's error, whatever close code is behind it."""
        for code in ("1", "2"):
            client = self.world.make(MessengerClient)
            started = client.start()
            line = self.world.answer()
            line.says(
                {"type": "AUTH_MESSAGE", "status": "ERROR", "error": {"errorCode": code, "message": "no"}}
            )
            line.ear.lost(1006)
            self.assertEqual(self.failureResultOf(started, RequestFailed).value.code, code)

    def test_sent_again(self) -> None:
        """What has no outcome, with the same ids and in the same order, before what is new."""
        delivered = self.client.send("2", 1)
        kept = [self.client.send("2", 2), self.client.send("3", 3, client_message_id="mine")]
        first, *others = self.line.take()
        self.assertEqual(others[1]["serverData"], {"receiver": "3", "clientMessageId": "mine"})
        self.line.says(outcome(first["serverData"]["clientMessageId"]))
        self.successResultOf(delivered)
        self.line.ear.lost(1001)
        self.client.send("2", 4)
        line = self.world.again()
        self.assertEqual(line.sent, [])
        line.says(ENTERED)
        *again, new = line.take()
        self.assertEqual(again, others)
        self.assertEqual(new["clientData"], 4)
        line.says(outcome("mine", "ERROR"))
        self.assertEqual(self.failureResultOf(kept[1], NotDelivered).value.outcome.message_id, "7")
        self.assertNoResult(kept[0])

    def test_confirmed_when_it_is_taken(self) -> None:
        """A ping is answered when the listeners are done with what came before it; pings keep their order."""
        working: list[Deferred[None]] = []
        heard: list[Any] = []

        def work(dialog: Dialog) -> Deferred[None]:
            heard.append(dialog.data["n"])
            working.append(Deferred())
            return working[-1]

        self.client.listen(Dialog, work)
        self.line.says(dialog(1))
        self.line.says(dialog(2))
        self.line.ear.pinged(b"a")
        self.line.says(dialog(3))
        self.line.ear.pinged(b"b")
        self.assertEqual(heard, [1, 2, 3])
        working[2].callback(None)
        working[0].callback(None)
        self.assertEqual(self.line.pongs, [])
        working[1].callback(None)
        self.assertEqual(self.line.pongs, [b"a", b"b"])

    def test_confirmed_without_work(self) -> None:
        """At once; and so is what a listener could not take, or it would block all behind it."""
        self.line.ear.pinged(b"a")

        def breaks(_: Dialog) -> None:
            raise ZeroDivisionError

        self.client.listen(Dialog, breaks)
        self.line.says(dialog(1))
        self.line.ear.pinged(b"b")
        self.assertEqual(self.line.pongs, [b"a", b"b"])
        self.flushLoggedErrors(ZeroDivisionError)

    def test_comes_again(self) -> None:
        """It is not heard twice, and confirmed when the listener is done with it the first time."""
        working: Deferred[None] = Deferred()
        heard: list[Dialog] = []

        def work(dialog: Dialog) -> Deferred[None]:
            heard.append(dialog)
            return working

        self.client.listen(Dialog, work)
        self.line.says(dialog(1))
        self.line.ear.pinged(b"a")
        line = self.lost()
        line.says(dialog(1))
        line.ear.pinged(b"b")
        self.assertEqual(len(heard), 1)
        self.assertEqual(line.pongs, [])
        working.callback(None)
        self.assertEqual((self.line.pongs, line.pongs), ([], [b"b"]))

    def test_the_room(self) -> None:
        """One's own words come back; what did not come back is not known."""
        self.client.listen(Said, lambda said: said.message == "one" and self.client.say("one").addErrback(str))
        said, lost = self.client.say("one"), self.client.say("two")
        body = {"message": "one", "sender": "1", "sendTime": "1"}
        self.line.says({"type": "CHAT_MESSAGE", "serverData": body})
        self.assertEqual(self.successResultOf(said).sender, "1")
        self.assertEqual(len(self.line.take()), 3)
        self.lost()
        self.failureResultOf(lost, ConnectionLost)

    def test_who_is_there(self) -> None:
        """The list follows who comes and goes."""
        change = {"type": "USER_CONNECTION_MESSAGE"}
        self.line.says({**change, "serverData": {"connectionStatus": "CONNECT", **profile("2")}})
        self.assertEqual(sorted(self.client.online), ["1", "2"])
        went = self.client.next(Went)
        self.line.says({**change, "serverData": {"connectionStatus": "DISCONNECT", "userId": "2"}})
        self.assertEqual(self.successResultOf(went), Went("2"))
        self.assertEqual(sorted(self.client.online), ["1"])

    def test_what_can_not_be_told_apart(self) -> None:
        """Goes one at a time."""
        profile = self.client.change_profile(status="away")
        history = self.client.room_history(limit=5)
        self.assertEqual([each["type"] for each in self.line.take()], ["PROFILE"])
        self.line.says({"type": "PROFILE", "status": "SUCCESS"})
        self.successResultOf(profile)
        self.assertEqual([each["type"] for each in self.line.take()], ["HISTORY"])
        said = {"message": "m", "sender": "2", "sendTime": "1", "messageId": "4"}
        self.line.says({"type": "HISTORY", "status": "SUCCESS", "serverData": {"messages": [said]}})
        self.assertEqual([each.message_id for each in self.successResultOf(history)], ["4"])

    def test_what_would_be_passed_over(self) -> None:
        """Is refused before it is sent: nobody would ever answer it, or the connection would be closed."""
        calls = (
            lambda: self.client.say("\0"),
            lambda: self.client.send("", 1),
            lambda: self.client.send("2", "x" * 70_000),
            lambda: self.client.send("2", 1, client_message_id="x" * 129),
            lambda: self.client.change_profile(nickname=""),
            lambda: self.client.history("nobody"),
            lambda: self.client.room_history(limit=0),
        )
        for call in calls:
            self.assertRaises(ValueError, call)
        self.assertEqual(self.line.sent, [])

    def test_unknown_messages(self) -> None:
        """A later server's are passed over."""
        self.line.says({"type": "NEW", "serverData": {"x": 1}})
        self.assertTrue(self.client.is_connected)
        self.assertEqual(json.dumps(self.line.take()), "[]")
