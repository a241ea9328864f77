"""Asking for a small document over HTTP from a server that is not trusted to behave.

The agent is used as it is, without a client library around it: a redirect is not followed and a
compressed answer is not unpacked, so that what is read comes from the address in the settings and
is no larger than what was received.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import OK, PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer
from zope.interface import implementer

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_ORIGIN = 255  # characters, as the users table keeps of an issuer


class UnexpectedAnswer(ValueError):
    """An answer came, but not the one that was asked for. The text holds nothing of what came."""


def fetch(agent: IAgent, url: bytes, *, accept: bytes, limit: int) -> Deferred[bytes]:
    """The body that `url` answers with, at most `limit` bytes.

    Fails with `UnexpectedAnswer` for a longer body and for any status but 200, and with Twisted's
    own exceptions if there is no whole answer. It sets no time limit; cancelling it ends the
    connection.
    """
    return Deferred.fromCoroutine(_ask(agent, b"GET", url, Headers({b"accept": [accept]}), None, limit))


def post_json(agent: IAgent, url: bytes, document: bytes, *, limit: int) -> Deferred[bytes]:
    """The body that `url` answers a JSON `document` with; otherwise like `fetch`.

    The agent should open a connection for each request, as it does without a pool: on one that was
    kept and that the server has closed meanwhile, a POST fails and is not repeated.
    """
    headers = Headers({b"accept": [b"application/json"], b"content-type": [b"application/json"]})
    return Deferred.fromCoroutine(_ask(agent, b"POST", url, headers, _Document(document), limit))


def checked_address(setting: str, url: str) -> bytes:
    """The address in a setting, fit to be asked: absolute, HTTP or HTTPS, and without credentials.

    A user name and a password would be sent to nobody (the agent passes over them), and are refused
    so that nobody thinks otherwise. Raises `ValueError`, with one line that names the setting.
    """
    try:
        parts = urlsplit(url)
        if not (url.isascii() and url.isprintable()) or " " in url or parts.port == 0:
            raise ValueError
    except ValueError:
        raise ValueError(f"{setting}: no address of ASCII characters without spaces") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"{setting}: no absolute HTTP or HTTPS address")
    if parts.username is not None:
        raise ValueError(f"{setting}: a user name or password in it is not supported")
    if len(origin_of(url)) > _LONGEST_ORIGIN:
        raise ValueError(f"{setting}: the name of the host is too long")
    return url.encode()


def origin_of(url: str) -> str:
    """The origin of an address, `scheme://host[:port]`, the same however it is written (RFC 6454, 6.2)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


async def _ask(
    agent: IAgent, method: bytes, url: bytes, headers: Headers, document: IBodyProducer | None, limit: int
) -> bytes:
    response = await agent.request(method, url, headers, document)
    body = _Body(limit)
    response.deliverBody(body)
    content = await body.finished
    if response.code != OK:
        raise UnexpectedAnswer(f"HTTP status {response.code}")
    return content


@implementer(IBodyProducer)
class _Document:
    """A request's body, written in one piece: it is small."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.length = len(content)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._content)
        return defer.succeed(None)

    def stopProducing(self) -> None:
        pass

    def pauseProducing(self) -> None:
        pass

    def resumeProducing(self) -> None:
        pass


class _Body(Protocol):
    """Collects a body, and hangs up if it grows too long or nobody waits for it."""

    def __init__(self, limit: int) -> None:
        self.finished: Deferred[bytes] = Deferred(self._hang_up)
        self._limit = limit
        self._content = bytearray()

    def dataReceived(self, data: bytes) -> None:
        if self.finished.called:
            return
        self._content += data
        if len(self._content) > self._limit:
            self._hang_up(self.finished)
            self.finished.errback(UnexpectedAnswer(f"an answer of more than {self._limit} bytes"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.finished.called:
            return
        # Without a Content-Length the end of the connection is the end of the body.
        if isinstance(reason.value, ResponseDone | PotentialDataLoss):
            self.finished.callback(bytes(self._content))
        else:
            self.finished.errback(reason)

    def _hang_up(self, finished: Deferred[bytes]) -> None:
        if self.transport is not None:
            _cut(self.transport)


def _cut(transport: ITransport) -> None:
    """Close a connection whose other end may not agree.

    `loseConnection` waits over TLS for the other end to say goodbye, and reads on until it does. Twisted's
    client hands out no more than that, so what it wraps is looked for; without it the polite way is left.
    """
    abort = getattr(getattr(transport, "_producer", None), "abortConnection", None)
    (transport.loseConnection if abort is None else abort)()
