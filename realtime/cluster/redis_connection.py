"""One connection to a Redis, kept up: connect, log in, notice its end or its silence, connect again.

A process has two (`redis_process` commands by one, `redis_channels` subscribes by the other), since who
subscribes can do nothing else. Each attempt has a deadline; between attempts there are growing, jittered
delays, so that a thousand processes don't come back in one moment. A Redis that was stopped keeps its
connections open and answers nothing: what has not been answered within some seconds ends the connection.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, Protocol, TypeVar

from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.redis_address import RedisAddress

CONNECT_SECONDS: Final = 3.0
"""For an attempt, with the login. Half of what a lease outlives, so that there can be a second."""

SILENCE_SECONDS: Final = 1.5
"""After each a quiet connection is asked for a sign of life; without one at the next, it is ended."""

_CLOSE_SECONDS = 2.0
"""For what was written to leave, when the process ends."""

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 2.0
_GROWTH = 2.0
_STEADY_SECONDS = 5.0
"""A connection that lasted so long is followed by an attempt after the first delay again."""


class Client(Protocol):
    """A protocol that speaks with Redis."""

    has_heard: bool

    @property
    def waits(self) -> bool:
        """Whether something has not been answered yet."""

    def execute_command(self, *arguments: bytes | str | int) -> Deferred[Any]:
        """Send a command; fires with its answer."""

    def abort(self) -> None:
        """End the connection at once."""

    def close(self) -> None:
        """End the connection when what was written has left."""


C = TypeVar("C", bound=Client)
Lost = Callable[[list[bytes]], None]


class RedisConnection(Generic[C]):
    """Keeps one connection up.

    Arguments:
        address: where to log in.
        what: what it is for, for the log: ``commands``.
        name: what Redis lists the connection as.
        reactor: connects, and is the clock.
        make: makes a protocol, which calls the function it is given when its connection has ended.
        prepare: what comes after the login before the connection is of use.
        ready: called with each protocol that is of use.
        lost: called when it no longer is, with the channels of messages that may not have arrived.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        address: RedisAddress,
        what: str,
        name: str,
        reactor: Any,
        make: Callable[[Lost], C],
        ready: Callable[[C], None],
        lost: Lost,
        prepare: Callable[[C], Coroutine[Deferred[Any], Any, None]] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._address = address
        self._what = what
        self._name = name
        self._clock = reactor
        self._endpoint: IStreamClientEndpoint = address.endpoint(reactor, CONNECT_SECONDS)
        self._make = make
        self._prepare = prepare
        self._ready = ready
        self._lost = lost
        self._jitter = jitter
        self._is_wanted = False
        self._is_away = False
        self._attempts = 0
        self._since = 0.0
        self._attempt: Deferred[None] | None = None
        self._retry: IDelayedCall | None = None
        self._watch: IDelayedCall | None = None
        self._closing: IDelayedCall | None = None
        self._stopped: Deferred[None] | None = None
        self.protocol: C | None = None

    def start(self) -> None:
        """Connect, and go on trying. Nothing is raised if Redis is away."""
        if not self._is_wanted:
            self._is_wanted = True
            self._connect()

    def stop(self) -> Deferred[None]:
        """Send what was written, and let the connection go; fires when it has ended."""
        self._is_wanted = False
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._attempt is not None:
            self._attempt.cancel()
        if self.protocol is None:
            return succeed(None)
        if self._stopped is None:
            self._stopped = Deferred()
            self._closing = self._clock.callLater(_CLOSE_SECONDS, self.protocol.abort)
            self.protocol.close()
        return self._stopped

    # -- connecting ----------------------------------------------------------------------------

    def _connect(self) -> None:
        self._retry = None
        self._attempts += 1
        attempt = Deferred.fromCoroutine(self._open()).addTimeout(CONNECT_SECONDS, self._clock)
        self._attempt = attempt
        attempt.addBoth(self._attempted)

    async def _open(self) -> None:
        ended: list[bool] = []

        def lost(channels: list[bytes]) -> None:
            ended.append(True)
            if self.protocol is protocol:
                self._end(channels)

        protocol = self._make(lost)
        await self._endpoint.connect(_One(protocol))
        try:
            await self._log_in(protocol)
            if self._prepare is not None:
                await self._prepare(protocol)
            if ended:
                raise ClusterUnavailable("the connection was lost")
        except BaseException:
            protocol.abort()
            raise
        self.protocol = protocol

    async def _log_in(self, protocol: C) -> None:
        address = self._address
        if address.password is not None:
            who = () if address.username is None else (address.username,)
            await protocol.execute_command(b"AUTH", *who, address.password)
        if address.database:
            await protocol.execute_command(b"SELECT", address.database)
        await protocol.execute_command(b"CLIENT", b"SETNAME", self._name)

    def _attempted(self, result: Failure | None) -> None:
        self._attempt = None
        if isinstance(result, Failure):
            if self._is_wanted:
                self._away(_reason(result.value))
                self._try_again()
            return
        assert self.protocol is not None
        if not self._is_wanted:
            self.protocol.close()
            return
        self._since = self._clock.seconds()
        if self._is_away:
            self._is_away = False
            self._log.info(
                "cluster: Redis is back for {what}, {where}", what=self._what, where=str(self._address)
            )
        self._watch = self._clock.callLater(SILENCE_SECONDS, self._look)
        self._ready(self.protocol)

    def _try_again(self) -> None:
        longest = min(_LONGEST_DELAY, _FIRST_DELAY * _GROWTH ** min(self._attempts - 1, 30))
        self._retry = self._clock.callLater(longest * (0.5 + self._jitter() / 2), self._connect)

    def _away(self, reason: str) -> None:
        if not self._is_away:
            self._is_away = True
            self._log.warn(
                "cluster: Redis is away for {what}, {where}: {reason}",
                what=self._what,
                where=str(self._address),
                reason=reason,
            )

    # -- while it lasts ------------------------------------------------------------------------

    def _look(self) -> None:
        """End a connection by which nothing came since what is still under way was sent."""
        protocol = self.protocol
        assert protocol is not None
        self._watch = self._clock.callLater(SILENCE_SECONDS, self._look)
        if protocol.has_heard:
            protocol.has_heard = False
        elif protocol.waits:
            self._away("it does not answer")
            protocol.abort()
            return
        if not protocol.waits:
            protocol.execute_command(b"PING").addErrback(lambda _: None)

    def _end(self, channels: list[bytes]) -> None:
        self.protocol = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._clock.seconds() - self._since >= _STEADY_SECONDS:
            self._attempts = 0
        self._lost(channels)
        if self._is_wanted:
            self._away("the connection was lost")
            self._try_again()
        elif self._stopped is not None:
            if self._closing is not None and self._closing.active():
                self._closing.cancel()
            stopped, self._stopped = self._stopped, None
            stopped.callback(None)


def _reason(fault: object) -> str:
    """Return what went wrong, without any text of a server or of the address."""
    if isinstance(fault, (error.TimeoutError, CancelledError)):
        return "it does not answer"
    if isinstance(fault, error.DNSLookupError):
        return "its name is not known"
    if isinstance(fault, (error.ConnectError, error.ConnectionLost, ClusterUnavailable)):
        return "no connection"
    if type(fault).__name__ == "ResponseError":
        # The first word of an answer is its kind: NOAUTH, WRONGPASS, LOADING, READONLY.
        kind = str(fault).partition(" ")[0]
        return f"it answers {kind}" if kind.isascii() and kind.isalpha() and kind.isupper() else "it refuses"
    return type(fault).__name__


class _One(Factory):
    noisy = False

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def buildProtocol(self, _: IAddress | None) -> Any:
        """Give the protocol that was made."""
        return self._protocol
