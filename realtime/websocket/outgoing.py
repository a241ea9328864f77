"""Frames on their way out: one write for each connection and turn, and a bound for a slow reader.

What is sent to a connection in one turn of the reactor leaves in one write at the turn's end, in
the order in which it was sent. While the transport has more than it likes (it pauses its producer),
whole frames wait here instead, and are counted: the frame that finds more than ``bound`` bytes
waiting before it is one too many, and the reader is too slow. One frame alone, however large, never
overflows.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IPushProducer, IReactorTime, ITransport
from zope.interface import implementer


class Turn:
    """Those who have something to write at the end of this turn of the reactor."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: list[Outgoing] = []

    def add(self, outgoing: Outgoing) -> None:
        """Have ``outgoing`` flushed at the end of the turn; one delayed call serves all."""
        if not self._waiting:
            self._clock.callLater(0, self._flush)
        self._waiting.append(outgoing)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for outgoing in waiting:
            outgoing.flush()


@implementer(IPushProducer)
class Outgoing:
    """The queue of one connection. ``overflow`` is called once, when the reader is too slow."""

    __slots__ = ("_bound", "_bytes", "_frames", "_overflow", "_paused", "_transport", "_turn")

    def __init__(self, transport: ITransport, turn: Turn, bound: int, overflow: Callable[[], None]) -> None:
        self._transport = transport
        self._turn = turn
        self._bound = bound
        self._overflow: Callable[[], None] | None = overflow
        self._frames: list[bytes] = []
        self._bytes = 0
        self._paused = False

    def write(self, frame: bytes) -> None:
        """Send ``frame`` after everything that was sent before."""
        if self._paused:
            if self._bytes > self._bound and self._overflow is not None:
                overflow, self._overflow = self._overflow, None
                overflow()
                return
        elif not self._frames:
            self._turn.add(self)
        self._frames.append(frame)
        self._bytes += len(frame)

    def flush(self, *, forced: bool = False) -> None:
        """Hand what waits to the transport; ``forced`` even though it asked for a pause."""
        if self._frames and (forced or not self._paused):
            data = self._frames[0] if len(self._frames) == 1 else b"".join(self._frames)
            self._frames = []
            self._bytes = 0
            self._transport.write(data)

    def discard(self) -> None:
        """Forget what waits; the transport still has whole frames only."""
        self._frames = []
        self._bytes = 0

    def pauseProducing(self) -> None:
        """Keep frames here: the transport has enough."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Write again: the transport has sent what it had."""
        self._paused = False
        self.flush()

    def stopProducing(self) -> None:
        """Write no more: the transport is gone."""
        self._paused = True
        self._overflow = None
        self.discard()
