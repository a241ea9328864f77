"""Clients that come back at another process: what they get, and that nobody gets anything twice."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster.peers import NAME_LENGTH
from realtime.socketio.engine_context import EngineRules, Reason
from realtime.socketio.moving import HOLD_SECONDS, MARK_SECONDS, Moving
from realtime.socketio.namespace import Namespace
from realtime.socketio.socket import Socket
from realtime.socketio.websocket import EngineFactory
from realtime.websocket.front_door import FrontDoorFactory
from tests.cluster.cables import Processes
from tests.logged import Logged
from tests.socketio.namespaces import Handler, Player, WatchedServer
from tests.socketio.processes import PatientClock
from tests.websocket.peers import TEXT, Peer, Settings, client_frame, connection_rules, surroundings

SECONDS = 120.0


class MovingHandler(Handler):
    """A handler whose clients may move; ``data`` is what they have with them."""

    says_goodbye = False

    def connect(self, socket: Socket) -> Any:
        """Note what it has; join a room as a new one."""
        self.found = socket.data
        if socket.data is None:
            socket.data = "at first"
        if not socket.is_recovered:
            socket.join("room")
        return super().connect(socket)

    def pack(self, data: object) -> bytes | None:
        """Whoever is called ``stays`` can't move."""
        return None if data == "stays" else str(data).encode()

    def unpack(self, packed: bytes) -> object:
        """Read it."""
        return packed.decode()


class Side:
    """One process."""

    def __init__(self, test: MovingTests) -> None:
        self.test = test
        self.clock = test.clock
        self.handler = MovingHandler()
        self.peers = test.processes.start()
        self.namespace = Namespace(
            "/",
            self.handler,
            clock=test.clock,
            recovery_seconds=SECONDS,
            moving=Moving(self.peers, test.processes.cluster, test.clock),
            packer=self.handler,
        )
        self.server = WatchedServer([self.namespace], clock=test.clock)
        settings = Settings(interval=10_000, clock=test.clock, send_buffer_bytes=100_000, per_second=1000)
        rules = EngineRules(connections=connection_rules(settings))
        parts = surroundings(settings)
        factory = EngineFactory("workspace", parts, rules, self.server)
        self.door = FrontDoorFactory({"/socket.io": factory}, factory, test.clock, timeout=10, longest=16_384)

    def player(self) -> Player:
        """A client with a session here."""
        peer = Peer(self.door, self.clock).shake("/socket.io/?EIO=4&transport=websocket")
        self.test.peers.append(peer)
        for _ in range(2):
            self.clock.advance(0.01)
        peer.frames()
        return Player(self, peer)  # type: ignore[arg-type]

    def join(self, auth: dict[str, Any] | None = None) -> tuple[Player, dict[str, str], list[Any]]:
        """A client that has joined: what it was told of itself, and the events that came with that."""
        player = self.player()
        connected, *events = player.ask("0" + json.dumps({"how": "quiet", **(auth or {})}))
        return player, json.loads(str(connected)[1:]), read(events)

    def tell(self, text: str) -> None:
        """What is told to the room gets to this process."""
        self.namespace.to("room", "said", text)


def read(events: list[Any]) -> list[Any]:
    """The arguments of events, each with its offset."""
    return [json.loads(str(event)[1:])[1:] for event in events]


def texts(events: list[Any]) -> list[str]:
    """What was said."""
    return [event[0] for event in events]


class MovingTests(SynchronousTestCase):
    """Three processes, and a client that was lost from the first."""

    def setUp(self) -> None:
        """Start them."""
        self.logged = Logged(self)
        self.clock = PatientClock()
        self.processes = Processes(self.clock)
        self.peers: list[Peer] = []
        self.sides = [Side(self) for _ in range(3)]
        self.one, self.two, self.three = self.sides
        self.logged.events.clear()

    def tearDown(self) -> None:
        """Nothing is left when everybody has gone and the time is over in which they might come back."""
        for peer in self.peers:
            peer.go()
        for _ in range(320):
            self.clock.advance(1)
        for side in self.sides:
            returning = side.namespace._returning
            assert returning is not None
            self.assertEqual((len(returning.log), returning.log.held), (0, (0, 0)))
            self.assertEqual((returning._moved, side.namespace._moves), (set(), {}))
            self.assertEqual(len(side.namespace), 0)
            moving: Any = side.namespace._moving
            self.assertEqual((moving._claimed, moving._marked, len(moving._holding)), ({}, {}, 0))
        leases: Any = self.processes.cluster.leases
        self.assertEqual([name for name in leases._holders if name.startswith("recovery.")], [])
        self.processes.stop()
        self.clock.advance(10)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.logged.above_debug(), [])

    def lost(self) -> dict[str, str]:
        """What a client shows that has heard "seen" and was lost before "missed"."""
        player, me, _ = self.one.join()
        self.one.tell("seen")
        ((_, offset),) = read(player.heard())
        player.peer.go()
        self.one.tell("missed")
        return {"pid": me["pid"], "offset": offset, "sid": me["sid"]}

    def test_comes_back_elsewhere(self) -> None:
        """It is who it was, with its rooms, its data, and what it has missed; and hears what is told there."""
        shown = self.lost()
        player, me, events = self.two.join(shown)
        self.assertEqual((me["sid"], me["pid"]), (shown["sid"], shown["pid"]))
        self.assertEqual(texts(events), ["missed"])
        self.assertEqual(self.two.handler.found, "at first")
        self.assertTrue(self.two.handler.sockets[0].is_recovered)
        self.two.tell("new")
        self.assertEqual(texts(read(player.heard())), ["new"])
        self.assertEqual(len(self.one.namespace._returning.log), 0)  # type: ignore[union-attr]

    def test_names_its_process(self) -> None:
        """A private id begins with the name of its process, and does so for good."""
        shown = self.lost()
        self.assertEqual(shown["pid"][:NAME_LENGTH], self.one.peers.name)

    def test_lost_again(self) -> None:
        """Wherever it is lost next, it is found there: where it is, elsewhere, and where it began."""
        shown = self.lost()
        for side in (self.two, self.two, self.three, self.one, self.two):
            player, me, events = side.join(shown)
            self.assertEqual((me["sid"], texts(events)), (shown["sid"], ["missed"]))
            player.peer.go()
            side.tell("missed")
            shown["offset"] = events[-1][1]

    def test_lost_before_it_has_heard(self) -> None:
        """Who was lost again on the way in gets what it has not seen, all of it, whatever it shows."""
        shown = self.lost()
        player, _, _ = self.two.join(shown)
        player.peer.go()
        self.two.tell("missed, too")
        for side in (self.two, self.three):
            player, _, events = side.join(shown)
            self.assertEqual(texts(events), ["missed", "missed, too"])
            player.peer.go()

    def test_seen_in_part(self) -> None:
        """Each event has an offset of its own from then on, in order."""
        shown = self.lost()
        self.one.tell("missed, too")
        player, _, events = self.two.join(shown)
        player.peer.go()
        _, _, again = self.two.join({**shown, "offset": events[0][1]})
        self.assertEqual(texts(again), ["missed, too"])

    def test_two_comers(self) -> None:
        """Of two, one gets it; the other begins anew."""
        shown = self.lost()
        first, second = self.two.player(), self.three.player()
        packet = "0" + json.dumps({"how": "quiet", **shown})
        for player in (first, second):
            player.peer.wire.protocol.dataReceived(_frame(packet))
        answers = [json.loads(str(player.heard()[0])[1:]) for player in (first, second)]
        self.assertEqual([answer["pid"] == shown["pid"] for answer in answers].count(True), 1)

    def test_old_socket_gives_way(self) -> None:
        """A client whose loss was not noticed yet takes its place all the same."""
        player, me, _ = self.one.join()
        _, again, events = self.two.join({"pid": me["pid"]})
        self.assertEqual((again["sid"], events), (me["sid"], []))
        self.clock.advance(0)
        self.assertEqual(player.peer.frames()[-1].opcode, 8)
        self.assertEqual(self.one.server.reasons, [Reason.TRANSPORT_CLOSE])

    def test_told_meanwhile(self) -> None:
        """What is told while it comes back is told once, in order, whichever process heard of it when."""
        shown = self.lost()
        player = self.two.player()
        player.say("0" + json.dumps({**shown, "how": "wait"}))
        self.one.tell("one alone")  # before the other listened
        for text in ("both", "both", "later"):
            self.one.tell(text)
        for text in ("both", "both"):
            self.two.tell(text)
        self.two.handler.admitting[0].callback(None)
        self.two.tell("later")
        self.two.tell("two alone")
        connected, *events = player.heard()
        self.assertTrue(str(connected).startswith("0{"))
        found = read(events)
        self.assertEqual(texts(found), ["missed", "one alone", "both", "both", "later", "two alone"])
        self.assertEqual(len({offset for _, offset in found}), len(found))

    def test_told_meanwhile_and_lost_again(self) -> None:
        """Who is lost again before any of it has come gets all of it, once."""
        shown = self.lost()
        player = self.two.player()
        player.say("0" + json.dumps({**shown, "how": "wait"}))
        self.two.tell("meanwhile")
        self.two.handler.admitting[0].callback(None)
        self.clock.advance(0)
        player.peer.go()
        _, _, events = self.two.join(shown)
        self.assertEqual(texts(events), ["missed", "meanwhile"])

    def test_told_twice(self) -> None:
        """What was told before it came, and is told again in the same words as it comes, is told twice."""
        shown = self.lost()
        player = self.two.player()
        player.say("0" + json.dumps({**shown, "how": "wait"}))
        self.two.tell("missed")
        self.two.handler.admitting[0].callback(None)
        _, *events = player.heard()
        self.assertEqual(texts(read(events)), ["missed", "missed"])

    def test_mark_comes_later(self) -> None:
        """The place is asked for what was missed when all that was told before has come, and not before."""
        held = Held(self.processes.cluster)
        shown = self.lost()
        player = self.two.player()
        player.say("0" + json.dumps({**shown, "how": "quiet"}))
        self.assertEqual(self.two.handler.sockets, [], "what the host had heard has not come yet")
        held.let_go()
        self.two.tell("twice")
        self.one.tell("twice")
        held.let_go()
        self.assertEqual(player.heard(), [], "nor has what it has told since")
        held.let_go()
        _, *events = player.heard()
        self.assertEqual(texts(read(events)), ["missed", "twice"])

    def test_no_mark(self) -> None:
        """Without a bus nothing is told anyway: it is waited for for a while."""
        Held(self.processes.cluster)
        shown = self.lost()
        player = self.two.player()
        player.say("0" + json.dumps({**shown, "how": "quiet"}))
        for _ in range(3):
            self.clock.advance(MARK_SECONDS)
        _, *events = player.heard()
        self.assertEqual(texts(read(events)), ["missed"])

    def test_refused(self) -> None:
        """Who is not let in keeps the place where it was."""
        shown = self.lost()
        player = self.two.player()
        player.ask("0" + json.dumps({**shown, "how": "refuse"}))
        _, me, events = self.three.join(shown)
        self.assertEqual((me["pid"], texts(events)), (shown["pid"], ["missed"]))

    def test_lost_while_it_is_let_in(self) -> None:
        """So does who is lost meanwhile."""
        shown = self.lost()
        player = self.two.player()
        player.say("0" + json.dumps({**shown, "how": "wait"}))
        player.peer.go()
        self.clock.advance(0)
        self.two.handler.admitting[0].callback(None)
        _, me, events = self.three.join(shown)
        self.assertEqual((me["pid"], texts(events)), (shown["pid"], ["missed"]))

    def test_begins_anew(self) -> None:
        """Whom the handler does not want back has no place any more, anywhere."""
        shown = self.lost()
        _, me, _ = self.two.join({**shown, "how": "anew"})
        self.assertNotEqual((me["sid"], me["pid"]), (shown["sid"], shown["pid"]))
        _, me, _ = self.one.join(shown)
        self.assertNotEqual(me["pid"], shown["pid"])

    def test_can_not_move(self) -> None:
        """What can't be packed does not move."""
        _, me, _ = self.one.join()
        self.one.handler.sockets[0].data = "stays"
        _, again, _ = self.two.join({"pid": me["pid"]})
        self.assertNotEqual(again["pid"], me["pid"])

    def test_process_is_gone(self) -> None:
        """The client begins anew, at once."""
        shown = self.lost()
        self.processes.kill(0)
        _, me, events = self.two.join(shown)
        self.assertNotEqual(me["pid"], shown["pid"])
        self.assertEqual(events, [])

    def test_process_goes_in_between(self) -> None:
        """A client of which nobody knows any more what it has missed is sent away, to come as another."""
        shown = self.lost()
        player = self.two.player()
        player.say("0" + json.dumps({**shown, "how": "wait"}))
        self.processes.kill(0)
        self.two.handler.admitting[0].callback(None)
        self.clock.advance(0)
        self.assertEqual(player.peer.frames()[-1].code, 1013)
        self.assertEqual(len(self.two.namespace._sockets), 0)
        self.assertEqual(self.two.handler.reasons, [Reason.TRANSPORT_CLOSE.value])

    def test_guest_goes_in_between(self) -> None:
        """A place that is claimed and never fetched is there again after a while."""
        shown = self.lost()
        player = self.two.player()
        player.say("0" + json.dumps({**shown, "how": "wait"}))
        _, me, _ = self.one.join(shown)
        self.assertNotEqual(me["pid"], shown["pid"])
        self.clock.advance(HOLD_SECONDS)
        _, me, events = self.one.join(shown)
        self.assertEqual((me["pid"], texts(events)), (shown["pid"], ["missed"]))
        self.two.handler.admitting[0].callback(None)
        self.clock.advance(0)
        self.assertEqual(player.peer.frames()[-1].code, 1013)

    def test_too_late(self) -> None:
        """Who takes more time than there is begins anew."""
        shown = self.lost()
        self.clock.advance(SECONDS + 1)
        _, me, _ = self.two.join(shown)
        self.assertNotEqual(me["pid"], shown["pid"])

    def test_stopped(self) -> None:
        """One of several processes that stops gives its places to the others as long as it can be asked."""
        player, me, _ = self.one.join()
        self.one.server.sessions[0].close_going_away()
        self.one.tell("missed")
        player.peer.go()
        _, again, events = self.two.join({"pid": me["pid"]})
        self.assertEqual((again["sid"], texts(events)), (me["sid"], ["missed"]))

    def test_wrong(self) -> None:
        """Whatever else a client shows, it begins anew, and harms nobody."""
        shown = self.lost()
        for pid, offset in (
            (7, None),
            ("x", None),
            ("", None),
            (shown["pid"][:-1] + "\u2603", None),
            (shown["pid"][:-1] + "!", None),
            ("n" * len(shown["pid"]), None),
            (shown["pid"], 7),
            (shown["pid"] * 2, None),
        ):
            _, me, _ = self.two.join({"pid": pid, "offset": offset})
            self.assertNotEqual(me["pid"], shown["pid"])
        _, me, _ = self.two.join(shown)
        self.assertEqual(me["pid"], shown["pid"])


class Held:
    """Holds back what is published by the bus."""

    def __init__(self, cluster: Any) -> None:
        self._publish = cluster.bus.publish
        self._waiting: list[tuple[Any, Any]] = []
        cluster.bus.publish = lambda topic, message: self._waiting.append((topic, message))

    def let_go(self) -> None:
        """Let all that waits go."""
        waiting, self._waiting = self._waiting, []
        for topic, message in waiting:
            self._publish(topic, message)


def _frame(packet: str) -> bytes:
    return client_frame(TEXT, f"4{packet}".encode())
