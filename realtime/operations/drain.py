"""The tidy end of the server: nobody new, those who are there sent away one by one, nothing lost.

1. Be unready, and tell systemd, so that no balancer sends more clients.
2. Stop listening.
3. Close the connections with 1001, evenly over the drain time. Their clients reconnect elsewhere as
   they are closed, so that the other processes get them spread over that time, too.
4. Cut those that haven't gone a little after the last was asked to.
5. Flush: what was accepted is committed.

When the last connection is gone, the rest of the drain time isn't waited for. A step that fails is
logged and doesn't keep the next from being taken.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from realtime.operations.health import Health
from realtime.operations.systemd import STOPPING, notify

_log = Logger()

_STEP = 0.1
"""Seconds between two looks at who is to be closed and who has gone."""

_GRACE = 2.0
"""Seconds that the last connection has for its closing handshake."""


class Closable(Protocol):
    """A connection, as far as this module needs it."""

    def close_going_away(self) -> None:
        """Begin the closing handshake with 1001. Does nothing if it is begun already."""

    def abort(self) -> None:
        """Cut the connection."""


class OpenConnections(Protocol):
    """The connections that are open at the moment of the call, oldest first."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Closable]: ...


class Drain:
    """Ends the server over ``seconds``; `run` is to be called once.

    ``stop_listening`` and ``flush`` may take their time. ``connections`` loses each connection when
    it is closed.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        health: Health,
        stop_listening: Callable[[], Deferred[None]],
        connections: OpenConnections,
        flush: Callable[[], Deferred[None]],
        seconds: float,
        tell: Callable[[str], None] = notify,
    ) -> None:
        self._clock = clock
        self._health = health
        self._stop_listening = stop_listening
        self._connections = connections
        self._flush = flush
        self._seconds = seconds
        self._tell = tell

    def run(self) -> Deferred[None]:
        """Take all the steps. Fires when the last is done, and never fails."""
        return Deferred.fromCoroutine(self._run())

    async def _run(self) -> None:
        self._health.draining = True
        self._tell(STOPPING)
        await self._step("listening", self._stop_listening)
        _log.info(
            "drain: closing {count} connections over at most {seconds} seconds",
            count=len(self._connections),
            seconds=self._seconds,
        )
        await self._close_all()
        await self._step("storage", self._flush)
        _log.info("drain: done")

    async def _step(self, name: str, step: Callable[[], Deferred[None]]) -> None:
        try:
            await maybeDeferred(step)
        except Exception:
            _log.failure("drain: {name} could not be ended", name=name)

    async def _close_all(self) -> None:
        began = self._clock.seconds()
        waiting = list(self._connections)
        waiting.reverse()  # so that the oldest is taken from the end
        count = len(waiting)
        while self._connections:
            elapsed = self._clock.seconds() - began
            if elapsed < self._seconds:
                asked = min(count, int(count * elapsed / self._seconds) + 1)
                while count - len(waiting) < asked:
                    _attempt(waiting.pop().close_going_away)
            elif elapsed < self._seconds + _GRACE:
                # All that are left, and those whose handshake was under way when the drain began.
                for connection in list(self._connections):
                    _attempt(connection.close_going_away)
            else:
                self._cut()
                return
            if self._connections:
                await deferLater(self._clock, _STEP)

    def _cut(self) -> None:
        left = list(self._connections)
        _log.info("drain: cutting {count} connections that did not close", count=len(left))
        for connection in left:
            _attempt(connection.abort)


def _attempt(end: Callable[[], None]) -> None:
    """End one connection; one that raises must not keep the others open."""
    try:
        end()
    except Exception:
        _log.failure("drain: a connection could not be closed")
