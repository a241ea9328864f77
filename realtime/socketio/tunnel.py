"""A client's connection that is passed on to another process, byte by byte, until one side has enough.

Nothing is read here of what the two say. Whoever sends faster than the other reads has to wait, as on one
connection; when one side ends, the other is closed behind what was sent before. When the process in the middle
stops, the connection just ends: that is a loss, from which clients come back.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from realtime.socketio.elsewhere import Elsewhere
from realtime.websocket.admission import Admission
from realtime.websocket.front_door import give

_CLOSING_SECONDS: Final = 5.0
"""For a side that is closed to read what is left; then it is cut."""


class Tunnel:
    """The way of one client, which counts for its ``address``, to the process called ``owner``."""

    def __init__(
        self,
        elsewhere: Elsewhere,
        owner: str,
        sid: str,
        *,
        clock: IReactorTime,
        admission: Admission,
        address: str,
    ) -> None:
        self._elsewhere = elsewhere
        self._owner = owner
        self._sid = sid
        self._clock = clock
        self._admission = admission
        self._address = address
        self._opening: Deferred[Any] | None = None
        self._ends: list[_End] = []
        self._timer: IDelayedCall | None = None
        self._is_over = False

    def open(self, peer: str) -> Deferred[Any]:
        """Open the way for a client at the host ``peer``; fires with the far transport, for `join`.

        Whoever fails to, or cancels it, is to `end`.
        """
        self._opening = self._elsewhere.through(self._owner, self._sid, peer, self.abort)
        return self._opening

    def join(self, near: Any, said: bytes, far: Any) -> None:
        """Join the transports of a client, which has ``said`` something, and of the other process."""
        here, there = _End(self), _End(self)
        here.other, there.other = there, here
        self._ends = [here, there]
        give(far, there)
        there.makeConnection(far)
        far.write(said)
        give(near, here)
        here.makeConnection(near)
        far.registerProducer(near, True)
        near.registerProducer(far, True)

    def lost(self, end: _End) -> None:
        """One side has gone."""
        self._ends.remove(end)
        if not self._ends:
            self.end()
            return
        other = self._ends[0].transport
        other.unregisterProducer()
        other.loseConnection()
        self._timer = self._clock.callLater(_CLOSING_SECONDS, self.abort)

    def end(self) -> None:
        """Let go of everything."""
        if self._is_over:
            return
        self._is_over = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._elsewhere.forget_through(self._owner, self.abort)
        self._admission.leave(self, self._address)

    def close_going_away(self) -> None:
        """Close both sides because this process stops."""
        for end in list(self._ends):
            end.transport.unregisterProducer()
            end.transport.loseConnection()
        if self._timer is None:
            self._timer = self._clock.callLater(_CLOSING_SECONDS, self.abort)

    def abort(self) -> None:
        """Cut both sides."""
        if self._opening is not None and not self._ends:
            self._opening.cancel()
        for end in list(self._ends):
            end.transport.abortConnection()


class _End(Protocol):
    """One side."""

    transport: Any
    other: _End

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    def dataReceived(self, data: bytes) -> None:
        self.other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._tunnel.lost(self)
