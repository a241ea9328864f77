"""Sessions of talk that meet in a real lobby, without a network, and with a store that a test commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from realtime.accounts.authentication import Identity
from realtime.accounts.errors import TokenInvalid
from realtime.accounts.store import User
from realtime.closing import CloseCode
from realtime.cluster.bus import MemoryBus, Message, Subscription, Topic
from realtime.storage.errors import StorageUnavailable
from realtime.talk import messages
from realtime.talk.conversation import Timeouts
from realtime.talk.forwarding import Forwarding
from realtime.talk.lobby import Lobby
from realtime.talk.matching import Matcher
from realtime.talk.messages import ServerMessage
from realtime.talk.pool import MemoryPool, Paired, Pool, Seeker, Unmatched
from realtime.talk.session import Session
from realtime.talk.store import Talk, TalkStore
from realtime.websocket.admission import Admission

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


class Node(MemoryBus):
    """The bus, seen from one of several processes. While it is cut off, it carries nothing to or from others.

    Attributes:
        loses: so many of the next messages to others are lost.
        published: how many there were.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.is_connected = True
        self.loses = 0
        self.published = 0
        self._network = network
        self._gaps: list[tuple[Any, Callable[[], None]]] = []

    def publish(self, topic: Topic[Message], message: Message) -> None:
        """See `Bus.publish`."""
        super().publish(topic, message)
        self.published += 1
        if self.loses:
            self.loses -= 1
            return
        for node in self._network.nodes:
            if node is not self and self.is_connected and node.is_connected:
                MemoryBus.publish(node, topic, message)

    def subscribe(
        self,
        topic: Topic[Message],
        listener: Callable[[Message], None],
        gap: Callable[[], None] | None = None,
    ) -> Subscription:
        """See `Bus.subscribe`."""
        subscription = super().subscribe(topic, listener, gap)
        if gap is not None:
            self._gaps.append((subscription, gap))
        return subscription

    def is_cut_off(self) -> bool:
        """Whether it carries nothing."""
        return not self.is_connected

    def tell_gap(self) -> None:
        """Tell all listeners that they may have missed something."""
        self._gaps = [each for each in self._gaps if each[0].listener is not None]
        for _, gap in list(self._gaps):
            gap()


class Network:
    """The buses of several processes."""

    def __init__(self, count: int) -> None:
        self.nodes = [Node(self) for _ in range(count)]

    def cut(self, *nodes: Node) -> None:
        """Cut these off, or all."""
        for node in nodes or self.nodes:
            node.is_connected = False

    def heal(self) -> None:
        """Let all hear each other again, and know of the gap."""
        for node in self.nodes:
            node.is_connected = True
        for node in self.nodes:
            node.tell_gap()


class Desks:
    """One pool for several processes: each enters at a desk of its own, and is told there.

    Pairs are told at once, or put into ``held``.
    """

    def __init__(self, pool: MemoryPool) -> None:
        self._pool = pool
        self._desks: dict[str, Desk] = {}
        self.held: list[Callable[[], None]] | None = None
        pool.listen(self._paired, self._unmatched, self._unmatched)

    def open(self, process: str) -> Pool:
        """Open the desk of a process."""
        desk = self._desks[process] = Desk(self._pool)
        return desk

    def _paired(self, match_id: str, first: Seeker, second: Seeker) -> None:
        processes = dict.fromkeys(each.id.partition(".")[0] for each in (first, second))
        tell = [partial(self._desks[process].paired, match_id, first, second) for process in processes]
        if self.held is not None:
            self.held += tell
        else:
            for each in reversed(tell):  # Redis tells both before either can do anything
                each()

    def _unmatched(self, seeker: Seeker) -> None:
        self._desks[seeker.id.partition(".")[0]].unmatched(seeker)


class Desk:
    """One of them."""

    paired: Paired
    unmatched: Unmatched

    def __init__(self, pool: MemoryPool) -> None:
        self.enter = pool.enter
        self.leave = pool.leave
        self.parted = pool.parted

    def listen(self, paired: Paired, unmatched: Unmatched, unavailable: Unmatched) -> None:
        """See `Pool.listen`."""
        self.paired = paired
        self.unmatched = unmatched


class SteppingClock(Clock):
    """A clock that passes no beat."""

    def advance(self, amount: float) -> None:
        """Let time pass, a second at a time."""
        if amount >= START:
            super().advance(amount)
            return
        while amount > 1.0:
            super().advance(1.0)
            amount -= 1.0
        super().advance(amount)


class RecordingPeer:
    """A connection that keeps what it is told, and drives the session as its client.

    ``heard`` holds the events that came, in order, each as its name and its payload.
    """

    def __init__(self, number: int, world: World, lobby: Lobby) -> None:
        self.number = number
        self.heard: list[tuple[str, Any]] = []
        self.closed: CloseCode | None = None
        self.gone = False
        self.breaks_at: str | None = None
        self.user_id: int | None = None
        self.admission = world.admission
        self.session = Session(self, lobby)

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
            self._end()

    def identify(self, user_id: int) -> bool:
        """Count the connection, or refuse it."""
        if not self.admission.identify(user_id):
            self.close(CloseCode.TOO_MANY_REQUESTS)
            return False
        self.user_id = user_id
        return True

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
            self._end()

    def _end(self) -> None:
        self.session.end()
        if self.user_id is not None:
            self.admission.forget(self.user_id)

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
    """A server's talk, with its clock, in so many processes; a recording store takes the place of none.

    Connections come to one process after the other.
    """

    def __init__(self, real_store: TalkStore | None = None, processes: int = 1) -> None:
        self.clock = Clock() if processes == 1 else SteppingClock()
        self.clock.advance(START)
        self.store = RecordingStore()
        self.tokens = Tokens()
        self.network = Network(processes)
        self.bus = self.network.nodes[0]
        self.admission = Admission()
        self.pool = MemoryPool(Matcher(find_timeout=FIND), clock=self.clock, rematch_after=300)
        self.desks = Desks(self.pool)
        authenticator: Any = self.tokens
        store: Any = real_store or self.store
        self.lobbies = [
            Lobby(
                authenticator=authenticator,
                store=store,
                bus=node,
                pool=self.pool if processes == 1 else self.desks.open(f"process{number}"),
                forwarding=Forwarding(*(f"process{number}", node, self.clock), is_cut_off=node.is_cut_off),
                timeouts=TIMEOUTS,
                clock=self.clock,
            )
            for number, node in enumerate(self.network.nodes)
        ]
        self.lobby = self.lobbies[0]
        self._numbers: Iterator[int] = count(1)

    def connect(self, name: str | None) -> RecordingPeer:
        """Open a connection with a token; one that is a name is right."""
        if name is not None and name.isalpha() and name not in self.tokens.users:
            self.tokens.users[name] = User(len(self.tokens.users) + 1, name, False)
        number = next(self._numbers)
        peer = RecordingPeer(number, self, self.lobbies[(number - 1) % len(self.lobbies)])
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
            "topics": sum(len(node) - 1 for node in self.network.nodes),  # but for the process's own
            "seekers and conversations": sum(map(len, self.lobbies)),
            "saves": len(self.store.waiting),
        }
        return {kind: number for kind, number in left.items() if number}
