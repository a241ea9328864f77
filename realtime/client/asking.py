"""One HTTP request with JSON either way, for what a protocol has no message for."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

_SCHEMES: Final = {"ws": "http", "wss": "https"}
_SECONDS: Final = 30.0
"""For the whole of it: to check a password takes a server a quarter of a second, if nobody is before us."""


class Answer(Struct, frozen=True):
    """What came back. ``retry_after`` is in seconds, if the server named it."""

    status: int
    content: bytes
    retry_after: int | None = None


def address_of(url: str, path: str, query: str = "") -> str:
    """Return the HTTP address of a path on the server of any URL."""
    parts = urlsplit(url)
    return urlunsplit((_SCHEMES.get(parts.scheme, parts.scheme), parts.netloc, path, query, ""))


def ask(
    reactor: Any, method: str, address: str, *, token: str | None = None, body: object = None
) -> Deferred[Answer]:
    """Fires with the answer, whatever its status; fails as `Agent.request` does, or with ``TimeoutError``."""
    return Deferred.fromCoroutine(_ask(reactor, method, address, token, body)).addTimeout(_SECONDS, reactor)


async def _ask(reactor: Any, method: str, address: str, token: str | None, content: object) -> Answer:
    headers = Headers({b"accept": [b"application/json"]})
    if token is not None:
        headers.addRawHeader(b"authorization", b"Bearer " + token.encode())
    producer = None
    if content is not None:
        headers.addRawHeader(b"content-type", b"application/json")
        producer = FileBodyProducer(BytesIO(msgspec.json.encode(content)))
    response = await Agent(reactor).request(method.encode(), address.encode(), headers, producer)
    body = _Body()
    response.deliverBody(body)
    received = await body.whole
    after = (response.headers.getRawHeaders(b"retry-after") or [b""])[0]
    return Answer(response.code, received, int(after) if after.isdigit() else None)


class _Body(Protocol):
    """Collects a body, as Twisted's `readBody` would, which warns of Twisted's own Agent."""

    def __init__(self) -> None:
        self.whole: Deferred[bytes] = Deferred(lambda _: self._hang_up())
        self._parts: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        self._parts.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.whole.called:
            return
        # Without a Content-Length the end of the connection is the end of the body.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(b"".join(self._parts))
        else:
            self.whole.errback(reason)

    def _hang_up(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
