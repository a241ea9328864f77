"""A conversation, phase by phase: what each side may send, what the clock does, and every way to leave.

Each test is a script: what happens on the left, what both have heard of it below.
"""

from __future__ import annotations

from twisted.internet.defer import fail
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from realtime.talk.conversation import Conversation
from realtime.talk.messages import (
    Answer,
    Answers,
    ChatStart,
    ChatStop,
    ClientMessage,
    Confirm,
    Error,
    Find,
    Malformed,
    Match,
    Message,
    Question,
    ServerMessage,
)
from realtime.talk.pool import Seeker
from realtime.talk.store import Seat
from tests.logged import Logged
from tests.talk.world import ANSWER, CONFIRM, START, TALK, TIMEOUTS, RecordingStore

ALICE = Seeker("p.1", 1, "alice", 0.25, (Question(1, "Am I interesting?"), Question("b", "Am I boring?")))
BOB = Seeker("p.2", 2, "bob", 0.5, (Question(7, "Did you like the talk?"),))
OF_ALICE = (Answer(7, "Yes."),)
"""Alice's answers to what Bob asks, and the other way round."""
OF_BOB = (Answer("b", "No."), Answer(1, ""))

MATCHED = ["match"]
STARTED = [*MATCHED, "chat-start"]
STOPPED = [*STARTED, "chat-stop"]
THROUGH = [*STOPPED, "answers", "closed"]


class Recorder:
    """A participant that keeps what it hears: events by name, refusals and the end by their code."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.last: ServerMessage | None = None
        self.leaves_at = ""
        self.conversation: Conversation

    def tell(self, message: ServerMessage) -> None:
        """Keep it."""
        self.heard.append(message.event)
        self.last = message
        if message.event == self.leaves_at:
            self.conversation.leave(self)

    def refuse(self, error: Error) -> None:
        """Keep it."""
        self.heard.append(f"refused: {error.code}")

    def finish(self, error: Error | None) -> None:
        """Keep it, and be gone, as a connection that is closed."""
        self.heard.append("closed" if error is None else f"closed: {error.code}")
        self.conversation.leave(self)


class ConversationTestCase(SynchronousTestCase):
    """Alice and Bob, just matched."""

    conversation: Conversation
    alice: Recorder
    bob: Recorder

    def setUp(self) -> None:
        """Begin."""
        self.clock = Clock()
        self.clock.advance(START)
        self.store = RecordingStore()
        self.make()

    def make(self, *, bob: Seeker = BOB, alice_leaves_at: str = "") -> None:
        """Begin a conversation, in place of the one before, if there was one."""
        if hasattr(self, "conversation"):
            self.conversation.leave(self.alice)
        self.alice, self.bob = Recorder(), Recorder()
        self.alice.leaves_at = alice_leaves_at
        self.ends = 0
        self.conversation = self.alice.conversation = self.bob.conversation = Conversation(
            "the-match",
            (ALICE, self.alice),
            (bob, self.bob),
            timeouts=TIMEOUTS,
            clock=self.clock,
            save=self.store.save,
            over=self.over,
        )
        self.conversation.begin()

    def over(self, conversation: Conversation) -> None:
        """Count how often it says that it is over."""
        self.assertIs(conversation, self.conversation)
        self.ends += 1

    def send(self, who: Recorder, message: ClientMessage | Malformed) -> None:
        """One of the two sends something."""
        self.conversation.receive(who, message)

    def confirm(self) -> None:
        """Both confirm."""
        for who in (self.alice, self.bob):
            self.send(who, Confirm("the-match"))

    def talk(self) -> None:
        """Both confirm, and the time to talk passes."""
        self.confirm()
        self.clock.advance(TALK)

    def answer(self, *who: Recorder) -> None:
        """These send complete answers."""
        for each in who:
            self.send(each, Answers("the-match", OF_ALICE if each is self.alice else OF_BOB))

    def assert_heard(self, alice: list[str], bob: list[str]) -> None:
        """What both have heard so far."""
        self.assertEqual((self.alice.heard, self.bob.heard), (alice, bob))

    def assert_over(self, outcome: str) -> None:
        """It is over, once, nothing is left, and the record says so."""
        self.assertEqual((self.ends, self.clock.getDelayedCalls()), (1, []))
        self.assertEqual(
            (self.store.saved[-1].outcome, self.store.saved[-1].ended), (outcome, self.clock.seconds())
        )
        before = [*self.alice.heard], [*self.bob.heard]
        self.clock.advance(1000)
        for who in (self.alice, self.bob):
            self.send(who, Malformed())
            self.send(who, Confirm("the-match"))
            self.answer(who)
            self.conversation.leave(who)
        self.assertEqual((self.alice.heard, self.bob.heard), before)
        self.assertEqual(self.ends, 1)

    def assert_expelled(self, message: ClientMessage | Malformed, code: str, heard: list[str]) -> None:
        """Alice is expelled for a message, and Bob is told that she has left."""
        self.send(self.alice, message)
        self.assert_heard([*heard, f"closed: {code}"], [*heard, "closed: partner-left"])
        self.assert_over("partner-left")


WRONG: dict[str, tuple[ClientMessage | Malformed, str]] = {
    "find": (Find(0, ()), "not-allowed"),
    "a foreign confirm": (Confirm("another-match"), "bad-request"),
    "what can't be read": (Malformed(), "bad-request"),
}


class ConfirmingTests(ConversationTestCase):
    """From the match to both confirmations."""

    def test_the_match(self) -> None:
        """Each is told who the other is."""
        self.assert_heard(MATCHED, MATCHED)
        self.assertEqual(self.alice.last, Match("bob", 2, "the-match"))
        self.assertEqual(self.bob.last, Match("alice", 1, "the-match"))

    def test_one_confirms(self) -> None:
        """Nothing happens, however often it does."""
        for _ in range(3):
            self.send(self.alice, Confirm("the-match"))
        self.assert_heard(MATCHED, MATCHED)

    def test_both_confirm(self) -> None:
        """The talk begins at once."""
        self.confirm()
        self.assert_heard(STARTED, STARTED)
        self.assertEqual(self.alice.last, ChatStart())

    def test_nobody_confirms(self) -> None:
        """Both are told when the time is up, not earlier."""
        self.clock.advance(CONFIRM - 0.01)
        self.assert_heard(MATCHED, MATCHED)
        self.clock.advance(0.01)
        self.assert_heard([*MATCHED, "closed: confirm-timeout"], [*MATCHED, "closed: confirm-timeout"])
        self.assert_over("confirm-timeout")

    def test_only_one_confirms(self) -> None:
        """Both are told when the time is up; confirming late starts no new time."""
        self.clock.advance(CONFIRM - 0.01)
        self.send(self.alice, Confirm("the-match"))
        self.clock.advance(0.01)
        self.assert_heard([*MATCHED, "closed: confirm-timeout"], [*MATCHED, "closed: confirm-timeout"])
        self.assert_over("confirm-timeout")

    def test_one_leaves(self) -> None:
        """The other is told, even if the one who left had confirmed."""
        self.send(self.alice, Confirm("the-match"))
        self.conversation.leave(self.alice)
        self.assert_heard(MATCHED, [*MATCHED, "closed: partner-left"])
        self.assert_over("partner-left")

    def test_the_other_leaves(self) -> None:
        """It is the same from the other side."""
        self.conversation.leave(self.bob)
        self.assert_heard([*MATCHED, "closed: partner-left"], MATCHED)
        self.assert_over("partner-left")

    def test_one_is_gone_as_it_is_told(self) -> None:
        """A connection that breaks under ``match`` itself ends it; the other never hears of the match."""
        self.make(alice_leaves_at="match")
        self.assert_heard(["match"], ["closed: partner-left"])
        self.assert_over("partner-left")

    def test_what_is_not_allowed(self) -> None:
        """A message or answers before the talk, and what is wrong in every phase, expel their sender."""
        wrong = {
            **WRONG,
            "message": (Message("Hi"), "not-allowed"),
            "answers": (Answers("?", ()), "not-allowed"),
        }
        for name, (message, code) in wrong.items():
            with self.subTest(name):
                self.make()
                self.assert_expelled(message, code, MATCHED)


class TalkingTests(ConversationTestCase):
    """From ``chat-start`` to ``chat-stop``."""

    def setUp(self) -> None:
        """Both have confirmed."""
        super().setUp()
        self.confirm()

    def test_a_message(self) -> None:
        """Goes to the partner alone, as it is."""
        self.send(self.alice, Message("Hi, how are you?"))
        self.assert_heard(STARTED, [*STARTED, "message"])
        self.assertEqual(self.bob.last, Message("Hi, how are you?"))
        self.send(self.bob, Message("Fine"))
        self.assertEqual(self.alice.last, Message("Fine"))

    def test_confirming_again(self) -> None:
        """Is harmless."""
        self.confirm()
        self.assert_heard(STARTED, STARTED)

    def test_the_time_is_up(self) -> None:
        """Each is told the partner's questions, not earlier; the time to confirm counts no more."""
        self.clock.advance(TALK - 0.01)
        self.assert_heard(STARTED, STARTED)
        self.clock.advance(0.01)
        self.assert_heard(STOPPED, STOPPED)
        self.assertEqual(self.alice.last, ChatStop(BOB.questions))
        self.assertEqual(self.bob.last, ChatStop(ALICE.questions))

    def test_one_leaves(self) -> None:
        """The other is told."""
        self.conversation.leave(self.bob)
        self.assert_heard([*STARTED, "closed: partner-left"], STARTED)
        self.assert_over("partner-left")

    def test_one_is_gone_as_it_is_told(self) -> None:
        """A connection that breaks under ``chat-start`` ends the talk before the other hears of it."""
        self.make(alice_leaves_at="chat-start")
        self.confirm()
        self.assert_heard(STARTED, [*MATCHED, "closed: partner-left"])
        self.assert_over("partner-left")

    def test_what_is_not_allowed(self) -> None:
        """Answers before ``chat-stop``, and what is wrong in every phase, expel their sender."""
        wrong = {**WRONG, "answers": (Answers("the-match", OF_ALICE), "not-allowed")}
        for name, (message, code) in wrong.items():
            with self.subTest(name):
                self.make()
                self.confirm()
                self.assert_expelled(message, code, STARTED)


class AnsweringTests(ConversationTestCase):
    """From ``chat-stop`` to both sides' answers."""

    def setUp(self) -> None:
        """The talk is over."""
        super().setUp()
        self.talk()

    def test_both_answer(self) -> None:
        """Each gets the other's answers, as they came, and it is done."""
        self.answer(self.alice)
        self.assert_heard(STOPPED, STOPPED)
        self.answer(self.bob)
        self.assert_heard(THROUGH, THROUGH)
        self.assertEqual(self.alice.last, Answers("the-match", OF_BOB))
        self.assertEqual(self.bob.last, Answers("the-match", OF_ALICE))
        self.assert_over("answered")

    def test_answers_are_corrected(self) -> None:
        """Those that came last count; wrong ones in between change nothing."""
        self.answer(self.alice)
        self.send(self.alice, Answers("the-match", (Answer(7, "No."),)))
        self.send(self.alice, Answers("the-match", ()))
        self.answer(self.bob)
        self.assertEqual(self.bob.last, Answers("the-match", (Answer(7, "No."),)))

    def test_nobody_answers(self) -> None:
        """Both are told when the time is up, not earlier."""
        self.clock.advance(ANSWER - 0.01)
        self.assert_heard(STOPPED, STOPPED)
        self.clock.advance(0.01)
        self.assert_heard([*STOPPED, "closed: answer-timeout"], [*STOPPED, "closed: answer-timeout"])
        self.assert_over("answer-timeout")

    def test_only_one_answers(self) -> None:
        """Both are told when the time is up; what one has answered is kept."""
        self.answer(self.bob)
        self.clock.advance(ANSWER)
        self.assert_heard([*STOPPED, "closed: answer-timeout"], [*STOPPED, "closed: answer-timeout"])
        self.assertEqual([seat.answers for seat in self.store.saved[-1].seats], [None, OF_BOB])
        self.assert_over("answer-timeout")

    def test_what_is_refused(self) -> None:
        """Everything but complete answers; both may still answer after it."""
        refused = {
            **WRONG,
            "a message that crossed chat-stop": (Message("Bye"), "not-allowed"),
            "none": (Answers("the-match", ()), "bad-request"),
            "one too few": (Answers("the-match", OF_BOB[:1]), "bad-request"),
            "an unknown one": (Answers("the-match", (*OF_BOB, Answer(5, "?"))), "bad-request"),
            "an unknown one in place": (Answers("the-match", (OF_BOB[0], Answer(5, "?"))), "bad-request"),
            "one twice": (Answers("the-match", (*OF_BOB, OF_BOB[0])), "bad-request"),
            "one twice in place": (Answers("the-match", (OF_BOB[0], OF_BOB[0])), "bad-request"),
            "the id as a string": (Answers("the-match", (OF_BOB[0], Answer("1", ""))), "bad-request"),
            "those of the other side": (Answers("the-match", OF_ALICE), "bad-request"),
            "of a foreign match": (Answers("another-match", OF_BOB), "bad-request"),
        }
        for name, (message, code) in refused.items():
            with self.subTest(name):
                self.bob.heard = [*STOPPED]
                self.send(self.bob, message)
                self.assert_heard(STOPPED, [*STOPPED, f"refused: {code}"])
        self.bob.heard = [*STOPPED]
        self.answer(self.bob, self.alice)
        self.assert_heard(THROUGH, THROUGH)

    def test_confirming_again(self) -> None:
        """Is harmless."""
        self.confirm()
        self.assert_heard(STOPPED, STOPPED)

    def test_no_questions(self) -> None:
        """Are answered with no answers."""
        self.make(bob=Seeker("p.2", 2, "bob", 0.5, ()))
        self.talk()
        self.assertEqual(self.alice.last, ChatStop(()))
        self.answer(self.bob)
        self.send(self.alice, Answers("the-match", OF_ALICE))
        self.send(self.alice, Answers("the-match", ()))
        self.assertEqual(self.bob.last, Answers("the-match", ()))
        self.assertEqual(self.alice.heard, [*STOPPED, "refused: bad-request", "answers", "closed"])

    def test_one_leaves_without_an_answer(self) -> None:
        """The other is told at once, even if it has answered."""
        self.answer(self.bob)
        self.conversation.leave(self.alice)
        self.assert_heard(STOPPED, [*STOPPED, "closed: partner-left"])
        self.assert_over("partner-left")

    def test_one_leaves_with_its_answers_in(self) -> None:
        """The other hears nothing of it, may be refused, may answer, and gets the answers."""
        self.answer(self.alice)
        self.conversation.leave(self.alice)
        self.send(self.bob, Message("Are you there?"))
        self.assert_heard(STOPPED, [*STOPPED, "refused: not-allowed"])
        self.answer(self.bob)
        self.assert_heard(STOPPED, [*STOPPED, "refused: not-allowed", "answers", "closed"])
        self.assert_over("answered")

    def test_one_leaves_with_its_answers_in_and_the_other_is_late(self) -> None:
        """The other is told that its time is up; the one who left is told nothing."""
        self.answer(self.alice)
        self.conversation.leave(self.alice)
        self.clock.advance(ANSWER)
        self.assert_heard(STOPPED, [*STOPPED, "closed: answer-timeout"])
        self.assert_over("answer-timeout")

    def test_both_leave(self) -> None:
        """The one with its answers in first: nobody is told anything."""
        self.answer(self.alice)
        self.conversation.leave(self.alice)
        self.conversation.leave(self.bob)
        self.assert_heard(STOPPED, STOPPED)
        self.assert_over("partner-left")


class SavingTests(ConversationTestCase):
    """While the answers are being saved, and if they can't be."""

    def setUp(self) -> None:
        """Both have answered, and the store takes its time."""
        super().setUp()
        self.talk()
        self.store.held = True
        self.answer(self.alice, self.bob)

    def test_answers_come_after_the_save(self) -> None:
        """Nobody is told anything before it, however long it takes."""
        self.clock.advance(ANSWER + 1)
        self.assert_heard(STOPPED, STOPPED)
        self.assertEqual(self.ends, 0)
        self.store.answer()
        self.assert_heard(THROUGH, THROUGH)
        self.assertEqual((self.ends, self.clock.getDelayedCalls()), (1, []))

    def test_nothing_more_is_accepted(self) -> None:
        """Whatever is sent gets nothing, and changes nothing."""
        for message in (Answers("the-match", (Answer(7, "No."),)), Message("Hi"), Malformed(), Find(0, ())):
            self.send(self.alice, message)
        self.assert_heard(STOPPED, STOPPED)
        self.store.answer()
        self.assertEqual(self.bob.last, Answers("the-match", OF_ALICE))
        self.assertEqual(self.store.saved[-1].seats[0].answers, OF_ALICE)

    def test_one_leaves(self) -> None:
        """The other gets its answers."""
        self.conversation.leave(self.alice)
        self.store.answer()
        self.assert_heard(STOPPED, THROUGH)

    def test_both_leave(self) -> None:
        """The talk is saved all the same."""
        self.conversation.leave(self.bob)
        self.conversation.leave(self.alice)
        self.store.answer()
        self.assert_heard(STOPPED, STOPPED)
        self.assertEqual((self.store.saved[-1].outcome, self.ends), ("answered", 1))

    def test_one_is_gone_as_it_gets_its_answers(self) -> None:
        """The other gets its own."""
        self.alice.leaves_at = "answers"
        self.store.answer()
        self.assert_heard([*STOPPED, "answers", "closed"], THROUGH)

    def test_they_cannot_be_saved(self) -> None:
        """Both are told to come back later, and get no answers; the log says so, and no text."""
        logged = Logged(self)
        self.store.held = False
        self.store.away = True
        self.make()
        self.talk()
        self.answer(self.alice, self.bob)
        self.assert_heard([*STOPPED, "closed: unavailable"], [*STOPPED, "closed: unavailable"])
        self.assertEqual((self.ends, self.clock.getDelayedCalls()), (1, []))
        (event,) = logged.above_debug()
        self.assertEqual((event["log_level"], event["kind"]), (LogLevel.warn, "StorageUnavailable"))
        self.assertEqual(logged.holding("Yes.", "boring", "alice"), [])


class RecordTests(ConversationTestCase):
    """What is saved, and when."""

    def test_each_phase(self) -> None:
        """The whole record at the match and whenever something changes, with the moments of the phases."""
        self.clock.advance(5)
        self.confirm()
        self.clock.advance(TALK)
        self.clock.advance(20)
        self.answer(self.alice, self.bob)
        matched, started, stopped, ended = START, START + 5, START + 5 + TALK, START + 25 + TALK
        self.assertEqual(
            [(talk.matched, talk.started, talk.stopped, talk.ended, talk.outcome) for talk in self.store.saved],
            [
                (matched, None, None, None, None),
                (matched, started, None, None, None),
                (matched, started, stopped, None, None),
                (matched, started, stopped, ended, "answered"),
            ],
        )
        self.assertEqual({talk.match_id for talk in self.store.saved}, {"the-match"})
        self.assertEqual(
            self.store.saved[-1].seats,
            (
                Seat(1, "alice", 0.25, ALICE.questions, OF_ALICE),
                Seat(2, "bob", 0.5, BOB.questions, OF_BOB),
            ),
        )

    def test_a_failure_in_between(self) -> None:
        """Does not disturb the talk, is logged once, and is made good by the next save."""
        logged = Logged(self)
        self.store.away = True
        self.talk()
        self.store.away = False
        self.answer(self.alice, self.bob)
        self.assert_heard(THROUGH, THROUGH)
        (event,) = logged.above_debug()
        self.assertEqual(event["log_level"], LogLevel.warn)
        self.assertEqual((self.store.saved[-1].started, self.store.saved[-1].stopped), (START, START + TALK))
        self.assert_over("answered")

    def test_a_fault_of_ours(self) -> None:
        """A save that fails as it never should ends the talk as unavailable; logged as a fault, once."""
        self.patch(self.store, "save", lambda talk: fail(ZeroDivisionError()))
        self.make()
        self.talk()
        self.answer(self.alice, self.bob)
        self.assert_heard([*STOPPED, "closed: unavailable"], [*STOPPED, "closed: unavailable"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((self.ends, self.clock.getDelayedCalls()), (1, []))
