"""Real TCP and TLS connections within this machine, for what only a real transport can show."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from tempfile import NamedTemporaryFile
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ClientEndpoint, TCP4ClientEndpoint
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions, DefaultOpenSSLContextFactory
from twisted.python.failure import Failure

reactor: Any = _reactor


class Client(Protocol):
    """Collects what comes, and can wait for it."""

    transport: Any

    def __init__(self) -> None:
        self.data = b""
        self.lost = False
        self._waiting: tuple[Callable[[], bool], Deferred[bytes]] | None = None

    def dataReceived(self, data: bytes) -> None:
        """Collect."""
        self.data += data
        self._look()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note it."""
        self.lost = True
        self._look()

    def until(self, seen: bytes) -> Deferred[bytes]:
        """Fires with all that came, once ``seen`` is in it."""
        return self._until(lambda: seen in self.data)

    def until_lost(self) -> Deferred[bytes]:
        """Fires with all that came, once the connection is closed."""
        return self._until(lambda: self.lost)

    def _until(self, condition: Callable[[], bool]) -> Deferred[bytes]:
        fired: Deferred[bytes] = Deferred()
        fired.addTimeout(10, reactor)
        self._waiting = (condition, fired)
        self._look()
        return fired

    def _look(self) -> None:
        if self._waiting is not None and self._waiting[0]():
            fired, self._waiting = self._waiting[1], None
            fired.callback(self.data)


class Loopback:
    """Serves a factory on a free port; ``cleanup`` is a test's ``addCleanup``."""

    def __init__(self, factory: IProtocolFactory, cleanup: Callable[..., object], *, tls: bool = False) -> None:
        self._cleanup = cleanup
        self._tls = tls
        if tls:
            port = reactor.listenSSL(0, factory, own_certificate(), interface="127.0.0.1")
        else:
            port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.listening = port
        self.port = port.getHost().port
        cleanup(port.stopListening)

    async def connect(self) -> Client:
        """A new connection to it; it is closed, and its closing waited for, at the test's end."""
        endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port)
        if self._tls:
            options = CertificateOptions(verify=False)
            endpoint = SSL4ClientEndpoint(reactor, "127.0.0.1", self.port, options)
        client: Client = await endpoint.connect(Factory.forProtocol(Client))
        self._cleanup(self._close, client)
        return client

    def _close(self, client: Client) -> Deferred[bytes]:
        client.transport.abortConnection()
        return client.until_lost()


def own_certificate() -> DefaultOpenSSLContextFactory:
    """A certificate for this machine, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    pem = signed.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # From a file, for Twisted's classes for certificates use what pyOpenSSL warns of.
    with NamedTemporaryFile(suffix=".pem") as file:
        file.write(pem)
        file.flush()
        return DefaultOpenSSLContextFactory(file.name, file.name)
