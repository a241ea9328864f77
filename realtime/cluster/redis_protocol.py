"""The two kinds of connection to a Redis: one commands, one subscribes.

Both are txredisapi's, with hiredis to parse. What differs is how answers find who asked. A Deferred for each
of many published messages, and a number as its answer, is most of what publishing would cost: here a queue
holds for each command that is under way the Deferred that waits for its answer, or, for a message that was
published, the name of its channel, for the case that it never is answered.

txredisapi installs a reactor when it is imported: this module is imported by who connects, when it does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import ITransport
from twisted.python.failure import Failure
from txredisapi import InvalidData, RedisProtocol, ResponseError, SubscriberProtocol  # type: ignore[import-untyped]

from realtime.cluster.errors import ClusterUnavailable


def encode(*arguments: bytes | str | int) -> bytes:
    """Return a command as Redis reads it."""
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        if isinstance(argument, int):
            argument = b"%d" % argument
        elif isinstance(argument, str):
            argument = argument.encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(argument), argument))
    return b"".join(parts)


class _Answers:
    """What both kinds share: commands go out, answers come back in that order, as bytes and integers.

    Arguments:
        lost: called once when the connection has ended, with the channels whose messages may not have
            arrived.
    """

    transport: Any
    factory: Any = None
    _reader: Any

    def __init__(self, lost: Callable[[list[bytes]], None]) -> None:
        super().__init__(charset=None, convertNumbers=False)  # type: ignore[call-arg]
        self._under_way: deque[Deferred[Any] | bytes] = deque()
        self._lost = lost
        self._is_open = False
        self.has_heard = False

    def connectionMade(self) -> None:
        """Be usable: logging in is the business of who connects."""
        self._is_open = True

    def connectionLost(self, reason: Failure) -> None:
        """Tell everybody who waits."""
        self._is_open = False
        under_way, self._under_way = self._under_way, deque()
        channels = []
        for waiting in under_way:
            if isinstance(waiting, bytes):
                channels.append(waiting)
            else:
                waiting.errback(ClusterUnavailable("the connection was lost"))
        self._lost(channels)

    def dataReceived(self, data: bytes) -> None:
        """Hand each answer to who waits for it. Who does not speak as Redis does is cut."""
        self.has_heard = True
        try:
            self._reader.feed(data)
            while self._is_open and (answer := self._reader.gets()) is not False:
                self.replyReceived(answer)
        except (InvalidData, ProtocolFault):
            self.transport.abortConnection()

    def replyReceived(self, reply: Any) -> None:
        """Answer the oldest command that is under way."""
        if not self._under_way:
            raise ProtocolFault
        waiting = self._under_way.popleft()
        if isinstance(waiting, bytes):
            if isinstance(reply, ResponseError):
                self.refused(waiting)
        elif isinstance(reply, ResponseError):
            waiting.errback(reply)
        else:
            waiting.callback(reply)

    def refused(self, channel: bytes) -> None:
        """Learn that a message was not published."""

    def execute_command(self, *arguments: bytes | str | int, **_: object) -> Deferred[Any]:
        """Send a command; fires with its answer, or fails with ResponseError or ClusterUnavailable."""
        if not self._is_open:
            return fail(ClusterUnavailable("not connected"))
        waiting: Deferred[Any] = Deferred()
        self._under_way.append(waiting)
        self.transport.write(encode(*arguments))
        return waiting

    @property
    def waits(self) -> bool:
        """Whether something has not been answered yet."""
        return bool(self._under_way)

    def abort(self) -> None:
        """End the connection at once."""
        cast(Any, self.transport).abortConnection()

    def close(self) -> None:
        """End the connection when what was written has left."""
        cast(ITransport, self.transport).loseConnection()


class ProtocolFault(Exception):
    """What came is not what a Redis says."""


_WRITABLE = 8 * 1024 * 1024
"""Bytes of messages that wait to be sent while Redis reads too slowly; of more, the newest are dropped. That is
about a second of a network's 100 Mbit/s: who lags more than that is better served by the database."""


class CommandProtocol(_Answers, RedisProtocol):  # type: ignore[misc]
    """The connection that commands and publishes.

    Arguments:
        lost: called with the channels of messages that may not have arrived, when the connection has ended.
        refused: called with the channel of a message that Redis would not publish.
        resumed: called when messages were not sent as too many waited, and can be again.
    """

    def __init__(
        self,
        lost: Callable[[list[bytes]], None],
        refused: Callable[[bytes], None],
        resumed: Callable[[], None],
    ) -> None:
        super().__init__(lost)
        self._refused = refused
        self._resumed = resumed
        self._has_dropped = False
        self._is_paused = False
        self._held = 0

    def connectionMade(self) -> None:
        """Be told how well what is written gets away."""
        super().connectionMade()
        self.transport.registerProducer(self, True)

    def publish(self, channel: bytes, payload: bytes) -> bool:
        """Send a message; return whether it was: else too many wait."""
        if self._is_paused:
            self._held += len(payload)
            if self._held > _WRITABLE:
                self._held -= len(payload)
                self._has_dropped = True
                return False
        self._under_way.append(channel)
        # The transport joins what is written in one turn of the reactor.
        self.transport.write(
            b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n"
            % (len(channel), channel, len(payload), payload)
        )
        return True

    def close(self) -> None:
        """End the connection when what was written has left: with a producer, TLS would wait for more."""
        self.transport.unregisterProducer()
        super().close()

    def refused(self, channel: bytes) -> None:
        """See the constructor."""
        self._refused(channel)

    def pauseProducing(self) -> None:
        """Count what is published from now on."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """All that was written is on its way."""
        self._is_paused = False
        self._held = 0
        if self._has_dropped:
            self._has_dropped = False
            self._resumed()

    def stopProducing(self) -> None:
        """Is followed by the connection's end."""


class SubscribingProtocol(_Answers, SubscriberProtocol):  # type: ignore[misc]
    """The connection that hears what is published.

    Arguments:
        lost: called when the connection has ended.
        heard: called with a channel and a message of it.
        carried: called with a channel that Redis carries from now on.
    """

    def __init__(
        self,
        lost: Callable[[list[bytes]], None],
        heard: Callable[[bytes, bytes], None],
        carried: Callable[[bytes], None],
    ) -> None:
        super().__init__(lost)
        self._heard = heard
        self._carried = carried

    def replyReceived(self, reply: Any) -> None:
        """Take a message, a confirmation, or the answer to a PING."""
        if isinstance(reply, list) and reply:
            kind = reply[0]
            if kind == b"message":
                self._heard(reply[1], reply[2])
                return
            if kind == b"subscribe":
                self._carried(reply[1])
                return
            if kind == b"unsubscribe":
                return
        super().replyReceived(reply)

    def listen(self, channels: list[bytes]) -> None:
        """Have channels carried; ``carried`` is called for each."""
        self.transport.write(encode(b"SUBSCRIBE", *channels))

    def ignore(self, channels: list[bytes]) -> None:
        """Have channels carried no more."""
        self.transport.write(encode(b"UNSUBSCRIBE", *channels))
