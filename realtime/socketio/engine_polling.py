"""A session's transport while it polls: what waits for the client, and its two requests.

One request waits for packets (`Poll`), one brings some (a post, whatever object stands for it). What can't be
sent waits here, bounded in bytes and in number.

When the session goes over to a WebSocket, a post that has begun before is still taken: its packets were sent
before those on the WebSocket.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, Protocol

from realtime.closing import CloseCode
from realtime.socketio import engine_packets
from realtime.socketio.engine_context import Context, Reason
from realtime.socketio.engine_packets import EngineError, Form, Group

if TYPE_CHECKING:
    from realtime.socketio.engine_session import Session

MOST_QUEUED: Final = 10_000
"""Groups that wait for one client: small ones take memory, too, that their bytes don't count."""

MOST_ANSWERED: Final = 16
"""Packets of one answer, but for a group of more: python-socketio's client leaves when it gets more. What is
left is the answer to its next request."""


class Poll(Protocol):
    """A request that waits for packets. ``base64``: it says that its client can't read the binary form."""

    base64: bool

    def answer(self, payload: bytes, form: Form) -> None:
        """Answer it; called once. The client's next request may come before this returns."""

    def refuse(self) -> None:
        """Answer that it can't be; called instead."""


class PollingTransport:
    """The transport of ``session``. ``drained`` is how full the bucket of its rate is."""

    __slots__ = (
        *("_base64", "_bytes", "_context", "_flushing", "_overflowed", "_poll", "_post", "_queue"),
        *("_session", "drained", "is_ending"),
    )

    def __init__(self, session: Session, context: Context) -> None:
        self._session = session
        self._context = context
        self._queue: list[Group] = []
        self._bytes = 0
        self._overflowed = False
        self._flushing = False
        self._poll: Poll | None = None
        self._post: object | None = None
        self._base64 = False
        self.drained = 0.0
        self.is_ending = False

    # -- packets for the client ----------------------------------------------------------------

    def send(self, group: Group) -> None:
        """Send packets that stay together, at the end of the turn if a request waits.

        More than may wait ends the session, but not within this call.
        """
        if self._bytes > self._context.rules.connections.send_buffer_bytes or len(self._queue) >= MOST_QUEUED:
            self._overflowed = True
            self.take_queue()  # whole groups: what the client has is whole as well
        if self._overflowed:
            self._flush_later()
            return
        self._context.counts.messages_sent.count += 1
        self._queue.append(group)
        self._bytes += group.size
        if self._poll is not None:
            self._flush_later()

    def take_queue(self, most_packets: int | None = None) -> list[Group]:
        """Return what waits, or the first groups of it, and let it wait no more."""
        number = len(self._queue)
        if most_packets is not None:
            packets = itertools.accumulate(group.packets for group in self._queue)
            number = max(1, sum(1 for _ in itertools.takewhile(lambda count: count <= most_packets, packets)))
        taken, self._queue = self._queue[:number], self._queue[number:]
        self._bytes = sum(group.size for group in self._queue)
        return taken

    def _flush_later(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._context.turn.add(self)

    def flush(self) -> None:
        """Answer a request that waits, at the end of a turn in which something was sent."""
        self._flushing = False
        if self._overflowed:
            self._context.counts.count_refused("slow-reader")
            self._session.close(CloseCode.SLOW_READER)
        elif self._queue:
            self._answer()

    # -- requests that wait --------------------------------------------------------------------

    def poll(self, poll: Poll) -> None:
        """A request asks for packets."""
        if self._poll is not None:
            self._session.end(Reason.TRANSPORT_ERROR, CloseCode.POLICY_VIOLATION)
            poll.refuse()
            return
        self._poll = poll
        self._base64 |= poll.base64  # it may be said in the handshake alone
        if not self._session.is_open:
            self._answer()
            if not self._queue:
                self._session.has_been_told()
        elif self._queue:
            self._answer()
        elif self.is_ending:
            self._context.noops.start(self)

    def poll_lost(self, poll: Poll) -> None:
        """The client has dropped a request before it was answered."""
        if poll is self._poll:
            self._poll = None
            self._session.end(Reason.TRANSPORT_CLOSE, CloseCode.DONE)

    def begin_ending(self) -> None:
        """The client is about to stop polling: from now on no request waits for long."""
        self.is_ending = True
        self.release()

    def go_on(self) -> None:
        """The client goes on polling."""
        self.is_ending = False
        self._context.noops.stop(self)

    def release(self) -> None:
        """Answer a request that waits, with nothing if there is nothing."""
        if self._poll is not None:
            if not self._queue:
                self._queue.append(engine_packets.NOOP)
            self._answer()

    def finish(self, last: Group, *, linger: bool) -> bool:
        """Send a last packet; whether the client has been told all that it ever will.

        If it may not take its time (``linger``), it is told what a request that waits can bring.
        """
        self._queue.append(last)
        if self._poll is not None:
            self._answer(MOST_ANSWERED if linger else None)
        return not (linger and self._queue)

    def _answer(self, most_packets: int | None = MOST_ANSWERED) -> None:
        poll, self._poll = self._poll, None
        if poll is None:
            return
        queue = self.take_queue(most_packets)
        if most_packets is not None and queue[-1:] == [engine_packets.CLOSE] and any(map(_is_message, queue)):
            # Socket.IO's clients act on it at once, and on messages before it in the same answer a moment
            # later, when they don't listen any more: it is the answer to the next request.
            self._queue.insert(0, queue.pop())
        form = Form.POLLING_4
        if self._session.revision == 3:
            is_text = self._base64 or not any(group.binary for group in queue)
            form = Form.POLLING_3 if is_text else Form.POLLING_3_BINARY
        poll.answer(engine_packets.payload(queue, form), form)

    # -- requests that bring packets -----------------------------------------------------------

    def post_begins(self, post: object) -> None:
        """A request begins to bring packets; a second one at the same time ends the session."""
        if self._post is not None:
            self._session.end(Reason.TRANSPORT_ERROR, CloseCode.POLICY_VIOLATION)
        elif self._session.is_open:
            self._post = post

    def takes(self, post: object) -> bool:
        """Whether a request has begun, alone, and the session is still there."""
        return post is self._post and self._session.is_open

    def post_lost(self, post: object) -> None:
        """The client has dropped a request before it was whole."""
        if post is self._post:
            self._post = None
            self._session.end(Reason.TRANSPORT_CLOSE, CloseCode.DONE)

    def post_over(self, post: object) -> None:
        """A request is answered, whatever came of it; another may begin."""
        if post is self._post:
            self._post = None

    def post(self, body: bytes, *, binary: bool) -> bool:
        """Take what the request has brought; ``False``: it can't be read, and the session is over.

        ``binary`` says what form the client claims for it; revision 4 has none that is binary.
        """
        session, context = self._session, self._context
        rate = context.rules.connections.rate
        if binary and session.revision == 4:
            session.end(Reason.PARSE_ERROR, CloseCode.POLICY_VIOLATION)
            return False
        try:
            for packet in engine_packets.read_payload(body, session.revision, binary=binary):
                context.counts.messages_received.count += 1
                drained = rate.use(self.drained, context.clock.seconds())
                if drained is not None:
                    self.drained = drained
                    session.take(packet)
                else:
                    context.counts.count_refused("rate")
                    session.exceed(packet)
                if not session.is_open:
                    break
        except EngineError:
            session.end(Reason.PARSE_ERROR, CloseCode.POLICY_VIOLATION)
            return False
        return True

    # -- the end -------------------------------------------------------------------------------

    def forget(self) -> None:
        """Let go of everything."""
        self._queue = []
        self._poll = self._post = None
        self._context.noops.stop(self)


def _is_message(group: Group) -> bool:
    return group.text is None or group.text[:1] == b"4"
