"""Clients that come back: what they get, who does not, and what is let go of."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realtime.closing import CloseCode
from realtime.socketio import packets
from realtime.socketio.recovery import Left, Membership, RecoveryLog
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
        self.assertEqual((socket.data, set(socket.rooms)), ("something", {"a"}))
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
        self.assertEqual(self.root.sockets[-1].rooms, {})

    def test_who_is_not_known(self) -> None:
        """Whoever has no private id of ours, or a wrong offset, or comes a second time."""
        player, own, _ = self.join()
        self.root.sockets[0].join("a")
        self.tell("a", "one")
        offset = self.events(player)[0][-1]
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
        returning = self.namespaces["/"]._returning
        assert returning is not None
        self.assertEqual((len(returning.log), returning.log.held[0]), (0, 1))

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
        self.assertEqual(self.root.sockets[1].rooms, {})

    def test_same_private_id(self) -> None:
        """It keeps its private id, by which today's client knows that it was recovered; a place counts once."""
        player, own, _ = self.join()
        self.lose(player)
        player, again, _ = self.join(own)
        self.assertEqual(again, own)
        self.lose(player)
        self.join(own)
        first, second = self.root.sockets[-2:]
        self.assertTrue(first.is_over)
        self.assertTrue(second.is_recovered)

    def test_before_it_was_missed(self) -> None:
        """A client may come back while its old connection still seems to be there: that one gives way."""
        player, own, _ = self.join()
        self.root.sockets[0].join("a")
        self.tell("a", "one")
        again, own_again, missed = self.join(own)
        self.assertEqual((own_again, [event[1] for event in missed]), (own, ["one"]))
        self.assertEqual(self.root.reasons, ["transport close"])
        self.assertEqual(player.peer.frames()[-1].code, CloseCode.REPLACED)
        self.tell("a", "two")
        self.assertEqual([event[1] for event in self.events(again)], ["two"])

    def test_other_secret(self) -> None:
        """Whoever knows a socket's public id alone neither takes its place nor ends it."""
        player, own, _ = self.join()
        for pid in (own["sid"], own["sid"] * 2, own["sid"] + "é" * 20, own["pid"][:-1] + "€"):
            self.assert_anew({"pid": pid}, own)
        self.assertEqual(self.root.reasons, [])
        self.tell(own["sid"], "still there")
        self.assertEqual(len(self.events(player)), 1)

    def test_lost_while_it_waits(self) -> None:
        """Who is lost before the handler has made up its mind may come back again, and gets everything."""
        player, own, _ = self.join()
        self.root.sockets[0].join("a")
        self.lose(player)
        self.tell("a", "one")
        player = self.connect("0" + json.dumps({**own, "how": "wait"}))
        self.tell("a", "two")
        self.lose(player)
        self.tell("a", "three")
        again, _, missed = self.join(own)
        self.assertEqual([event[1] for event in missed], ["one", "two", "three"])
        self.root.admitting[0].callback(None)
        self.tell("a", "four")
        self.assertEqual([event[1] for event in self.events(again)], ["four"])
        self.assertEqual(self.root.reasons, ["transport close"] * 2)

    def test_impatient(self) -> None:
        """The same if the connection that waits only seems to be there."""
        player, own, _ = self.join()
        self.root.sockets[0].join("a")
        self.lose(player)
        self.connect("0" + json.dumps({**own, "how": "wait"}))
        self.tell("a", "one")
        _, again, missed = self.join(own)
        self.assertEqual((again, [event[1] for event in missed]), (own, ["one"]))
        self.root.admitting[0].callback(None)

    def test_refused_and_again(self) -> None:
        """Who was refused may try again, within the time."""
        player, own, _ = self.join()
        self.root.sockets[0].join("a")
        self.lose(player)
        self.tell("a", "one")
        for how in ("refuse", "raise"):
            self.player().say("0" + json.dumps({**own, "how": how}))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        _, again, missed = self.join(own)
        self.assertEqual((again, [event[1] for event in missed]), (own, ["one"]))

    def test_who_begins_anew_has_seen_nothing(self) -> None:
        """What was told while the handler made up its mind is not for whom it has begin anew."""
        player, own, _ = self.join()
        self.root.sockets[0].join("a")
        self.lose(player)
        player = self.connect("0" + json.dumps({**own, "how": "wait"}))
        self.tell("a", "secret")
        self.tell(own["sid"], "secret, too")
        self.root.sockets[-1].begin_anew()
        self.root.sockets[-1].emit("after")
        self.root.admitting[0].callback(None)
        answer, *events = player.heard()
        self.assertEqual([json.loads(str(each)[1:])[0] for each in events], ["after"])
        self.assertNotIn(own["sid"], str(answer))

    def test_who_was_put_out_of_a_room_meanwhile(self) -> None:
        """What was told to a room is not for whom the handler puts out of it as it comes back."""
        player, own, _ = self.join()
        for room in ("a", "b"):
            self.root.sockets[0].join(room)
        self.lose(player)
        self.tell("a", "a1")
        self.tell("b", "b1")
        player = self.connect("0" + json.dumps({**own, "how": "wait"}))
        self.tell("a", "a2")
        self.tell("b", "b2")
        self.root.sockets[-1].leave("b")
        self.root.admitting[0].callback(None)
        self.tell("b", "b3")
        _, *events = player.heard()
        self.assertEqual([json.loads(str(each)[1:])[1] for each in events], ["a1", "a2"])
        self.lose(player)
        _, _, missed = self.join(own)
        self.assertEqual([event[1] for event in missed], ["a1", "a2"])

    def test_left_before_the_loss(self) -> None:
        """What was told to a room before a client left it was for it, even if that was lost with it."""
        player, own, _ = self.join()
        self.root.sockets[0].join("a")
        self.tell("a", "one")
        self.root.sockets[0].leave("a")
        self.tell("a", "two")
        self.root.sockets[0].join("a")
        self.lose(player)
        self.tell("a", "three")
        player, _, missed = self.join(own)
        self.assertEqual([event[1] for event in missed], ["one", "three"])
        self.lose(player)
        _, _, missed = self.join({**own, "offset": missed[0][-1]})
        self.assertEqual([event[1] for event in missed], ["three"])

    def test_quiet_rooms(self) -> None:
        """That others are told much does not keep a client from coming back to rooms where nothing was said."""
        player, own, _ = self.join()
        self.root.sockets[0].join("a")
        self.tell("a", "one")
        offset = self.events(player)[0][-1]
        busy = self.join()[0]
        self.root.sockets[1].join("b")
        for minute in range(40):
            self.tell("b", str(minute))
            self.clock.advance(10)
            for client in (player, busy):
                client.peer.text(b"3")
        player.peer.frames()
        self.lose(player)
        _, again, missed = self.join({**own, "offset": offset})
        self.assertEqual((again, missed), (own, []))

    def test_broken_rules(self) -> None:
        """Whoever broke the rules does not come back."""
        player, own, _ = self.join()
        player.say("nonsense")
        self.assert_anew(own, own)

    def test_two_namespaces(self) -> None:
        """Each namespace has its own log, and both are given back."""
        player, own, _ = self.join()
        answer, _ = player.ask("0/custom,")
        custom = json.loads(str(answer).removeprefix("0/custom,"))
        self.lose(player)
        self.namespaces["/custom"].to(custom["sid"], "x")
        player, again, _ = self.join(own)
        answer, event = player.ask(f"0/custom,{json.dumps({**custom, 'how': 'quiet'})}")[:2]
        self.assertEqual((again, json.loads(str(answer).removeprefix("0/custom,"))), (own, custom))
        self.assertIn('["auth"', str(event))
        self.assert_anew({"pid": custom["pid"]}, own)

    def test_what_was_told_is_let_go_of(self) -> None:
        """In its time, even if nobody has been lost and nothing else is told."""
        player, _, _ = self.join()
        self.root.sockets[0].join("a")
        self.tell("a", "one")
        player.say("1")
        returning = self.namespaces["/"]._returning
        assert returning is not None
        self.root.sockets[0].emit("to one that can't come back")
        self.assertEqual(returning.log.held[0], 1)
        for _ in range(210):
            self.clock.advance(1)
        self.assertEqual(returning.log.held, (0, 0))

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

    def setUp(self) -> None:
        """Make one."""
        self.log = RecoveryLog(100)

    def say(self, name: str, text: str, now: float = 0.0, but: str | None = None) -> str:
        """Tell a room something; the offset of that."""
        offset = self.log.next_offset()
        self.log.add(packets.event(text), self.log.strand(name), now, but)
        return offset

    def lose(self, *rooms: Membership, position: int = 0, at: float = 0.0) -> None:
        """A client is lost that was in these rooms."""
        self.log.leave("pid", Left("s", self.log.strand("s"), rooms, None, position, at))

    def back(self, offset: object = None, now: float = 1.0) -> list[str] | None:
        """What it has missed when it comes back; ``None``: it begins anew."""
        recovered = self.log.come_back("pid", offset, now)
        return None if recovered is None else [(m.group.text or b"")[4:-2].decode() for m in recovered.missed]

    def test_bytes(self) -> None:
        """It is bounded in bytes; who would need what is gone begins anew, whoever needs nothing does not."""
        self.log = RecoveryLog(100, most_bytes=1700)
        room = Membership("a", self.log.strand("a"), 0)
        offsets = [self.say("a", f"e{number}") for number in range(10)]
        self.assertEqual(self.log.held[0], 3)
        found = []
        for offset in offsets:
            self.lose(room)
            found.append(self.back(offset))
        self.assertEqual(found, [None] * 6 + [["e7", "e8", "e9"], ["e8", "e9"], ["e9"], []])
        self.lose(Membership("b", self.log.strand("b"), 0))
        self.assertEqual(self.back(offsets[0]), [])
        self.lose(Membership("a", room.strand, 7))
        self.assertEqual(self.back(offsets[0]), ["e7", "e8", "e9"])
        self.assertEqual(len(self.log), 0)

    def test_another_log(self) -> None:
        """An offset of another process, or from before a restart, is from before the client came here."""
        other = RecoveryLog(100).next_offset()
        room = Membership("a", self.log.strand("a"), 0)
        self.say("a", "one")
        for offset in (other, "other-12", None):
            self.lose(room)
            self.assertEqual(self.back(offset), ["one"])

    def test_memberships(self) -> None:
        """A room counts from when it was joined to when it was left; what left one out is not for it."""
        strand = self.log.strand("a")
        for number in range(1, 7):
            self.say("a", f"e{number}", but="s" if number == 5 else None)
        self.say("b", "other")
        self.lose(Membership("a", strand, 1, 3), Membership("a", strand, 4))
        self.say("s", "own")
        self.assertEqual(self.back(), ["e2", "e3", "e6", "own"])

    def test_time(self) -> None:
        """Places and events are kept for their time: an event for longer, as losses are noticed late."""
        room = Membership("a", self.log.strand("a"), 0)
        self.say("a", "early", 50.0)
        for now, found in ((199.0, ["early"]), (200.0, None)):
            self.lose(room, at=100.0)
            self.assertEqual(self.log.next_expiry(), 200.0)
            self.assertEqual(self.back(now=now), found)
        self.assertEqual(self.log.next_expiry(), 215.0)
        self.log.expire(215.0)
        self.assertEqual((self.log.held, self.log.next_expiry()), ((0, 0), None))
        self.lose(room, at=210.0)
        self.assertIsNone(self.back(now=220.0))

    def test_once(self) -> None:
        """A place is taken once, unless it is given back, and is not kept longer for that."""
        self.lose()
        recovered = self.log.come_back("pid", None, 1.0)
        assert recovered is not None
        self.assertIsNone(self.back())
        self.log.put_back(recovered, 0.0)
        self.assertEqual(self.back(now=99.0), [])
        self.log.put_back(recovered, 0.0)
        self.log.leave("other", Left("o", self.log.strand("o"), (), None, 0, 0.0))
        self.assertIsNone(self.back(now=100.0))

    def test_places(self) -> None:
        """They are bounded: who has been away longest can't come back."""
        self.log = RecoveryLog(100, most_places=2)
        for name in "abc":
            self.log.leave(name, Left(name, self.log.strand(name), (), None, 0, 0.0))
        found = [self.log.come_back(name, None, 1.0) is not None for name in "abc"]
        self.assertEqual(found, [False, True, True])

    def test_what_nobody_can_ask_for(self) -> None:
        """A room that nobody is or was in is not known; one that somebody may come back to is."""
        self.assertIsNone(self.log.known("a"))
        self.lose(Membership("a", self.log.strand("a"), 0))
        self.assertIsNotNone(self.log.known("a"))
        self.back()
        self.assertIsNone(self.log.known("a"))
