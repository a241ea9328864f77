"""Engine.IO over HTTP: its limits, who lives, and the end of the server."""

from __future__ import annotations

from realtime.socketio import engine_packets
from realtime.socketio.engine_context import Reason
from tests.socketio.world import HANDSHAKE, PATH, EngineTestCase, answer, error, is_waiting
from tests.web.requests import Response


class SizeTests(EngineTestCase):
    """Bodies that are too long are not kept, and the session goes on."""

    def test_bound(self) -> None:
        """As many bytes as maxPayload says are taken, not one more; in one piece or in many."""
        client = self.polling()
        for body, status in (
            (b"4" + b"x" * 999, 200),
            (b"4" + b"x" * 1000, 413),
            (b"4" + "é".encode() * 499 + b"x", 200),
            (b"4" + "é".encode() * 500, 413),
        ):
            response = client.post(body)
            self.assertEqual(response.status, status, len(body))
            self.assertEqual(self.chunked(client.named, body).status, status)
        self.assertEqual(self.refusals("size"), 4)
        self.assertEqual(len(self.application.got), 4)
        client.send("4still there")

    def chunked(self, query: str, body: bytes) -> Response:
        """The answer to a request whose body comes in chunks of a hundred bytes."""
        peer = self.peer()
        peer.write(f"POST {PATH}?{query} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for start in range(0, len(body), 100):
            piece = body[start : start + 100]
            peer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        peer.write(b"0\r\n\r\n")
        return answer(peer)

    def test_nothing_is_kept(self) -> None:
        """Of a body whose length is too much, or whose session is not known, nothing is kept at all."""
        client = self.polling()
        for query, length in (
            (client.named, 1001),
            (f"{client.named}x", 1000),
            ("EIO=4&transport=polling", 500),
        ):
            peer = self.peer()
            peer.write(f"POST {PATH}?{query} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n".encode())
            peer.write(b"4" * 499)
            (request,) = peer.connection._channel.requests
            self.assertEqual(request.content.getvalue(), b"")
            peer.go()

    def test_other_paths(self) -> None:
        """The bound is this path's alone."""
        response = self.ask("POST", "", body=b"x" * 5000, path="/other")
        self.assertEqual(response.status, 404)


class LimitTests(EngineTestCase):
    """The limits that WebSockets have hold here, too."""

    def test_rate(self) -> None:
        """What comes beyond the rate is the application's to answer; other packets end the session."""
        self.configure(per_second=5.0)
        client = self.polling()
        client.send(*(f"4{number}" for number in range(13)))
        self.assertEqual(self.application.got, [str(number) for number in range(10)])
        self.assertEqual(self.application.beyond, ["10", "11", "12"])
        self.assertEqual(self.refusals("rate"), 3)
        self.assertTrue(client.get().body.endswith(b"4too many\x1e4too many\x1e4too many"))
        client.send("6")
        self.assertEqual(client.get().body, error(1, "Session ID unknown"))

    def test_slow_reader(self) -> None:
        """A client that leaves too much unread is closed at the end of the turn, and what waited is dropped."""
        self.configure(send_buffer_bytes=1000)
        client = self.polling()
        group = engine_packets.message("x" * 999)
        for _ in range(3):
            client.session.send(group)
        self.assertEqual(self.application.reasons, [])
        self.clock.advance(0)
        self.assertEqual(self.application.reasons, [Reason.FORCED_CLOSE])
        self.assertEqual(self.refusals("slow-reader"), 1)
        self.assertEqual(client.get().body, b"1")

    def test_steady_reader(self) -> None:
        """However much a client gets, it is closed for nothing that it has read."""
        self.configure(send_buffer_bytes=1000)
        client = self.polling()
        for _ in range(20):
            for _ in range(20):
                client.session.send(engine_packets.message("x" * 30))
            self.clock.advance(0)
            self.assertEqual([client.get().status for _ in range(2)], [200, 200])
        self.assertEqual(self.application.reasons, [])

    def test_one_large_message(self) -> None:
        """One message alone, however large, never closes anybody."""
        self.configure(send_buffer_bytes=1000)
        client = self.polling()
        client.session.send(engine_packets.message("x" * 100_000))
        self.clock.advance(0)
        self.assertEqual(len(client.get().body), 100_001)

    def test_many_small_messages(self) -> None:
        """What waits is bounded in number, too."""
        self.configure(send_buffer_bytes=1_000_000)
        client = self.polling()
        for _ in range(10_001):
            client.session.send(engine_packets.message(""))
        self.clock.advance(0)
        self.assertEqual(self.application.reasons, [Reason.FORCED_CLOSE])

    def test_addresses(self) -> None:
        """Sessions of one address are counted, whatever transport they are on, until they are gone."""
        self.configure(connections={"per_address": 2})
        first, _ = self.polling(), self.polling()
        response = self.ask("GET", HANDSHAKE)
        self.assertEqual((response.status, response.body), (429, error(4, "Too many connections")))
        self.assertEqual(self.ask("GET", HANDSHAKE, address="192.0.2.2").status, 200)
        peer = self.peer().shake(f"{PATH}?EIO=4&transport=websocket")
        self.assertEqual(peer.status, 429)
        self.assertEqual(self.refusals("connections"), 2)
        first.upgrade()  # which is no second connection
        first.session.close()
        self.clock.advance(5)  # for the closing handshake
        self.assertEqual(self.ask("GET", HANDSHAKE).status, 200)

    def test_users(self) -> None:
        """A user's sessions are counted until they are over."""
        self.configure(connections={"per_user": 1})
        first, second = self.polling(), self.polling()
        self.assertTrue(first.session.identify(5))
        self.assertTrue(first.session.identify(5))
        self.assertFalse(second.session.identify(5))
        self.assertTrue(second.session.identify(6))
        first.session.close()
        self.assertTrue(second.session.identify(5))
        self.assertEqual(self.refusals("connections"), 1)

    def test_storm(self) -> None:
        """Sessions that have never sent anything are bounded in number: the oldest makes room."""
        self.configure(most_silent=3)
        speaking = self.polling()
        speaking.send("4x")
        clients = [self.polling() for _ in range(5)]
        self.assertEqual(
            [client.get().status if client in clients[:2] else 200 for client in clients],
            [400, 400, 200, 200, 200],
        )
        self.assertEqual(len(self.engine), 4)
        self.assertEqual(speaking.get().body, b"4x")

    def test_counted(self) -> None:
        """Sessions and packets are counted as connections and messages are."""
        client = self.polling()
        client.send("4a", "4b")
        for name, value in (
            *(("connections", 1), ("connections_opened_total", 1)),
            *(("messages_received_total", 2), ("messages_sent_total", 3)),
        ):
            self.assertEqual(self.sample(f"realtime_{name}", protocol="workspace"), value, name)


class HeartbeatTests(EngineTestCase):
    """Who lives."""

    def test_ping(self) -> None:
        """A ping comes an interval after the opening, and again an interval after each pong."""
        client = self.polling()
        for _ in range(3):
            poll = client.poll()
            self.clock.advance(24.5)
            self.assertTrue(is_waiting(poll))
            self.clock.advance(0.5)
            self.clock.advance(0)
            self.assertEqual(answer(poll).body, b"2")
            self.clock.advance(10)
            client.send("3")
        self.assertEqual(self.application.reasons, [])

    def test_no_pong(self) -> None:
        """Without a pong the session is over, and a request that waits is told."""
        client = self.polling()
        self.clock.advance(25)
        self.assertEqual(client.get().body, b"2")
        poll = client.poll()
        self.clock.advance(19.5)
        client.send("4a message is no pong")
        self.assertEqual(answer(poll).body, b"4a message is no pong")
        poll = client.poll()
        self.clock.advance(0.5)
        self.assertEqual(answer(poll).body, b"1")
        self.assertEqual(client.get().body, error(1, "Session ID unknown"))
        self.assertEqual(self.application.reasons, [Reason.PING_TIMEOUT])

    def test_late(self) -> None:
        """A server that is a little late with its ping does not give more time for the pong."""
        client = self.polling()
        self.clock.advance(25.5)
        self.assertEqual(client.get().body, b"2")
        self.clock.advance(19.5)
        self.assertEqual(self.application.reasons, [Reason.PING_TIMEOUT])

    def test_who_never_polls(self) -> None:
        """A client that never polls is gone after an interval and a timeout, and not told."""
        client = self.polling()
        self.clock.advance(25)
        self.clock.advance(20)
        self.assertEqual(client.get().body, error(1, "Session ID unknown"))
        self.assertEqual(len(self.parts.admission), 0)

    def test_silent_old_client(self) -> None:
        """In revision 3 it is the client that pings; one that does not is gone in the same time."""
        client = self.polling(version=3)
        self.clock.advance(44)
        client.send("2")
        self.clock.advance(44)
        self.assertEqual(client.get().body, b"1:3")
        self.clock.advance(1)
        self.assertEqual(client.get().status, 400)
        self.assertEqual(self.application.reasons, [Reason.PING_TIMEOUT])

    def test_spread(self) -> None:
        """However many sessions there are, one timer asks them all."""
        for _ in range(20):
            self.polling()
            self.clock.advance(0.1)
        for peer in self.peers:
            peer.go()
        self.assertLessEqual(len(self.clock.getDelayedCalls()), 2)


class StoppingTests(EngineTestCase):
    """The server stops."""

    def test_going_away(self) -> None:
        """Sessions are among those that are closed, and cut."""
        waiting, idle = self.polling(), self.polling()
        poll = waiting.poll()
        for connection in self.parts.admission:
            connection.close_going_away()
        self.assertEqual(answer(poll).body, b"1")
        self.assertEqual(self.application.reasons, [Reason.SERVER_SHUTTING_DOWN] * 2)
        self.assertEqual(list(self.parts.admission), [idle.session])
        idle.session.abort()
        self.assertEqual(len(self.parts.admission), 0)

    def test_abort(self) -> None:
        """One that is cut is gone at once; a request that waits is told all there is."""
        client = self.polling()
        poll = client.poll()
        for _ in range(20):
            client.session.send(engine_packets.message("x"))
        client.session.abort()
        self.assertEqual(answer(poll).body, b"4x\x1e" * 20 + b"1")
        self.assertEqual(len(self.engine), 0)
