"""The calling side of a connection between two processes.

`Guest` of `peer_host` is its other end. What was asked and is not answered when the connection ends has failed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from hmac import compare_digest
from typing import Any, Final

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from realtime.cluster import peer_protocol as protocol
from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.peer_host import PING_SECONDS, SILENCE_SECONDS, STOOD_STILL, no_delay
from realtime.cluster.peer_protocol import (
    CHANCE,
    GREETING,
    PROOF,
    Answer,
    Call,
    Drop,
    Fault,
    FromGuest,
    Incoming,
    More,
    PeerError,
    Ping,
    Pong,
    Through,
)

MOST_UNSENT: Final = 64 * 1024 * 1024
"""Bytes that wait for a process which does not read; more is refused at once."""


class Unreachable(ClusterUnavailable):
    """A process can't be asked, or has not answered: it is gone, or as good as."""


class Asked:
    """What another process was asked. ``answered`` fires with its answer, or fails with `Unreachable`."""

    def __init__(self, service: str, payload: bytes) -> None:
        self.answered: Deferred[bytes] = Deferred(lambda _: self.drop())
        self._service = service
        self._payload = payload
        self._later: list[bytes] = []
        self._link: Link | None = None
        self._number = 0
        self._is_over = False

    def more(self, payload: bytes) -> None:
        """Add to what was asked."""
        if self._link is not None:
            self._link.send(More(self._number, payload))
        elif not self._is_over:
            self._later.append(payload)

    def drop(self) -> None:
        """Wait for the answer no more: it will not come."""
        link = self._over()
        if link is not None:
            link.forget(self._number)

    # -- for the link --------------------------------------------------------------------------

    def begin(self, link: Link, number: int) -> None:
        """There is a connection."""
        self._link, self._number = link, number
        link.send(Call(number, self._service, self._payload))
        later, self._later = self._later, []
        for payload in later:
            self.more(payload)

    def end(self, answer: bytes | None) -> None:
        """It is answered, or won't be."""
        if self._is_over:
            return
        self._over()
        if answer is None:
            self.answered.errback(Unreachable("another process has not answered"))
        else:
            self.answered.callback(answer)

    @property
    def is_over(self) -> bool:
        """Whether nothing is awaited any more."""
        return self._is_over

    def _over(self) -> Link | None:
        self._is_over = True
        self._later = []
        link, self._link = self._link, None
        return link


class Link(Protocol):
    """A connection to the process called ``name``. ``ready`` fires with it when both know each other."""

    transport: Any  # a TCP transport

    def __init__(self, name: str, secret: bytes, clock: IReactorTime, ended: Callable[[Link], None]) -> None:
        self.name = name
        self.ready: Deferred[Link] = Deferred(lambda _: self.abort())
        self._secret = secret
        self._clock = clock
        self._ended = ended
        self._incoming = Incoming()
        self._chances: tuple[bytes, bytes] | None = None
        self._is_known = False
        self._last = 0
        self._asked: dict[int, Asked] = {}
        self._timer: IDelayedCall | None = None
        self._heard = 0.0
        self._expected = 0.0
        self._paused = False
        self._unsent = 0

    def ask(self, asked: Asked) -> None:
        """Ask something."""
        if asked.is_over:
            return
        if not self._is_known or self._unsent > MOST_UNSENT:
            asked.end(None)
            return
        self._last += 1
        self._asked[self._last] = asked
        asked.begin(self, self._last)

    @property
    def is_used(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._asked)

    def go_through(self, service: str, payload: bytes) -> Any:
        """Give the connection to a service of the other's; returns the transport: set its protocol."""
        self.send(Through(service, payload))
        self._stop_timer()
        self._is_known = False
        self.transport.unregisterProducer()
        return self.transport

    def abort(self) -> None:
        """Cut the connection."""
        if self.transport is not None:
            self.transport.abortConnection()

    # -- for what was asked --------------------------------------------------------------------

    def send(self, frame: FromGuest) -> None:
        """Send a frame. One that is too long is none, and what it belongs to fails."""
        try:
            data = protocol.written(frame)
        except PeerError:
            asked = self._asked.pop(getattr(frame, "number", 0), None)
            if asked is not None:
                asked.end(None)
            return
        if self._paused:
            self._unsent += len(data)
        self.transport.write(data)

    def forget(self, number: int) -> None:
        """Wait for an answer no more."""
        if self._asked.pop(number, None) is not None:
            self.send(Drop(number))

    # -- a connection --------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Wait for the greeting."""
        no_delay(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes; whatever is wrong with them ends the connection."""
        self._incoming.add(data)
        self._heard = self._clock.seconds()
        try:
            if not self._is_known and not self._recognise():
                return
            for frame in self._incoming.frames():
                self._take(protocol.read_from_host(frame))
        except (PeerError, msgspec.MsgspecError):
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Fail all that is not answered."""
        self._is_known = False
        self._stop_timer()
        self._ended(self)
        if not self.ready.called:
            self.ready.errback(Unreachable("another process can't be reached"))
        asked, self._asked = self._asked, {}
        for each in asked.values():
            each.end(None)

    def _recognise(self) -> bool:
        if self._chances is None:
            greeting = self._incoming.exactly(len(GREETING) + CHANCE)
            if greeting is None:
                return False
            if not greeting.startswith(GREETING):
                raise PeerError("no greeting")
            self._chances = greeting[len(GREETING) :], secrets.token_bytes(CHANCE)
            proof = protocol.proof_of_guest(self._secret, self.name, *self._chances)
            self.transport.write(self._chances[1] + proof)
        shown = self._incoming.exactly(PROOF)
        if shown is None:
            return False
        if not compare_digest(shown, protocol.proof_of_host(self._secret, self.name, *self._chances)):
            raise PeerError("no proof")
        self._is_known = True
        self.transport.registerProducer(self, True)
        self._wait()
        if not self.ready.called:
            self.ready.callback(self)
        return self._is_known

    def _take(self, frame: protocol.FromHost) -> None:
        match frame:
            case Answer() | Fault():
                asked = self._asked.pop(frame.number, None)
                if asked is not None:
                    asked.end(frame.payload if isinstance(frame, Answer) else None)
            case Pong():
                pass  # that it came is all it says

    # -- whether the other lives ---------------------------------------------------------------

    def _wait(self) -> None:
        self._expected = self._clock.seconds() + PING_SECONDS
        self._timer = self._clock.callLater(PING_SECONDS, self._look)

    def _look(self) -> None:
        now = self._clock.seconds()
        if now - self._heard >= SILENCE_SECONDS and now - self._expected < STOOD_STILL:
            self._timer = None
            self.transport.abortConnection()
            return
        self.send(Ping())
        self._wait()

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def pauseProducing(self) -> None:
        """Count what is sent: the other doesn't read."""
        self._paused = True
        self._unsent = 0

    def resumeProducing(self) -> None:
        """Count no more."""
        self._paused = False
        self._unsent = 0

    def stopProducing(self) -> None:
        """The transport is gone: `connectionLost` follows."""
