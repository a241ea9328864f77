"""workspace's client, and Socket.IO under it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from realtime.client import ConnectionLost, Options, RequestFailed, WorkspaceClient
from realtime.client.workspace import Message, Published
from tests.client.world import ONE_SECOND, FakeLine, World

CREATED = b'42["message-created",{"id":"1","channelId":"3","userId":"7","text":"%b","createdAt":""},"log-%d"]'


class WorkspaceTests(SynchronousTestCase):
    """A client that is let in."""

    def setUp(self) -> None:
        """Let it in."""
        self.world = World()
        self.client = self.world.make(WorkspaceClient)
        self.heard: list[str] = []
        self.client.listen(Message, lambda message: self.heard.append(message.text))
        self.line = self.world.answer()
        self.let_in(self.line)

    def let_in(self, line: FakeLine, pid: str = "p1") -> list[bytes]:
        """Let a client in; return what it sent."""
        line.says(b'0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}')
        line.says(b'40{"sid":"s1","pid":"%b"}' % pid.encode())
        sent, line.sent = line.sent, []
        for each in sent:
            if b'"auth"' in each:
                line.says(b"43%b" % each[2 : each.index(b"[")] + b'[{"userId":"7"}]')
        return sent

    def test_begins(self) -> None:
        """At the address of Socket.IO; it serves when the token is accepted."""
        self.assertEqual(self.line.opening.url, "ws://server.example/socket.io/?EIO=4&transport=websocket")
        self.assertTrue(self.client.is_connected)
        self.assertEqual((self.client.user_id, self.client.is_recovered), ("7", False))

    def test_what_it_sends(self) -> None:
        """CONNECT without a payload, then the token."""
        line = self.world.answer() if self.world.make(WorkspaceClient) else self.line
        connect, auth = self.let_in(line)
        self.assertEqual(connect, b"40")
        self.assertEqual(auth, b'421["auth",{"data":"secret","onlineStatus":"online"}]')

    def test_pings(self) -> None:
        """Are answered, with packets of Engine.IO's."""
        self.line.says(b"2")
        self.assertEqual(self.line.sent, [b"3"])

    def test_comes_back(self) -> None:
        """To what it has missed, with what it has seen last, and without presenting the token again."""
        self.line.says(CREATED % (b"one", 5))
        self.line.ear.lost(1006)
        line = self.world.again()
        self.assertEqual(self.let_in(line), [b'40{"pid":"p1","offset":"log-5"}'])
        self.assertTrue(self.client.is_connected)
        self.assertTrue(self.client.is_recovered)
        line.says(CREATED % (b"two", 6))
        self.assertEqual(self.heard, ["one", "two"])

    def test_begins_anew(self) -> None:
        """By another id: what was missed is lost, and the token is presented."""
        self.line.says(CREATED % (b"one", 5))
        self.line.ear.lost(1006)
        line = self.world.again()
        self.assertEqual(len(self.let_in(line, pid="p2")), 2)
        self.assertFalse(self.client.is_recovered)
        line.ear.lost(1006)
        self.assertEqual(self.let_in(self.world.again(), pid="p2"), [b'40{"pid":"p2"}'])

    def test_acknowledgements(self) -> None:
        """Bring a result or an error; lost with the connection, but not what was not sent."""
        said = self.client.say("3", "hello", client_id="c1")
        refused, lost = self.client.say("9", "?"), self.client.say("3", "!")
        first = self.line.sent[0]
        self.assertEqual(
            first[first.index(b"[") :], b'["message-send",{"channelId":"3","text":"hello","clientId":"c1"}]'
        )
        number = int(first[2 : first.index(b"[")])
        self.line.says(b'43%d[{"error":"Not found"}]' % (number + 1))
        self.line.says(b'43%d[{"id":"1","channelId":"3","userId":"7","text":"hello","createdAt":""}]' % number)
        self.assertEqual(self.successResultOf(said).text, "hello")
        self.assertEqual(self.failureResultOf(refused, RequestFailed).value.message, "Not found")
        self.line.ear.lost(1006)
        waits = self.client.say("3", "later")
        self.failureResultOf(lost, ConnectionLost)
        line = self.world.again()
        _, request = self.let_in(line)
        self.assertIn(b"later", request)
        self.assertNoResult(waits)
        waits.addErrback(lambda _: None)

    def test_other_events(self) -> None:
        """Of the back end's, and none of ours."""
        heard: list[Any] = []
        self.client.listen(Published, lambda event: heard.append((event.event, bytes(event.data))))
        self.line.says(b'42["deployed",{"version":3},"log-9"]')
        self.line.says(b'42["socket-api-error-t1","Not found"]')
        self.line.says(b'42["socket-api-error",{"event":"x","message":"Not found"}]')
        self.assertEqual(heard, [("deployed", b'{"version":3}')])
        self.assertEqual(self.line.sent, [])

    def test_refused(self) -> None:
        """A token that is not valid, or a namespace that is not there."""
        for answer, code in (
            (b'431[{"error":"Invalid access token"}]', "auth"),
            (b'44{"message":"no"}', "connect"),
        ):
            client = self.world.make(WorkspaceClient)
            started = client.start()
            line = self.world.answer()
            line.says(b'0{"sid":"s"}')
            if code == "auth":
                line.says(b'40{"sid":"s1","pid":"p"}')
            line.says(answer)
            line.ear.lost(1006)
            self.assertEqual(self.failureResultOf(started, RequestFailed).value.code, code)

    def test_unavailable(self) -> None:
        """A server that can't look at the token now is asked again later."""
        client = self.world.make(WorkspaceClient)
        line = self.world.answer()
        line.says(b'0{"sid":"s"}')
        line.says(b'40{"sid":"s1"}')
        line.says(b'431[{"error":"Temporarily unavailable"}]')
        self.let_in(self.world.again())
        self.assertTrue(client.is_connected)

    def test_a_token_expires(self) -> None:
        """Another one is presented, on the same connection."""
        fresh: list[Deferred[str]] = [Deferred(), Deferred()]
        asked = iter(fresh)
        client = WorkspaceClient(
            "ws://x",
            lambda: next(asked),
            options=Options(reconnection=ONE_SECOND),
            reactor=self.world.clock,
            dial=self.world.dial,
        )
        client.start()
        fresh[0].callback("one")
        line = self.world.answer()
        self.let_in(line)
        line.says(b'42["socket-api-error",{"event":"auth","message":"Token expired"},"log-9"]')
        fresh[1].callback("two")
        self.assertEqual(line.sent, [b'422["auth",{"data":"two","onlineStatus":"online"}]'])
        self.assertTrue(client.is_connected)
