"""Where other processes call: who proves to be one is served, everybody else is cut off.

Services are what the processes ask of each other; each is given what is asked as a `Request`, and answers it
when it can. A guest that breaks off, dies or is silent has dropped all that it asked. Nothing is logged of what
anybody says here.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from hmac import compare_digest
from typing import Any, Final

import msgspec
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.cluster import peer_protocol as protocol
from realtime.cluster.peer_protocol import (
    CHANCE,
    GREETING,
    PROOF,
    Answer,
    Call,
    Drop,
    Fault,
    FromHost,
    Incoming,
    More,
    PeerError,
    Ping,
    Pong,
    Through,
)

PROVING_SECONDS: Final = 5.0
"""For a guest to prove itself: two packets."""

PING_SECONDS: Final = 3.0
SILENCE_SECONDS: Final = 9.0
"""After which a side of which nothing was heard is dead, or might as well be: its leases are free by then."""

STOOD_STILL: Final = 1.0
"""Seconds by which a timer may be late before this process itself must have been away."""

MOST_STRANGERS: Final = 64
"""Connections that have proved nothing yet; of more, the oldest is cut."""

MOST_ASKED: Final = 100_000
"""What one guest may have asked at a time: a request of each client that it has."""

MOST_UNREAD: Final = 64 * 1024 * 1024
"""Bytes that wait for a guest that does not read; then it is cut."""


class Request:
    """What a guest has asked. Whoever serves it sets ``more`` and ``dropped`` if they mean anything to it."""

    __slots__ = ("_guest", "_number", "dropped", "more", "payload")

    def __init__(self, guest: Guest, number: int, payload: bytes) -> None:
        self._guest: Guest | None = guest
        self._number = number
        self.payload = payload
        self.more: Callable[[bytes], None] | None = None
        self.dropped: Callable[[], None] | None = None

    def answer(self, payload: bytes) -> None:
        """Answer it. Once is enough; again, or when nobody waits any more, does nothing."""
        self._end(Answer(self._number, payload))

    def fail(self) -> None:
        """Say that there will be no answer."""
        self._end(Fault(self._number))

    def _end(self, frame: FromHost) -> None:
        guest, self._guest = self._guest, None
        self.more = self.dropped = None
        if guest is not None:
            guest.answer(self._number, frame)

    def drop(self) -> None:
        """Nobody waits any more."""
        dropped, self.dropped = self.dropped, None
        self._guest = self.more = None
        if dropped is not None:
            dropped()


Service = Callable[[Request], None]
"""Takes what is asked; one that raises ``ValueError`` can't make anything of it."""

Taker = Callable[[bytes], Protocol | None]
"""Returns the protocol for the rest of a connection, as the payload of `Through` says; ``None``: it is cut."""


class Hosting(Factory):
    """Makes the host's side of connections.

    Arguments:
        name: of this process.
        secret: which all processes of the server know.
        clock: for the limits.
    """

    noisy = False

    def __init__(self, name: str, secret: bytes, clock: IReactorTime) -> None:
        self.name = name
        self.secret = secret
        self.clock = clock
        self.services: dict[str, Service] = {}
        self.takers: dict[str, Taker] = {}
        self.guests: dict[Guest, None] = {}
        self.strangers: dict[Guest, None] = {}

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Make one."""
        guest = Guest()
        guest.factory = self
        return guest

    def disconnect(self) -> None:
        """Cut all connections."""
        for guest in [*self.strangers, *self.guests]:
            guest.transport.abortConnection()


class Guest(Protocol):
    """The connection of another process, or of who claims to be one."""

    factory: Hosting
    transport: Any  # a TCP or UNIX transport
    _log = Logger()

    def __init__(self) -> None:
        self._incoming = Incoming()
        self._chance = secrets.token_bytes(CHANCE)
        self._is_known = False
        self._asked: dict[int, Request] = {}
        self._timer: IDelayedCall | None = None
        self._heard = 0.0
        self._expected = 0.0
        self._paused = False
        self._unread = 0

    # -- a connection --------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Greet, and give a limited time to answer."""
        strangers = self.factory.strangers
        if len(strangers) >= MOST_STRANGERS:
            next(iter(strangers)).transport.abortConnection()
        strangers[self] = None
        no_delay(self.transport)
        self.transport.write(GREETING + self._chance)
        self._timer = self.factory.clock.callLater(PROVING_SECONDS, self.transport.abortConnection)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes; whatever is wrong with them ends the connection."""
        self._incoming.add(data)
        if not self._is_known and not self._recognise():
            return
        self._heard = self.factory.clock.seconds()
        try:
            for frame in self._incoming.frames():
                if self._take(frame):
                    return
        except (PeerError, msgspec.MsgspecError):
            self._log.warn("cluster: another process says what is not understood; is it of another version?")
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Let go of all that it asked."""
        self.factory.strangers.pop(self, None)
        self.factory.guests.pop(self, None)
        self._stop_timer()
        asked, self._asked = self._asked, {}
        for request in asked.values():
            self._call(request.drop)

    def _recognise(self) -> bool:
        said = self._incoming.exactly(CHANCE + PROOF)
        if said is None:
            return False
        name, secret = self.factory.name, self.factory.secret
        chance, shown = said[:CHANCE], said[CHANCE:]
        self._stop_timer()
        if not compare_digest(shown, protocol.proof_of_guest(secret, name, self._chance, chance)):
            # No word of why: who has the wrong secret, or means another process, is nobody's friend.
            self.transport.abortConnection()
            return False
        self.transport.write(protocol.proof_of_host(secret, name, self._chance, chance))
        self._is_known = True
        self.factory.strangers.pop(self, None)
        self.factory.guests[self] = None
        self.transport.registerProducer(self, True)
        self._wait()
        return True

    # -- frames --------------------------------------------------------------------------------

    def _take(self, data: bytes) -> bool:
        """Take a frame; whether what follows is somebody else's."""
        frame = protocol.read_from_guest(data)
        match frame:
            case Call():
                self._ask(frame)
            case More():
                asked = self._asked.get(frame.number)
                if asked is not None and asked.more is not None:
                    self._call(asked.more, frame.payload)
            case Drop():
                dropped = self._asked.pop(frame.number, None)
                if dropped is not None:
                    self._call(dropped.drop)
            case Ping():
                self._send(Pong())
            case Through():
                self._give_away(frame)
                return True
        return False

    def _ask(self, call: Call) -> None:
        if call.number in self._asked:
            raise PeerError("two requests of one number")
        service = self.factory.services.get(call.service)
        request = Request(self, call.number, call.payload)
        if service is None or len(self._asked) >= MOST_ASKED:
            request.fail()
            return
        self._asked[call.number] = request
        if not self._call(service, request):
            request.fail()

    def _call(self, what: Callable[..., None], *arguments: object) -> bool:
        """Call a service; a fault in it is ours, and ends nothing else."""
        try:
            what(*arguments)
        except ValueError:
            return False
        except Exception:
            self._log.failure("cluster: what another process asked failed")
            return False
        return True

    def answer(self, number: int, frame: FromHost) -> None:
        """Send the answer to what was asked."""
        self._asked.pop(number, None)
        self._send(frame)

    def _send(self, frame: FromHost) -> None:
        try:
            data = protocol.written(frame)
        except PeerError:
            data = protocol.written(Fault(frame.number)) if isinstance(frame, Answer) else b""
        if self._paused:
            self._unread += len(data)
            if self._unread > MOST_UNREAD:
                self.transport.abortConnection()
                return
        self.transport.write(data)

    def _give_away(self, frame: Through) -> None:
        transport, rest = self.transport, self._incoming.rest()
        transport.unregisterProducer()
        taker = self.factory.takers.get(frame.service)
        made = None if taker is None else taker(frame.payload)
        self.connectionLost()
        if made is None:
            transport.loseConnection()
            return
        transport.protocol = made
        made.makeConnection(transport)
        made.dataReceived(rest)

    # -- limits --------------------------------------------------------------------------------

    def _wait(self) -> None:
        now = self.factory.clock.seconds()
        self._expected = now + PING_SECONDS
        self._timer = self.factory.clock.callLater(PING_SECONDS, self._look)

    def _look(self) -> None:
        now = self.factory.clock.seconds()
        # If the whole process stood still, what has come meanwhile is read first.
        if now - self._heard >= SILENCE_SECONDS and now - self._expected < STOOD_STILL:
            self._timer = None
            self.transport.abortConnection()
        else:
            self._wait()

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def pauseProducing(self) -> None:
        """Count what is sent: the guest doesn't read."""
        self._paused = True
        self._unread = 0

    def resumeProducing(self) -> None:
        """Count no more."""
        self._paused = False

    def stopProducing(self) -> None:
        """The transport is gone: `connectionLost` follows."""


def no_delay(transport: Any) -> None:
    """Have small frames leave at once, where the transport has such a thing."""
    set_no_delay = getattr(transport, "setTcpNoDelay", None)
    if set_no_delay is not None:
        set_no_delay(True)
