"""All Engine.IO sessions of a server: how one begins, where it is found, and what is refused.

A session is admitted once, whatever transport it is on: it counts for its address from the handshake on, and an
upgrade is no second connection. A session that polls and has never sent anything has cost its client a single
request: of those only so many are kept, and the oldest makes room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from secrets import token_urlsafe
from typing import Final

from twisted.logger import Logger

from realtime.closing import CloseCode
from realtime.socketio.engine_context import Application, Context, Counts, EngineRules, Reason
from realtime.socketio.engine_polling import PollingTransport
from realtime.socketio.engine_session import Frames, Session
from realtime.websocket.admission import Admission
from realtime.websocket.factory import Surroundings
from realtime.websocket.handshake import Handshake

_SID_BYTES: Final = 15
"""Of chance: who guesses a sid has the session."""

SID_LENGTH: Final = 20
"""Characters of a sid, behind the name of its process if that has one."""


class Refusal(Enum):
    """Why a request is refused: HTTP status, Engine.IO's code and message."""

    UNKNOWN_TRANSPORT = 400, 0, "Transport unknown"
    UNKNOWN_SESSION = 400, 1, "Session ID unknown"
    BAD_METHOD = 400, 2, "Bad handshake method"
    BAD_REQUEST = 400, 3, "Bad request"
    FORBIDDEN = 403, 4, "Forbidden"
    UNSUPPORTED_VERSION = 400, 5, "Unsupported protocol version"
    TOO_LARGE = 413, 3, "Payload too large"
    TOO_MANY = 429, 4, "Too many connections"

    def __init__(self, status: int, code: int, message: str) -> None:
        self.status = status
        self.code = code
        self.message = message

    @property
    def body(self) -> bytes:
        """The answer's body."""
        return b'{"code":%d,"message":"%b"}' % (self.code, self.message.encode())


class Refused(Exception):
    """A request is answered with an error."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


Query = Mapping[str, Sequence[str]]


class Engine:
    """The sessions of one server, for ``application``.

    ``name`` is what their sids begin with: the name of this process, if there are others.
    """

    _log = Logger()

    def __init__(
        self,
        surroundings: Surroundings,
        rules: EngineRules,
        application: Application,
        counts: Counts,
        name: str = "",
    ) -> None:
        self.rules = rules
        self._name = name
        self.admission: Admission = surroundings.admission
        self._application = application
        self._counts = counts
        self._sessions: dict[str, Session] = {}
        self._silent: dict[Session, None] = {}
        self._context = Context(
            clock=surroundings.clock,
            turn=surroundings.turn,
            rules=rules,
            admission=surroundings.admission,
            application=application,
            counts=counts,
            forget=self._forget,
            heard=self._heard,
        )

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, sid: str) -> Session | None:
        """Return the session of a sid."""
        return self._sessions.get(sid)

    def transport_of(self, query: Query) -> str:
        """Return the transport that a request names. Raises `Refused`."""
        transport = first(query, "transport")
        if transport not in ("polling", "websocket"):
            raise Refused(Refusal.UNKNOWN_TRANSPORT)
        return transport

    def named(self, query: Query) -> Session | None:
        """Return the session that a request names; ``None`` if it names none. Raises `Refused`."""
        sid = first(query, "sid")
        if not sid:
            return None
        session = self._sessions.get(sid)
        if session is None:
            raise Refused(Refusal.UNKNOWN_SESSION)
        return session

    def admit(self, query: Query, address: str, connection: Frames | None) -> Session:
        """Make a session of a handshake, not begun yet: one on a WebSocket, or without it one that polls.

        Whoever makes it without a WebSocket begins it as well. Raises `Refused`.
        """
        version = first(query, "EIO")
        if version != "4" and not (version == "3" and self.rules.revision_3):
            raise Refused(Refusal.UNSUPPORTED_VERSION)
        sid = self._name + token_urlsafe(_SID_BYTES)
        session = Session(self._context, sid, int(version), address, connection)
        if not self.admission.admit(session, address):
            self._counts.count_refused("connections")
            raise Refused(Refusal.TOO_MANY)
        self._sessions[session.sid] = session
        return session

    def take_post(self, polling: PollingTransport, post: object, body: bytes | None, *, binary: bool) -> None:
        """Take what a post, which has begun, has brought; ``None``: it was too long. Raises `Refused`.

        It is over whatever becomes of it: `PollingTransport.post_over` is the caller's.
        """
        if not polling.takes(post):
            raise Refused(Refusal.BAD_REQUEST)
        if body is None:
            self._counts.count_refused("size")
            raise Refused(Refusal.TOO_LARGE)
        if not polling.post(body, binary=binary):
            raise Refused(Refusal.BAD_REQUEST)

    def begin(self, session: Session, handshake: Handshake) -> None:
        """Open a session, and tell the application; a fault in it is ours, and ends this session alone."""
        if not session.begin():
            return
        if session.polling is not None:
            self._silent[session] = None
            if len(self._silent) > self.rules.most_silent:
                next(iter(self._silent)).end(Reason.FORCED_CLOSE, CloseCode.TRY_AGAIN_LATER)
        try:
            self._application.opened(session, handshake)
        except Exception:
            self._log.failure("socketio: session {session} failed", session=session.number)
            session.close(CloseCode.TRY_AGAIN_LATER)

    def _heard(self, session: Session) -> None:
        self._silent.pop(session, None)

    def _forget(self, session: Session) -> None:
        self._silent.pop(session, None)
        self._sessions.pop(session.sid, None)


def first(query: Query, name: str) -> str:
    """Return the first value of a key; ``""`` if there is none."""
    values = query.get(name)
    return values[0] if values else ""
