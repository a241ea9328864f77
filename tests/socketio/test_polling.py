"""Engine.IO over HTTP: handshake, packets both ways, errors, and clients that misbehave or vanish."""

from __future__ import annotations

import json

from realtime.socketio import engine_packets
from realtime.socketio.engine_context import Reason
from tests.socketio.world import HANDSHAKE, PATH, EngineTestCase, answer, error, is_waiting
from tests.web.requests import Response
from tests.websocket.peers import Peer


class HandshakeTests(EngineTestCase):
    """How a session begins."""

    def test_open(self) -> None:
        """The answer is the packet that opens a session, with exactly five keys in their order."""
        response = self.ask("GET", HANDSHAKE)
        self.assertEqual(response.status, 200)
        (session,) = self.application.sessions
        self.assertEqual(
            response.body.decode(),
            f'0{{"sid":"{session.sid}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,'
            '"maxPayload":1000}',
        )
        self.assertEqual(len(session.sid), 20)
        self.assertEqual(
            response.own_headers(),
            {
                "content-type": "text/plain; charset=UTF-8",
                "content-length": str(len(response.body)),
                "cache-control": "no-store",
                "vary": "Origin",
                "x-content-type-options": "nosniff",
            },
        )

    def test_paths_and_keys(self) -> None:
        """A slash at the end does not matter, nor what else is in the query."""
        for path in ("/socket.io", "/socket.io/"):
            self.assertEqual(self.ask("GET", HANDSHAKE, path=path).status, 200)
        self.assertEqual(self.ask("GET", f"{HANDSHAKE}&t=N8hyd6w&a=%ff&token=x").status, 200)
        self.assertEqual(self.ask("GET", HANDSHAKE, path="/socket.io/x").status, 404)
        self.assertEqual(self.ask("GET", HANDSHAKE, path="/socket.io//").status, 404)

    def test_what_the_application_is_told(self) -> None:
        """Address, origin, query and token, as of a WebSocket's handshake; the log has no secret."""
        self.configure(connections={"proxies": ["192.0.2.0/24"]})
        self.ask("GET", f"{HANDSHAKE}&room=a&token=secret", "Origin: http://a", "X-Forwarded-For: 198.51.100.7")
        (handshake,) = self.application.handshakes
        self.assertEqual(
            (handshake.address, handshake.origin, handshake.token), ("198.51.100.7", "http://a", "secret")
        )
        self.assertEqual(handshake.query["room"], ["a"])
        self.ask("GET", HANDSHAKE, "Authorization: Bearer other-secret")
        self.assertEqual(self.application.handshakes[-1].token, "other-secret")
        self.assertEqual(self.logged.holding("secret", self.application.sessions[0].sid), [])

    def test_sent_at_once(self) -> None:
        """What the application sends as soon as the session is open comes with the answer."""
        self.application.greeting = "hello"
        response = self.ask("GET", HANDSHAKE)
        self.assertEqual(response.body.partition(b"\x1e")[2], b"4hello")

    def test_refused_by_the_application(self) -> None:
        """A session that is closed as soon as it is open says so in its first answer, and is gone."""
        self.application.greeting = "close"
        response = self.ask("GET", HANDSHAKE)
        self.assertEqual(response.body.partition(b"\x1e")[2], b"1")
        self.assert_nothing_left_but_connections()

    def test_a_fault_of_ours(self) -> None:
        """An application that fails ends the session alone, and is logged."""
        self.application.greeting = "raise"
        self.assertTrue(self.ask("GET", HANDSHAKE).body.endswith(b"\x1e1"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assert_nothing_left_but_connections()

    def assert_nothing_left_but_connections(self) -> None:
        """No session is left."""
        self.assertEqual((len(self.engine), len(self.parts.admission)), (0, 0))
        self.assertEqual(len(self.application.reasons), len(self.application.sessions))


class ErrorTests(EngineTestCase):
    """What is refused, with which code."""

    def assert_error(self, response: Response, code: int, message: str, status: int = 400) -> None:
        """A response is this error."""
        self.assertEqual((response.status, response.body), (status, error(code, message)))
        self.assertEqual(response.headers["content-type"], "application/json")

    def test_transport(self) -> None:
        """An unknown transport, or none."""
        for query in ("EIO=4", "EIO=4&transport=abc", "EIO=4&transport=", "EIO=4&transport=flash", ""):
            self.assert_error(self.ask("GET", query), 0, "Transport unknown")

    def test_session(self) -> None:
        """A session that is not known."""
        for method in ("GET", "POST"):
            response = self.ask(method, f"{HANDSHAKE}&sid=abc", body=b"4x" if method == "POST" else None)
            self.assert_error(response, 1, "Session ID unknown")

    def test_method(self) -> None:
        """A handshake by anything but GET."""
        for method in ("POST", "PUT", "DELETE", "PATCH", "BREW"):
            self.assert_error(self.ask(method, HANDSHAKE), 2, "Bad handshake method")

    def test_bad_request(self) -> None:
        """A WebSocket without an upgrade, JSONP, another method with a session."""
        self.assert_error(self.ask("GET", "EIO=4&transport=websocket"), 3, "Bad request")
        self.assert_error(self.ask("GET", f"{HANDSHAKE}&j=0"), 3, "Bad request")
        client = self.polling()
        for method in ("PUT", "DELETE", "BREW"):
            self.assert_error(self.ask(method, client.named), 3, "Bad request")
        named = client.named.replace("transport=polling", "transport=websocket")
        self.assert_error(self.ask("GET", named), 3, "Bad request")
        client.send("4still there")

    def test_version(self) -> None:
        """Another version of the protocol, or none."""
        for version in ("", "EIO=", "EIO=2", "EIO=5", "EIO=abc", "EIO=04", "EIO=4.0", "EIO=%D9%A4"):
            response = self.ask("GET", f"{version}&transport=polling")
            self.assert_error(response, 5, "Unsupported protocol version")
        self.configure(revision_3=False)
        self.assert_error(self.ask("GET", "EIO=3&transport=polling"), 5, "Unsupported protocol version")

    def test_origin(self) -> None:
        """A page that may not connect; others may read the errors, too."""
        self.configure(connections={"origins": ["http://good"]})
        response = self.ask("GET", HANDSHAKE, "Origin: http://bad")
        self.assert_error(response, 4, "Forbidden", 403)
        self.assertNotIn("access-control-allow-origin", response.headers)
        self.assertEqual(self.refusals("origin"), 1)
        for query in (HANDSHAKE, "EIO=4", f"{HANDSHAKE}&sid=abc"):
            response = self.ask("GET", query, "Origin: http://good")
            self.assertEqual(response.headers["access-control-allow-origin"], "http://good")
            self.assertEqual(response.headers["vary"], "Origin")

    def test_preflight(self) -> None:
        """OPTIONS is answered 204, with the methods."""
        response = self.ask("OPTIONS", HANDSHAKE, "Origin: http://a", "Access-Control-Request-Method: POST")
        self.assertEqual((response.status, response.body), (204, b""))
        self.assertEqual(response.headers["access-control-allow-methods"], "GET, POST")
        self.assertEqual(response.headers["access-control-allow-origin"], "http://a")


class PacketTests(EngineTestCase):
    """Packets both ways."""

    def test_echo(self) -> None:
        """Text and bytes, by themselves and together."""
        client = self.polling()
        client.send("4hello", "4é€😀")
        response = client.get()
        self.assertEqual(response.body, "4hello\x1e4é€😀".encode())
        self.assertEqual(response.headers["content-type"], "text/plain; charset=UTF-8")
        self.assertEqual(response.headers["cache-control"], "no-store")
        self.assertEqual(client.post(b"bAQIDBA==").body, b"ok")
        self.assertEqual(client.get().body, b"bAQIDBA==")
        self.assertEqual(self.application.got, ["hello", "é€😀", b"\x01\x02\x03\x04"])

    def test_waiting(self) -> None:
        """A request waits until there is something, and then gets all that was sent in that turn."""
        client = self.polling()
        poll = client.poll()
        self.assertTrue(is_waiting(poll))
        for text in ("one", "two"):
            client.session.send(engine_packets.message(text))
        self.assertTrue(is_waiting(poll))
        self.clock.advance(0)
        self.assertEqual(answer(poll).body, b"4one\x1e4two")

    def test_groups_stay_together(self) -> None:
        """What belongs together is in one answer, in its order."""
        client = self.polling()
        client.session.send(engine_packets.Group(b"452-[]", (b"\x01", b"\x02")))
        client.session.send(engine_packets.message("next"))
        self.assertEqual(client.get().body, b"452-[]\x1ebAQ==\x1ebAg==\x1e4next")

    def test_bursts(self) -> None:
        """An answer has so many packets as all clients take, or one group; what is left comes with the next."""
        client = self.polling()
        for number in range(20):
            client.session.send(engine_packets.message(str(number)))
        client.session.send(engine_packets.Group(b"412-", (b"x",) * 12))
        client.session.send(engine_packets.Group(b"420-", (b"y",) * 20))
        client.session.send(engine_packets.message("last"))
        answers = [client.get().body.split(b"\x1e") for _ in range(4)]
        self.assertEqual([len(each) for each in answers], [16, 4, 13, 21])
        self.assertEqual(answers[0], [b"4%d" % number for number in range(16)])
        self.assertEqual(answers[1], [b"4%d" % number for number in range(16, 20)])
        self.assertEqual(client.get().body, b"4last")

    def test_close_behind_a_burst(self) -> None:
        """A client that is closed gets all that was sent before, however many answers that takes."""
        client = self.polling()
        poll = client.poll()
        for number in range(40):
            client.session.send(engine_packets.message(str(number)))
        client.session.close()
        found = [answer(poll).body, client.get().body, client.get().body]
        self.assertEqual([len(body.split(b"\x1e")) for body in found], [16, 16, 8])
        self.assertTrue(found[-1].endswith(b"4" + b"39"))
        self.assertEqual(client.get().body, b"1")
        self.assertEqual(client.get().body, error(1, "Session ID unknown"))

    def test_one_connection(self) -> None:
        """All requests may come on one connection, and the next while one is answered."""
        client = self.polling()
        peer = client.poll()
        lines = f"GET {PATH}?{client.named} HTTP/1.1\r\nHost: a\r\n\r\n"
        peer.write(lines.encode())
        for text in ("one", "two"):
            client.session.send(engine_packets.message(text))
            self.clock.advance(0)
            self.assertEqual(answer(peer).body, f"4{text}".encode())

    def test_ignored(self) -> None:
        """Packets that a client has no use for are passed over."""
        client = self.polling()
        client.send("0", "5", "6", "3", "4x")
        self.assertEqual(client.get().body, b"4x")

    def test_close_by_the_client(self) -> None:
        """A close packet is answered ok, the request that waits with a noop, and the session is gone."""
        client = self.polling()
        poll = client.poll()
        client.send("1")
        self.assertEqual(answer(poll).body, b"6")
        self.assertEqual(client.get().body, error(1, "Session ID unknown"))
        self.assertEqual(self.application.reasons, [Reason.TRANSPORT_CLOSE])

    def test_nothing_after_a_close(self) -> None:
        """What stands behind a close is not taken."""
        client = self.polling()
        client.send("4a", "1", "4b")
        self.assertEqual(self.application.got, ["a"])

    def test_close_by_the_server(self) -> None:
        """A request that waits is told what was sent before, and the next one of the end."""
        client = self.polling()
        poll = client.poll()
        client.session.send(engine_packets.message("bye"))
        client.session.close()
        self.assertEqual(answer(poll).body, b"4bye")
        self.assertEqual(client.get().body, b"1")
        self.assertEqual(client.get().status, 400)
        self.assertEqual(self.application.reasons, [Reason.FORCED_CLOSE])

    def test_close_while_nobody_waits(self) -> None:
        """The next requests are told what was sent before, and then of the end; nothing more is taken."""
        client = self.polling()
        client.send("4a", "4close", "4b")
        self.assertEqual(self.application.got, ["a", "close"])
        self.assertEqual(self.application.reasons, [Reason.FORCED_CLOSE])
        self.assertEqual(client.post(b"4c").status, 400)
        self.assertEqual(client.get().body, b"4a")
        self.assertEqual(client.get().body, b"1")
        self.assertEqual(client.get().body, error(1, "Session ID unknown"))
        self.assertEqual(len(self.engine._context.lingers), 0)

    def test_close_that_nobody_hears(self) -> None:
        """A client that does not come back is not waited for longer than half a minute."""
        client = self.polling()
        client.session.close()
        self.clock.advance(29)
        self.assertEqual(len(self.engine), 1)
        self.clock.advance(1)
        self.assertEqual(len(self.engine), 0)
        self.assertEqual(client.get().body, error(1, "Session ID unknown"))

    def test_a_fault_of_ours(self) -> None:
        """An application that fails over a message ends the session alone."""
        client, other = self.polling(), self.polling()
        client.send("4raise")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(client.get().body, b"1")
        other.send("4x")
        self.assertEqual(other.get().body, b"4x")


class FaultTests(EngineTestCase):
    """Clients that do what they may not."""

    def test_malformed(self) -> None:
        """What is no packet is answered 400 and ends the session, and what stands before it counts."""
        for body in (b"", b"abc", b"7", b"4a\x1e", b"4a\x1e9\x1e4b", b"4\xff", b"bAQ", b"2", b"2probe"):
            self.application.got.clear()
            client = self.polling()
            response = client.post(body)
            if body[:1] == b"2":  # well-formed, but for the server alone to send
                self.assertEqual(response.body, b"ok")
            else:
                self.assertEqual((response.status, response.body), (400, error(3, "Bad request")), body)
            self.assertEqual(self.application.got, ["a"] if body[:2] == b"4a" else [], body)
            self.assertEqual(client.get().body, error(1, "Session ID unknown"), body)
            self.assertEqual(self.application.reasons[-1], Reason.PARSE_ERROR)

    def test_octet_stream(self) -> None:
        """There is no binary form in revision 4."""
        client = self.polling()
        response = client.post(b"4x", "Content-Type: application/octet-stream")
        self.assertEqual((response.status, self.application.got), (400, []))
        self.assertEqual(client.get().status, 400)

    def test_two_polls(self) -> None:
        """Of two requests that wait the first is told of the end, the second is refused."""
        client = self.polling()
        first, second = client.poll(), client.poll()
        self.assertEqual((answer(first).body, answer(second).status), (b"1", 400))
        self.assertEqual(client.get().status, 400)
        self.assertEqual(self.application.reasons, [Reason.TRANSPORT_ERROR])

    def test_two_posts(self) -> None:
        """Of two requests that bring packets at the same time neither is taken."""
        client = self.polling()
        poll = client.poll()
        posts = [self.begin_post(client.named) for _ in range(2)]
        self.assertEqual(answer(poll).body, b"1")
        for post in posts:
            post.write(b"ok")
            self.assertEqual(answer(post).status, 400)
        self.assertEqual(self.application.got, [])
        self.assertEqual(self.application.reasons, [Reason.TRANSPORT_ERROR])

    def begin_post(self, query: str, length: int = 4, method: str = "POST") -> Peer:
        """A client that has sent the half of a request: two bytes less than all."""
        peer = self.peer()
        head = f"{method} {PATH}?{query} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
        peer.write(head.encode() + b"4x"[: length - 2])
        return peer

    def test_post_beside_a_poll(self) -> None:
        """One request of each kind at the same time is as it should be."""
        client = self.polling()
        poll = client.poll()
        post = self.begin_post(client.named)
        self.assertTrue(is_waiting(poll))
        post.write(b"yz")
        self.assertEqual((answer(post).body, answer(poll).body), (b"ok", b"4xyz"))

    def test_poll_that_is_dropped(self) -> None:
        """A client that drops the request that waits has left."""
        client = self.polling()
        client.poll().go()
        self.assertEqual(client.get().body, error(1, "Session ID unknown"))
        self.assertEqual(self.application.reasons, [Reason.TRANSPORT_CLOSE])

    def test_post_that_is_dropped(self) -> None:
        """So has one that drops a request in the middle of its body."""
        client = self.polling()
        poll = client.poll()
        self.begin_post(client.named).go()
        self.assertEqual(answer(poll).body, b"1")
        self.assertEqual(client.get().status, 400)
        self.assertEqual((self.application.got, self.application.reasons), ([], [Reason.TRANSPORT_CLOSE]))

    def test_answered_requests_may_go(self) -> None:
        """Connections whose requests are answered may go."""
        client = self.polling()
        client.send("4x")
        for peer in self.peers:
            peer.go()
        self.assertEqual(client.get().body, b"4x")

    def test_posts_that_come_to_nothing(self) -> None:
        """A request that is refused for another reason does not stand in the way of the next."""
        client = self.polling()
        named = client.named.replace("transport=polling", "transport=websocket")
        for method, query, headers in (
            ("POST", named, ()),
            ("POST", client.named, ("Upgrade: websocket",)),
            ("POST", client.named.replace("polling", "none"), ()),
            ("PUT", client.named, ()),
        ):
            self.assertGreaterEqual(self.ask(method, query, *headers, body=b"4x").status, 400)
        client.send("4still there")
        self.assertEqual(self.application.got, ["still there"])

    def test_other_methods_with_a_body(self) -> None:
        """A body of another method is nothing to the session."""
        client = self.polling()
        post = self.begin_post(client.named, method="PUT")
        other = client.post(b"4hello")
        self.assertEqual(other.body, b"ok")
        post.write(b"yz")
        self.assertEqual(answer(post).status, 400)


class OldClientTests(EngineTestCase):
    """Revision 3."""

    def test_open(self) -> None:
        """The opening packet has its length before it, and no maxPayload."""
        self.application.greeting = "0"
        response = self.ask("GET", "EIO=3&transport=polling")
        (session,) = self.application.sessions
        packet = f'0{{"sid":"{session.sid}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}}'
        self.assertEqual(response.body.decode(), f"{len(packet)}:{packet}2:40")

    def test_echo(self) -> None:
        """Text and bytes: the latter in base64 for a client that asks for it, else as they are."""
        client = self.polling(version=3, query="&b64=1")
        client.send("4é😀")
        self.assertEqual(client.get().body, "4:4é😀".encode())
        self.assertEqual(client.post(b"10:b4AQIDBA==").body, b"ok")
        self.assertEqual(client.get().body, b"10:b4AQIDBA==")
        client = self.polling(version=3)
        body = bytes.fromhex("00 06 FF 34 68 65 6C 6C 6F 01 05 FF 04 01 02 03 04")
        self.assertEqual(client.post(body, "Content-Type: application/octet-stream").body, b"ok")
        response = client.get()
        self.assertEqual((response.body, response.headers["content-type"]), (body, "application/octet-stream"))
        self.assertEqual(self.application.got[2:], ["hello", b"\x01\x02\x03\x04"])
        client.send("4x")
        self.assertEqual(client.get().headers["content-type"], "text/plain; charset=UTF-8")

    def test_base64_from_the_first(self) -> None:
        """That it can't read bytes, a client may say in its handshake alone."""
        client = self.polling(version=3, query="&b64=1")
        client.query = client.query.replace("&b64=1", "")
        client.session.send(engine_packets.message(b"\x01"))
        self.assertEqual(client.get().body, b"6:b4AQ==")

    def test_ping(self) -> None:
        """A client pings, and is answered with what its ping held."""
        client = self.polling(version=3)
        client.send("2", "2abc")
        self.assertEqual(client.get().body, b"1:34:3abc")

    def test_pong(self) -> None:
        """A pong of a client is an error."""
        client = self.polling(version=3)
        client.send("3")
        self.assertEqual(client.get().body, error(1, "Session ID unknown"))

    def test_malformed(self) -> None:
        """What is no packet ends the session."""
        for body in (b"4x", b"abc", b"9:4"):
            client = self.polling(version=3)
            self.assertEqual(client.post(body).status, 400)
            self.assertEqual(client.get().status, 400)


class OpeningTests(EngineTestCase):
    """The documented text."""

    def test_defaults(self) -> None:
        """With the reference's limits it is the documented packet (digest, section 4, 1)."""
        self.configure(message_bytes=1_000_000)
        body = self.ask("GET", HANDSHAKE).body
        opening = json.loads(body[1:])
        sid = opening["sid"]
        documented = (
            '0{"sid":"n6i1OeblWQCwYo8rAAAV","upgrades":["websocket"],"pingInterval":25000,'
            '"pingTimeout":20000,"maxPayload":1000000}'
        )
        self.assertEqual(body.decode(), documented.replace("n6i1OeblWQCwYo8rAAAV", sid))
