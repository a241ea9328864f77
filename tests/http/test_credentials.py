"""The places in which a token may be, and their order."""

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.http.credentials import TokenPlaces
from realtime.http.origins import OriginPolicy


class CredentialsTestCase(SynchronousTestCase):
    """Has the places of a server that lists one origin."""

    def setUp(self) -> None:
        """Build the places as by default."""
        self.places = self.make()

    def make(self, **changes: object) -> TokenPlaces:
        """Places with other settings."""
        settings = {"origins": OriginPolicy(["*", "https://app.example"])} | changes
        return TokenPlaces(**settings)  # type: ignore[arg-type]

    def find(
        self,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Sequence[str]] | None = None,
        subprotocols: Sequence[str] = (),
    ) -> str | None:
        """The token that is found."""
        return self.places.find(headers or {}, query or {}, subprotocols)


class OrderTests(CredentialsTestCase):
    """Header, subprotocol, cookie, query."""

    HEADER = {"authorization": "Bearer from-header"}  # noqa: RUF012
    COOKIE = {"cookie": "token=from-cookie"}  # noqa: RUF012
    QUERY = {"token": ["from-query"]}  # noqa: RUF012
    LIST = ("bearer", "from-list")

    def test_nowhere(self) -> None:
        """Without a token there is none."""
        self.assertIsNone(self.find())

    def test_header_first(self) -> None:
        """The header decides over all others."""
        self.assertEqual(self.find(self.HEADER | self.COOKIE, self.QUERY, self.LIST), "from-header")

    def test_subprotocol_second(self) -> None:
        """Then the list of subprotocols."""
        self.assertEqual(self.find(self.COOKIE, self.QUERY, self.LIST), "from-list")

    def test_cookie_third(self) -> None:
        """Then the cookie."""
        self.assertEqual(self.find(self.COOKIE, self.QUERY), "from-cookie")

    def test_query_last(self) -> None:
        """Then the address."""
        self.assertEqual(self.find({}, self.QUERY), "from-query")

    def test_the_first_place_decides(self) -> None:
        """A token that looks wrong is no reason to look for another."""
        self.assertEqual(self.find({"authorization": "x"} | self.COOKIE, self.QUERY), "x")

    def test_an_empty_place_holds_none(self) -> None:
        """A place that holds nothing does not decide."""
        self.assertEqual(
            self.find({"authorization": "", "cookie": "token="}, self.QUERY, ("bearer", "")),
            "from-query",
        )


class HeaderTests(CredentialsTestCase):
    """``Authorization``, or what the protocol calls it."""

    def test_forms(self) -> None:
        """With ``Bearer`` before it, in any case, or bare."""
        for value in ("Bearer t.o-k_en", "bearer  t.o-k_en", "BEARER t.o-k_en ", "t.o-k_en"):
            self.assertEqual(self.find({"authorization": value}), "t.o-k_en")

    def test_no_token_of_ours(self) -> None:
        """Another scheme's credentials are no token, nor is the scheme alone."""
        for value in ("Basic YWxpY2U6YWxpY2U=", "Digest username=a, realm=b", "Bearer", "", "Bearer a b"):
            self.assertIsNone(self.find({"authorization": value}))

    def test_other_headers(self) -> None:
        """A protocol may name headers of its own, in their order."""
        self.places = self.make(headers=("authtoken", "authorization"))
        both = {"authtoken": "a", "authorization": "Bearer b"}
        self.assertEqual(self.find(both), "a")
        self.assertEqual(self.find({"authorization": "Bearer b"}), "b")
        self.places = self.make()
        self.assertEqual(self.find(both), "b")
        self.assertIsNone(self.find({"authtoken": "a"}))


class SubprotocolTests(CredentialsTestCase):
    """``Sec-WebSocket-Protocol: bearer, <token>``."""

    def test_after_bearer(self) -> None:
        """The token is what stands after ``bearer``, wherever that is."""
        for offered in (("bearer", "tok"), ("market.v1", "bearer", "tok"), ("bearer", "tok", "x")):
            self.assertEqual(self.find(subprotocols=offered), "tok")

    def test_without_a_token(self) -> None:
        """``bearer`` at the end has no token after it; other names are none."""
        for offered in ((), ("bearer",), ("market.v1", "bearer"), ("market.v1", "market.v2")):
            self.assertIsNone(self.find(subprotocols=offered))


class CookieTests(CredentialsTestCase):
    """The cookie, which a browser sends whoever's page asks."""

    def cookie(self, header: str, **more: str) -> str | None:
        """The token of a Cookie header."""
        return self.find({"cookie": header, "host": "chat.example", **more})

    def test_among_others(self) -> None:
        """Ours is found among others, quoted or not."""
        for header in ("token=t", "a=b; token=t", "token=t; a=b", 'token="t"', "a=b;token=t;c"):
            self.assertEqual(self.cookie(header), "t")

    def test_other_peoples_broken_cookies(self) -> None:
        """Cookies that can't be read, before and behind, don't hide ours."""
        for broken in ("a[]=1", "=x", "ключ=значение", "a=b c", "@@@", "a={", "expires", "$x=1", 'q="a'):
            self.assertEqual(self.cookie(f"{broken}; token=t"), "t", broken)
            self.assertEqual(self.cookie(f"token=t; {broken}"), "t", broken)

    def test_similar_names(self) -> None:
        """Another name is another cookie."""
        for header in ("Token=t", "xtoken=t", "token2=t", "a=token=t"):
            self.assertIsNone(self.cookie(header))

    def test_name(self) -> None:
        """The cookie has the name that was set, even an odd one."""
        self.places = self.make(cookie_name="session-id")
        self.assertEqual(self.cookie("token=x; session-id=t"), "t")
        self.places = self.make(cookie_name="no[name]")
        self.assertIsNone(self.cookie("no[name]=t"))

    def test_only_where_the_origin_allows(self) -> None:
        """It counts with no origin, our own, or a listed one; else it is passed over."""
        for origin in ("https://chat.example", "https://app.example"):
            self.assertEqual(self.cookie("token=t", origin=origin), "t")
        for origin in ("https://evil.example", "null"):
            self.assertIsNone(self.cookie("token=t", origin=origin))

    def test_passed_over_not_refused(self) -> None:
        """A cookie that does not count leaves the decision to the address."""
        headers = {"cookie": "token=t", "origin": "https://evil.example", "host": "chat.example"}
        self.assertEqual(self.find(headers, {"token": ["q"]}), "q")

    @given(header=st.text(max_size=60), tail=st.booleans())
    def test_any_cookies(self, header: str, tail: bool) -> None:
        """Whatever the header holds, it is read without a fault."""
        found = self.cookie(header + ("; token=t" if tail else ""))
        self.assertTrue(found is None or found)


class QueryTests(CredentialsTestCase):
    """``?token=``."""

    def test_first_of_several(self) -> None:
        """Of several the first counts."""
        self.assertEqual(self.find({}, {"token": ["a", "b"]}), "a")

    def test_empty(self) -> None:
        """An empty one is none."""
        self.assertIsNone(self.find({}, {"token": [""]}))

    def test_off(self) -> None:
        """Where addresses may hold no token, they hold none."""
        self.places = self.make(query_tokens=False)
        self.assertIsNone(self.find({}, {"token": ["a"]}))
