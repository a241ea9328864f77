"""Engine.IO over HTTP: the resource at ``/socket.io/``.

::

    GET  ?EIO=4&transport=polling           200, the packet that opens a session
    GET  ?EIO=4&transport=polling&sid=…     200 when there are packets, all of them
    POST ?EIO=4&transport=polling&sid=…     200 "ok"; the body is packets
    OPTIONS                                 204: CORS

Everything else is answered ``{"code": 3, "message": "Bad request"}`` or the like (`Refusal`), with a status
from 400 on. A WebSocket handshake on a connection that has served other requests goes to the factory.

The body of a POST is refused by its head, before any of it is kept: if the session is not known, or if it is
longer than a message may be (``body_begins``).

A request for a session that another process holds is passed on to that one (`elsewhere`); only who may ask from
where (CORS) is judged here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.web.http import parse_qs
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from realtime.cluster.peer_guest import Asked
from realtime.socketio.elsewhere import BINARY, ERROR, TEXT, kind_of
from realtime.socketio.engine import Query, Refusal, Refused, first
from realtime.socketio.engine_packets import Form
from realtime.socketio.engine_polling import PollingTransport
from realtime.socketio.websocket import EngineFactory
from realtime.web.sharing import Sharing
from realtime.web.site import NotFound
from realtime.web.upgrade import UpgradeResource
from realtime.websocket.handshake import Handshake


class _Request:
    """A request that waits for packets."""

    def __init__(self, request: Any, *, base64: bool) -> None:
        self._request = request
        self.base64 = base64

    def answer(self, payload: bytes, form: Form) -> None:
        """See :meth:`Poll.answer`."""
        _send(self._request, 200, kind_of(form), payload)

    def refuse(self) -> None:
        """See :meth:`Poll.refuse`."""
        _refuse(self._request, Refusal.BAD_REQUEST)


class EngineResource(Resource):
    """Polling, for the engine of a factory."""

    isLeaf = True

    def __init__(self, factory: EngineFactory, sharing: Sharing) -> None:
        super().__init__()
        self._factory = factory
        self._engine = factory.engine
        self._sharing = sharing
        self._upgrade = UpgradeResource(factory)
        self._elsewhere = factory.elsewhere
        self._posts: dict[Any, PollingTransport] = {}
        self._passed_on: dict[Any, Asked] = {}

    def render(self, request: Any) -> bytes | int:
        """Answer any method."""
        begun = self._posts.pop(request, None)
        try:
            return self._render(request, begun)
        finally:
            if begun is not None:
                begun.post_over(request)
            elif self._elsewhere is not None and request in self._passed_on:
                self._elsewhere.give_up(self._passed_on.pop(request))  # it was refused here

    def _render(self, request: Any, begun: PollingTransport | None) -> bytes | int:
        if request.postpath not in ([], [b""]):
            return NotFound().render(request)
        if "websocket" in (request.getHeader("upgrade") or "").lower():
            return self._upgrade.render(request)
        if request.method == b"OPTIONS":
            return self._sharing.preflight(request, "GET, POST")
        shared = self._sharing.share(request)
        request.setHeader("cache-control", "no-store")
        try:
            if not shared:
                self._factory.count_refused("origin")
                raise Refused(Refusal.FORBIDDEN)
            self._answer(request, _texts(request.args), begun)
        except Refused as refused:
            _refuse(request, refused.refusal)
        return NOT_DONE_YET

    def _answer(self, request: Any, query: Query, begun: PollingTransport | None) -> None:
        transport = self._engine.transport_of(query)
        try:
            session = self._engine.named(query)
        except Refused:
            if not self._pass_on(request, query, transport):
                raise
            return
        if session is None:
            if request.method != b"GET":
                raise Refused(Refusal.BAD_METHOD)
            if transport != "polling" or "j" in query:  # JSONP is for browsers of another time
                raise Refused(Refusal.BAD_REQUEST)
            self._open(request, query)
            return
        polling = begun or session.polling
        if transport != "polling" or polling is None or request.method not in (b"GET", b"POST"):
            raise Refused(Refusal.BAD_REQUEST)
        if request.method == b"GET":
            self._poll(request, query, polling)
        else:
            self._post(request, polling)

    def _open(self, request: Any, query: Query) -> None:
        handshake = self._read_handshake(request, query)
        session = self._engine.admit(query, handshake.address, None)
        self._engine.begin(session, handshake)
        if session.polling is not None:
            self._poll(request, query, session.polling)

    def _poll(self, request: Any, query: Query, polling: PollingTransport) -> None:
        poll = _Request(request, base64=bool(first(query, "b64")))
        request.notifyFinish().addErrback(lambda _: polling.poll_lost(poll))
        polling.poll(poll)

    def _post(self, request: Any, polling: PollingTransport) -> None:
        body = request.body()
        if body == b"":
            polling.post_begins(request)  # a request without a body has not begun before
        self._engine.take_post(polling, request, body, binary=_is_binary(request))
        polling.post_over(request)  # the next one may come as soon as the client has its answer
        _send(request, 200, TEXT, b"ok")

    def body_begins(self, request: Any, method: bytes, target: bytes, length: int | None) -> int:
        """See :meth:`realtime.web.site.Bodies.body_begins`."""
        query = _texts(parse_qs(target.partition(b"?")[2], True))
        try:
            session = self._engine.named(query)
        except Refused:
            return self._passed_on_begins(request, query, method)
        if session is None or session.polling is None or method != b"POST":
            return 0
        polling = session.polling
        self._posts[request] = polling
        request.notifyFinish().addErrback(lambda _: self._lost(request, polling))
        polling.post_begins(request)
        return self._engine.rules.connections.message_bytes

    def _lost(self, request: Any, polling: PollingTransport) -> None:
        self._posts.pop(request, None)
        polling.post_lost(request)

    # -- sessions of other processes -----------------------------------------------------------

    def _pass_on(self, request: Any, query: Query, transport: str) -> bool:
        """Pass a request on to the process that holds its session; ``False``: there is none."""
        elsewhere = self._elsewhere
        owner = None if elsewhere is None else elsewhere.owner(query)
        if elsewhere is None or owner is None:
            return False
        if transport != "polling" or request.method not in (b"GET", b"POST"):
            raise Refused(Refusal.BAD_REQUEST)
        sid = first(query, "sid")
        if request.method == b"GET":
            asked = elsewhere.poll(owner, sid, base64=bool(first(query, "b64")))
        else:
            begun = self._passed_on.pop(request, None)
            asked = elsewhere.post(owner, sid) if begun is None else begun  # without a body it has not begun
            elsewhere.bring(asked, request.body(), binary=_is_binary(request))
        request.notifyFinish().addErrback(lambda _: asked.drop())
        answered = asked.answered.addCallback(elsewhere.read)
        answered.addCallbacks(
            lambda answer: _send(request, answer.status, answer.kind, answer.body),
            lambda _: _refuse(request, Refusal.UNKNOWN_SESSION),
        )
        return True

    def _passed_on_begins(self, request: Any, query: Query, method: bytes) -> int:
        elsewhere = self._elsewhere
        owner = None if elsewhere is None else elsewhere.owner(query)
        if elsewhere is None or owner is None or method != b"POST":
            return 0
        self._passed_on[request] = elsewhere.post(owner, first(query, "sid"))
        request.notifyFinish().addErrback(lambda _: self._passed_on_lost(request))
        return self._engine.rules.connections.message_bytes

    def _passed_on_lost(self, request: Any) -> None:
        asked = self._passed_on.pop(request, None)
        if asked is not None:
            asked.drop()

    def _read_handshake(self, request: Any, query: Query) -> Handshake:
        policy = self._factory.handshakes
        headers = {
            name.decode("latin-1").lower(): b",".join(values).decode("latin-1")
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        peer = getattr(request.getClientAddress(), "host", "127.0.0.1")
        return Handshake(
            path=request.path.decode("latin-1"),
            headers=headers,
            query=query,
            subprotocols=(),
            origin=headers.get("origin"),
            address=policy.proxies.client(peer, headers.get("x-forwarded-for")),
            token=policy.tokens.find(headers, query),
        )


def _texts(query: Mapping[bytes, Sequence[bytes]]) -> Query:
    return {
        name.decode("utf-8", "replace"): [value.decode("utf-8", "replace") for value in values]
        for name, values in query.items()
    }


def _is_binary(request: Any) -> bool:
    kind = request.getHeader("content-type") or ""
    return bool(kind.partition(";")[0].strip().lower() == BINARY)


def _refuse(request: Any, refusal: Refusal) -> None:
    _send(request, refusal.status, ERROR, refusal.body)


def _send(request: Any, status: int, kind: str, body: bytes) -> None:
    request.setResponseCode(status)
    request.setHeader("content-type", kind)
    request.setHeader("content-length", str(len(body)))
    request.setHeader("x-content-type-options", "nosniff")
    request.write(body)
    request.finish()
