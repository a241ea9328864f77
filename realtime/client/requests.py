"""Requests that are not answered yet, in the order in which they were made.

A request made while there is no connection waits for one. When a connection is lost, what was sent over it and
not answered fails with `ConnectionLost`, since nobody knows what has become of it; but for requests that the
server recognises when they come a second time (``again``): these are kept, and sent again. Cancelling the
Deferred of a request forgets it.

Where answers can't be told apart, requests go one at a time (``window`` 1): the answer is the oldest's.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred

from realtime.client.errors import ClientError, ConnectionLost, TooManyPending

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


class _Request(Generic[R]):
    __slots__ = ("again", "answered", "frame", "is_forgotten", "is_sent")

    def __init__(self, answered: Deferred[R], frame: bytes, again: bool) -> None:
        self.answered = answered
        self.frame = frame
        self.again = again
        self.is_sent = False
        self.is_forgotten = False


class Requests(Generic[K, R]):
    """The requests of one client, by what tells their answers apart.

    There are ``most`` at a time, of which ``window`` are on the wire (``None``: all).
    """

    def __init__(self, most: int, window: int | None = None) -> None:
        self._most = most
        self._window = window
        self._pending: dict[K, _Request[R]] = {}
        self._on_the_wire = 0
        self._send: Callable[[bytes], None] | None = None
        self._over: ClientError | None = None

    def __len__(self) -> int:
        """Return how many are not answered."""
        return len(self._pending)

    def __contains__(self, key: object) -> bool:
        return key in self._pending

    def __iter__(self) -> Iterator[K]:
        """Return the keys, oldest first."""
        return iter(self._pending)

    @property
    def oldest(self) -> K | None:
        """The key of the oldest request, if it is on the wire."""
        for key, request in self._pending.items():
            return key if request.is_sent else None
        return None

    def add(self, key: K, frame: bytes, *, again: bool = False) -> Deferred[R]:
        """Send a request, or have it wait; fires with its answer.

        Fails with `TooManyPending`, or as the client has ended. Raises ``ValueError`` if there is a request of
        that key.
        """
        answered: Deferred[R] = Deferred(lambda _: self._forget(key))
        if self._over is not None:
            answered.errback(self._over)
        elif len(self._pending) >= self._most:
            answered.errback(TooManyPending(f"{self._most} requests are not answered yet"))
        elif key in self._pending:
            raise ValueError("there is a request of that id already")
        else:
            request = self._pending[key] = _Request(answered, frame, again)
            if self._send is not None and self._on_the_wire != self._window:
                self._send_one(request, self._send)
        return answered

    def answered(self, key: K, result: R) -> bool:
        """Give a request its answer; whether there is such a request."""
        request = self._take(key)
        if request is not None and not request.is_forgotten:
            request.answered.callback(result)
        return request is not None

    def failed(self, key: K, error: ClientError) -> bool:
        """Tell a request that it failed; whether there is such a request."""
        request = self._take(key)
        if request is not None and not request.is_forgotten:
            request.answered.errback(error)
        return request is not None

    # -- the connection ------------------------------------------------------------------------

    def opened(self, send: Callable[[bytes], None]) -> None:
        """Send what waits, in order, and from now on what comes, at once."""
        self._send = send
        self._over = None
        self._send_more()

    def pause(self) -> None:
        """Send nothing more over this connection: what comes waits for the next."""
        self._send = None

    def lost(self) -> None:
        """The connection is lost: keep what can be sent over the next one."""
        self._send = None
        self._on_the_wire = 0
        unknown = [key for key, each in self._pending.items() if each.is_sent and not each.again]
        for request in self._pending.values():
            request.is_sent = False
        for key in unknown:
            self.failed(key, ConnectionLost("the connection was lost before the answer came"))

    def ended(self, error: ClientError) -> None:
        """There will be no other connection: fail what is left, and what comes."""
        self._send = None
        self._over = error
        for key in list(self._pending):
            self.failed(key, error)

    # -- the wire ------------------------------------------------------------------------------

    def _send_more(self) -> None:
        for request in list(self._pending.values()):
            if self._send is None or self._on_the_wire == self._window:
                break
            if not request.is_sent:
                self._send_one(request, self._send)

    def _send_one(self, request: _Request[R], send: Callable[[bytes], None]) -> None:
        request.is_sent = True
        self._on_the_wire += 1
        send(request.frame)

    def _take(self, key: K) -> _Request[R] | None:
        request = self._pending.pop(key, None)
        if request is not None and request.is_sent:
            self._on_the_wire -= 1
            if self._window is not None:
                self._send_more()
        return request

    def _forget(self, key: K) -> None:
        """Whoever asked does not care any more. Its place on the wire is kept, if answers are told by it."""
        request = self._pending[key]
        if request.is_sent and self._window is not None:
            request.is_forgotten = True
        else:
            self._take(key)
