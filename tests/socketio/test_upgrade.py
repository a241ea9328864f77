"""From polling to a WebSocket: nothing is lost, nothing comes twice or out of order, and it may fail."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.closing import CloseCode
from realtime.socketio import engine_packets
from realtime.socketio.engine_context import Reason
from tests.socketio.world import PATH, Client, EngineTestCase, answer, is_waiting
from tests.websocket.peers import BINARY, TEXT, Frame, Peer


class UpgradeTests(EngineTestCase):
    """As it should be."""

    def test_documented(self) -> None:
        """A probe, its answer, a noop for the request that waits, and then everything on the WebSocket."""
        client = self.polling()
        poll = client.poll()
        peer = client.probe()
        self.assertEqual(answer(poll).body, b"6")
        peer.text(b"5")
        peer.text(b"4hello")
        self.assertEqual(peer.texts(), [b"4hello"])
        self.assertIsNone(client.session.polling)
        self.assertEqual(self.application.reasons, [])

    def test_old_client(self) -> None:
        """The same in revision 3."""
        client = self.polling(version=3)
        poll = client.poll()
        peer = client.probe()
        self.assertEqual(answer(poll).body, b"1:6")
        peer.text(b"5")
        peer.binary(b"\x04x")
        peer.text(b"2")
        self.assertEqual(peer.frames(), [Frame(BINARY, b"\x04x"), Frame(TEXT, b"3")])

    def test_no_opening(self) -> None:
        """The WebSocket of a session is not told what the session has been told."""
        client = self.polling()
        peer = self.websocket(f"EIO=4&transport=websocket&sid={client.sid}")
        self.assertEqual(peer.frames(), [])
        self.assertEqual(len(self.application.sessions), 1)

    def test_polling_goes_on_meanwhile(self) -> None:
        """Until it has taken over, packets come and go by polling."""
        client = self.polling()
        peer = client.probe()
        client.send("4one")
        self.assertEqual(client.get().body, b"4one")
        for text in ("two", "three"):
            client.session.send(engine_packets.message(text))
        self.clock.advance(0)
        self.assertEqual(peer.frames(), [])
        peer.text(b"5")
        self.assertEqual(peer.texts(), [b"4two", b"4three"])

    def test_sent_as_it_is_probed(self) -> None:
        """A request that is answered with packets anyway needs no noop."""
        client = self.polling()
        poll = client.poll()
        client.session.send(engine_packets.message("x"))
        client.probe()
        self.assertEqual(answer(poll).body, b"4x")

    def test_every_poll_ends(self) -> None:
        """However often the client asks while it is probed, it is answered soon; but not again and again."""
        client = self.polling()
        peer = client.probe()
        for _ in range(3):
            poll = client.poll()
            self.assertTrue(is_waiting(poll))
            self.clock.advance(0.1)
            self.assertEqual(answer(poll).body, b"6")
        poll = client.poll()
        peer.text(b"5")
        self.assertEqual(answer(poll).body, b"6")

    def test_polls_wait_again_after_a_failure(self) -> None:
        """When the WebSocket is lost, requests wait as before."""
        client = self.polling()
        client.probe().go()
        poll = client.poll()
        self.clock.advance(1)
        self.assertTrue(is_waiting(poll))
        client.session.send(engine_packets.message("x"))
        self.clock.advance(0)
        peer = client.probe()
        poll = client.poll()
        peer.go()
        self.clock.advance(1)
        self.assertTrue(is_waiting(poll))

    def test_polling_is_over(self) -> None:
        """After it requests are refused, and change nothing."""
        client = self.polling()
        peer = client.upgrade()
        for response in (client.get(), client.post(b"4x")):
            self.assertEqual((response.status, response.body), (400, b'{"code":3,"message":"Bad request"}'))
        peer.text(b"4y")
        self.assertEqual((peer.texts(), self.application.got), ([b"4y"], ["y"]))

    def test_post_under_way(self) -> None:
        """A request that has begun before is still taken."""
        client = self.polling()
        peer = client.probe()
        post = self.peer()
        head = f"POST {PATH}?{client.named} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n4x"
        post.write(head.encode())
        peer.text(b"5")
        post.write(b"yz")
        self.assertEqual((answer(post).body, self.application.got), (b"ok", ["xyz"]))
        self.assertEqual(peer.texts(), [b"4xyz"])

    def test_post_lost_under_way(self) -> None:
        """One that is lost after all has lost packets: the session is over."""
        client = self.polling()
        peer = client.probe()
        post = self.peer()
        post.write(f"POST {PATH}?{client.named} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n4x".encode())
        peer.text(b"5")
        post.go()
        self.clock.advance(0)
        self.assert_closed(peer, CloseCode.DONE)

    def test_heartbeat(self) -> None:
        """A ping that is not answered before it still has to be, in the same time."""
        for answers in (True, False):
            client = self.polling()
            self.clock.advance(25)
            self.assertEqual(client.get().body, b"2")
            self.clock.advance(10)
            peer = client.upgrade()
            if answers:
                peer.text(b"3")
            self.clock.advance(10)
            self.clock.advance(0)
            if answers:
                self.assertEqual(peer.frames(), [])
                self.clock.advance(15)
                self.clock.advance(0)
                self.assertEqual(peer.texts(), [b"2"])
                peer.go()
            else:
                self.assert_closed(peer, CloseCode.NO_PONG)

    def test_ping_in_the_queue(self) -> None:
        """A ping that waits goes over to the WebSocket as well."""
        client = self.polling()
        self.clock.advance(24)
        peer = client.probe()
        self.clock.advance(1)
        peer.text(b"5")
        self.assertEqual(peer.texts(), [b"2"])

    def test_silent_old_client(self) -> None:
        """A client of revision 3 that falls silent after it is found dead in time."""
        client = self.polling(version=3)
        self.clock.advance(20)
        peer = client.upgrade()
        self.clock.advance(25)
        self.clock.advance(0)
        self.assert_closed(peer, CloseCode.NO_PONG)

    def test_rate(self) -> None:
        """The rate goes on: going over is no way round it."""
        self.configure(per_second=5.0)
        client = self.polling()
        client.send(*["4x"] * 8)
        peer = client.upgrade()  # two messages: the probe, and the last word
        peer.text(b"4y")
        self.assertEqual(len(self.application.got) + len(self.application.beyond), 9)
        peer.text(b"4y")
        peer.text(b"4y")
        self.assertTrue(self.application.beyond)

    def test_counted(self) -> None:
        """One session, one admission; and each transport is a connection of its own to the metrics."""
        client = self.polling()
        peer = client.upgrade()
        self.assertEqual(list(self.parts.admission), [client.session])
        self.assertEqual(self.sample("realtime_connections", protocol="workspace"), 1)
        peer.go()
        self.assertEqual(len(self.parts.admission), 0)
        self.assertEqual(self.sample("realtime_connections", protocol="workspace"), 0)


class FailureTests(EngineTestCase):
    """As it should not be: polling goes on."""

    def still_polls(self, client: Client) -> None:
        """The client's polling session works, and another attempt does."""
        client.send("4still here")
        self.assertEqual(client.get().body, b"4still here")
        peer = client.upgrade()
        peer.text(b"4on a WebSocket")
        self.assertEqual(peer.texts(), [b"4on a WebSocket"])

    def test_no_probe(self) -> None:
        """Anything else than a probe first closes the WebSocket alone."""
        for kind, payload in (
            *((TEXT, b"5"), (TEXT, b"4hello"), (TEXT, b""), (TEXT, b"2"), (TEXT, b"2prob"), (TEXT, b"1")),
            *((BINARY, b"2probe"), (TEXT, b"3probe")),
        ):
            client = self.polling()
            peer = self.websocket(f"EIO=4&transport=websocket&sid={client.sid}")
            (peer.text if kind == TEXT else peer.binary)(payload)
            self.assert_closed(peer, CloseCode.POLICY_VIOLATION)
            self.assertEqual(self.application.got, [])
            self.still_polls(client)
            self.application.got.clear()

    def test_after_the_probe(self) -> None:
        """So does anything but the last word after it."""
        for payload in (b"2probe", b"4hello", b"", b"5x"):
            client = self.polling()
            peer = client.probe()
            peer.text(payload)
            self.assert_closed(peer, CloseCode.POLICY_VIOLATION)
            self.still_polls(client)

    def test_too_slow(self) -> None:
        """A WebSocket that does not come to an end in time is closed."""
        client = self.polling()
        for probe in (True, False):
            peer = client.probe() if probe else self.websocket(f"EIO=4&transport=websocket&sid={client.sid}")
            self.clock.advance(9)
            self.assertEqual(peer.frames(), [])
            self.clock.advance(1)
            self.clock.advance(0)
            self.assert_closed(peer, CloseCode.DONE)
        self.still_polls(client)

    def test_lost(self) -> None:
        """A WebSocket may be lost, or closed, before and after its probe."""
        client = self.polling()
        self.websocket(f"EIO=4&transport=websocket&sid={client.sid}").go()
        client.probe().go()
        self.still_polls(client)

    def test_second_websocket(self) -> None:
        """A second one while the first is on its way, or there, is opened and closed; the first goes on."""
        client = self.polling()
        first = client.probe()
        query = f"EIO=4&transport=websocket&sid={client.sid}"
        self.assert_closed(self.websocket(query), CloseCode.POLICY_VIOLATION)
        first.text(b"5")
        self.assert_closed(self.websocket(query), CloseCode.POLICY_VIOLATION)
        first.text(b"4x")
        self.assertEqual(first.texts(), [b"4x"])
        begun, session = self.on_websocket()
        second = self.websocket(f"EIO=4&transport=websocket&sid={session.sid}")
        self.assert_closed(second, CloseCode.POLICY_VIOLATION)
        begun.text(b"4x")
        self.assertEqual(begun.texts(), [b"4x"])

    def test_second_websockets_count(self) -> None:
        """Those that are of no use count for their address until they are gone."""
        self.configure(connections={"per_address": 2})
        client = self.polling()
        client.upgrade()
        query = f"{PATH}?EIO=4&transport=websocket&sid={client.sid}"
        extra = self.peer().shake(query)
        self.assertEqual((extra.status, self.peer().shake(query).status), (101, 429))
        extra.go()
        self.assertEqual(self.peer().shake(query).status, 101)

    def test_session_ends_meanwhile(self) -> None:
        """With the session the WebSocket that is on its way ends, if polling can tell the client."""
        client = self.polling()
        client.poll()
        peer = self.websocket(f"EIO=4&transport=websocket&sid={client.sid}")
        client.session.close()
        self.clock.advance(0)
        self.assert_closed(peer, CloseCode.DONE)
        self.assertEqual(self.application.reasons, [Reason.FORCED_CLOSE])

    def test_session_is_closed_meanwhile(self) -> None:
        """If it can't, the WebSocket is closed when it takes over, behind what was sent before."""
        client = self.polling()
        peer = client.probe()
        client.session.send(engine_packets.message("bye"))
        client.session.close()
        self.clock.advance(0)
        self.assertEqual(peer.frames(), [])
        peer.text(b"5")
        self.assertEqual(self.assert_closed(peer, CloseCode.DONE), [Frame(TEXT, b"4bye")])
        self.assertEqual(self.application.reasons, [Reason.FORCED_CLOSE])
        self.assertEqual((len(self.engine), len(self.engine._context.lingers)), (0, 0))
        self.assertEqual(client.get().status, 400)

    def test_closed_and_never_told(self) -> None:
        """A client that does neither is not waited for."""
        client = self.polling()
        peer = client.probe()
        client.session.close()
        self.clock.advance(10)
        self.clock.advance(0)
        self.assert_closed(peer, CloseCode.DONE)
        self.clock.advance(20)
        self.assertEqual(len(self.engine), 0)

    def test_slow_reader_meanwhile(self) -> None:
        """A queue that overflows in the turn of the switch ends the session on its WebSocket."""
        self.configure(send_buffer_bytes=100)
        client = self.polling()
        peer = client.probe()
        for _ in range(3):
            client.session.send(engine_packets.message("x" * 200))
        peer.text(b"5")
        self.clock.advance(0)
        self.assert_closed(peer, CloseCode.SLOW_READER)


class OrderTests(EngineTestCase):
    """Whatever happens when: both sides get all that the other has sent, once and in order."""

    @settings(deadline=None)
    @given(
        st.lists(
            st.sampled_from(["say", "say", "tell", "poll", "turn", "wait", "probe", "upgrade", "lose"]),
            max_size=40,
        ),
        st.booleans(),
    )
    def test_order(self, steps: list[str], old: bool) -> None:
        """A client that keeps the rules, and a server, that do things in any order."""
        self.configure()
        self.application.silent = True
        world = Story(self, self.polling(version=3 if old else 4))
        for step in steps:
            getattr(world, step)()
        world.finish()
        self.assertEqual(world.told, world.heard)
        self.assertEqual(self.application.got, world.said)
        self.assertEqual(self.logged.above_debug(), [])
        self.tearDown()


class Story:
    """A client and a server; each step is what one of them does if it may."""

    def __init__(self, test: EngineTestCase, client: Client) -> None:
        self.test = test
        self.client = client
        self.told: list[str] = []
        self.heard: list[Any] = []
        self.said: list[str] = []
        self.waiting: Peer | None = None
        self.peer: Peer | None = None
        self.is_upgraded = False

    def tell(self) -> None:
        """The server sends something."""
        text = f"told {len(self.told)}"
        self.told.append(text)
        self.client.session.send(engine_packets.message(text))

    def say(self) -> None:
        """The client sends something."""
        text = f"said {len(self.said)}"
        self.said.append(text)
        if self.is_upgraded and self.peer is not None:
            self.peer.text(f"4{text}".encode())
        else:
            self.client.send(f"4{text}")

    def poll(self) -> None:
        """The client asks for packets, if it polls and no request waits."""
        self.read()
        if self.waiting is None and not self.is_upgraded:
            self.waiting = self.client.poll()
            self.read()

    def turn(self) -> None:
        """A turn of the reactor ends."""
        self.test.clock.advance(0)
        self.read()

    def wait(self) -> None:
        """Some time passes, though not as much as a heartbeat takes."""
        self.test.clock.advance(0.15)
        self.test.clock.advance(0)
        self.read()

    def probe(self) -> None:
        """The client probes a WebSocket."""
        if self.peer is None:
            self.peer = self.client.probe()

    def upgrade(self) -> None:
        """The client goes over, once its requests are answered."""
        if self.peer is not None and not self.is_upgraded:
            self.wait()
            self.read()
            if self.waiting is None:
                self.peer.text(b"5")
                self.is_upgraded = True

    def lose(self) -> None:
        """The WebSocket is lost before it is the transport."""
        if self.peer is not None and not self.is_upgraded:
            self.peer.go()
            self.peer = None

    def read(self) -> None:
        """The client reads what has come."""
        if self.waiting is not None and self.waiting.wire.value():
            body = answer(self.waiting).body
            self.waiting = None
            packets = engine_packets.read_payload(body, self.client.version)
            self.heard += [packet.data for packet in packets if packet.type.value == "4"]
        if self.is_upgraded and self.peer is not None:
            self.heard += [text[1:].decode() for text in self.peer.texts()]

    def finish(self) -> None:
        """The client reads all that is left."""
        self.turn()
        self.read()
        if not self.is_upgraded and self.waiting is None:
            self.poll()
        self.wait()
