"""Sessions that another process holds: what their clients say here is passed on, and ours is taken there.

Which process a session is at, its sid says. A request for another's session goes to that process and waits
there (`cluster.peers`); a WebSocket is passed on as it is, byte by byte (`tunnel`): so every rule of a session
is kept in one place, where it is. From the side that passes on, on the connection between the two::

    -> Poll             <- Answered     what polling answers, whatever that is
    -> Post             ...             a post begins, at once when its head is here
    -> Body             <- Answered     its body; with an empty one in its place it was refused, by its head
    -> Upgrade          then all that the client says, its handshake first; and all that it is told

What is dropped on this side is lost on that one, as if its connection had ended there. If the other process is
gone, silent, or has never been there, the client is told that its session is unknown, and begins another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred

from realtime.cluster.peer_guest import Asked
from realtime.cluster.peer_host import Request
from realtime.cluster.peers import NAME_LENGTH, Peers
from realtime.socketio.engine import SID_LENGTH, Query, Refusal, Refused, first
from realtime.socketio.engine_packets import Form
from realtime.socketio.engine_polling import PollingTransport

TEXT: Final = "text/plain; charset=UTF-8"
BINARY: Final = "application/octet-stream"
ERROR: Final = "application/json"

_SERVICE: Final = "engine.io"


class Poll(Struct, frozen=True, array_like=True, tag=1):
    """A request for packets; ``base64`` as in :class:`engine_polling.Poll`."""

    sid: str
    base64: bool


class Post(Struct, frozen=True, array_like=True, tag=2):
    """A request that is about to bring packets."""

    sid: str


class Body(Struct, frozen=True, array_like=True):
    """What it has brought; ``None``: more than may be. ``binary`` is the form that is claimed for it."""

    data: bytes | None
    binary: bool


class Answered(Struct, frozen=True, array_like=True):
    """The answer to a request: its status, its content type, its body."""

    status: int
    kind: str
    body: bytes


class Upgrade(Struct, frozen=True, array_like=True):
    """A WebSocket's handshake follows; ``peer`` is the host that it came from."""

    sid: str
    peer: str


_encode: Final = msgspec.msgpack.Encoder().encode
_read_request: Final = msgspec.msgpack.Decoder(Poll | Post).decode
_read_body: Final = msgspec.msgpack.Decoder(Body).decode
_read_answer: Final = msgspec.msgpack.Decoder(Answered).decode
_read_upgrade: Final = msgspec.msgpack.Decoder(Upgrade).decode


class Elsewhere:
    """The sessions of this process as others see them, and those of others.

    ``name`` is what the sids of this process begin with.
    """

    def __init__(self, peers: Peers) -> None:
        self.name = peers.name
        self._peers = peers
        self._factories: list[Any] = []
        peers.serve(_SERVICE, self._serve)
        peers.take(_SERVICE, self._take)

    def add(self, factory: Any) -> None:
        """Have the sessions of an `EngineFactory` served to others."""
        self._factories.append(factory)

    # -- sessions of others --------------------------------------------------------------------

    def owner(self, query: Query) -> str | None:
        """Return the name of the other process whose session a request may be about."""
        sid = first(query, "sid")
        if len(sid) != NAME_LENGTH + SID_LENGTH or not sid.isascii():
            return None
        name = sid[:NAME_LENGTH]
        return None if name == self.name else name

    def poll(self, owner: str, sid: str, *, base64: bool) -> Asked:
        """Pass a request for packets on; `read` reads the answer."""
        return self._peers.ask(owner, _SERVICE, _encode(Poll(sid, base64)))

    def post(self, owner: str, sid: str) -> Asked:
        """Say that a post has begun; `bring` brings its body, `give_up` ends it without one."""
        return self._peers.ask(owner, _SERVICE, _encode(Post(sid)))

    def bring(self, post: Asked, body: bytes | None, *, binary: bool) -> None:
        """Pass the body of a post on; `read` reads the answer."""
        post.more(_encode(Body(body, binary)))

    def give_up(self, post: Asked) -> None:
        """A post is refused here."""
        post.answered.addErrback(lambda _: None)
        post.more(b"")

    def read(self, answer: bytes) -> Answered:
        """Read an answer. Raises ``ValueError``."""
        return _read_answer(answer)

    def through(self, owner: str, sid: str, peer: str, lost: Callable[[], None]) -> Deferred[Any]:
        """Open the way for a WebSocket; see `Peers.through`."""
        return self._peers.through(owner, _SERVICE, _encode(Upgrade(sid, peer)), lost)

    def forget_through(self, owner: str, lost: Callable[[], None]) -> None:
        """See `Peers.forget_through`."""
        self._peers.forget_through(owner, lost)

    # -- sessions of this process --------------------------------------------------------------

    def _serve(self, request: Request) -> None:
        asked = _read_request(request.payload)
        factory = self._holder(asked.sid)
        session = None if factory is None else factory.engine.get(asked.sid)
        if session is None:
            _refuse(request, Refusal.UNKNOWN_SESSION)
        elif session.polling is None:
            _refuse(request, Refusal.BAD_REQUEST)
        elif isinstance(asked, Poll):
            _PassedPoll(request, asked.base64).begin(session.polling)
        else:
            _PassedPost(request, session.polling, factory.engine).begin()

    def _take(self, payload: bytes) -> Any:
        upgrade = _read_upgrade(payload)
        factory = self._holder(upgrade.sid) or next(iter(self._factories), None)
        return None if factory is None else factory.build_passed_on(upgrade.peer)

    def _holder(self, sid: str) -> Any:
        for factory in self._factories:  # one for each port that serves Socket.IO
            if factory.engine.get(sid) is not None:
                return factory
        return None


class _PassedPoll:
    """A request that another process has passed on: see :class:`engine_polling.Poll`."""

    def __init__(self, request: Request, base64: bool) -> None:
        self._request = request
        self.base64 = base64

    def begin(self, polling: PollingTransport) -> None:
        self._request.dropped = lambda: polling.poll_lost(self)
        polling.poll(self)

    def answer(self, payload: bytes, form: Form) -> None:
        self._request.answer(_encode(Answered(200, kind_of(form), payload)))

    def refuse(self) -> None:
        _refuse(self._request, Refusal.BAD_REQUEST)


class _PassedPost:
    """The same for one that brings packets."""

    def __init__(self, request: Request, polling: PollingTransport, engine: Any) -> None:
        self._request = request
        self._polling = polling
        self._engine = engine

    def begin(self) -> None:
        self._request.dropped = lambda: self._polling.post_lost(self)
        self._request.more = self._more
        self._polling.post_begins(self)

    def _more(self, payload: bytes) -> None:
        try:
            if not payload:
                self._request.fail()
                return
            body = _read_body(payload)
            self._engine.take_post(self._polling, self, body.data, binary=body.binary)
        except Refused as refused:
            _refuse(self._request, refused.refusal)
        else:
            self._request.answer(_encode(Answered(200, TEXT, b"ok")))
        finally:
            self._polling.post_over(self)


def kind_of(form: Form) -> str:
    """Return the content type of an answer."""
    return BINARY if form is Form.POLLING_3_BINARY else TEXT


def _refuse(request: Request, refusal: Refusal) -> None:
    request.answer(_encode(Answered(refusal.status, ERROR, refusal.body)))
