"""Lines between processes: what the two of a talk say to each other when they are connected to two processes.

A line is one talk's, between the process that holds it and the other. What is put into it comes out at the
other end once, in order, or the line breaks: each item has a number and is kept until the other end has said
that it has it; whoever may have missed something says how far it has come, and gets what follows. The bus
carries an item in one publish; acknowledgements ride on items the other way, or go with the next sign of life.

Processes that share a line tell each other every two seconds that they live. Who is silent for seven is lost,
with all lines to it: either end notices within nine seconds. An item of a line that one end does not know (any
more) is answered so, and breaks the other end: no talk is ever half alive.

What was not acknowledged with the other end's next sign of life is sent again, whether the bus knows of a gap
or not. A line ends with a last item, which is kept like any other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Struct
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from realtime.cluster.bus import Bus, Topic
from realtime.talk import items
from realtime.talk.items import Item

BEAT_SECONDS: Final = 2.0
SILENCE_SECONDS: Final = 7.0
"""As long as a process is taken to live (`cluster.redis_process`): a Redis that is away for five seconds costs
no talk, and with a beat to notice, ten are not exceeded."""

KEPT_BYTES: Final = 1024 * 1024
"""Of items of one line that were not acknowledged; with more it breaks. In seven seconds a client at its rate
of messages, of usual length, says a tenth of that."""

_AT_ONCE: Final = 500
"""Talks that are named in one message."""


# -- what crosses the bus ----------------------------------------------------------------------------


class _Sent(Struct, frozen=True, tag=True, array_like=True):
    """An item of a talk; ``number`` counts from 1, ``received`` is how many have come the other way."""

    match_id: str
    number: int
    received: int
    kind: str
    item: bytes
    is_last: bool


class _Alive(Struct, frozen=True, tag=True, array_like=True):
    """A sign of life, with how many items of some talks have come."""

    received: dict[str, int]


class _Again(Struct, frozen=True, tag=True, array_like=True):
    """Items may have been missed: so many of these talks have come, send what follows."""

    received: dict[str, int]


class _Unknown(Struct, frozen=True, tag=True, array_like=True):
    """These talks are not known here."""

    match_ids: list[str]


class _Envelope(Struct, frozen=True, array_like=True):
    sender: str
    content: _Sent | _Alive | _Again | _Unknown


def _to(process: str) -> Topic[_Envelope]:
    return Topic(f"talk.process.{process}", _Envelope)


class Line:
    """One end of a talk's line.

    Arguments:
        forwarding: that of this process.
        peer: the process at the other end.
        match_id: the talk's.
        heard: called with each item.
        broken: called, once, if the line breaks: with whether that is as this process was cut off.
    """

    __slots__ = (
        *("_asked_after", "_broken", "_forwarding", "_heard", "_is_over", "_kept", "_kept_bytes", "_sent"),
        *("is_closing", "match_id", "peer", "received"),
    )

    def __init__(
        self,
        forwarding: Forwarding,
        peer: str,
        match_id: str,
        heard: Callable[[Any], None],
        broken: Callable[[bool], None],
    ) -> None:
        self.peer = peer
        self.match_id = match_id
        self.received = 0
        self.is_closing = False
        self._forwarding = forwarding
        self._heard = heard
        self._broken = broken
        self._asked_after = -1
        self._sent = 0
        self._kept: deque[_Sent] = deque()
        self._kept_bytes = 0
        self._is_over = False

    def send(self, item: Item) -> None:
        """Have the other end hear something; nothing once the line is closed, or broken."""
        self._put(item, is_last=False)

    def close(self, item: Item) -> None:
        """Have the other end hear a last thing, and hear nothing more here."""
        self._put(item, is_last=True)

    def _put(self, item: Item, *, is_last: bool) -> None:
        if self.is_closing or self._is_over:
            return
        self.is_closing = is_last
        self._sent += 1
        sent = _Sent(self.match_id, self._sent, self.received, *items.encode(item), is_last)
        self._kept.append(sent)
        self._kept_bytes += len(sent.item)
        self._forwarding.send(self.peer, sent)
        if self._kept_bytes > KEPT_BYTES:
            self._forwarding.give_up(self)

    # -- for the forwarding --------------------------------------------------------------------

    def take(self, sent: _Sent) -> bool:
        """Take an item; return whether to ask for one before it that is missing.

        That is asked for once: if the question or its answer is lost, all is sent again in a while.
        """
        self.acknowledge(sent.received)
        if sent.number != self.received + 1:
            is_news = sent.number > self.received != self._asked_after
            if is_news:
                self._asked_after = self.received
            return is_news
        self.received = sent.number
        try:
            item = items.decode(sent.kind, sent.item)
        except ValueError:
            self._forwarding.give_up(self)  # the other end is of another version
            return False
        if sent.is_last:
            self._forwarding.end(self)  # before it is heard: what is done about it has no line any more
        if not self.is_closing:
            self._heard(item)
        return False

    def acknowledge(self, received: int) -> None:
        """Learn how many items have come to the other end."""
        while self._kept and self._kept[0].number <= received:
            self._kept_bytes -= len(self._kept.popleft().item)
        if self.is_closing and not self._kept:
            self._forwarding.forget(self)

    def waits_for(self, number: int) -> bool:
        """Return whether an item of this number was not acknowledged, or one before it."""
        return bool(self._kept) and self._kept[0].number <= number

    def send_again(self) -> None:
        """Send what was not acknowledged."""
        for sent in list(self._kept):
            self._forwarding.publish(self.peer, sent)

    def end(self) -> None:
        """Be over."""
        self._is_over = True
        self._kept.clear()

    def be_broken(self, *, is_cut_off: bool) -> None:
        """Be over before the end."""
        self.end()
        if not self.is_closing:
            self._broken(is_cut_off)


class _Peer:
    """A process that lines lead to.

    ``owed`` are lines of which it does not know yet how far they have come; ``sent``, ``sent_before`` those on
    which something was sent since the last beat, or between the two before: up to which item.
    """

    __slots__ = ("heard_at", "lines", "owed", "sent", "sent_before")

    def __init__(self, now: float) -> None:
        self.heard_at = now
        self.lines: dict[str, Line] = {}
        self.owed: dict[str, int] = {}
        self.sent: dict[str, int] = {}
        self.sent_before: dict[str, int] = {}


class Forwarding:
    """All lines of a process.

    Arguments:
        process: its name, that no other has.
        bus: that of all processes.
        clock: for signs of life.
        is_cut_off: whether this process does not reach the others.
    """

    _log = Logger()

    def __init__(
        self, process: str, bus: Bus, clock: IReactorTime, is_cut_off: Callable[[], bool] = lambda: False
    ) -> None:
        self.process = process
        self._bus = bus
        self._clock = clock
        self._is_cut_off = is_cut_off
        self._lines: dict[str, Line] = {}
        self._peers: dict[str, _Peer] = {}
        self._tick: IDelayedCall | None = None
        bus.subscribe(_to(process), self._heard, self._gap)

    def __len__(self) -> int:
        """Return how many lines there are."""
        return len(self._lines)

    def open(
        self, match_id: str, process: str, heard: Callable[[Any], None], broken: Callable[[bool], None]
    ) -> Line:
        """Return this end of a talk's line to another process."""
        line = self._lines[match_id] = Line(self, process, match_id, heard, broken)
        peer = self._peers.get(process)
        if peer is None:
            peer = self._peers[process] = _Peer(self._clock.seconds())
        peer.lines[match_id] = line
        if self._tick is None:
            self._tick = self._clock.callLater(BEAT_SECONDS, self._beat)
        return line

    def decline(self, match_id: str, process: str) -> None:
        """Say that there is no line here for a talk that the other process may wait for."""
        self.publish(process, _Unknown([match_id]))

    # -- for the lines -------------------------------------------------------------------------

    def send(self, process: str, sent: _Sent) -> None:
        """Send an item, and with it how far its line has come."""
        peer = self._peers[process]
        peer.owed.pop(sent.match_id, None)
        peer.sent[sent.match_id] = sent.number
        self.publish(process, sent)

    def publish(self, process: str, content: _Sent | _Alive | _Again | _Unknown) -> None:
        """Send something to a process; it may be lost."""
        self._bus.publish(_to(process), _Envelope(self.process, content))

    def end(self, line: Line) -> None:
        """Forget a line of which the last item has come, and let the other end know."""
        self.forget(line)
        self.publish(line.peer, _Alive({line.match_id: line.received}))

    def give_up(self, line: Line) -> None:
        """Break a line of which too much was not acknowledged."""
        self.decline(line.match_id, line.peer)
        self._break([line], is_cut_off=True)

    def forget(self, line: Line) -> bool:
        """Forget a line that is over; return whether it was there."""
        if self._lines.get(line.match_id) is not line:
            return False
        line.end()
        del self._lines[line.match_id]
        peer = self._peers[line.peer]
        del peer.lines[line.match_id]
        peer.owed.pop(line.match_id, None)
        if not peer.lines:
            del self._peers[line.peer]
            if not self._peers and self._tick is not None:
                self._tick.cancel()
                self._tick = None
        return True

    def _break(self, lines: Iterable[Line], *, is_cut_off: bool) -> None:
        for line in list(lines):
            if self.forget(line):
                try:
                    line.be_broken(is_cut_off=is_cut_off)
                except Exception:
                    self._log.failure("talk: what a broken line ends failed")

    # -- what the others say -------------------------------------------------------------------

    def _heard(self, envelope: _Envelope) -> None:
        sender, content = envelope.sender, envelope.content
        peer = self._peers.get(sender)
        if peer is not None:
            peer.heard_at = self._clock.seconds()
        if isinstance(content, _Sent):
            self._take(sender, peer, content)
        elif isinstance(content, _Unknown):
            lines = [self._lines[each] for each in content.match_ids if each in self._lines]
            self._break(lines, is_cut_off=False)
        else:
            self._acknowledged(sender, content.received, again=isinstance(content, _Again))

    def _take(self, sender: str, peer: _Peer | None, sent: _Sent) -> None:
        line = self._lines.get(sent.match_id)
        if line is None or peer is None:
            self.decline(sent.match_id, sender)
        elif line.take(sent):
            self.publish(sender, _Again({line.match_id: line.received}))
        elif sent.match_id in self._lines:
            peer.owed[sent.match_id] = line.received

    def _acknowledged(self, sender: str, received: dict[str, int], *, again: bool) -> None:
        unknown = []
        for match_id, count in received.items():
            line = self._lines.get(match_id)
            if line is not None:
                line.acknowledge(count)
                if again:
                    line.send_again()
            elif again:
                unknown.append(match_id)
        if unknown:
            self.publish(sender, _Unknown(unknown))

    def _gap(self) -> None:
        """Ask everybody for what may have been missed.

        And send again what was not acknowledged: it may have been the other end's question that was lost.
        """
        for process, peer in list(self._peers.items()):
            lines = list(peer.lines.values())
            for line in lines:
                line.send_again()
            for start in range(0, len(lines), _AT_ONCE):
                received = {line.match_id: line.received for line in lines[start : start + _AT_ONCE]}
                self.publish(process, _Again(received))

    # -- life ----------------------------------------------------------------------------------

    def _beat(self) -> None:
        self._tick = self._clock.callLater(BEAT_SECONDS, self._beat)
        silent = self._clock.seconds() - SILENCE_SECONDS
        for process, peer in list(self._peers.items()):
            if peer.heard_at <= silent:
                lines = list(peer.lines.values())
                for line in lines:
                    self.decline(line.match_id, process)
                self._break(lines, is_cut_off=self._is_cut_off())
            else:
                owed, peer.owed = peer.owed, {}
                self.publish(process, _Alive(owed))
                self._send_again(peer)

    def _send_again(self, peer: _Peer) -> None:
        """Send again what was sent before the last beat: with one of the other's it had to be acknowledged."""
        due, peer.sent_before, peer.sent = peer.sent_before, peer.sent, {}
        for match_id, number in due.items():
            line = peer.lines.get(match_id)
            if line is not None and line.waits_for(number):
                line.send_again()
                peer.sent.setdefault(match_id, number)
