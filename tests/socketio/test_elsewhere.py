"""The rules of a session hold when its client comes to another process: the same tests, through that one."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.closing import CloseCode
from realtime.cluster.peers import NAME_LENGTH
from realtime.socketio import engine_packets
from realtime.socketio.engine import SID_LENGTH
from realtime.socketio.engine_context import Reason
from tests.socketio import test_polling, test_polling_limits, test_upgrade
from tests.socketio.processes import ElsewhereTestCase
from tests.socketio.world import HANDSHAKE, PATH, answer, error, is_waiting
from tests.websocket.peers import Peer, handshake_request


class PacketsElsewhere(ElsewhereTestCase, test_polling.PacketTests):
    """Packets, both ways."""

    def test_waiting(self) -> None:
        """A request waits until there is something."""
        client = self.polling()
        poll = client.poll()
        self.assertTrue(is_waiting(poll))
        for text in ("one", "two"):
            client.session.send(engine_packets.message(text))
        self.assertEqual(answer(poll).body, b"4one\x1e4two")


class FaultsElsewhere(ElsewhereTestCase, test_polling.FaultTests):
    """What is wrong."""


class OldClientsElsewhere(ElsewhereTestCase, test_polling.OldClientTests):
    """Revision 3."""


class ErrorsElsewhere(ElsewhereTestCase, test_polling.ErrorTests):
    """What is refused."""


class SizesElsewhere(ElsewhereTestCase, test_polling_limits.SizeTests):
    """Long ones."""


class LimitsElsewhere(ElsewhereTestCase, test_polling_limits.LimitTests):
    """Rates, and slow readers."""


class HeartbeatsElsewhere(ElsewhereTestCase, test_polling_limits.HeartbeatTests):
    """Whether the client lives."""


class StoppingElsewhere(ElsewhereTestCase, test_polling_limits.StoppingTests):
    """The end of the server."""


class UpgradesElsewhere(ElsewhereTestCase, test_upgrade.UpgradeTests):
    """From polling to a WebSocket."""


class FailedUpgradesElsewhere(ElsewhereTestCase, test_upgrade.FailureTests):
    """Upgrades that fail."""

    def test_slow_reader_meanwhile(self) -> None:
        """The switch comes a turn later than what overflows: the session is over before it, and says so."""
        self.configure(send_buffer_bytes=100)
        client = self.polling()
        peer = client.probe()
        for _ in range(3):
            client.session.send(engine_packets.message("x" * 200))
        peer.text(b"5")
        self.assert_closed(peer, CloseCode.DONE)
        self.assertEqual(self.refusals("slow-reader"), 1)


class OrderElsewhere(ElsewhereTestCase):
    """Nothing is lost, or out of order."""

    @settings(deadline=None, max_examples=15)
    @given(
        st.lists(
            st.sampled_from(["say", "say", "tell", "poll", "turn", "wait", "probe", "upgrade", "lose"]),
            max_size=25,
        )
    )
    def test_order(self, steps: list[str]) -> None:
        """A client that keeps the rules, and a server, that do things in any order."""
        self.configure()
        self.application.silent = True
        world = test_upgrade.Story(self, self.polling())
        for step in steps:
            getattr(world, step)()
        world.finish()
        self.assertEqual(world.told, world.heard)
        self.assertEqual(self.application.got, world.said)
        self.assertEqual(self.logged.above_debug(), [])
        self.tearDown()


class TroubleTests(ElsewhereTestCase):
    """What there is only between processes."""

    def test_named_by_its_process(self) -> None:
        """A sid says where its session is, and has as much chance in it as ever."""
        client = self.polling()
        self.assertTrue(client.sid.startswith(self.one.name))
        self.assertEqual(len(client.sid), NAME_LENGTH + SID_LENGTH)

    def test_unknown(self) -> None:
        """A session of nobody, of a process that is gone, or of neither name is unknown, at once."""
        for sid in (
            self.two.name + "x" * SID_LENGTH,
            self.one.name + "x" * SID_LENGTH,
            "n" * (NAME_LENGTH + SID_LENGTH),
            "n" * SID_LENGTH,
            "\u2603" * (NAME_LENGTH + SID_LENGTH),
        ):
            for method in ("GET", "POST"):
                response = self.ask(
                    method, f"{HANDSHAKE}&sid={quote(sid)}", body=b"4x" if method == "POST" else None
                )
                self.assertEqual((response.status, response.body), (400, error(1, "Session ID unknown")), sid)
            peer = self.peer().shake(f"{PATH}?EIO=4&transport=websocket&sid={quote(sid)}")
            self.assertEqual(peer.status, 400)

    def test_owner_dies(self) -> None:
        """Whoever waits for a process that dies is told that the session is unknown, or cut."""
        waiting, on_websocket = self.polling(), self.polling()
        poll, peer = waiting.poll(), on_websocket.upgrade()
        self.processes.kill(0)
        response = answer(poll)
        self.assertEqual((response.status, response.body), (400, error(1, "Session ID unknown")))
        self.assertTrue(peer.wire.gone)
        self.assertEqual(waiting.get().status, 400)

    def test_owner_stands_still(self) -> None:
        """A process that stands still is as good as dead, within some seconds."""
        waiting, on_websocket = self.polling(), self.polling()
        poll, peer = waiting.poll(), on_websocket.upgrade()
        for ends in self.processes.cables:
            for end in ends:
                end.stalled = True
        for _ in range(14):
            self.clock.advance(1)
        self.assertEqual(answer(poll).status, 400)
        self.assertTrue(peer.wire.gone)
        self.assertEqual(
            self.application.reasons, [Reason.TRANSPORT_CLOSE] * 2, "and the other has found out, too"
        )

    def test_passer_on_stops(self) -> None:
        """A process that stops lets go of all that it passes on; their sessions have lost their clients."""
        waiting, on_websocket = self.polling(), self.polling()
        poll, peer = waiting.poll(), on_websocket.upgrade()
        for connection in self.second_parts.admission:
            connection.close_going_away()
        self.clock.advance(0)
        self.assertTrue(peer.wire.gone)
        self.processes.stop()
        self.assertEqual(answer(poll).status, 400)
        self.assertEqual(self.application.reasons, [Reason.TRANSPORT_CLOSE] * 2)

    def test_passer_on_is_cut(self) -> None:
        """The same when the time to stop is over."""
        peer = self.polling().upgrade()
        for connection in self.second_parts.admission:
            connection.abort()
        self.clock.advance(0)
        self.assertTrue(peer.wire.gone)
        self.assertEqual(self.application.reasons, [Reason.TRANSPORT_CLOSE])

    def test_gone_before_there_is_a_way(self) -> None:
        """A client that goes away while its connection is being passed on leaves nothing."""
        client = self.polling()
        client.post(b"4x")
        before = len(self.processes.cables)
        peer = self.peer()
        Peer.write(peer, b"")
        peer._begin(self.second)  # type: ignore[attr-defined]
        handshake = handshake_request(f"{PATH}?EIO=4&transport=websocket&sid={client.sid}")
        peer.wire.protocol.dataReceived(handshake)
        peer.go()
        self.assertLessEqual(len(self.processes.cables), before + 1)
        self.assertEqual(len(self.second_parts.admission), 0)
        self.assertEqual(client.post(b"4y").body, b"ok")

    def test_many_connections_of_an_address(self) -> None:
        """What is passed on counts for its address, where it is passed on and where it goes."""
        self.configure(connections={"per_address": 1})
        client = self.polling()
        peer = client.upgrade()
        self.assertEqual((len(self.parts.admission), len(self.second_parts.admission)), (1, 1))
        query = f"{PATH}?EIO=4&transport=websocket&sid={client.sid}"
        self.assertEqual(self.peer().shake(query).status, 429)
        peer.text(b"4x")
        self.assertEqual(peer.texts(), [b"4x"])

    def test_address(self) -> None:
        """A session's second WebSocket counts for its client's own address, not for the process between."""
        client = self.polling()
        client.upgrade()
        self.websocket(f"EIO=4&transport=websocket&sid={client.sid}")
        self.assertEqual(dict(self.parts.admission._addresses), {"192.0.2.1": 2})

    def test_foreign_origin(self) -> None:
        """Who may ask from where is judged where the client comes; the session hears nothing of it."""
        self.configure(connections={"origins": ("https://ours.example",)})
        client = self.polling()
        response = client.post(b"4x", "Origin: https://theirs.example")
        self.assertEqual((response.status, response.body), (403, error(4, "Forbidden")))
        self.assertEqual(client.post(b"4y", "Origin: https://ours.example").body, b"ok")
        self.assertEqual(self.application.got, ["y"])

    def test_slow_reader(self) -> None:
        """A client that reads nothing is closed by the rules of its session, however far away that is."""
        self.configure(send_buffer_bytes=100_000)
        peer = self.polling().upgrade()
        peer.wire.slow = True
        for _ in range(400):
            self.application.sessions[-1].send(engine_packets.message("x" * 1000))
            self.clock.advance(0)
        self.assertEqual(self.refusals("slow-reader"), 1)
        self.assertLess(sum(map(len, peer.wire.unread)), 300_000)

    def test_fast_talker(self) -> None:
        """Bytes wait with the client while the way to its session is full, and none is lost."""
        self.configure(message_bytes=100_000)
        self.application.silent = True
        peer = self.polling().upgrade()
        here, _ = self.processes.cables[-1]
        here.stalled = True
        for _ in range(4):
            peer.text(b"4" + b"x" * 50_000)
        self.assertEqual(peer.wire.producerState, "paused")
        here.go_on()
        self.clock.advance(0)
        self.assertEqual(peer.wire.producerState, "producing")
        self.assertEqual(len(self.application.got), 4)
