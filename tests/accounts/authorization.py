"""Authorization servers for tests: one that keeps to the agreement, one that says anything, and none at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from OpenSSL import SSL
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IPolicyForHTTPS
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from tests.loopback import Loopback

reactor: Any = _reactor

ALICE = {
    "userId": "17",
    "nickname": "Алиса",
    "avatar": "https://pictures.example/17.png",
    "language": "ru",
    "status": "на связи",
    "registerDate": "2017-05-01T12:00:00Z",
}


def success(user: object) -> bytes:
    """The answer for a good token."""
    return msgspec.json.encode({"status": "SUCCESS", "user": user})


ERROR = msgspec.json.encode({"status": "ERROR"})


class AuthorizationServer(Resource):
    """An authorization server that knows the tokens in ``users``; it may be ``ill``, or slow (``held``)."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[str, object] = {"good": ALICE}
        self.asked: list[str] = []
        self.ill = False
        self.held = False
        self.gone: list[Deferred[None]] = []

    def render_POST(self, request: Request) -> Any:
        """Answer CHECK_TOKEN; whatever else comes is a fault of the test's."""
        assert request.requestHeaders.getRawHeaders(b"content-type") == [b"application/json"]
        assert request.content is not None
        question = msgspec.json.decode(request.content.read())
        assert set(question) == {"type", "token"}
        assert question["type"] == "CHECK_TOKEN"
        self.asked.append(question["token"])
        if self.held:
            gone: Deferred[None] = Deferred()
            request.notifyFinish().addBoth(lambda _: gone.callback(None))
            self.gone.append(gone)
            return NOT_DONE_YET
        if self.ill:
            request.setResponseCode(500)
            return b"<html>"
        user = self.users.get(question["token"])
        return ERROR if user is None else success(user)


class Liar(Protocol):
    """Says ``words`` to whoever asks, and then closes, stays silent, or goes on with ``more`` for ever."""

    def __init__(self, words: bytes, then: str = "close", more: bytes = b"x") -> None:
        self.words = words
        self.then = then
        self.more = more * 1000
        self.gone: Deferred[Any] = Deferred()
        self.heard = b""
        self.said = 0

    def dataReceived(self, data: bytes) -> None:
        """Wait for the end of the question, so that closing is not taken for refusing it."""
        assert self.transport is not None
        self.heard += data
        if self.said or not self.heard.endswith(b"}"):
            return
        self.said = len(self.words)
        self.transport.write(self.words)
        if self.then == "close":
            self.transport.loseConnection()
        elif self.then == "go on":
            self.transport.registerProducer(self, False)  # type: ignore[attr-defined]

    def resumeProducing(self) -> None:
        """Go on, as fast as it is read."""
        assert self.transport is not None
        self.said += len(self.more)
        self.transport.write(self.more)

    def stopProducing(self) -> None:
        """The connection is gone."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the test how it ended."""
        self.gone.callback(reason.type)


def serve(factory: IProtocolFactory, cleanup: Callable[..., object], *, tls: bool = False) -> str:
    """Serve on a free port until the test ends; return the address of it."""
    return f"{'https' if tls else 'http'}://127.0.0.1:{Loopback(factory, cleanup, tls=tls).port}/check"


def serve_liar(liar: Liar, cleanup: Callable[..., object], *, tls: bool = False) -> str:
    """Serve one liar."""
    return serve(Factory.forProtocol(lambda: liar), cleanup, tls=tls)


@implementer(IPolicyForHTTPS, IOpenSSLClientConnectionCreator)
class Credulous:
    """Takes any certificate for a good one."""

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """See `IPolicyForHTTPS`."""
        return self

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """See `IOpenSSLClientConnectionCreator`."""
        return SSL.Connection(CertificateOptions(verify=False).getContext(), None)


def real_agent() -> Any:
    """An agent of the real reactor."""
    return Agent(reactor, Credulous())


class Exchange:
    """A request that a `RecordingAgent` was given, and its answer when the test says so."""

    def __init__(self, method: bytes, url: bytes, headers: Headers | None, body: bytes) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.cancelled = False
        self.response: Deferred[Any] = Deferred(self._cancel)

    @property
    def token(self) -> str:
        """The token that was asked about."""
        token: str = msgspec.json.decode(self.body)["token"]
        return token

    def answer(self, body: bytes, code: int = 200) -> None:
        """Answer with this."""
        self.response.callback(_Response(code, body))

    def fail(self, error: Exception) -> None:
        """End without an answer."""
        self.response.errback(error)

    def _cancel(self, _: object) -> None:
        self.cancelled = True


class _Response:
    def __init__(self, code: int, body: bytes) -> None:
        self.code = code
        self._body = body

    def deliverBody(self, protocol: Any) -> None:
        """Deliver it at once."""
        protocol.makeConnection(StringTransport())
        protocol.dataReceived(self._body)
        protocol.connectionLost(Failure(ResponseDone()))


@implementer(IAgent)
class RecordingAgent:
    """An agent without a network."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.at_once: bytes | Exception | None = None
        """What every request is answered with before it returns."""

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[Any]:
        """See `IAgent`."""
        written = StringTransport()
        if bodyProducer is not None:
            done: list[object] = []
            bodyProducer.startProducing(written).addCallback(done.append)
            assert done
            assert bodyProducer.length == len(written.value())
        exchange = Exchange(method, uri, headers, written.value())
        self.exchanges.append(exchange)
        if isinstance(self.at_once, bytes):
            exchange.answer(self.at_once)
        elif self.at_once is not None:
            exchange.fail(self.at_once)
        return exchange.response


def nobody() -> Deferred[str]:
    """An address where nobody listens."""
    port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
    address = f"http://127.0.0.1:{port.getHost().port}/check"
    stopped: Deferred[None] = port.stopListening() or succeed(None)
    return stopped.addCallback(lambda _: address)
