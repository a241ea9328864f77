"""Authentication, requests and errors of a support session."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from realtime.closing import CloseCode
from tests.documents import support as document
from tests.support.world import START, RecordingPeer, World


class SupportTestCase(SynchronousTestCase):
    """A customer, an operator, and no connection yet."""

    def setUp(self) -> None:
        """Make the world."""
        self.world = World()
        self.addCleanup(self.world.database.close)
        self.alice = self.world.user("alice")
        self.olga = self.world.user("olga", is_admin=True)

    def errors(self, peer: RecordingPeer) -> list[tuple[int, Any]]:
        """The codes and ids of the errors that were sent."""
        return [(each["error"]["code"], each["id"]) for each in peer.sent if each["error"]]


class AuthenticationTests(SupportTestCase):
    """``message.auth``, and what happens without it."""

    def test_the_documents_story(self) -> None:
        """A bare token, as the document draws it, is answered with the messages it draws."""
        self.world.database.query("UPDATE users SET token = 'QWERTYUIOP' WHERE user_name = 'alice'")
        self.world.database.query(
            "INSERT INTO messages (user_id, invader_name, message, created, is_from_support) VALUES"
            " (?, '', 'Message from Client', datetime(?, 'unixepoch'), 0),"
            " (?, 'Operator1', 'Message from Operator', datetime(?, 'unixepoch'), 1)",
            *(self.alice.id, START, self.alice.id, START),
        )
        peer = self.world.connect()
        peer.say(document.AUTH_REQUEST)
        self.assertEqual(peer.sent, [json.loads(document.AUTH_REPLY)])

    def test_nothing_was_ever_said(self) -> None:
        """Then the list is null."""
        self.world.database.query("UPDATE users SET token = 'QWERTYUIOP' WHERE user_name = 'alice'")
        peer = self.world.connect()
        peer.say(document.AUTH_REQUEST)
        self.assertEqual(peer.sent, [json.loads(document.AUTH_REPLY_EMPTY)])

    def test_tokens_that_do_not_count(self) -> None:
        """Missing, wrong, revoked and expired ones close with 4401 and no frame."""
        revoked = self.world.token(self.alice)
        self.world.accounts.revoke(self.alice.id)
        good = self.world.token(self.alice)
        column = self.world.database.query("SELECT token FROM users WHERE id = ?", self.alice.id)
        for params in (
            *([], None, [None], [1], [["a"]], "a", [""], ["wrong"], [revoked]),
            *([good, good], [good[:-2]], [column[0][0]], ["jti:"], ["a\0b"], ["x" * 300]),
        ):
            peer = self.world.connect()
            peer.say(json.dumps({"method": "message.auth", "params": params, "id": 1}))
            self.assertEqual((peer.closed, peer.sent), (CloseCode.NOT_AUTHENTICATED, []), params)
        self.world.clock.advance(3601)
        peer = self.world.connect()
        peer.request("message.auth", good)
        self.assertEqual((peer.closed, peer.sent), (CloseCode.NOT_AUTHENTICATED, []))

    def test_any_other_method_first(self) -> None:
        """Closes with 4401 and no frame, whether it is known or not."""
        for method in ("message.send", "message.history", "nonsense", 5, None):
            peer = self.world.connect()
            peer.say(json.dumps({"method": method, "params": ["a"], "id": 1}))
            self.assertEqual((peer.closed, peer.sent), (CloseCode.NOT_AUTHENTICATED, []))

    def test_a_frame_that_is_no_request(self) -> None:
        """Is told so; the connection stays."""
        peer = self.world.connect()
        peer.say("hello")
        self.assertEqual(self.errors(peer), [(5, None)])
        self.assertIsNone(peer.closed)

    def test_the_handshakes_token(self) -> None:
        """Is used by an authentication that brings none, and by no other."""
        token = self.world.token(self.alice)
        peer = self.world.connect(token)
        self.assertEqual(peer.ask("message.auth"), {"messages": None})
        peer = self.world.connect(token)
        peer.request("message.auth", "wrong")
        self.assertEqual(peer.closed, CloseCode.NOT_AUTHENTICATED)

    def test_again(self) -> None:
        """The same user is answered again; another one is refused, and nothing changes."""
        peer = self.world.enter(self.alice)
        peer.ask("message.send", "one")
        (shown,) = peer.ask("message.auth", self.world.token(self.alice))["messages"]
        self.assertEqual(shown["message_text"], "one")
        self.assertEqual(peer.ask("message.auth", self.world.token(self.olga)), 3)
        self.assertIn("message", peer.ask("message.send", "two"))
        peer.request("message.auth", "wrong")
        self.assertEqual(peer.closed, CloseCode.NOT_AUTHENTICATED)

    def test_requests_right_behind_the_token(self) -> None:
        """Are held until the token is accepted, and then answered in their order."""
        token = self.world.token(self.alice)
        held: list[Any] = []
        self.patch(self.world.parts.authenticator, "authenticate", held_back(self.world, held))
        peer = self.world.connect()
        first = peer.request("message.auth", token)
        second = peer.request("message.send", "one")
        third = peer.request("message.history")
        self.assertEqual(peer.sent, [])
        held[0]()
        self.assertEqual([each["id"] for each in peer.sent], [first, second, third])

    def test_too_much_right_behind_the_token(self) -> None:
        """Closes the connection with 4429."""
        held: list[Any] = []
        self.patch(self.world.parts.authenticator, "authenticate", held_back(self.world, held))
        peer = self.world.connect()
        peer.request("message.auth", self.world.token(self.alice))
        peer.say("x" * 40_000)
        self.assertIsNone(peer.closed)
        peer.say("x" * 40_000)
        self.assertEqual(peer.closed, CloseCode.TOO_MANY_REQUESTS)
        held[0]()
        self.assertEqual((peer.sent, len(self.world.bus)), ([], 0))

    def test_the_database_is_away(self) -> None:
        """Error 7; the connection stays, and can try again."""
        peer = self.world.connect()
        token = self.world.token(self.alice)
        self.world.database.away = True
        self.assertEqual(peer.ask("message.auth", token), 7)
        self.world.database.away = False
        self.assertEqual(peer.ask("message.auth", token), {"messages": None})
        self.assertEqual(len(self.world.bus), 1)

    def test_gone_while_the_token_is_checked(self) -> None:
        """Nothing stays of it."""
        held: list[Any] = []
        token = self.world.token(self.olga)
        self.patch(self.world.parts.authenticator, "authenticate", held_back(self.world, held))
        peer = self.world.connect()
        peer.request("message.auth", token)
        peer.close(CloseCode.DONE)
        held[0]()
        self.assertEqual((peer.sent, len(self.world.bus)), ([], 0))
        self.assertEqual(self.successResultOf(self.world.presence.members("support.operators")), frozenset())

    def test_gone_before_the_database_fails(self) -> None:
        """Nothing stays of it either."""
        held: list[Any] = []
        token = self.world.token(self.alice)
        self.patch(self.world.parts.authenticator, "authenticate", held_back(self.world, held))
        peer = self.world.connect()
        peer.request("message.auth", token)
        peer.close(CloseCode.DONE)
        read = self.world.database.read

        def fail_history(work: Any, *arguments: Any) -> Any:
            if work.__name__ == "_history":
                self.world.database.away = True
            return read(work, *arguments)

        self.patch(self.world.database, "read", fail_history)
        held[0]()
        self.assertEqual((peer.sent, len(self.world.bus)), ([], 0))

    def test_one_connection_too_many(self) -> None:
        """Closes the connection, and nothing stays of it."""
        peer = self.world.connect()
        peer.full = True
        peer.request("message.auth", self.world.token(self.alice))
        self.assertEqual((peer.closed, peer.sent), (CloseCode.TOO_MANY_REQUESTS, []))
        self.assertEqual(len(self.world.bus), 0)

    def test_what_is_said_while_history_is_read(self) -> None:
        """Is shown once: in the history, or pushed after it."""
        tab = self.world.enter(self.alice)
        read = self.world.database.read
        said = iter(["before", "after"])

        def read_between(work: Any, *arguments: Any) -> Any:
            if work.__name__ != "_history":
                return read(work, *arguments)
            tab.ask("message.send", next(said))
            result = read(work, *arguments)
            tab.ask("message.send", next(said))
            return result

        self.patch(self.world.database, "read", read_between)
        peer = self.world.connect()
        history = peer.ask("message.auth", self.world.token(self.alice))
        self.assertEqual([each["message_text"] for each in history["messages"]], ["before"])
        self.assertEqual(peer.heard(), ["after"])


class RequestTests(SupportTestCase):
    """What is answered, and how."""

    def test_send_and_its_answer(self) -> None:
        """The answer is the document's, and the message is in the table."""
        peer = self.world.enter(self.alice)
        peer.say(document.SEND_REQUEST)
        (reply,) = peer.sent
        drawn = json.loads(document.SEND_REPLY)
        self.assertEqual(list(reply), list(drawn))
        self.assertEqual(list(reply["result"]["message"]), list(drawn["result"]["message"]))
        self.assertEqual(
            reply["result"]["message"],
            {
                "message_id": 1,
                "message_text": "message",
                "invader_name": "",
                "is_from_support": False,
                "created": START,
            },
        )
        self.assertEqual(
            self.world.database.query("SELECT * FROM messages"),
            [(1, self.alice.id, "", "message", "2023-03-14 11:49:15", 0)],
        )

    def test_incorrect_arguments(self) -> None:
        """Error 1 to the letter, and nothing is stored."""
        peer = self.world.enter(self.alice)
        wrong: list[Any] = [None, "a", {}, [], [1], [None], ["a", "b"], [True], [["a"]], [""], [" \n"]]
        for params in wrong:
            peer.say(json.dumps({"method": "message.send", "params": params, "id": 1}))
            self.assertEqual(peer.sent.pop(), json.loads(document.INCORRECT_ARGUMENT_REPLY))
        self.assertEqual(peer.ask("message.send", "a" * 10_001), 1)
        self.assertEqual(peer.ask("message.send", "a\0b"), 1)
        self.assertEqual(peer.ask("message.history", None, 0), 1)
        self.assertEqual(peer.ask("message.history", None, None, 0), 1)
        self.assertEqual(self.world.database.query("SELECT count(*) FROM messages"), [(0,)])

    def test_unknown_methods(self) -> None:
        """Error 4, whatever stands where the method should."""
        peer = self.world.enter(self.alice)
        for method in ("message.nope", "", None, 5, ["message.send"], {"a": 1}):
            peer.say(json.dumps({"method": method, "params": [], "id": "x"}))
        self.assertEqual(self.errors(peer), [(4, "x")] * 6)

    def test_the_other_sides_methods(self) -> None:
        """Error 3."""
        peer = self.world.enter(self.alice)
        peer.say(document.OPERATOR_SEND_REQUEST)
        self.assertEqual(self.errors(peer), [(3, 1)])
        peer.sent.clear()
        for method in ("conversations", "assign", "release", "seen"):
            self.assertEqual(peer.ask(f"message.{method}"), 3)
        self.assertEqual(peer.ask("message.history", self.olga.id), 3)
        self.assertEqual(self.world.enter(self.olga).ask("message.send", "a"), 3)

    def test_answered_only_when_committed(self) -> None:
        """No answer and no push leaves before the commit."""
        peer, tab = self.world.enter(self.alice), self.world.enter(self.alice)
        self.world.database.held = True
        request_id = peer.request("message.send", "one")
        self.assertEqual((peer.sent, tab.sent), ([], []))
        self.world.database.commit()
        self.assertEqual([each["id"] for each in peer.sent], [request_id])
        self.assertEqual(tab.heard(), ["one"])

    def test_gone_before_the_commit(self) -> None:
        """Who asked is gone, but the message is there, and the others hear it."""
        peer, tab = self.world.enter(self.alice), self.world.enter(self.alice)
        self.world.database.held = True
        peer.request("message.send", "one")
        peer.close(CloseCode.DONE)
        self.world.database.commit()
        self.assertEqual(tab.heard(), ["one"])

    def test_the_database_is_away(self) -> None:
        """Error 7, nothing is stored, and it does not count as a fault."""
        peer = self.world.enter(self.alice)
        self.world.database.away = True
        for _ in range(60):
            self.assertEqual(peer.ask("message.send", "one"), 7)
        self.assertIsNone(peer.closed)
        self.world.database.away = False
        self.assertEqual(self.world.database.query("SELECT count(*) FROM messages"), [(0,)])
        self.assertIn("message", peer.ask("message.send", "two"))

    def test_the_account_is_gone(self) -> None:
        """A message that has nobody to belong to closes the connection with 4401."""
        peer = self.world.enter(self.alice)
        self.world.database.query("DELETE FROM users WHERE id = ?", self.alice.id)
        peer.request("message.send", "one")
        self.assertEqual((peer.closed, peer.sent), (CloseCode.NOT_AUTHENTICATED, []))

    def test_history(self) -> None:
        """Older messages by the page, oldest first."""
        peer = self.world.enter(self.alice)
        for number in range(1, 6):
            peer.ask("message.send", str(number))
        self.assertEqual(texts(peer.ask("message.history", None, None, 2)), ["4", "5"])
        self.assertEqual(texts(peer.ask("message.history", self.alice.id, 4, 2)), ["2", "3"])
        self.assertEqual(texts(peer.ask("message.history", None, 2)), ["1"])
        self.assertEqual(peer.ask("message.history", None, 1), {"messages": None})
        self.assertEqual(len(texts(peer.ask("message.history", None, 2**70, 2**70))), 5)

    def test_history_holds_what_fits(self) -> None:
        """The newest messages that fit into the bound, in a reply and at authentication."""
        self.world = World(history_bytes=350)
        self.addCleanup(self.world.database.close)
        alice = self.world.user("alice")
        peer = self.world.enter(alice)
        for number in range(1, 6):
            peer.ask("message.send", str(number))
        self.assertEqual(texts(peer.ask("message.history")), ["3", "4", "5"])
        shown = self.world.connect().ask("message.auth", self.world.token(alice))
        self.assertEqual(texts(shown), ["3", "4", "5"])

    def test_the_last_thousand(self) -> None:
        """An authentication is answered with no more than the last thousand messages."""
        self.world.database.query(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001)"
            " INSERT INTO messages (user_id, invader_name, message, is_from_support)"
            " SELECT ?, '', i, 0 FROM n",
            self.alice.id,
        )
        shown = self.world.connect().ask("message.auth", self.world.token(self.alice))
        self.assertEqual(texts(shown), [str(number) for number in range(2, 1002)])


class FaultTests(SupportTestCase):
    """What a peer does wrong, and for how long."""

    def test_fifty_in_a_minute(self) -> None:
        """The fiftieth is answered too, and then the connection is closed with 1008."""
        peer = self.world.enter(self.alice)
        for _ in range(49):
            peer.request("message.nope")
        self.assertIsNone(peer.closed)
        peer.request("message.nope")
        self.assertEqual((len(peer.sent), peer.closed), (50, CloseCode.POLICY_VIOLATION))

    def test_fifty_in_more_than_a_minute(self) -> None:
        """Close nothing."""
        peer = self.world.enter(self.alice)
        for _ in range(200):
            peer.request("message.nope")
            self.world.clock.advance(1.25)
        self.assertIsNone(peer.closed)

    def test_too_many_requests(self) -> None:
        """Error 6 with the request's id; it counts as a fault; before authentication, 4429."""
        peer = self.world.enter(self.alice)
        peer.session.receive_too_many(b'{"method": "message.send", "params": ["a"], "id": 17}')
        peer.session.receive_too_many(b"nonsense")
        self.assertEqual(self.errors(peer), [(6, 17), (6, None)])
        self.assertEqual(self.world.database.query("SELECT count(*) FROM messages"), [(0,)])
        for _ in range(48):
            peer.session.receive_too_many(b"{}")
        self.assertEqual(peer.closed, CloseCode.POLICY_VIOLATION)
        early = self.world.connect()
        early.session.receive_too_many(b"{}")
        self.assertEqual((early.closed, early.sent), (CloseCode.TOO_MANY_REQUESTS, []))


def texts(result: dict[str, Any]) -> list[str]:
    """The texts of the messages of a result."""
    return [message["message_text"] for message in result["messages"]]


def held_back(world: World, held: list[Any]) -> Any:
    """An ``authenticate`` that waits until the function that it adds to ``held`` is called."""
    authenticate = world.parts.authenticator.authenticate

    def wait(token: str | None) -> Deferred[Any]:
        waiting: Deferred[None] = Deferred()
        held.append(lambda: waiting.callback(None))
        return waiting.addCallback(lambda _: authenticate(token))

    return wait
