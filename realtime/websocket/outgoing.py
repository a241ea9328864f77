"""Frames on their way out: one write for each connection and turn, and a bound for a slow reader.

What is sent to a connection in one turn of the reactor leaves in one write at the turn's end, in the order
in which it was sent; more than ``bound`` bytes leave at once, so that no turn holds more for a slow reader
than the queue may. While the transport has more than it likes (it pauses its producer), whole frames wait
here instead, and are counted: the frame that finds more than ``bound`` bytes waiting before it is one too
many, and the reader is too slow. One frame alone, however large, never overflows.

What a room says in one turn is a `Batch`: one object in the queues of all its members, joined once
(see ``rooms``). It grows for as long as it stands last in all of them, so that it keeps its place
between whatever else is sent to a member.

Sending never calls back: who is too slow is told at the end of the turn. Whoever sends to many goes
on undisturbed by the end of one of them.
"""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.interfaces import IPushProducer, IReactorTime, ITransport
from zope.interface import implementer


class Flushed(Protocol):
    """What has something to write at the end of a turn."""

    def flush(self) -> None:
        """Write it."""


class Turn:
    """Those who have something to write at the end of this turn of the reactor."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: list[Flushed] = []

    def add(self, waiting: Flushed) -> None:
        """Have something flushed at the end of the turn; one delayed call serves all."""
        if not self._waiting:
            self._clock.callLater(0, self._flush)
        self._waiting.append(waiting)

    def _flush(self) -> None:
        all_waiting, self._waiting = self._waiting, []
        for waiting in all_waiting:
            waiting.flush()


LARGEST_BATCH: Final = 262_144
"""Bytes: a room that says more in one turn begins another batch, so that each member's queue is bounded."""


class Batch:
    """Frames for many: the same bytes for all of them. ``is_open`` while more may be added.

    It goes out to those who have taken it and have nothing else to send by itself, in one go; with the
    others it keeps its place in their queues.
    """

    __slots__ = ("_bytes", "_frames", "_size", "is_open", "takers")

    def __init__(self, frame: bytes) -> None:
        self._frames = [frame]
        self._bytes: bytes | None = None
        self._size = len(frame)
        self.takers: list[Outgoing] = []
        self.is_open = True

    def add(self, frame: bytes) -> None:
        """Add a frame for all."""
        self._frames.append(frame)
        self._size += len(frame)
        if self._size > LARGEST_BATCH:
            self.is_open = False

    def joined(self) -> bytes:
        """Return all frames as one, and take no more."""
        if self._bytes is None:
            self.is_open = False
            self._bytes = self._frames[0] if len(self._frames) == 1 else b"".join(self._frames)
        return self._bytes

    def flush(self) -> None:
        """Write it to those for whom it is all there is."""
        data = self.joined()
        for outgoing in self.takers:
            outgoing.write_alone(self, data)
        self.takers.clear()


class Reader(Protocol):
    """Whose frames these are."""

    def too_slow(self) -> None:
        """More than ``bound`` waits, and has been dropped; told once."""


@implementer(IPushProducer)
class Outgoing:
    """The queue of one connection, for ``reader``."""

    __slots__ = (
        *("_batch", "_bound", "_bytes", "_frames", "_has_overflowed", "_paused", "_reader"),
        *("_transport", "_turn"),
    )

    def __init__(self, transport: ITransport, turn: Turn, bound: int, reader: Reader) -> None:
        self._transport = transport
        self._turn = turn
        self._bound = bound
        self._reader: Reader | None = reader
        self._has_overflowed = False
        self._frames: list[bytes | Batch] = []
        self._batch: Batch | None = None  # what stands behind the frames, if it is a batch
        self._bytes = 0
        self._paused = False

    def write(self, frame: bytes) -> None:
        """Send ``frame`` after everything that was sent before."""
        if self._bytes > self._bound and not self._paused:
            self.flush()  # as much may wait as for a slow reader; whether it is one shows now
        if self._paused:
            if self._bytes > self._bound and self._reader is not None:
                if not self._has_overflowed:
                    self._has_overflowed = True
                    self._frames.clear()  # whole frames: what the transport has is whole as well
                    self._turn.add(self)
                return
        elif self._batch is not None:
            self._keep_batch()
        elif not self._frames:
            self._turn.add(self)
        self._frames.append(frame)
        self._bytes += len(frame)

    def take(self, batch: Batch) -> bool:
        """Send an open batch after everything that was sent before, and with it what it will hold.

        Returns ``False`` and does nothing while frames have to wait here: then each is to be counted,
        and written by itself.
        """
        if self._batch is not None:
            self._keep_batch()
            if self._bytes > self._bound:
                self.flush()
        if self._paused:
            return False
        self._batch = batch
        if not batch.takers:
            self._turn.add(batch)
        batch.takers.append(self)
        return True

    def _keep_batch(self) -> None:
        """Give the batch its place among the frames: something comes behind it."""
        if self._batch is not None:
            self._batch.is_open = False
            if not self._frames:
                self._turn.add(self)
            self._frames.append(self._batch)
            self._bytes += len(self._batch.joined())
            self._batch = None

    def write_alone(self, batch: Batch, data: bytes) -> None:
        """Write a batch, of which ``data`` is all, if it is all that waits here."""
        if self._batch is batch and not self._frames:
            self._batch = None
            self._transport.write(data)

    def flush(self) -> None:
        """Hand what waits to the transport, if it doesn't ask for a pause."""
        if self._paused:
            if self._has_overflowed:
                self._tell_too_slow()
        elif self._frames or self._batch is not None:
            self._transport.write(self._take_all())

    def force(self) -> None:
        """Hand what waits to the transport even though it asked for a pause: it is to be closed."""
        if self._frames or self._batch is not None:
            self._transport.write(self._take_all())

    def _take_all(self) -> bytes:
        frames = self._frames
        if self._batch is not None:
            frames.append(self._batch)
            self._batch = None
        self._bytes = 0
        if len(frames) == 1:
            return _bytes_of(frames.pop())
        data = b"".join(map(_bytes_of, frames))
        frames.clear()
        return data

    def _tell_too_slow(self) -> None:
        self._has_overflowed = False
        self._bytes = 0
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.too_slow()

    def pauseProducing(self) -> None:
        """Keep frames here: the transport has enough. From now on they are counted."""
        self._paused = True
        self._keep_batch()
        self._bytes = sum(len(_bytes_of(frame)) for frame in self._frames)

    def resumeProducing(self) -> None:
        """Write again: the transport has sent what it had."""
        if self._has_overflowed:
            self._tell_too_slow()
        self._paused = False
        self.flush()

    def stopProducing(self) -> None:
        """Write no more: the transport is gone."""
        self._paused = True
        self._reader = None
        self._frames.clear()
        self._batch = None
        self._bytes = 0


def _bytes_of(frame: bytes | Batch) -> bytes:
    return frame if type(frame) is bytes else frame.joined()  # type: ignore[union-attr]
