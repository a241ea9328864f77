"""Sessions of talk that meet in a real lobby, without a network, and with a store that a test commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from realtime.accounts.authentication import Identity
from realtime.accounts.errors import TokenInvalid
from realtime.accounts.store import User
from realtime.closing import CloseCode
from realtime.cluster.bus import MemoryBus
from realtime.storage.errors import StorageUnavailable
from realtime.talk import messages
from realtime.talk.conversation import Timeouts
from realtime.talk.lobby import Lobby
from realtime.talk.matching import Matcher
from realtime.talk.messages import ServerMessage
from realtime.talk.pool import MemoryPool
from realtime.talk.session import Session
from realtime.talk.store import Talk, TalkStore

START = 1_790_000_000.0
FIND, CONFIRM, TALK, ANSWER = 60.0, 15.0, 180.0, 60.0
"""Seconds that the phases last."""

TIMEOUTS = Timeouts(confirm=CONFIRM, talk=TALK, answer=ANSWER)
QUESTIONS = [{"id": 1, "question": "Am I interesting?"}, {"id": "b", "question": "Am I boring?"}]
ANSWERS = [{"question_id": 1, "answer": "Yes."}, {"question_id": "b", "answer": ""}]
"""Complete answers to those questions."""


class RecordingStore:
    """Keeps every record that is saved. While ``held``, saves are answered only by `answer`."""

    def __init__(self) -> None:
        self.saved: list[Talk] = []
        self.away = False
        self.held = False
        self.waiting: list[tuple[Deferred[None], bool]] = []

    def save(self, talk: Talk) -> Deferred[None]:
        """See `TalkStore.save`."""
        if not self.away:
            self.saved.append(talk)
        if not self.held:
            return fail(StorageUnavailable("away")) if self.away else succeed(None)
        answer: Deferred[None] = Deferred()
        self.waiting.append((answer, self.away))
        return answer

    def answer(self) -> None:
        """Answer the saves that wait, in order."""
        waiting, self.waiting = self.waiting, []
        for answer, away in waiting:
            if away:
                answer.errback(StorageUnavailable("away"))
            else:
                answer.callback(None)

    def latest(self) -> dict[str, Talk]:
        """What the table would hold."""
        return {talk.match_id: talk for talk in self.saved}


class Tokens:
    """An authenticator: a token is a user's name. While ``held``, answers wait for `answer`."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.failure: Exception | None = None
        self.held = False
        self.waiting: list[Deferred[None]] = []

    def authenticate(self, token: str | None) -> Deferred[Identity]:
        """See `Authenticator.authenticate`."""
        waiting: Deferred[None] = Deferred() if self.held else succeed(None)
        if self.held:
            self.waiting.append(waiting)
        return waiting.addCallback(lambda _: self._identity(token))

    def answer(self) -> None:
        """Answer all who wait."""
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each.callback(None)

    def _identity(self, token: str | None) -> Identity:
        if self.failure is not None:
            raise self.failure
        if token not in self.users:
            raise TokenInvalid("wrong")
        return Identity(self.users[token], None)


class RecordingPeer:
    """A connection that keeps what it is told, and drives the session as its client.

    ``heard`` holds the events that came, in order, each as its name and its payload.
    """

    def __init__(self, number: int, world: World) -> None:
        self.number = number
        self.heard: list[tuple[str, Any]] = []
        self.closed: CloseCode | None = None
        self.gone = False
        self.full = False
        self.breaks_at: str | None = None
        self.session = Session(self, world.lobby)

    # -- the session's peer

    def tell(self, message: ServerMessage) -> None:
        """Keep a message; break at once at the event that the test has named."""
        if self.closed is None and not self.gone:
            frame = json.loads(messages.encode(message))
            self.heard.append((frame["event"], frame.get("payload")))
            if frame["event"] == self.breaks_at:
                self.break_off()

    def close(self, code: CloseCode) -> None:
        """Close, which ends the session, once."""
        if self.closed is None and not self.gone:
            self.closed = code
            self.session.end()

    def identify(self, user_id: int) -> bool:
        """Count the connection, or refuse it."""
        if self.full:
            self.close(CloseCode.TOO_MANY_REQUESTS)
        return not self.full

    # -- the client

    def say(self, event: str, payload: Any = None) -> None:
        """Send an event."""
        self.say_frame(json.dumps({"event": event, "payload": payload}).encode())

    def say_frame(self, frame: bytes) -> None:
        """Send any text."""
        if not self.is_over:
            self.session.receive(messages.decode(frame), len(frame))

    def find(self, score: float = 0.3, questions: Any = QUESTIONS) -> RecordingPeer:
        """Look for somebody."""
        self.say("find", {"score": score, "questions": questions})
        return self

    def confirm(self) -> None:
        """Confirm the match."""
        self.say("confirm", {"match_id": self.match_id})

    def answer(self, answers: Any = ANSWERS) -> None:
        """Answer the partner's questions."""
        self.say("answers", {"match_id": self.match_id, "answers": answers})

    def break_off(self) -> None:
        """Be lost."""
        if not self.is_over:
            self.gone = True
            self.session.end()

    # -- what the test asks for

    @property
    def is_over(self) -> bool:
        """Whether the connection has ended, either way."""
        return self.gone or self.closed is not None

    @property
    def match_id(self) -> str:
        """The match that it heard of; an unknown one, if of none."""
        return next((str(payload["match_id"]) for event, payload in self.heard if event == "match"), "none")

    @property
    def script(self) -> list[str]:
        """What it heard in short: event names, an error by its code, and the close code at the end."""
        events = [payload["code"] if event == "error" else event for event, payload in self.heard]
        return events if self.closed is None else [*events, str(int(self.closed))]


class World:
    """A server's talk, with its clock; a recording store takes the place of none."""

    def __init__(self, real_store: TalkStore | None = None) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.store = RecordingStore()
        self.tokens = Tokens()
        self.bus = MemoryBus()
        self.pool = MemoryPool(Matcher(find_timeout=FIND), clock=self.clock, rematch_after=300)
        authenticator: Any = self.tokens
        store: Any = real_store or self.store
        self.lobby = Lobby(
            authenticator=authenticator,
            store=store,
            bus=self.bus,
            pool=self.pool,
            timeouts=TIMEOUTS,
            clock=self.clock,
        )
        self._numbers: Iterator[int] = count(1)

    def connect(self, name: str | None) -> RecordingPeer:
        """Open a connection with a token; one that is a name is right."""
        if name is not None and name.isalpha() and name not in self.tokens.users:
            self.tokens.users[name] = User(len(self.tokens.users) + 1, name, False)
        peer = RecordingPeer(next(self._numbers), self)
        peer.session.begin(name)
        return peer

    def pair(self) -> tuple[RecordingPeer, RecordingPeer]:
        """Two who have just been matched."""
        return self.connect("alice").find(), self.connect("bob").find()

    def talking(self) -> tuple[RecordingPeer, RecordingPeer]:
        """Two who are talking."""
        alice, bob = self.pair()
        alice.confirm()
        bob.confirm()
        return alice, bob

    def answering(self) -> tuple[RecordingPeer, RecordingPeer]:
        """Two who are to answer."""
        alice, bob = self.talking()
        self.clock.advance(TALK)
        return alice, bob

    def left_over(self) -> dict[str, int]:
        """What is still there, by kind."""
        left = {
            "tickets": len(self.pool),
            "delayed calls": len(self.clock.getDelayedCalls()),
            "topics": len(self.bus),
            "seekers and conversations": len(self.lobby),
            "saves": len(self.store.waiting),
        }
        return {kind: number for kind, number in left.items() if number}
