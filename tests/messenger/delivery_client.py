"""A client with a memory, and the line between it and the server, which may be cut at any byte."""

from __future__ import annotations

from collections import Counter, deque
from typing import NamedTuple

from tests.messenger.delivery_table import DELIVERED, PENDING


class Frame(NamedTuple):
    """What crosses the line. ``kind`` is dialog, outcome, repeat or ping; send or pong on the way up."""

    kind: str
    id: int = 0
    sender: str = ""
    receiver: str = ""
    key: int = 0
    size: int = 0
    state: str = ""
    payload: bytes = b""


class Line:
    """Frames under way, in order, both ways."""

    def __init__(self) -> None:
        self.down: deque[Frame] = deque()
        self.up: deque[Frame] = deque()
        self.is_cut = False

    def cut(self) -> None:
        """Lose all that is under way, and whatever comes after it."""
        self.is_cut = True
        self.down.clear()
        self.up.clear()


class Client:
    """A user's program. It answers every ping, or the latest alone; what it has received it never forgets."""

    def __init__(self, user: str, *, latest_only: bool, everybody: dict[str, Client]) -> None:
        self.user = user
        self.latest_only = latest_only
        self.everybody = everybody
        self.line: Line | None = None
        self.losses = 0
        self.sent: list[Frame] = []
        self.received: Counter[int] = Counter()
        self.contents: dict[int, Frame] = {}
        self.latest_of: dict[str, int] = {}
        self.outcomes: dict[int, list[Frame]] = {}
        self.asked: bytes | None = None

    def connect(self) -> Line:
        """Open a line."""
        self.line = Line()
        self.asked = None
        return self.line

    def lose(self) -> None:
        """Notice that the line is gone."""
        if self.line is not None:
            self.line.cut()
            self.line = None
            self.losses += 1

    def send(self, receiver: str, size: int) -> None:
        """Send something new, if there is a line."""
        if self.line is not None:
            frame = Frame("send", sender=self.user, receiver=receiver, key=len(self.sent), size=size)
            self.sent.append(frame)
            self.line.up.append(frame)

    def unknown(self) -> list[Frame]:
        """Return what was sent and has no outcome yet."""
        return [frame for frame in self.sent if frame.key not in self.outcomes]

    def take(self) -> bool:
        """Take the next frame from the line; return whether there was any."""
        if self.line is None or not self.line.down:
            return False
        frame = self.line.down.popleft()
        getattr(self, f"take_{frame.kind}")(frame)
        return True

    def take_dialog(self, frame: Frame) -> None:
        """Doubles are the same; the first of each comes in its sender's order."""
        assert frame.receiver == self.user
        assert self.contents.setdefault(frame.id, frame) == frame
        self.received[frame.id] += 1
        if self.received[frame.id] == 1:
            assert frame.id > self.latest_of.get(frame.sender, 0), "in order for each sender"
            self.latest_of[frame.sender] = frame.id

    def take_outcome(self, frame: Frame) -> None:
        """One kind for each dialog, and success for what has arrived alone."""
        assert frame.sender == self.user
        assert frame.state != PENDING
        if frame.state == DELIVERED:
            assert self.everybody[frame.receiver].received[frame.id], "success only for what has arrived"
        known = self.outcomes.setdefault(frame.key, [])
        assert all((each.id, each.state) == (frame.id, frame.state) for each in known), "one kind of outcome"
        known.append(frame)

    def take_repeat(self, frame: Frame) -> None:
        """The same, but for how often it comes."""
        count = len(self.outcomes.get(frame.key, ()))
        self.take_outcome(frame)
        if count:
            self.outcomes[frame.key].pop()

    def take_ping(self, frame: Frame) -> None:
        """Answer now, or when there is time."""
        self.asked = frame.payload
        if not self.latest_only:
            self.answer()

    def answer(self) -> bool:
        """Answer the latest ping that was not answered; return whether there is any."""
        if self.line is None or self.asked is None:
            return False
        self.line.up.append(Frame("pong", payload=self.asked))
        self.asked = None
        return True
