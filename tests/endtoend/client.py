"""A WebSocket client for tests, on Autobahn: what it was sent, and how it ended."""

from __future__ import annotations

import json
from collections import deque
from itertools import count
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint


class Client(WebSocketClientProtocol):
    """One connection. Await `opened`, `next` frames, and `closed`, which gives the close code."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: Deferred[Client] = Deferred()
        self.closed: Deferred[int] = Deferred()
        self.frames: deque[str | bytes] = deque()
        self._waiting: deque[Deferred[str | bytes]] = deque()

    def onOpen(self) -> None:
        """Tell who waits."""
        self.opened.callback(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Keep a frame, or give it to who waits for it."""
        frame = payload if isBinary else payload.decode()
        if self._waiting:
            self._waiting.popleft().callback(frame)
        else:
            self.frames.append(frame)

    def next(self) -> Deferred[str | bytes]:
        """Fires with the next frame."""
        waiting: Deferred[str | bytes] = Deferred()
        if self.frames:
            waiting.callback(self.frames.popleft())
        else:
            self._waiting.append(waiting)
        return waiting

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Tell who waits."""
        if not self.opened.called:
            self.opened.errback(ConnectionError(self.wasNotCleanReason or reason))
        for waiting in self._waiting:
            waiting.errback(ConnectionError(f"closed with {code}"))
        self.closed.callback(code or 1005)


class SupportClient(Client):
    """A client of support: requests with answers, and pushes."""

    def __init__(self) -> None:
        super().__init__()
        self.pushed: list[dict[str, Any]] = []
        self._pushes: deque[Deferred[dict[str, Any]]] = deque()
        self._ids = count(1)
        self._answers: dict[int, Deferred[dict[str, Any]]] = {}

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Give an answer to who asked, and keep a push."""
        frame = json.loads(payload)
        if frame["id"] is None and frame["error"] is None:
            message = frame["result"].get("message")
            if message is not None:
                self.pushed.append(message)
                if self._pushes:
                    self._pushes.popleft().callback(message)
        else:
            self._answers.pop(frame["id"]).callback(frame)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Fail what was not answered."""
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            answer.errback(ConnectionError(f"closed with {code}"))
        super().onClose(wasClean, code, reason)

    def next_push(self) -> Deferred[dict[str, Any]]:
        """Fires with the next message that is pushed from now on."""
        waiting: Deferred[dict[str, Any]] = Deferred()
        self._pushes.append(waiting)
        return waiting

    def request(self, method: str, *params: Any) -> Deferred[dict[str, Any]]:
        """Send a request; fires with the whole answer."""
        request_id = next(self._ids)
        answer: Deferred[dict[str, Any]] = Deferred()
        self._answers[request_id] = answer
        self.sendMessage(json.dumps({"method": method, "params": params, "id": request_id}).encode())
        return answer


def connect(
    port: int,
    path: str = "/support",
    *,
    protocol: type[Any] = SupportClient,
    headers: dict[str, str] | None = None,
    subprotocols: list[str] | None = None,
) -> Deferred[Any]:
    """Fires with an open connection; fails with `ConnectionError` if the handshake is refused."""
    from twisted.internet import reactor

    factory = WebSocketClientFactory(f"ws://127.0.0.1:{port}{path}", headers=headers, protocols=subprotocols)
    factory.protocol = protocol
    factory.noisy = False
    factory.setProtocolOptions(failByDrop=False, openHandshakeTimeout=0, closeHandshakeTimeout=0)
    connected: Deferred[Any] = TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(factory)
    return connected.addCallback(lambda client: client.opened)
