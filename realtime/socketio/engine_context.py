"""What all sessions of an Engine.IO server share: their rules, their clocks, and whom they tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
from msgspec import UNSET, Struct, UnsetType
from twisted.internet.interfaces import IReactorTime

from realtime.operations.metrics import Tally
from realtime.socketio.deadlines import Deadlines
from realtime.socketio.engine_packets import Group
from realtime.websocket.admission import Admission
from realtime.websocket.outgoing import Turn

if TYPE_CHECKING:
    from realtime.socketio.engine_polling import PollingTransport
    from realtime.socketio.engine_session import Session
    from realtime.websocket.factory import Rules
    from realtime.websocket.handshake import Handshake

_NOOP_SECONDS: Final = 0.1
"""Between two answers to a client that still polls while its WebSocket is probed, as the reference has it."""


class Reason(Enum):
    """Why a session is over; the values are the names that Socket.IO has for it."""

    TRANSPORT_CLOSE = "transport close"
    TRANSPORT_ERROR = "transport error"
    PING_TIMEOUT = "ping timeout"
    PARSE_ERROR = "parse error"
    FORCED_CLOSE = "forced close"
    SERVER_SHUTTING_DOWN = "server shutting down"


@dataclass(frozen=True, slots=True)
class EngineRules:
    """The limits that a session is under, on whichever transport it is. Times are in seconds."""

    connections: Rules
    """Those of a WebSocket hold for polling, too: a message is a packet, and ``message_bytes`` bounds the body
    of a POST as well. Clients are told it as maxPayload."""
    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    """These two as the reference server has them."""
    upgrade_timeout: float = 10.0
    """For the few packets of an upgrade."""
    linger: float = 30.0
    """In which a polling client asks at least once, if it lives: it has to answer pings."""
    revision_3: bool = True
    """Whether clients of Socket.IO 2.x are served."""
    most_silent: int = 10_000
    """Polling sessions that have sent nothing yet. One costs a client a request and us some KiB until it
    has not answered a ping; beyond this number the oldest makes room. (A client of good will sends
    its first packet within a round trip.)"""


class Application(Protocol):
    """Whoever uses the sessions."""

    def opened(self, session: Session, handshake: Handshake) -> None:
        """A session is open; what is sent now comes with the answer to the handshake."""

    def received(self, session: Session, data: str | bytes) -> None:
        """A message came, within the rate."""

    def exceeded(self, session: Session, data: str | bytes) -> None:
        """A message came, beyond the rate."""

    def ended(self, session: Session, reason: Reason) -> None:
        """The session is over: nothing more can be sent. Called once."""


class Counts(Protocol):
    """Where sessions are counted: the factory of their WebSockets."""

    messages_received: Tally
    messages_sent: Tally

    def count_opened(self) -> None:
        """Count a connection that opened."""

    def count_closed(self, code: int | None) -> None:
        """Count a connection that ended, by its close code."""

    def count_refused(self, reason: str) -> None:
        """Count something that was refused to a peer."""


class _Opening(Struct, frozen=True, rename="camel"):
    sid: str
    upgrades: tuple[str, ...]
    ping_interval: int
    ping_timeout: int
    max_payload: int | UnsetType = UNSET


class Context:
    """What sessions share. ``forget`` takes one out of the table; ``heard`` is told of its first packet."""

    def __init__(
        self,
        *,
        clock: IReactorTime,
        turn: Turn,
        rules: EngineRules,
        admission: Admission,
        application: Application,
        counts: Counts,
        forget: Callable[[Session], None],
        heard: Callable[[Session], None],
    ) -> None:
        self.clock = clock
        self.turn = turn
        self.rules = rules
        self.admission = admission
        self.application = application
        self.counts = counts
        self.forget = forget
        self.heard = heard
        interval, timeout = rules.ping_interval, rules.ping_timeout
        self.pings: Deadlines[Session] = Deadlines(
            clock, interval, lambda session, moment: session.beat(moment)
        )
        self.pongs: Deadlines[Session] = Deadlines(clock, timeout, lambda session, _: session.presumed_dead())
        self.silences: Deadlines[Session] = Deadlines(
            clock, interval + timeout, lambda session, _: session.presumed_dead()
        )
        self.upgrades: Deadlines[Session] = Deadlines(
            clock, rules.upgrade_timeout, lambda session, _: session.give_up_upgrade()
        )
        self.noops: Deadlines[PollingTransport] = Deadlines(
            clock, _NOOP_SECONDS, lambda polling, _: polling.release()
        )
        self.lingers: Deadlines[Session] = Deadlines(
            clock, rules.linger, lambda session, _: session.give_up_telling()
        )

    def opening(self, sid: str, revision: int, *, polls: bool) -> Group:
        """Return the packet that begins a session."""
        rules = self.rules
        opening = _Opening(
            sid=sid,
            upgrades=("websocket",) if polls else (),
            ping_interval=round(rules.ping_interval * 1000),
            ping_timeout=round(rules.ping_timeout * 1000),
            max_payload=rules.connections.message_bytes if revision == 4 else UNSET,
        )
        return Group(b"0" + msgspec.json.encode(opening))

    def stop_beating(self, session: Session) -> None:
        """End the heartbeat of a session."""
        self.pings.stop(session)
        self.pongs.stop(session)
        self.silences.stop(session)
