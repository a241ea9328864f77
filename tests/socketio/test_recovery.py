"""Clients that come back: what they get, who does not, and what is let go of."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realtime.socketio import packets
from realtime.socketio.recovery import Left, RecoveryLog
from tests.socketio.namespaces import Player, ServerTestCase


class RecoveryTests(ServerTestCase):
    """A namespace that keeps what it has told for two minutes."""

    recovery_seconds = 120.0

    def make_application(self) -> Any:
        """A server whose handler is silent when a client is gone."""
        server = super().make_application()
        self.root.says_goodbye = False
        return server

    def join(self, auth: dict[str, Any] | None = None) -> tuple[Player, dict[str, str], list[Any]]:
        """A client that has joined: what it was told of itself, and the events that came with that."""
        player = self.connect("0" + json.dumps(auth or {"how": "quiet"}))
        answer, *events = player.heard()
        return player, json.loads(str(answer)[1:]), [json.loads(str(each)[1:]) for each in events]

    def events(self, player: Player) -> list[Any]:
        """The events that have come."""
        return [json.loads(str(each)[1:]) for each in player.heard()]

    def lose(self, player: Player) -> None:
        """The client's connection is lost."""
        player.peer.go()

    def tell(self, room: str, *texts: str) -> None:
        """Tell a room some texts."""
        for text in texts:
            self.namespaces["/"].to(room, "say", text)

    def test_as_it_should_be(self) -> None:
        """What was told meanwhile comes behind the answer, in order; id, rooms and data are as before."""
        player, own, _ = self.join()
        self.assertEqual(set(own), {"sid", "pid"})
        self.root.sockets[0].join("a")
        self.root.sockets[0].data = "something"
        self.tell("a", "one")
        ((name, text, offset),) = self.events(player)
        self.assertEqual((name, text), ("say", "one"))
        self.lose(player)
        self.tell("a", "two")
        self.tell("b", "not for it")
        self.tell(own["sid"], "three")
        player, again, missed = self.join({**own, "offset": offset})
        self.assertEqual(again["sid"], own["sid"])
        self.assertEqual([event[:2] for event in missed], [["say", "two"], ["say", "three"]])
        socket = self.root.sockets[1]
        self.assertTrue(socket.is_recovered)
        self.assertEqual((socket.data, set(socket.rooms)), ("something", {"a", own["sid"]}))
        self.tell("a", "four")
        self.assertEqual([event[:2] for event in self.events(player)], [["say", "four"]])

    def test_again_and_again(self) -> None:
        """A client may be lost before it has read what it missed, and get it the next time."""
        player, own, _ = self.join()
        self.root.sockets[0].join("a")
        self.tell("a", "one")
        offset = self.events(player)[0][-1]
        for _ in range(3):
            self.lose(player)
            player, own, missed = self.join({**own, "offset": offset})
            self.assertEqual(len(missed), len(self.root.sockets) - 2)
            self.tell("a", "more")

    def test_nothing_seen_yet(self) -> None:
        """A client that has had no event has no offset; it gets all since it came."""
        self.tell("a", "before")
        player, own, _ = self.join()
        self.root.sockets[0].join("a")
        self.lose(player)
        self.tell("a", "one")
        _, again, missed = self.join(own)
        self.assertEqual((again["sid"], [event[1] for event in missed]), (own["sid"], ["one"]))

    def test_before_it_joined(self) -> None:
        """What was told to a room before the client was in it is not for it."""
        player, own, _ = self.join()
        self.tell(own["sid"], "own")
        offset = self.events(player)[0][-1]
        self.tell("a", "secret")
        self.root.sockets[0].join("a")
        self.lose(player)
        self.tell("a", "public")
        player, own, missed = self.join({**own, "offset": offset})
        self.assertEqual([event[1] for event in missed], ["public"])
        self.lose(player)
        _, _, missed = self.join({**own, "offset": offset})
        self.assertEqual([event[1] for event in missed], ["public"])

    def test_said_when_it_was_gone(self) -> None:
        """What is said to a socket after it was lost is for the client that comes back, too."""
        self.root.says_goodbye = True
        player, own, _ = self.join()
        self.lose(player)
        self.root.sockets[0].emit("later")
        _, _, missed = self.join(own)
        self.assertEqual([event[0] for event in missed], ["too late", "later"])

    def test_left_out(self) -> None:
        """What was told to all but it is not for it, either."""
        player, own, _ = self.join()
        socket = self.root.sockets[0]
        socket.join("a")
        self.namespaces["/"].to("a", "say", "mine", but=socket)
        self.lose(player)
        _, _, missed = self.join(own)
        self.assertEqual(missed, [])

    def test_meanwhile(self) -> None:
        """What is told while the handler makes up its mind comes once, in its place."""
        player, own, _ = self.join()
        self.root.sockets[0].join("a")
        self.lose(player)
        self.tell("a", "one")
        player = self.connect("0" + json.dumps({**own, "how": "wait"}))
        self.tell("a", "two")
        self.root.admitting[0].callback(None)
        self.tell("a", "three")
        _, *events = player.heard()
        self.assertEqual([json.loads(str(each)[1:])[1] for each in events], ["one", "two", "three"])

    def assert_anew(self, auth: dict[str, Any], own: dict[str, str]) -> None:
        """Who says this begins anew, and is told nothing of the past."""
        _, again, events = self.join({"how": "quiet", **auth})
        self.assertNotEqual(again["sid"], own["sid"])
        self.assertNotEqual(again["pid"], own["pid"])
        self.assertEqual(events, [])
        self.assertFalse(self.root.sockets[-1].is_recovered)
        self.assertEqual(set(self.root.sockets[-1].rooms), {again["sid"]})

    def test_who_is_not_known(self) -> None:
        """Whoever has no private id of ours, or a wrong offset, or comes a second time."""
        player, own, _ = self.join()
        self.root.sockets[0].join("a")
        self.tell("a", "one")
        offset = self.events(player)[0][-1]
        self.assert_anew({**own, "offset": offset}, own)  # it is still there
        self.lose(player)
        strangers: list[Any] = ["x", 1, None, [], own["sid"], {}]
        for stranger in strangers:
            self.assert_anew({"pid": stranger, "offset": offset}, own)
        self.assert_anew({"offset": offset}, own)
        offsets: list[Any] = [
            "x",
            "",
            1,
            [],
            f"{offset}0",
            "other-1",
            f"{offset[:-1]}٢",
            f"{offset}x",
            offset[:-1],
        ]
        for wrong in offsets:
            player, own, _ = self.join()
            self.lose(player)
            self.assert_anew({**own, "offset": wrong}, own)
            self.assert_anew({**own, "offset": offset}, own)  # it has had its chance

    def test_too_late(self) -> None:
        """Whoever takes too long begins anew, and nothing is kept for longer."""
        player, own, _ = self.join()
        self.root.sockets[0].join("a")
        self.lose(player)
        self.tell("a", "one")
        for _ in range(121):
            self.clock.advance(1)
        self.assert_anew(own, own)
        log: Any = self.namespaces["/"]._log_of_events
        self.assertEqual((len(log), len(log._events), log._bytes), (0, 0, 0))

    def test_who_has_left(self) -> None:
        """Whoever left, or was put out, does not come back."""
        for message in ("1", '2["kick"]'):
            player, own, _ = self.join()
            player.say(message)
            player.peer.go()
            self.assert_anew(own, own)

    def test_refused(self) -> None:
        """The handler judges one that comes back as it judges everybody."""
        player, own, _ = self.join()
        self.lose(player)
        self.assertEqual(self.player().ask("0" + json.dumps({**own, "how": "refuse"})), ['4{"message":"nope"}'])
        self.assertEqual(len(self.namespaces["/"]), 0)

    def test_begins_anew(self) -> None:
        """It may have it begin anew."""
        player, own, _ = self.join()
        self.root.sockets[0].join("a")
        self.lose(player)
        self.tell("a", "one")
        _, again, _ = self.join({**own, "how": "anew"})
        self.assertNotEqual(again["sid"], own["sid"])
        self.assertEqual(set(self.root.sockets[1].rooms), {again["sid"]})

    def test_acknowledgements(self) -> None:
        """An event that is to be acknowledged has no offset, and is not told again."""
        player, own, _ = self.join()
        acknowledged = self.root.sockets[0].emit_with_acknowledgement("x", timeout=5)
        acknowledged.addErrback(lambda _: None)
        self.assertEqual(player.heard(), ['21["x"]'])
        self.lose(player)
        self.assertEqual(self.join(own)[2], [])

    def test_old_clients(self) -> None:
        """A 2.x client gets events as they are: it knows nothing of offsets."""
        player = self.player(3)
        player.heard()
        old = self.root.sockets[0]
        new, own, _ = self.join()
        for socket in self.root.sockets:
            socket.join("a")
        self.tell("a", "one")
        self.assertEqual(player.heard(), ['2["say","one"]'])
        self.assertEqual(len(self.events(new)[0]), 3)
        self.assertIsNone(old.private_id)
        self.assertIn("pid", own)

    def test_binary(self) -> None:
        """What was missed may have attachments."""
        player, own, _ = self.join()
        self.root.sockets[0].join("a")
        self.lose(player)
        self.namespaces["/"].to("a", "say", b"\x01")
        player = self.connect("0" + json.dumps(own))
        _, event, attachment = player.heard()
        self.assertTrue(str(event).startswith('51-["say",{"_placeholder":true,"num":0},"'))
        self.assertEqual(attachment, b"\x01")


class LogTests(SynchronousTestCase):
    """The log itself."""

    def test_bytes(self) -> None:
        """It is bounded in bytes; who would need what is gone begins anew."""
        log = RecoveryLog(100, most_bytes=100)
        offsets = []
        for number in range(10):
            offsets.append(log.next_offset())
            log.add(packets.event("x", ["y" * 20, number]), ["a"], float(number))
        self.assertLessEqual(log._bytes, 100)
        self.assertEqual(len(log._events), 3)
        found = []
        for offset in offsets:
            log.leave(Left("pid", "s", {"a": 0}, None, 0, 10.0))
            recovered = log.come_back("pid", offset, 10.0)
            found.append(None if recovered is None else len(log.missed(recovered, ["a"])))
        self.assertEqual(found, [None] * 6 + [3, 2, 1, 0])
        self.assertEqual(len(log), 0)

    def test_another_log(self) -> None:
        """An offset of another process, or from before a restart, is nobody's."""
        log, other = RecoveryLog(100), RecoveryLog(100)
        log.add(packets.event("x"), ["a"], 0.0)
        log.leave(Left("pid", "s", {"a": 0}, None, 0, 0.0))
        self.assertIsNone(log.come_back("pid", other.next_offset(), 1.0))

    def test_rooms_that_are_left(self) -> None:
        """Rooms that a client is no longer in tell it nothing of the past."""
        log = RecoveryLog(100)
        for room in ("a", "b"):
            log.add(packets.event("x", [room]), [room], 0.0)
        log.leave(Left("pid", "s", {"a": 0, "b": 0}, None, 0, 0.0))
        recovered = log.come_back("pid", None, 1.0)
        assert recovered is not None
        self.assertEqual([group.text for group in log.missed(recovered, {"b"})], [b'42["x","b"]'])
