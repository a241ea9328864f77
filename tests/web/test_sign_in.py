"""``POST /v1/auth/``, to the byte."""

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred

from realtime.accounts.authentication import SignedIn, SignIn, SignInRefused, SignInThrottled
from realtime.accounts.errors import PasswordsBusy
from realtime.accounts.store import User
from realtime.http.address import TrustedProxies
from realtime.http.origins import OriginPolicy
from realtime.operations.metrics import Metrics
from realtime.storage.errors import StorageUnavailable
from realtime.web.home import HomeResource
from realtime.web.sharing import Sharing
from realtime.web.sign_in import SignInResource
from realtime.web.site import LONGEST_BODY, tree
from tests.web.requests import Response, SiteTestCase, as_json

GOOD = {"user_name": "alice", "password": "secret"}
PATH = "/v1/auth/"


class FakeSignIn:
    """Notes who asks; answers when it is told to, or at once."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.waiting: list[Deferred[SignedIn]] = []
        self.cancelled = 0
        self.answer: SignedIn | Exception | None = SignedIn(
            User(id=7, name="alice", is_admin=False), "THE.TOKEN"
        )

    def sign_in(self, name: str, password: str, address: str) -> Deferred[SignedIn]:
        """Stand in for the real one."""
        self.asked.append((name, password, address))
        signing_in: Deferred[SignedIn] = Deferred(self._cancelled)
        self.waiting.append(signing_in)
        if isinstance(self.answer, Exception):
            signing_in.errback(self.answer)
        elif self.answer is not None:
            signing_in.callback(self.answer)
        return signing_in

    def _cancelled(self, signing_in: Deferred[SignedIn]) -> None:
        self.cancelled += 1


class SignInTestCase(SiteTestCase):
    """Serves the resource."""

    def setUp(self) -> None:
        """Serve it to everybody."""
        super().setUp()
        self.configure()

    def configure(self, *origins: str) -> None:
        """Serve it to pages of some origins."""
        self.sign_in = FakeSignIn()
        self.metrics = Metrics()
        resource = SignInResource(
            cast(SignIn, self.sign_in),
            TrustedProxies(["10.0.0.0/8"]),
            Sharing(OriginPolicy(origins or ("*",))),
            self.metrics,
        )
        self.serve(tree({"v1/auth": resource}, HomeResource([])))

    def post(self, body: object = GOOD, *headers: str, **more: Any) -> Response:
        """Ask with a body."""
        data = body if isinstance(body, bytes) else as_json(body)
        return self.ask("POST", PATH, *headers, body=data, **more)

    def counted(self, outcome: str) -> float | None:
        """How many attempts ended so."""
        labels = {"outcome": outcome}
        return self.metrics.registry.get_sample_value("realtime_sign_ins_total", labels)

    def assert_empty(self, response: Response, status: int, **headers: str) -> None:
        """A status, and nothing else but what is expected."""
        self.assertEqual((response.status, response.body), (status, b""))
        expected = {"content-length": "0", "vary": "Origin"} | headers
        self.assertEqual(response.own_headers(), expected)


class AcceptedTests(SignInTestCase):
    """200."""

    def test_to_the_byte(self) -> None:
        """The document's answer, with the user's id for want of another; not to be stored."""
        response = self.post()
        self.assertEqual(response.status, 200)
        self.assertEqual(response.body, b'{"error":null,"result":{"token":"THE.TOKEN"},"id":7}')
        self.assertEqual(
            response.own_headers(),
            {
                "content-type": "application/json",
                "cache-control": "no-store",
                "vary": "Origin",
                "content-length": str(len(response.body)),
            },
        )
        self.assertEqual(self.sign_in.asked, [("alice", "secret", "192.0.2.1")])
        self.assertEqual(self.counted("accepted"), 1)

    def test_id_of_the_body(self) -> None:
        """The body's own id comes back byte for byte, whatever it is, if it has one."""
        for own in (
            *(b"1", b"-0", b"1.50", b"1e400", b'"a\\u00e9\xc3\xa9"', b"true", b"null", b"[1, {}]"),
            *(b"123456789012345678901234567890", b'{"a" : [ ]}'),
        ):
            body = b'{"user_name":"alice","password":"secret","id": ' + own + b" }"
            response = self.post(body)
            expected = b'{"error":null,"result":{"token":"THE.TOKEN"},"id":' + own + b"}"
            self.assertEqual((response.status, response.body), (200, expected))

    def test_path_without_the_slash(self) -> None:
        """The path is the same without the slash at its end, and whatever query it has."""
        for path in ("/v1/auth", "/v1/auth/", "/v1/auth/?x=y"):
            self.assertEqual(self.ask("POST", path, body=as_json(GOOD)).status, 200)

    def test_other_fields(self) -> None:
        """Fields that are not known are passed over, in any order."""
        self.assertEqual(self.post({"method": "auth", "x": [1], **GOOD}).status, 200)

    def test_type_is_not_looked_at(self) -> None:
        """The body counts, whatever type is claimed for it."""
        for kind in ("text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"):
            self.assertEqual(self.post(GOOD, f"Content-Type: {kind}").status, 200, kind)

    def test_later(self) -> None:
        """The answer may take its time."""
        self.sign_in.answer = None
        peer = self.request("POST", PATH, body=as_json(GOOD))
        self.assertEqual(peer.wire.value(), b"")
        self.sign_in.waiting[0].callback(SignedIn(User(id=9, name="a", is_admin=True), "T"))
        self.assertTrue(peer.wire.value().endswith(b'"id":9}'))

    def test_address(self) -> None:
        """The address is the client's own, behind a trusted proxy too, however many headers it took."""
        self.post(address="203.0.113.1")
        self.post(GOOD, "X-Forwarded-For: 198.51.100.1", address="203.0.113.2")
        self.post(GOOD, "X-Forwarded-For: 1.1.1.1, 203.0.113.3", address="10.0.0.1")
        self.post(
            GOOD, "X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 203.0.113.4",
            "X-Forwarded-For: 10.0.0.2", address="10.0.0.1",
        )  # fmt: skip
        self.post(address=UNIXAddress("/run/realtime"))
        self.assertEqual(
            [address for _, _, address in self.sign_in.asked],
            ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4", "127.0.0.1"],
        )


class RefusedTests(SignInTestCase):
    """403 and 503."""

    def test_wrong(self) -> None:
        """A wrong name or password: 403 and nothing."""
        self.sign_in.answer = SignInRefused()
        self.assert_empty(self.post(), 403)
        self.assertEqual(self.counted("refused"), 1)

    def test_throttled(self) -> None:
        """Too many failures: the same, with the whole seconds after which another attempt counts."""
        for seconds, header in ((0.01, "1"), (5.94, "6"), (60.0, "60")):
            self.sign_in.answer = SignInThrottled(seconds)
            self.assert_empty(self.post(), 403, **{"retry-after": header})
        self.assertEqual(self.counted("throttled"), 3)

    def test_unavailable(self) -> None:
        """While the database is away, or too many wait: 503 and nothing, and nothing is logged."""
        for error in (StorageUnavailable("away"), PasswordsBusy("busy")):
            self.sign_in.answer = error
            self.assert_empty(self.post(), 503, **{"retry-after": "1"})
        self.assertEqual(self.counted("unavailable"), 2)
        self.assertEqual(self.logged.above_debug(), [])

    def test_a_fault_of_ours(self) -> None:
        """So it is if we fail, which is logged once, without the password."""
        self.sign_in.answer = ZeroDivisionError("fault")
        self.assert_empty(self.post(), 503, **{"retry-after": "1"})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assert_nothing_logged("secret")

    def test_client_gone(self) -> None:
        """A client that goes away while it signs in ends that, and nothing is logged or counted."""
        self.sign_in.answer = None
        self.request("POST", PATH, body=as_json(GOOD)).go()
        self.assertEqual(self.sign_in.cancelled, 1)
        self.assertEqual(self.logged.above_debug(), [])
        for outcome in ("accepted", "refused", "throttled", "unavailable"):
            self.assertFalse(self.counted(outcome))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_client_gone_afterwards(self) -> None:
        """A client that goes away with its answer ends nothing."""
        peer = self.request("POST", PATH, body=as_json(GOOD))
        peer.go()
        self.assertEqual(self.sign_in.cancelled, 0)


class NotFoundTests(SignInTestCase):
    """404 and nothing, for everything else."""

    def test_bodies(self) -> None:
        """What is no JSON object with the two texts."""
        for body in (
            *(b"", b"{", b"[]", b"null", b'"alice"', b"\xff", b"\xef\xbb\xbf{}", b"{}" * 2),
            {"user_name": "alice"},
            {"password": "secret"},
            GOOD | {"password": 1},
            GOOD | {"user_name": None},
            GOOD | {"user_name": ["alice"]},
            as_json(GOOD) + b"x",
            b'{"user_name":"alice","password":"secret","id":NaN}',
            b'{"user_name":"alice","password":"secret","id":}',
            b'{"user_name":"alice","password":"secret","id":"\xff"}',
            b'{"user_name":"alice","password":"secret","id":"\xed\xa0\x80"}',
            b'{"user_name":"\\ud800","password":"secret"}',
            b'{"user_name":"alice","password":"secret","id":' + b"[" * 50_000,
            b"[" * 60_000,
        ):
            self.assert_empty(self.post(body), 404)
        self.assertEqual(self.sign_in.asked, [])

    def test_body_too_long(self) -> None:
        """A body that is too long is none."""
        body = as_json(GOOD)
        self.assertEqual(self.post(body + b" " * (LONGEST_BODY - len(body))).status, 200)
        self.assert_empty(self.post(body + b" " * (LONGEST_BODY - len(body) + 1)), 404)

    def test_methods(self) -> None:
        """Other methods, with the right body too."""
        for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD", "BREW"):
            self.assert_empty(self.ask(method, PATH, body=as_json(GOOD)), 404)
        self.assertEqual(self.sign_in.asked, [])

    def test_paths_below(self) -> None:
        """Paths below it."""
        for method in ("POST", "OPTIONS"):
            for path in ("/v1/auth/x", "/v1/auth//", "/v1/auth/x/y"):
                self.assert_empty(self.ask(method, path, body=as_json(GOOD)), 404)

    @given(
        body=st.binary(max_size=60)
        | st.text(st.sampled_from('{}[]",:\\u 1eauthid'), max_size=40).map(str.encode)
    )
    def test_any_body(self, body: bytes) -> None:
        """Whatever the body is, it is answered, and nothing is logged."""
        self.assert_empty(self.post(body), 404)
        self.assertEqual(self.logged.above_debug(), [])


class SharingTests(SignInTestCase):
    """CORS follows the setting of origins."""

    def shared(self, response: Response) -> str | None:
        """With whom an answer is shared."""
        self.assertEqual(response.headers["vary"], "Origin")
        self.assertNotIn("access-control-allow-credentials", response.headers)
        return response.headers.get("access-control-allow-origin")

    def test_everybody(self) -> None:
        """Where every page may connect, every page may read, whatever the answer."""
        for origin in ("https://a.example", "null"):
            self.assertEqual(self.shared(self.post(GOOD, f"Origin: {origin}")), origin)
            self.assertEqual(self.shared(self.post(b"", f"Origin: {origin}")), origin)
            self.sign_in.answer = SignInRefused()
            self.assertEqual(self.shared(self.post(GOOD, f"Origin: {origin}")), origin)
            self.configure()

    def test_listed(self) -> None:
        """Where pages are listed, those and our own may read; others learn nothing more."""
        self.configure("https://app.example")
        for origin in ("https://app.example", "http://chat.example"):
            self.assertEqual(self.shared(self.post(GOOD, f"Origin: {origin}")), origin)
        for origin in ("https://evil.example", "null", "http://["):
            self.assertIsNone(self.shared(self.post(GOOD, f"Origin: {origin}")))

    def test_no_page(self) -> None:
        """Who is no page is not told anything about pages."""
        self.assertIsNone(self.shared(self.post()))

    def test_preflight(self) -> None:
        """A preflight is answered 204, with what is allowed."""
        for path in ("/v1/auth", "/v1/auth/"):
            response = self.ask(
                "OPTIONS", path, "Origin: https://a.example", "Access-Control-Request-Method: POST"
            )
            self.assertEqual((response.status, response.body), (204, b""))
            self.assertEqual(self.shared(response), "https://a.example")
            self.assertEqual(response.headers["access-control-allow-methods"], "POST")
            allowed = response.headers["access-control-allow-headers"].lower()
            self.assertIn("content-type", allowed)
            self.assertNotIn("content-type", response.headers)

    def test_preflight_of_a_stranger(self) -> None:
        """A page that may not read is answered 204 as well, and is allowed nothing."""
        self.configure("https://app.example")
        response = self.ask("OPTIONS", PATH, "Origin: https://evil.example")
        self.assertEqual(response.status, 204)
        self.assertFalse([name for name in response.headers if name.startswith("access-control")])
