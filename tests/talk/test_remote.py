"""Talks of two who are connected to two processes: the same stories, and what if those can't hear each other.

The first of two comes to the first process, which holds the conversation, the second to the second.
"""

from __future__ import annotations

from realtime.talk import forwarding, items
from tests.logged import Logged
from tests.talk import test_session
from tests.talk.world import ANSWER, TALK, Node, RecordingPeer, World


class ApartTestCase(test_session.SessionTestCase):
    """Two processes."""

    processes = 2

    def anew(self) -> None:
        """Go on in another world: nothing is left of this one."""
        self.tearDown()
        self.setUp()

    @property
    def nodes(self) -> list[Node]:
        """What each process hears by."""
        return self.world.network.nodes

    def say(self, peer: RecordingPeer, *texts: str) -> None:
        """Say something."""
        for text in texts:
            peer.say("message", {"message": text})

    def texts(self, peer: RecordingPeer) -> list[str]:
        """What one was told."""
        return [payload["message"] for event, payload in peer.heard if event == "message"]


class BeforeTheTalkApartTests(test_session.BeforeTheTalkTests):
    """The same as in one process."""

    processes = 2


class TalkApartTests(test_session.TalkTests):
    """The same as in one process."""

    processes = 2


class LineTests(ApartTestCase):
    """What goes from one to the other."""

    def test_one_publish_each(self) -> None:
        """A message crosses as one message of the bus, and asks for no answer of its own."""
        alice, bob = self.both(self.world.talking())
        before = [node.published for node in self.nodes]
        for _ in range(10):
            self.say(alice, "Hi")
            self.say(bob, "Hello")
        self.assertEqual([node.published for node in self.nodes], [count + 10 for count in before])
        self.assertEqual((self.texts(alice), self.texts(bob)), (["Hello"] * 10, ["Hi"] * 10))

    def test_faults_while_answering(self) -> None:
        """What the holder refuses is told to the other, which stays."""
        alice, bob = self.both(self.world.answering())
        self.say(bob, "late")
        self.assertEqual(bob.script[3:], ["not-allowed"])
        bob.answer()
        alice.answer()
        self.assertEqual([alice.script[-2:], bob.script[-2:]], [["answers", "1000"]] * 2)

    def test_each_way_to_leave(self) -> None:
        """Whoever leaves in whatever phase, the other is told so, and nothing is left at either end."""
        for begin in (World.pair, World.talking, World.answering):
            for who in (0, 1):
                pair = self.both(begin(self.world))
                pair[who].break_off()
                self.assertEqual(pair[1 - who].script[-2:], ["partner-left", "1000"])
                self.assertEqual(self.world.left_over(), {})
                self.anew()

    def test_replaced(self) -> None:
        """Whose newer connection takes its place, on whichever process, has left its partner."""
        for who, name in enumerate(("alice", "bob")):
            for place in (0, 1):
                pair = self.both(self.world.talking())
                if place:
                    self.connect("carol")
                self.world.clock.advance(1)
                newer = self.connect(name)
                self.assertEqual(pair[who].script[-2:], ["replaced", "4409"])
                self.assertEqual(pair[1 - who].script[-2:], ["partner-left", "1000"])
                self.assertEqual(newer.script, [])
                self.anew()

    def test_leaving_after_the_answers(self) -> None:
        """Who has answered may go, from either process; the other gets the answers."""
        for who in (0, 1):
            pair = self.both(self.world.answering())
            pair[who].answer()
            pair[who].break_off()
            pair[1 - who].answer()
            self.assertEqual(pair[1 - who].script[-2:], ["answers", "1000"])
            self.assertEqual(self.world.left_over(), {})
            self.anew()

    def test_breaking_the_rules(self) -> None:
        """Is told to who did it, wherever it is."""
        for who in (0, 1):
            pair = self.both(self.world.talking())
            pair[who].say_frame(b"garbage")
            self.assertEqual(pair[who].script[-2:], ["bad-request", "1008"])
            self.assertEqual(pair[1 - who].script[-2:], ["partner-left", "1000"])
            self.anew()

    def test_a_quiet_talk(self) -> None:
        """While nobody says anything, the processes do, and the talk goes on."""
        alice, bob = self.both(self.world.talking())
        self.world.clock.advance(TALK - 1)
        self.assert_scripts((alice, ["match", "chat-start"]), (bob, ["match", "chat-start"]))

    def test_what_was_kept_is_forgotten(self) -> None:
        """What has arrived is not kept to be sent again, even if the other says nothing."""
        alice, bob = self.both(self.world.talking())
        self.patch(forwarding, "KEPT_BYTES", 50_000)
        for _ in range(100):
            self.say(alice, "x" * 4000)
            self.world.clock.advance(0.5)
        self.assertEqual(len(self.texts(bob)), 100)
        self.assertIsNone(alice.closed)


class GapTests(ApartTestCase):
    """When messages are lost between the processes."""

    def test_a_short_gap(self) -> None:
        """Nothing that was said is lost, or told twice."""
        alice, bob = self.both(self.world.talking())
        self.say(alice, "1")
        self.world.network.cut(self.nodes[0])
        self.say(alice, "2", "3")
        self.say(bob, "4", "5")
        self.world.clock.advance(5)
        self.assertEqual((self.texts(alice), self.texts(bob)), ([], ["1"]))
        self.world.network.heal()
        self.say(alice, "6")
        self.assertEqual((self.texts(alice), self.texts(bob)), (["4", "5"], ["1", "2", "3", "6"]))

    def test_a_hole(self) -> None:
        """What comes after something that was lost waits until that has come again, which is asked for once."""
        alice, bob = self.both(self.world.talking())
        self.nodes[1].loses = 1
        self.say(bob, "1")
        self.nodes[0].loses = 1
        self.say(bob, "2")  # the question is lost as well
        self.say(bob, "3")
        self.assertEqual(self.texts(alice), [])
        self.nodes[0].tell_gap()
        self.assertEqual(self.texts(alice), ["1", "2", "3"])
        before = self.nodes[0].published
        self.nodes[1].loses = 1
        self.say(bob, "4")
        self.say(bob, "5")
        self.assertEqual(self.texts(alice)[3:], ["4", "5"])
        self.assertEqual(self.nodes[0].published, before + 1)

    def test_lost_without_a_gap(self) -> None:
        """What was lost though nobody knows of it comes in four seconds, once."""
        alice, bob = self.both(self.world.talking())
        self.world.clock.advance(10)
        self.nodes[1].loses = 1
        self.say(bob, "1")
        self.world.clock.advance(4)
        self.assertEqual(self.texts(alice), ["1"])
        before = self.nodes[1].published
        self.world.clock.advance(20)
        self.assertEqual(self.nodes[1].published, before + 10)  # signs of life
        self.assertEqual(self.texts(alice), ["1"])

    def test_lost_twice(self) -> None:
        """It is sent again as often as it takes, as long as the processes hear of each other."""
        alice, bob = self.both(self.world.talking())
        self.world.clock.advance(10)
        self.nodes[1].loses = 1
        self.say(bob, "1")
        self.world.clock.advance(1)
        loses = 0
        while loses < 2 and not self.texts(alice):
            self.nodes[1].loses = 2  # the sign of life, and what is sent with it
            self.world.clock.advance(2)
            loses += 1
        self.nodes[1].loses = 0
        self.world.clock.advance(4)
        self.assertEqual(self.texts(alice), ["1"])

    def test_the_question_is_lost(self) -> None:
        """The one that was asked learns of a gap then, and sends what it has, at once."""
        alice, bob = self.both(self.world.talking())
        self.nodes[1].loses = 1
        self.say(bob, "1")
        self.nodes[0].loses = 2
        self.nodes[0].tell_gap()
        self.assertEqual(self.texts(alice), [])
        self.nodes[0].loses = 0
        self.nodes[1].tell_gap()
        self.assertEqual(self.texts(alice), ["1"])

    def test_an_end_that_was_missed(self) -> None:
        """Who asks after a talk that the other end does not know learns that, too."""
        alice, bob = self.both(self.world.talking())
        self.world.clock.advance(5)
        lines = self.world.lobbies[1]._forwarding
        lines.forget(lines._lines[bob.match_id])
        self.nodes[0].tell_gap()
        self.assertEqual(alice.script[-2:], ["partner-left", "1000"])
        bob.break_off()

    def test_the_end_is_lost(self) -> None:
        """What a talk ended with is told when it can be."""
        for who in (0, 1):
            pair = self.both(self.world.talking())
            self.world.network.cut(self.nodes[0])
            pair[who].break_off()
            self.assertIsNone(pair[1 - who].closed)
            self.world.clock.advance(3)
            self.world.network.heal()
            self.assertEqual(pair[1 - who].script[-2:], ["partner-left", "1000"])
            self.anew()

    def test_phases_pass_in_a_gap(self) -> None:
        """What the other was not told in time it is told in order."""
        alice, bob = self.both(self.world.talking())
        self.world.clock.advance(TALK - 2)
        self.world.network.cut(self.nodes[1])
        self.say(bob, "in time, but late")
        self.world.clock.advance(4)
        self.world.network.heal()
        self.assert_scripts(
            (alice, ["match", "chat-start", "chat-stop"]),
            (bob, ["match", "chat-start", "chat-stop", "not-allowed"]),
        )

    def test_too_much_waits(self) -> None:
        """With more than is kept the talk is over, on both sides."""
        alice, bob = self.both(self.world.talking())
        self.world.network.cut(self.nodes[0])
        self.say(alice, *["x" * 4000] * 263)
        self.assertEqual(alice.script[-2:], ["unavailable", "1013"])
        self.world.network.heal()
        self.say(bob, "Hello?")
        self.assertEqual(bob.script[-2:], ["partner-left", "1000"])
        self.assertEqual(self.world.left_over(), {})


class LostTests(ApartTestCase):
    """When a process does not come back, or Redis does not."""

    def seconds_until_over(self, peer: RecordingPeer) -> float:
        """Let time pass until one is told of the end."""
        begin = self.world.clock.seconds()
        while peer.closed is None:
            self.world.clock.advance(0.5)
            assert self.world.clock.seconds() - begin < 60, peer.script
        return self.world.clock.seconds() - begin

    def test_a_process_is_lost(self) -> None:
        """Whichever it was, in whatever phase: the partner there is told within ten seconds."""
        for begin in (World.pair, World.talking, World.answering):
            for who in (0, 1):
                pair = self.both(begin(self.world))
                self.nodes[who].is_connected = False
                survivor = pair[1 - who]
                self.assertLess(self.seconds_until_over(survivor), 10)
                self.assertEqual(survivor.script[-2:], ["partner-left", "1000"])
                self.assertLess(self.seconds_until_over(pair[who]), 10)
                self.world.network.heal()
                self.anew()

    def test_redis_is_away(self) -> None:
        """Who can't know what became of its partner is told that it is not possible for now."""
        pair = self.both(self.world.talking())
        self.world.network.cut()
        for peer in pair:
            self.assertLess(self.seconds_until_over(peer), 10)
            self.assertEqual(peer.script[-2:], ["unavailable", "1013"])
        self.assertEqual(self.world.store.saved[-1].outcome, "unavailable")

    def test_lost_after_the_answers(self) -> None:
        """Who answered from the lost process has answered; the other still gets the answers."""
        alice, bob = self.both(self.world.answering())
        bob.answer()
        self.nodes[1].is_connected = False
        self.world.clock.advance(10)
        self.assertEqual(bob.script[-2:], ["unavailable", "1013"])
        alice.answer()
        self.assertEqual(alice.script[-2:], ["answers", "1000"])
        self.world.clock.advance(ANSWER)

    def test_one_end_has_forgotten(self) -> None:
        """A line that one process does not know is broken for the other as soon as it is used."""
        alice, bob = self.both(self.world.talking())
        lines = self.world.lobbies[1]._forwarding
        lines.forget(lines._lines[bob.match_id])
        self.say(alice, "Hello?")
        self.assertEqual(alice.script[-2:], ["partner-left", "1000"])
        bob.break_off()

    def test_another_version(self) -> None:
        """What can't be read ends the talk, not the process."""
        alice, bob = self.both(self.world.talking())
        logged = Logged(self)
        read = dict(items._DECODERS)
        del read["Message"]
        self.patch(items, "_DECODERS", read)
        self.say(alice, "Hello?")
        self.assertEqual([peer.script[-2] for peer in (alice, bob)], ["partner-left", "unavailable"])
        self.assertEqual(logged.above_debug(), [])


class TellingTests(ApartTestCase):
    """What the two processes are told of a pair, and when."""

    def hold(self) -> None:
        """Pairs are told by `tell` alone."""
        self.world.desks.held = []

    def tell(self, process: int) -> None:
        """Tell a process of the pair."""
        assert self.world.desks.held is not None
        self.world.desks.held[process]()

    def test_in_either_order(self) -> None:
        """The other waits for who holds the conversation."""
        self.hold()
        alice, bob = self.both(self.world.pair())
        self.tell(1)
        self.assert_scripts((alice, []), (bob, []))
        self.tell(0)
        self.assert_scripts((alice, ["match"]), (bob, ["match"]))

    def test_it_does_not_begin(self) -> None:
        """Who waits in vain goes on looking, since when it has waited."""
        self.hold()
        alice, bob = self.both(self.world.pair())
        self.tell(1)
        self.world.clock.advance(5)
        self.world.desks.held = None
        carol = self.connect("carol").find()
        self.assert_scripts((alice, []), (bob, ["match"]), (carol, ["match"]))
        self.assertEqual(bob.heard[0][1]["username"], "carol")
        self.assertEqual(carol.session._lobby, self.world.lobbies[0])

    def test_it_begins_too_late(self) -> None:
        """Who held a conversation for somebody who does not wait any more is told that it has left."""
        self.hold()
        alice, bob = self.both(self.world.pair())
        self.tell(1)
        self.world.clock.advance(5)
        self.tell(0)
        self.assert_scripts((alice, ["match", "partner-left", "1000"]), (bob, []))
        self.world.clock.advance(54.9)
        self.assertEqual(bob.script, [])
        self.world.clock.advance(0.1)
        self.assertEqual(bob.script, ["no-match", "1000"])

    def test_the_first_has_left(self) -> None:
        """Who had just left is nobody's partner: the other is not told of a match, and goes on looking."""
        self.hold()
        alice, bob = self.both(self.world.pair())
        alice.break_off()
        self.tell(1)
        self.tell(0)
        self.assertEqual((bob.script, len(self.world.pool)), ([], 1))

    def test_the_second_has_left(self) -> None:
        """Who had just left, is for the first one who has left."""
        for wait in (False, True):
            self.hold()
            alice, bob = self.both(self.world.pair())
            if wait:
                self.tell(1)
            bob.break_off()
            self.tell(0)
            self.assertEqual(alice.script[-2:], ["partner-left", "1000"])
            self.anew()

    def test_both_have_left(self) -> None:
        """Nothing happens."""
        self.hold()
        for peer in self.both(self.world.pair()):
            peer.break_off()
        self.tell(0)
        self.tell(1)
        self.assertEqual(self.world.left_over(), {})

    def test_who_holds_it_is_lost(self) -> None:
        """Who waits for a process that is lost goes on looking."""
        self.hold()
        _, bob = self.both(self.world.pair())
        self.tell(1)
        self.nodes[0].is_connected = False
        self.world.clock.advance(9)
        self.assertEqual((bob.script, len(self.world.pool)), ([], 1))
