"""A talk session: the token, the way to a conversation, replacement, faults. The lobby is a real one."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from realtime.accounts.errors import IssuerUnavailable, TokenExpired
from realtime.accounts.store import AccountStore, User
from realtime.closing import CloseCode
from realtime.storage.errors import StorageUnavailable
from realtime.talk.lobby import Arrived
from realtime.talk.messages import Answer, Question
from realtime.talk.store import LATEST, Seat, TalkStore
from realtime.websocket.admission import Admission
from tests.databases import SynchronousDatabase
from tests.logged import Logged
from tests.talk.world import ANSWER, ANSWERS, CONFIRM, FIND, QUESTIONS, START, TALK, RecordingPeer, World


class SessionTestCase(SynchronousTestCase):
    """A world, of which nothing may be left over at the end of a test."""

    processes = 1

    def setUp(self) -> None:
        """Make it."""
        self.world = World(processes=self.processes)
        self.peers: list[RecordingPeer] = []

    def tearDown(self) -> None:
        """Whatever has happened: when the clients are gone, everything is gone."""
        for peer in self.peers:
            peer.break_off()
        self.assertEqual(self.world.left_over(), {})

    def connect(self, name: str | None) -> RecordingPeer:
        """Open a connection."""
        peer = self.world.connect(name)
        self.peers.append(peer)
        return peer

    def both(self, peers: tuple[RecordingPeer, RecordingPeer]) -> tuple[RecordingPeer, RecordingPeer]:
        """Take these into account."""
        self.peers += peers
        return peers

    def assert_scripts(self, *scripts: tuple[RecordingPeer, list[str]]) -> None:
        """What each has heard, in short."""
        self.assertEqual([peer.script for peer, _ in scripts], [script for _, script in scripts])


class AuthenticationTests(SessionTestCase):
    """The handshake's token."""

    def test_accepted(self) -> None:
        """Nothing is sent; the client may begin."""
        peer = self.connect("alice")
        self.assertEqual((peer.heard, peer.closed), ([], None))

    def test_not_accepted(self) -> None:
        """None, a wrong and an expired one are answered with ``error``, and closed with 4401."""
        for token in (None, "", "?"):
            self.assert_scripts((self.connect(token), ["unauthorized", "4401"]))
        self.world.tokens.failure = TokenExpired("over")
        self.assert_scripts((self.connect("alice"), ["unauthorized", "4401"]))

    def test_cannot_be_checked(self) -> None:
        """Storage or the issuer being away is answered with ``unavailable`` and 1013, without a log line."""
        logged = Logged(self)
        for failure in (StorageUnavailable("away"), IssuerUnavailable("away")):
            self.world.tokens.failure = failure
            self.assert_scripts((self.connect("alice"), ["unavailable", "1013"]))
        self.assertEqual(logged.above_debug(), [])

    def test_a_fault_of_ours(self) -> None:
        """Is logged, and the client is told to come back later."""
        self.world.tokens.failure = ZeroDivisionError()
        self.assert_scripts((self.connect("alice"), ["unavailable", "1013"]))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_one_connection_too_many(self) -> None:
        """It is closed with 4429."""
        self.world.admission = Admission(per_user=1)
        self.world.tokens.users["alice"] = User(1, "alice", False)
        self.assertTrue(self.world.admission.identify(1))  # of another protocol
        self.assert_scripts((self.connect("alice"), ["4429"]))

    def test_one_connection_each(self) -> None:
        """Who may have one connection only replaces it: the older does not count any more."""
        self.world.admission = Admission(per_user=1)
        older, newer = self.connect("alice"), self.connect("alice")
        self.assert_scripts((older, ["replaced", "4409"]), (newer, []))

    def test_lost_while_the_token_is_checked(self) -> None:
        """Nothing is left behind, and nobody is replaced."""
        older = self.connect("alice")
        self.world.tokens.held = True
        newer = self.connect("alice")
        newer.find()
        newer.break_off()
        self.world.tokens.answer()
        self.assert_scripts((newer, []), (older, []))
        self.assertEqual(len(self.world.bus), 1 + 1)  # the older's, and the lobby's own

    def test_lost_while_the_topic_is_taken(self) -> None:
        """A subscription that takes its time is cancelled as well."""
        active: Deferred[None] = Deferred()
        subscribe = self.world.bus.subscribe

        def slowly(*arguments: Any) -> Any:
            subscription = subscribe(*arguments)
            self.patch(type(subscription), "active", active)
            return subscription

        self.patch(self.world.bus, "subscribe", slowly)
        peer = self.connect("alice")
        peer.break_off()
        self.assertEqual(len(self.world.bus), 0 + 1)
        active.callback(None)
        self.assertEqual(self.world.left_over(), {})

    def test_what_comes_before_the_token_is_checked(self) -> None:
        """Is held, and taken in its order afterwards."""
        self.world.tokens.held = True
        alice = self.connect("alice").find()
        bob = self.connect("bob").find()
        self.assertEqual(self.world.left_over(), {})
        self.world.tokens.answer()
        self.assert_scripts((alice, ["match"]), (bob, ["match"]))

    def test_what_is_wrong_before_the_token_is_checked(self) -> None:
        """Is answered afterwards; what comes behind it counts no more."""
        self.world.tokens.held = True
        alice = self.connect("alice")
        alice.say_frame(b"hello")
        alice.find()
        self.world.tokens.answer()
        self.assert_scripts((alice, ["bad-request", "1008"]))

    def test_what_comes_before_a_token_that_is_wrong(self) -> None:
        """Is thrown away."""
        self.world.tokens.held = True
        peer = self.connect("?").find()
        self.world.tokens.answer()
        self.assert_scripts((peer, ["unauthorized", "4401"]))

    def test_too_much_before_the_token_is_checked(self) -> None:
        """Closes the connection with 4429."""
        self.world.tokens.held = True
        peer = self.connect("alice")
        for _ in range(8):
            peer.say_frame(b"x" * 8192)
        self.assertIsNone(peer.closed)
        peer.say_frame(b"x")
        self.assert_scripts((peer, ["4429"]))
        self.world.tokens.answer()
        self.assert_scripts((peer, ["4429"]))


class BeforeTheTalkTests(SessionTestCase):
    """Idle and queued."""

    def test_what_is_not_allowed_when_idle(self) -> None:
        """Anything but ``find``."""
        for event, payload, code in (
            ("confirm", {"match_id": "m"}, "not-allowed"),
            ("message", {"message": "Hi"}, "not-allowed"),
            ("answers", {"match_id": "m", "answers": []}, "not-allowed"),
            ("find", {"score": "0.3", "questions": []}, "bad-request"),
            ("message", {"message": ""}, "bad-request"),
            ("chat-start", None, "bad-request"),
        ):
            peer = self.connect("alice")
            peer.say(event, payload)
            self.assert_scripts((peer, [code, "1008"]))

    def test_what_is_not_allowed_when_queued(self) -> None:
        """Anything, another ``find`` too; the ticket is taken back."""
        for event, payload, code in (
            ("find", {"score": 0.3, "questions": []}, "not-allowed"),
            ("confirm", {"match_id": "m"}, "not-allowed"),
            ("message", {"message": "Hi"}, "not-allowed"),
            ("confirm", {}, "bad-request"),
        ):
            peer = self.connect("alice").find()
            peer.say(event, payload)
            self.assert_scripts((peer, [code, "1008"]))
            self.assertEqual(self.world.left_over(), {})

    def test_nobody_is_there(self) -> None:
        """Who waits alone is told after the timeout."""
        alice = self.connect("alice").find()
        self.world.clock.advance(FIND - 0.01)
        self.assertEqual(alice.script, [])
        self.world.clock.advance(0.01)
        self.assert_scripts((alice, ["no-match", "1000"]))
        self.assertEqual(self.world.left_over(), {})

    def test_lost_when_queued(self) -> None:
        """Who is gone is not found."""
        self.connect("alice").find().break_off()
        bob = self.connect("bob").find()
        self.assertEqual(bob.script, [])
        self.world.clock.advance(FIND)
        self.assert_scripts((bob, ["no-match", "1000"]))

    def test_the_match(self) -> None:
        """Each is told the other's name and id, and one match id, a UUID that no other match has."""
        alice, bob = self.both(self.world.pair())
        (event, payload), (_, other) = alice.heard[0], bob.heard[0]
        self.assertEqual((event, payload["username"], payload["user_id"]), ("match", "bob", 2))
        self.assertEqual((other["username"], other["user_id"]), ("alice", 1))
        self.assertEqual(payload["match_id"], other["match_id"])
        self.assertRegex(
            payload["match_id"], "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
        )
        carol, dave = self.connect("carol").find(), self.connect("dave").find()
        self.assertEqual(carol.match_id, dave.match_id)
        self.assertNotEqual(carol.match_id, alice.match_id)

    def test_lost_as_the_match_is_told(self) -> None:
        """The other is told that its partner has left, and nothing is left over."""
        alice, bob = self.connect("alice"), self.connect("bob")
        bob.breaks_at = "match"
        alice.find()
        bob.find()
        self.assert_scripts((alice, ["match", "partner-left", "1000"]), (bob, ["match"]))
        self.assertEqual(len(self.world.lobby), 0)


class TalkTests(SessionTestCase):
    """A whole talk through real sessions: what conversations do is tested by themselves."""

    def test_the_documents_story(self) -> None:
        """From ``find`` to each other's answers."""
        alice, bob = self.connect("alice").find(0.3), self.connect("bob").find(0.31, QUESTIONS[:1])
        alice.confirm()
        bob.confirm()
        alice.say("message", {"message": "Hi, how are you?"})
        bob.say("message", {"message": "Fine"})
        self.world.clock.advance(TALK)
        bob.answer()
        alice.answer(ANSWERS[:1])
        self.assertEqual(
            alice.heard,
            [
                ("match", {"username": "bob", "user_id": 2, "match_id": alice.match_id}),
                ("chat-start", None),
                ("message", {"message": "Fine"}),
                ("chat-stop", {"questions": QUESTIONS[:1]}),
                ("answers", {"match_id": alice.match_id, "answers": ANSWERS}),
            ],
        )
        self.assertEqual(bob.heard[-1], ("answers", {"match_id": alice.match_id, "answers": ANSWERS[:1]}))
        self.assertEqual((alice.closed, bob.closed), (CloseCode.DONE, CloseCode.DONE))
        self.assertEqual(self.world.left_over(), {})
        self.assertEqual(self.world.store.saved[-1].outcome, "answered")

    def test_each_way_to_end(self) -> None:
        """Errors come with their close code, to both."""
        alice, bob = self.both(self.world.pair())
        self.world.clock.advance(CONFIRM)
        for peer in (alice, bob):
            self.assertEqual(peer.script, ["match", "confirm-timeout", "1000"])
        carol, dave = self.connect("carol").find(), self.connect("dave").find()
        carol.say("message", {"message": "too early"})
        self.assert_scripts(
            (carol, ["match", "not-allowed", "1008"]), (dave, ["match", "partner-left", "1000"])
        )
        self.assertEqual(self.world.left_over(), {})

    def test_time_to_answer(self) -> None:
        """Is over for both."""
        alice, bob = self.both(self.world.answering())
        alice.answer()
        self.world.clock.advance(ANSWER)
        for peer in (alice, bob):
            self.assertEqual(peer.script[-2:], ["answer-timeout", "1000"])

    def test_fifty_faults_in_a_minute(self) -> None:
        """The fiftieth is answered too, and then the connection is closed with 1008."""
        alice, bob = self.both(self.world.answering())
        for _ in range(49):
            alice.say("message", {"message": "Bye"})
        self.assertIsNone(alice.closed)
        alice.say_frame(b"nonsense")
        self.assertEqual(alice.script[3:], [*["not-allowed"] * 49, "bad-request", "1008"])
        self.assertEqual(bob.script[3:], ["partner-left", "1000"])

    def test_the_store_is_away_at_the_end(self) -> None:
        """Both are told to come back later, and get no answers."""
        alice, bob = self.both(self.world.answering())
        self.world.store.away = True
        alice.answer()
        bob.answer()
        for peer in (alice, bob):
            self.assertEqual(peer.script[3:], ["unavailable", "1013"])
        self.assertEqual(self.world.left_over(), {})

    def test_no_talk_twice_in_a_row(self) -> None:
        """Two who have just talked are not matched while somebody else will do, counted from the end."""
        alice, bob = self.both(self.world.answering())
        self.world.clock.advance(ANSWER)
        self.world.clock.advance(250)
        alice, bob = self.connect("alice").find(), self.connect("bob").find()
        self.assert_scripts((alice, []), (bob, []))
        carol = self.connect("carol").find()
        self.assert_scripts((alice, ["match"]), (bob, []), (carol, ["match"]))


class StoredTests(SynchronousTestCase):
    """The real store, as sessions use it."""

    def test_what_is_stored(self) -> None:
        """Everything that both were told: who, when, how it ended, questions and answers."""
        database: Any = SynchronousDatabase()
        self.addCleanup(database.close)
        accounts, store = AccountStore(database), TalkStore(database)
        world = World(store)
        for name in ("alice", "bob"):
            world.tokens.users[name] = self.successResultOf(accounts.add(name, ""))
        alice, bob = world.talking()
        (running,) = self.successResultOf(store.of_user(alice.heard[0][1]["user_id"], LATEST, 10))
        self.assertIsNone(running.talk.outcome)
        world.clock.advance(TALK + 0.5)
        alice.answer()
        bob.answer()
        self.assertEqual([alice.script[-1], bob.script[-1]], ["1000", "1000"])
        (stored,) = self.successResultOf(store.of_user(bob.heard[0][1]["user_id"], LATEST, 10))
        talk = stored.talk
        self.assertEqual((talk.match_id, talk.outcome), (alice.match_id, "answered"))
        self.assertEqual((talk.matched, talk.started, talk.stopped), (START, START, START + TALK))
        asked = Question(1, "Am I interesting?"), Question("b", "Am I boring?")
        answered = Answer(1, "Yes."), Answer("b", "")
        self.assertEqual(
            talk.seats, (Seat(1, "alice", 0.3, asked, answered), Seat(2, "bob", 0.3, asked, answered))
        )


class ReplacementTests(SessionTestCase):
    """A newer connection of the same user takes the place of the older, whatever that is doing."""

    def test_idle(self) -> None:
        """The older is told so, and closed with 4409."""
        older, newer = self.connect("alice"), self.connect("alice")
        self.assert_scripts((older, ["replaced", "4409"]), (newer, []))
        newer.find()
        self.assertEqual(len(self.world.pool), 1)

    def test_queued(self) -> None:
        """Its ticket is taken back."""
        older = self.connect("alice").find()
        self.connect("alice")
        bob = self.connect("bob").find()
        self.assert_scripts((older, ["replaced", "4409"]), (bob, []))

    def test_talking(self) -> None:
        """Its partner is told that it has left."""
        for begin in (self.world.pair, self.world.talking, self.world.answering):
            older, partner = self.both(begin())
            newer = self.connect("alice")
            self.assertEqual(older.script[-2:], ["replaced", "4409"])
            self.assertEqual(partner.script[-2:], ["partner-left", "1000"])
            newer.break_off()
            self.world.clock.advance(1000)

    def test_while_the_answers_are_saved(self) -> None:
        """The older is replaced, its partner gets the answers."""
        older, partner = self.both(self.world.answering())
        self.world.store.held = True
        older.answer()
        partner.answer()
        self.connect("alice")
        self.world.store.answer()
        self.assertEqual(older.script[-2:], ["replaced", "4409"])
        self.assertEqual(partner.script[-2:], ["answers", "1000"])

    def test_many(self) -> None:
        """However many come at one moment: the last one stays."""
        peers = [self.connect("alice") for _ in range(20)]
        self.assertEqual([peer.script for peer in peers], [["replaced", "4409"]] * 19 + [[]])

    def test_the_order_is_that_of_the_tokens(self) -> None:
        """What counts is when a token was accepted, not when the connection was opened."""
        self.world.tokens.held = True
        first = self.connect("alice")
        self.world.tokens.held = False
        second = self.connect("alice")
        self.world.tokens.answer()
        self.assert_scripts((first, []), (second, ["replaced", "4409"]))

    def test_a_clock_that_is_set_back(self) -> None:
        """The newer one stays."""
        older = self.connect("alice")
        self.world.clock.rightNow -= 3600
        newer = self.connect("alice")
        self.assert_scripts((older, ["replaced", "4409"]), (newer, []))

    def test_another_user(self) -> None:
        """Is none of its business."""
        alice, bob = self.connect("alice"), self.connect("bob")
        self.assert_scripts((alice, []), (bob, []))

    def test_in_another_process(self) -> None:
        """What counts is the bus that both are on: the newer stays, of two at one moment one does."""
        elsewhere = World()
        elsewhere.tokens.users = self.world.tokens.users
        self.patch(elsewhere.lobby, "_bus", self.world.bus)
        older = self.connect("alice")
        elsewhere.clock.advance(1)
        newer = elsewhere.connect("alice")
        self.peers.append(newer)
        self.assert_scripts((older, ["replaced", "4409"]), (newer, []))

    def test_an_arrival_of_an_earlier_moment(self) -> None:
        """Replaces nobody, and is told of the later one, of which it has not heard."""
        peer = self.connect("alice")
        heard: list[Arrived] = []
        lobby, user = self.world.lobby, self.world.tokens.users["alice"].id
        subscription = lobby.follow(user, heard.append, lambda: None)
        lobby.announce(user, Arrived(1.0, "elsewhere"))
        earlier, later = heard
        self.assertEqual((earlier.process, later.moment), ("elsewhere", START))
        self.assertEqual(peer.script, [])
        subscription.cancel()

    def test_what_was_missed(self) -> None:
        """Connections of two processes that could not hear each other settle it when they can again."""
        gaps: list[Any] = []
        subscribe, publish = self.world.bus.subscribe, self.world.bus.publish

        def remember_gap(topic: Any, listener: Any, gap: Any) -> Any:
            gaps.append(gap)
            return subscribe(topic, listener, gap)

        self.patch(self.world.bus, "subscribe", remember_gap)
        self.patch(self.world.bus, "publish", lambda topic, message: None)
        first, second = self.connect("alice"), self.connect("alice")
        self.assert_scripts((first, []), (second, []))
        self.patch(self.world.bus, "publish", publish)
        gaps[0]()
        self.assert_scripts((first, ["replaced", "4409"]), (second, []))
        gaps[1]()
        self.assert_scripts((second, []))


class PrivacyTests(SessionTestCase):
    """What is said is nobody else's business."""

    def test_nothing_is_logged(self) -> None:
        """Neither texts nor questions nor answers nor tokens, whatever goes wrong."""
        logged = Logged(self)
        self.world.store.away = True
        alice, bob = self.both(self.world.answering())
        alice.say("message", {"message": "secret words"})
        alice.say_frame(json.dumps({"event": "message", "payload": {"massage": "secret words"}}).encode())
        alice.answer([{"question_id": 1, "answer": "secret words"}])
        alice.answer()
        bob.answer()
        self.connect("secret words")
        self.assertEqual(logged.holding("secret words", "Am I boring?", "Yes."), [])
        self.assertEqual(
            [event["log_format"] for event in logged.above_debug()], ["talk: a talk could not be saved: {kind}"]
        )
