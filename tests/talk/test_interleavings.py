"""Several clients at once, in any order of events, timers, losses, replacements, slow and failing saves.

A script is a list of steps, each an action and a number that says whom it concerns. Whatever the script:
what each client hears is one of the courses that there are, in order and with one end; clients hear what
their partner said and nothing else; and when all is over, nothing is left.
"""

from __future__ import annotations

import random
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.accounts.store import User
from realtime.storage.errors import StorageUnavailable
from realtime.talk.messages import Answers
from tests.talk.world import ANSWER, CONFIRM, FIND, TALK, RecordingPeer, World

USERS = ["alice", "bob", "carol", "dave"]

MATCH, START, STOP = "match ", "match chat-start (message )*", "match chat-start (message )*chat-stop (WRONG )*"
COURSES = [
    *("", MATCH, START, STOP),  # still open, or lost by the client itself
    *("unauthorized 4401 ", "unavailable 1013 ", "4429 "),
    *("no-match 1000 ", "WRONG 1008 ", "replaced 4409 "),
    "partner-left 1000 ",  # the partner was lost while it was told of the match
    *(MATCH + end for end in ("confirm-timeout 1000 ", "partner-left 1000 ", "WRONG 1008 ", "replaced 4409 ")),
    *(START + end for end in ("partner-left 1000 ", "WRONG 1008 ", "replaced 4409 ")),
    *(STOP + end for end in ("answers 1000 ", "partner-left 1000 ", "answer-timeout 1000 ")),
    *(STOP + end for end in ("unavailable 1013 ", "replaced 4409 ")),
]
"""What a client may hear, from the first event to the close code, as regular expressions."""


CUT_OFF = [course + "unavailable 1013 " for course in (MATCH, START)]
"""What else it may hear if its process is cut off from the other."""


def expression(courses: list[str]) -> re.Pattern[str]:
    """An expression for any of these courses."""
    return re.compile("|".join(courses).replace("WRONG", "(bad-request|not-allowed)"))


WHOLE = expression(COURSES + CUT_OFF)
LOST = expression([re.sub(r"\d{4} $", "", course) for course in COURSES + CUT_OFF])
"""The same for a client that was lost, perhaps while it was told of the end."""

ACTIONS = [
    *(["come"] * 3 + ["proceed"] * 12 + ["all_proceed"] * 2 + ["stray"] * 2 + ["garbage", "lose", "break_at"]),
    *(["wait_a_little"] * 3 + ["wait"] * 2 + ["hold_saves", "answer_saves", "storage_goes", "storage_comes"]),
    *("hold_tokens", "answer_tokens", "come_with_a_wrong_token", "talk_alone"),
]


class Script:
    """Carries out a script, and knows what everybody has said."""

    processes = 1

    def __init__(self) -> None:
        self.world = World(processes=self.processes)
        for number, name in enumerate(USERS, 1):
            self.world.tokens.users[name] = User(number, name, False)
        self.peers: list[RecordingPeer] = []
        self.names: dict[int, str | None] = {}
        self.said: dict[int, list[str]] = {}
        self.seeking: set[int] = set()
        self.was_away = False

    def run(self, steps: list[tuple[str, int]]) -> None:
        """Carry out the steps, then let everything come to its end."""
        for action, number in steps:
            getattr(self, action)(number)
            self.check()
        self.answer_tokens(0)
        self.world.network.heal()
        self.world.store.held = False
        for seconds in (0.0, FIND, CONFIRM, TALK, ANSWER, 0.0):
            self.world.store.answer()
            self.world.clock.advance(seconds)
            self.check()

    # -- steps: each takes a number

    def come(self, number: int) -> None:
        """A user connects, perhaps again."""
        self.connect(USERS[number % len(USERS)])

    def come_with_a_wrong_token(self, number: int) -> None:
        """Somebody connects."""
        self.connect("?")

    def connect(self, token: str) -> None:
        """Open a connection."""
        peer = self.world.connect(token)
        self.peers.append(peer)
        self.names[peer.number] = token
        self.said[peer.number] = []

    def proceed(self, number: int) -> None:
        """A client does what is next for it, as far as it has heard."""
        if self.peers:
            self.do_next(self.peers[-1 - number % min(len(self.peers), 6)])

    def all_proceed(self, number: int) -> None:
        """All clients do."""
        for peer in list(self.peers):
            self.do_next(peer)

    def do_next(self, peer: RecordingPeer) -> None:
        """Find, confirm, say something or answer."""
        events = [event for event, _ in peer.heard]
        if "chat-stop" in events:
            self.answer(peer)
        elif "chat-start" in events:
            said = self.said[peer.number]
            said.append(f"{peer.number}: {len(said)}")
            peer.say("message", {"message": said[-1]})
        elif "match" in events:
            peer.confirm()
        elif peer.number not in self.seeking and not peer.is_over:
            self.seeking.add(peer.number)
            questions = [{"id": number, "question": f"of {peer.number}"} for number in range(peer.number % 3)]
            peer.find(peer.number % 5 / 10, questions)

    def answer(self, peer: RecordingPeer) -> None:
        """Answer the partner's questions, and say who did."""
        (questions,) = [payload["questions"] for event, payload in peer.heard if event == "chat-stop"]
        peer.answer([{"question_id": each["id"], "answer": f"of {peer.number}"} for each in questions])

    def talk_alone(self, number: int) -> None:
        """Time passes until those who are matched and confirmed are to answer."""
        for peer in self.peers:
            if peer.script[-1:] == ["match"]:
                peer.confirm()
        self.world.clock.advance(TALK)

    def stray(self, number: int) -> None:
        """A client sends what may be wrong, or right, just now."""
        if self.peers:
            peer = self.peers[-1 - number % min(len(self.peers), 6)]
            self.seeking.add(peer.number)
            strays: list[tuple[str, Any]] = [
                ("find", {"score": 0, "questions": []}),
                ("confirm", {"match_id": "another"}),
                ("answers", {"match_id": peer.match_id, "answers": []}),
                ("answers", {"match_id": peer.match_id, "answers": [{"question_id": 9, "answer": ""}]}),
            ]
            peer.say(*strays[number % len(strays)])

    def garbage(self, number: int) -> None:
        """A client sends what can't be read."""
        if self.peers:
            self.peers[number % len(self.peers)].say_frame(b"x" * 40_000)

    def lose(self, number: int) -> None:
        """A client is lost."""
        if self.peers:
            self.peers[-1 - number % min(len(self.peers), 6)].break_off()

    def break_at(self, number: int) -> None:
        """A client will be lost while it is told something."""
        if self.peers:
            events = ["match", "chat-start", "message", "chat-stop", "answers", "error"]
            self.peers[-1].breaks_at = events[number % len(events)]

    def wait_a_little(self, number: int) -> None:
        """Less than any phase takes."""
        self.world.clock.advance(number / 10)

    def wait(self, number: int) -> None:
        """Until something is over."""
        self.world.clock.advance([CONFIRM, FIND, TALK, ANSWER][number % 4])

    def hold_saves(self, number: int) -> None:
        """The store becomes slow."""
        self.world.store.held = True

    def answer_saves(self, number: int) -> None:
        """The store has done what it was asked to."""
        self.world.store.held = False
        self.world.store.answer()

    def storage_goes(self, number: int) -> None:
        """The database is away, for tokens as well."""
        self.world.store.away = self.was_away = True
        self.world.tokens.failure = StorageUnavailable("away")

    def storage_comes(self, number: int) -> None:
        """The database works again."""
        self.world.store.away = False
        self.world.tokens.failure = None

    def hold_tokens(self, number: int) -> None:
        """Tokens take their time."""
        self.world.tokens.held = True

    def answer_tokens(self, number: int) -> None:
        """Tokens are checked."""
        self.world.tokens.held = False
        self.world.tokens.answer()

    def cut(self, number: int) -> None:
        """A process does not reach the others."""
        self.world.network.cut(self.world.network.nodes[number % self.processes])

    def heal(self, number: int) -> None:
        """All reach each other again, some having missed something."""
        self.world.network.heal()

    # -- what holds

    def check(self) -> None:
        """What holds after every step."""
        for peer in self.peers:
            course = "".join(f"{each} " for each in peer.script)
            assert (LOST if peer.gone else WHOLE).fullmatch(course), course
        for user in USERS:
            present = [peer for peer in self.peers if self.names[peer.number] == user and not peer.is_over]
            assert len(present) <= 1 or self.world.tokens.waiting, "one connection for each user"
        matched: dict[str, list[RecordingPeer]] = {}
        for peer in self.peers:
            if peer.match_id != "none":
                matched.setdefault(peer.match_id, []).append(peer)
        for both in matched.values():
            self.check_match(both)

    def check_match(self, both: list[RecordingPeer]) -> None:
        """Those who heard of one match are two users at most, who hear each other and nobody else."""
        assert len({self.names[peer.number] for peer in both}) == len(both) <= 2
        for peer, other in zip(both, reversed(both), strict=True):
            messages = [payload["message"] for event, payload in peer.heard if event == "message"]
            sent = iter(self.said[other.number])
            assert all(each in sent for each in messages), "in order, once"
            for event, payload in peer.heard:
                if event == "answers" and other is not peer:
                    self.check_answers(other, payload)

    def check_answers(self, other: RecordingPeer, payload: Any) -> None:
        """Answers that are told are the partner's, and were saved before."""
        assert {each["answer"] for each in payload["answers"]} <= {f"of {other.number}"}
        talk = self.world.store.latest()[payload["match_id"]]
        assert talk.outcome == "answered"
        kept = [Answers(talk.match_id, seat.answers or ()).answers for seat in talk.seats]
        assert [(each["question_id"], each["answer"]) for each in payload["answers"]] in [
            [(each.question_id, each.answer) for each in answers] for answers in kept
        ]

    def check_end(self) -> None:
        """Whoever looked for somebody has come to an end; the others are idle, and leave."""
        for peer in self.peers:
            assert peer.is_over or (peer.number not in self.seeking and peer.script == []), peer.script
            peer.break_off()
        assert self.world.left_over() == {}, self.world.left_over()
        outcomes = [talk.outcome for talk in self.world.store.latest().values()]
        assert all(outcomes) or self.was_away, "a talk that is over says how it ended"


class ApartScript(Script):
    """The same in two processes, which may lose sight of each other."""

    processes = 2


def steps(actions: list[str]) -> st.SearchStrategy[list[tuple[str, int]]]:
    """Scripts of some actions."""
    return st.lists(st.tuples(st.sampled_from(actions), st.integers(0, 20)), max_size=80)


class InterleavingTests(SynchronousTestCase):
    """Whatever happens, in whatever order."""

    @settings(max_examples=400, deadline=None)
    @given(steps(ACTIONS))
    def test_any_script(self, script: list[tuple[str, int]]) -> None:
        """Everybody comes to one end, in order, and nothing is left."""
        play = Script()
        play.run(script)
        play.check_end()
        self.assertEqual(self.flushLoggedErrors(), [])

    @settings(max_examples=150, deadline=None)
    @given(steps([*ACTIONS, "cut", "heal", "heal"]))
    def test_any_script_of_two_processes(self, script: list[tuple[str, int]]) -> None:
        """The same holds, whatever the two processes hear of each other."""
        play = ApartScript()
        play.run(script)
        play.check_end()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_the_scripts_go_everywhere(self) -> None:
        """Scripts of this kind reach every course that a client can take, so that all are tried above."""
        chance = random.Random(7)
        courses = [expression([course]) for course in COURSES]
        reached: set[int] = set()
        for _ in range(1500):
            play = Script()
            play.run([(chance.choice(ACTIONS), chance.randrange(21)) for _ in range(80)])
            for peer in play.peers:
                course = "".join(f"{each} " for each in peer.script)
                reached |= {number for number, each in enumerate(courses) if each.fullmatch(course)}
            play.check_end()
        self.assertEqual([COURSES[number] for number in range(len(COURSES)) if number not in reached], [])
