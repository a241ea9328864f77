"""Which web pages may connect, and for which of them a cookie counts."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.http.origins import OriginPolicy

HOST = "chat.example"


class AnyOriginTests(SynchronousTestCase):
    """The default, ``*``."""

    def setUp(self) -> None:
        """Let every page connect."""
        self.policy = OriginPolicy()

    def test_everybody_may_connect(self) -> None:
        """Every page may connect, also one that hides its origin."""
        for origin in (None, "", "null", "https://evil.example", "file://", "http://["):
            self.assertTrue(self.policy.allows(origin, HOST), origin)

    def test_a_foreign_cookie_does_not_count(self) -> None:
        """But a cookie counts only for our own page, or no page."""
        for origin in ("null", "https://evil.example", "https://chat.example.evil.example", "*"):
            self.assertFalse(self.policy.allows_cookie(origin, HOST), origin)
        for own in (None, "", "https://chat.example"):
            self.assertTrue(self.policy.allows_cookie(own, HOST), own)


class OwnHostTests(SynchronousTestCase):
    """The server's own pages, by the Host header."""

    def setUp(self) -> None:
        """List nobody."""
        self.policy = OriginPolicy([])

    def test_own(self) -> None:
        """A page of the same host and port is our own; the scheme's usual port may be left out."""
        for origin, host in (
            ("http://chat.example", "chat.example"),
            ("http://chat.example", "chat.example:80"),
            ("http://chat.example:80", "chat.example"),
            ("https://chat.example", "chat.example:443"),
            ("https://chat.example:443", "chat.example"),
            ("http://chat.example:8080", "chat.example:8080"),
            ("HTTP://Chat.Example", "cHAT.eXAMPLE"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://[::1]", "[::1]:80"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ):
            self.assertTrue(self.policy.allows(origin, host), (origin, host))
            self.assertTrue(self.policy.allows_cookie(origin, host), (origin, host))

    def test_not_own(self) -> None:
        """Another host, another port, or something that merely looks like us is not."""
        for origin, host in (
            ("http://chat.example", "chat.example:8080"),
            ("http://chat.example:8080", "chat.example"),
            ("https://chat.example", "chat.example:80"),
            ("http://chat.example:443", "chat.example"),
            ("http://chat.example:8080", "chat.example:80"),
            ("http://evil.example", "chat.example"),
            ("http://chat.example.evil.example", "chat.example"),
            ("http://chat.example@evil.example", "chat.example"),
            ("http://user@chat.example", "chat.example"),
            ("ftp://chat.example", "chat.example"),
            ("chat.example", "chat.example"),
            ("null", "null"),
            ("null", None),
            ("http://chat.example", None),
            ("http://chat.example", ""),
            ("http://", ""),
            ("http://[", "chat.example"),
        ):
            self.assertFalse(self.policy.allows(origin, host), (origin, host))
            self.assertFalse(self.policy.allows_cookie(origin, host), (origin, host))

    def test_not_a_page(self) -> None:
        """What sends no origin is no browser, and is not kept out by this."""
        self.assertTrue(self.policy.allows(None, HOST))
        self.assertTrue(self.policy.allows(None, None))


class ListedTests(SynchronousTestCase):
    """Origins that are listed literally."""

    def setUp(self) -> None:
        """List three, in the ways in which people write them."""
        self.policy = OriginPolicy(["https://App.Example/", "http://localhost:3000", "null"])

    def test_listed(self) -> None:
        """A listed one may connect, and its cookie counts; case and a last slash don't matter."""
        for origin in (
            "https://app.example",
            "HTTPS://APP.EXAMPLE",
            "http://localhost:3000",
            "null",
        ):
            self.assertTrue(self.policy.allows(origin, HOST), origin)
            self.assertTrue(self.policy.allows_cookie(origin, HOST), origin)

    def test_not_listed(self) -> None:
        """Another scheme, port or host is another origin."""
        for origin in (
            "http://app.example",
            "https://app.example:8443",
            "https://sub.app.example",
            "http://localhost",
            "*",
        ):
            self.assertFalse(self.policy.allows(origin, HOST), origin)

    def test_star_beside_others(self) -> None:
        """With ``*`` in the list everybody may connect, the cookie still counts for the listed."""
        policy = OriginPolicy(["*", "https://app.example"])
        self.assertTrue(policy.allows("https://evil.example", HOST))
        self.assertFalse(policy.allows_cookie("https://evil.example", HOST))
        self.assertTrue(policy.allows_cookie("https://app.example", HOST))

    @given(
        origin=st.text(max_size=30) | st.text(max_size=20).map("http://".__add__),
        host=st.none() | st.text(max_size=20),
    )
    def test_any_origin(self, origin: str, host: str | None) -> None:
        """Whatever is sent is judged, and never raises."""
        self.assertIsInstance(self.policy.allows(origin, host), bool)
