"""Key sets at an address: cached, renewed, shared, and patient with a server that is not well."""

from pathlib import Path
from typing import Any, cast

from treq.testing import RequestTraversalAgent
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from realtime.accounts.errors import IssuerUnavailable
from realtime.accounts.keys import VerificationKey
from realtime.accounts.keysets import MAXIMUM_BYTES, PublicKeyFile, RemoteKeySet
from tests.accounts.folders import temporary_folder
from tests.accounts.jose import ec_key, edwards_key, jwk, key_set, pem, rsa_key
from tests.reactor import TestCase

URL = "https://issuer.example/keys"
OLD = key_set(jwk(rsa_key(), kid="old"))
NEW = key_set(jwk(rsa_key("two"), kid="new"))


class Keys(Resource):
    """An issuer's address: answers `body`, or nothing at all if it is None."""

    isLeaf = True

    def __init__(self, body: bytes | None) -> None:
        super().__init__()
        self.body = body
        self.status = 200
        self.headers: dict[bytes, bytes] = {}
        self.requests: list[Request] = []

    def render_GET(self, request: Request) -> Any:
        """Answer as it is set."""
        self.requests.append(request)
        request.setResponseCode(self.status)
        for name, value in self.headers.items():
            request.setHeader(name, value)
        return NOT_DONE_YET if self.body is None else self.body


class PublicKeyFileTests(SynchronousTestCase):
    """A key set of one key, in a file."""

    def write(self, content: bytes) -> Path:
        """A file with this content."""
        path = temporary_folder(self) / "key.pem"
        path.write_bytes(content)
        return path

    def find(self, keys: PublicKeyFile, key_id: str | None, algorithm: str) -> list[VerificationKey]:
        """What is found without waiting."""
        found: list[VerificationKey] = []
        keys.find(key_id, algorithm).addCallback(found.extend)
        return found

    def test_find(self) -> None:
        """The key suits every `kid`, and only the algorithms of its kind."""
        keys = PublicKeyFile(self.write(pem(ec_key())))
        for key_id in (None, "any"):
            [key] = self.find(keys, key_id, "ES256")
            self.assertEqual(key.public, ec_key().public_key())
        for algorithm in ("RS256", "HS256", "ES384", "none"):
            self.assertEqual(self.find(keys, None, algorithm), [])

    def test_unusable(self) -> None:
        """A file that is missing or holds no public key is named in one line."""
        for path in (Path("absent"), self.write(b"no key")):
            with self.assertRaisesRegex(ValueError, rf"\Aauth.public_key_file: {path}.*\Z"):
                PublicKeyFile(path)


class RemoteKeySetTests(SynchronousTestCase):
    """The cache, in a time of its own."""

    def setUp(self) -> None:
        """Have an address with one key, that nobody has asked yet."""
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.server = Keys(OLD)
        self.agent = RequestTraversalAgent(self.server)
        self.keys = RemoteKeySet(URL, agent=self.agent, clock=self.clock)
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    def find(self, key_id: str | None, algorithm: str = "RS256") -> list[str | None]:
        """The ids of the keys that are found without waiting."""
        return self.ids(self.keys.find(key_id, algorithm))

    def ids(self, found: Deferred[Any]) -> list[str | None]:
        """The ids of the keys that have been found."""
        keys: list[VerificationKey] = self.successResultOf(found)
        return [key.key_id for key in keys]

    def assert_requests(self, number: int) -> None:
        """So often was the address asked."""
        self.assertEqual(len(self.server.requests), number)

    def test_nothing_unasked(self) -> None:
        """No request is made before a key is needed."""
        self.clock.advance(10_000)
        self.assert_requests(0)

    def test_cached(self) -> None:
        """Keys are fetched once an hour, however many tokens come."""
        for _ in range(10):
            self.assertEqual(self.find("old"), ["old"])
            self.assertEqual(self.find(None), ["old"])
            self.clock.advance(359)
        self.assert_requests(1)
        self.clock.advance(10)
        self.assertEqual(self.find("old"), ["old"])
        self.assert_requests(2)

    def test_rotation(self) -> None:
        """A key that isn't known yet is fetched when the first token names it."""
        self.assertEqual(self.find("old"), ["old"])
        self.clock.advance(60)
        self.server.body = NEW
        self.assertEqual(self.find("new"), ["new"])
        self.assertEqual(self.find("old"), [])
        self.assert_requests(2)

    def test_withdrawn(self) -> None:
        """A key that the issuer withdrew is no longer found when the hour is over."""
        self.assertEqual(self.find("old"), ["old"])
        self.server.body = NEW
        self.clock.advance(3600)
        self.assertEqual(self.find("old"), [])

    def test_rate(self) -> None:
        """Invented ids cause one request in 30 seconds and are answered at once in between."""
        self.find("old")
        for number in range(90):
            self.assertEqual(self.find(f"invented-{number}"), [])
            self.clock.advance(1)
        self.assert_requests(3)

    def test_shared(self) -> None:
        """All who need the keys at one moment wait for one request."""
        self.server.body = None
        waiting = [self.keys.find("old", "RS256") for _ in range(5)]
        self.assert_requests(1)
        self.server.requests[0].write(OLD)
        self.server.requests[0].finish()
        self.agent.flush()
        for found in waiting:
            self.assertEqual(self.ids(found), ["old"])
        self.assert_requests(1)

    def test_cancelled(self) -> None:
        """One who stops waiting leaves the request to the others."""
        self.server.body = None
        first, second = (self.keys.find("old", "RS256") for _ in range(2))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.server.requests[0].write(OLD)
        self.server.requests[0].finish()
        self.agent.flush()
        self.assertEqual(self.ids(second), ["old"])

    def test_slow(self) -> None:
        """An address that doesn't answer is given up after 5 seconds, and all who wait are told."""
        self.server.body = None
        waiting = [self.keys.find("old", "RS256") for _ in range(3)]
        self.clock.advance(4.9)
        for found in waiting:
            self.assertNoResult(found)
        self.clock.advance(0.1)
        for found in waiting:
            self.failureResultOf(found, IssuerUnavailable)

    def test_endless_body(self) -> None:
        """A body that never ends is given up like an answer that never begins."""
        self.server.body = None
        found = self.keys.find("old", "RS256")
        self.server.requests[0].write(OLD)
        self.agent.flush()
        self.clock.advance(5)
        self.failureResultOf(found, IssuerUnavailable)

    def test_away_from_the_start(self) -> None:
        """While no keys were ever had, tokens can't be judged; then they can."""
        self.server.status = 503
        for _ in range(30):
            self.failureResultOf(self.keys.find("old", "RS256"), IssuerUnavailable)
            self.clock.advance(1)
        self.assert_requests(1)
        self.server.status = 200
        self.assertEqual(self.find("old"), ["old"])

    def test_away_later(self) -> None:
        """Known keys stay good while the address is away; of an unknown one nothing is known."""
        self.find("old")
        self.server.status = 500
        self.clock.advance(100_000)
        for _ in range(3):
            self.assertEqual(self.find("old"), ["old"])
            self.failureResultOf(self.keys.find("new", "RS256"), IssuerUnavailable)
        self.assert_requests(2)
        self.server.status, self.server.body = 200, NEW
        self.clock.advance(30)
        self.assertEqual(self.find("new"), ["new"])
        self.assertEqual(self.find("old"), [])

    def test_lying(self) -> None:
        """Whatever comes instead of keys, it doesn't replace the known ones."""
        self.find("old")
        bodies = [b"", b"{}", b'{"keys": []}', b"<html>", b"\xff", b"[" * 100_000]
        bodies += [key_set({"kty": "oct", "k": "AAAA", "kid": "new"}), b" " * MAXIMUM_BYTES + NEW]
        for number, body in enumerate(bodies, 2):
            self.server.body = body
            self.clock.advance(30)
            self.failureResultOf(self.keys.find("new", "RS256"), IssuerUnavailable)
            self.assert_requests(number)
            self.assertEqual(self.find("old"), ["old"])

    def test_other_statuses(self) -> None:
        """Only the status 200 brings keys; a redirect is not followed."""
        self.server.headers[b"location"] = b"https://elsewhere.example/keys"
        for status in (201, 301, 302, 307, 404):
            self.server.status = status
            self.failureResultOf(self.keys.find("old", "RS256"), IssuerUnavailable)
            self.clock.advance(30)
        self.assert_requests(5)

    def test_largest(self) -> None:
        """A body of exactly the largest size is read."""
        self.server.body = OLD + b" " * (MAXIMUM_BYTES - len(OLD))
        self.assertEqual(self.find("old"), ["old"])

    def test_clock_set_back(self) -> None:
        """A clock that is set back doesn't make the keys last any longer."""
        self.find("old")
        self.clock.rightNow -= 1_000_000
        self.server.body = NEW
        self.assertEqual(self.find("new"), ["new"])

    def test_log(self) -> None:
        """One line when the address goes away and one when it is back."""
        with capturedLogs() as events:
            self.find("old")
            for status in (500, 500, 500, 200, 200):
                self.server.status = status
                self.clock.advance(30)
                self.successResultOf(self.keys.find("new", "RS256").addErrback(lambda _: None))
        lines = [str(formatEvent(event)) for event in events if event["log_namespace"] == NAMESPACE]
        self.assertEqual(len(lines), 2)
        self.assertIn("HTTP status 500", lines[0])
        self.assertIn("again", lines[1])

    def test_stop(self) -> None:
        """Stopping ends the request under way and lets none begin."""
        self.server.body = None
        found = self.keys.find("old", "RS256")
        self.keys.stop()
        self.failureResultOf(found, IssuerUnavailable)
        self.clock.advance(10_000)
        self.failureResultOf(self.keys.find("old", "RS256"), IssuerUnavailable)
        self.assert_requests(1)

    def test_address(self) -> None:
        """An address that can't be asked is refused when the server starts."""
        for url in (
            *("", "keys", "/keys", "file:///etc/passwd", "https://", "ftp://issuer.example/"),
            *("https://user:secret@issuer.example/", "https://exämple.org/", "https://[::1/"),
        ):
            with self.assertRaisesRegex(ValueError, r"\Aauth.jwks_url: ") as raised:
                RemoteKeySet(url, agent=self.agent, clock=self.clock)
            self.assertNotIn("secret", str(raised.exception))

    def test_not_encrypted(self) -> None:
        """An address without encryption is possible, with a warning."""
        with capturedLogs() as events:
            RemoteKeySet("http://issuer.example/", agent=self.agent, clock=self.clock)
        self.assertIn("not HTTPS", str(formatEvent(events[0])))


NAMESPACE = "realtime.accounts.keysets"


class Drip(Protocol):
    """A server that begins an answer, sends a little more when asked to, and never ends it."""

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()
        self.asked: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Begin the answer."""
        assert self.transport is not None
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{")
        if not self.asked.called:
            self.asked.callback(None)

    def connectionLost(self, reason: Any = None) -> None:
        """Tell the test."""
        self.gone.callback(None)


class RealConnectionTests(TestCase):
    """Over a real connection, on the machine's own address."""

    def listen(self, protocol: Drip) -> RemoteKeySet:
        """A key set at a server that speaks this protocol, with a timeout by the test's clock."""
        port = cast(Any, reactor).listenTCP(0, Factory.forProtocol(lambda: protocol), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.clock = Clock()
        return RemoteKeySet(
            f"http://127.0.0.1:{port.getHost().port}/",
            agent=Agent(cast(IReactorTime, reactor)),
            clock=self.clock,
        )

    async def test_timeout_closes(self) -> None:
        """When a dripping server is given up, the connection is closed too."""
        server = Drip()
        found = self.listen(server).find(None, "RS256")
        await server.asked
        self.clock.advance(5)
        self.failureResultOf(found, IssuerUnavailable)
        await server.gone

    async def test_too_long_closes(self) -> None:
        """A body that grows too long ends the connection before it has all been sent."""
        server = Drip()
        found = self.listen(server).find(None, "RS256")
        await server.asked
        assert server.transport is not None
        server.transport.write(b" " * (MAXIMUM_BYTES + 1))
        await self.assertFailure(found, IssuerUnavailable)
        await server.gone

    async def test_broken_off(self) -> None:
        """Half a key set is none."""
        server = Drip()
        found = self.listen(server).find(None, "RS256")
        await server.asked
        assert server.transport is not None
        server.transport.loseConnection()
        await self.assertFailure(found, IssuerUnavailable)

    async def test_nobody_there(self) -> None:
        """An address where nobody listens is away."""
        port = cast(Any, reactor).listenTCP(0, Factory(), interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        agent = Agent(cast(IReactorTime, reactor))
        keys = RemoteKeySet(f"http://127.0.0.1:{number}/", agent=agent, clock=Clock())
        await self.assertFailure(keys.find(None, "RS256"), IssuerUnavailable)

    async def test_keys(self) -> None:
        """Keys come over a real connection."""

        class Whole(Drip):
            def dataReceived(self, data: bytes) -> None:
                assert self.transport is not None
                body = key_set(jwk(edwards_key(), kid="real"))
                self.transport.write(b"HTTP/1.0 200 OK\r\n\r\n" + body)
                self.transport.loseConnection()

        server = Whole()
        found = await self.listen(server).find("real", "EdDSA")
        self.assertEqual([key.public for key in found], [edwards_key().public_key()])
        await server.gone
