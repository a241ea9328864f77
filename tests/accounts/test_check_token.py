"""An outside authorization server: what it is asked, and what becomes of whatever it answers."""

from __future__ import annotations

import contextlib
from typing import Any, Final

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.error import ConnectionRefusedError as NobodyListens
from twisted.internet.task import Clock
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from realtime import wiring
from realtime.accounts import check_token
from realtime.accounts.authentication import Identity, OutsideAuthenticator
from realtime.accounts.check_token import (
    LONGEST_TEXT,
    MAXIMUM_BYTES,
    REQUESTS_AT_ONCE,
    OutsideProfile,
    OutsideUser,
    TokenChecker,
    read_answer,
)
from realtime.accounts.errors import IssuerUnavailable, TokenInvalid
from realtime.accounts.fetching import UnexpectedAnswer, checked_address, origin_of
from realtime.accounts.store import AccountStore
from realtime.config import ConfigurationError
from realtime.settings import Auth, Settings
from realtime.storage.errors import Conflict, StorageUnavailable
from tests.accounts.authorization import (
    ALICE,
    ERROR,
    Exchange,
    RecordingAgent,
    success,
)
from tests.databases import SynchronousDatabase
from tests.logged import Logged

URL: Final = "https://accounts.example/check"
GOOD: Final = success(ALICE)
PROFILE: Final = OutsideProfile(
    nickname="Алиса",
    avatar="https://pictures.example/17.png",
    language="ru",
    status="на связи",
    registered=1_493_640_000,
)
USER: Final = OutsideUser("17", PROFILE)

AWKWARD: Final = 'aя漢😀é\u0301 \t\n\0\x1c\x7f\x85\u00a0\u2028\ufeff\U0010ffff"<\\/:.#?%1'
"""Characters that a text may hold and that a column, a log or an address does not take as they are."""


def profile(**fields: object) -> OutsideProfile:
    """What is read of a user with these fields beside the id."""
    user = read_answer(success({"userId": 1, **fields}))
    assert user is not None
    return user.profile


class ReadingTests(SynchronousTestCase):
    """The answer, read."""

    def test_whole(self) -> None:
        """A user with everything."""
        self.assertEqual(read_answer(GOOD), USER)

    def test_error(self) -> None:
        """Names nobody, whatever stands beside it."""
        for answer in (
            ERROR,
            b'{"status": "ERROR", "user": {"userId": 7}, "code": 3}',
            b"\xef\xbb\xbf" + ERROR,
        ):
            self.assertIsNone(read_answer(answer))

    def test_ids(self) -> None:
        """A text stays as it is; a number is the text of its digits."""
        for user_id, subject in (("17", "17"), (17, "17"), (17.0, "17"), (0, "0"), (-5, "-5"), ("é x", "é x")):
            user = read_answer(success({"userId": user_id}))
            self.assertEqual(user, OutsideUser(subject, OutsideProfile()))
        for longest in ("x" * 255, 2**63 - 1):
            self.assertIsNotNone(read_answer(success({"userId": longest})))

    def test_ids_that_are_none(self) -> None:
        """No user can be known by them: the server is ill, and the token is not judged."""
        user_id: object
        for user_id in (
            None,
            "",
            " ",
            " 17",
            "17 ",
            "a\0b",
            "x" * 256,
            True,
            1.5,
            1e300,
            2**63,
            [],
            {},
            ["17"],
        ):
            with self.assertRaises(UnexpectedAnswer):
                read_answer(success({"userId": user_id}))

    def test_missing(self) -> None:
        """All but the id may be missing, null, or of a wrong type."""
        names = ("nickname", "avatar", "language", "status", "registerDate")
        nothing: object
        for nothing in (None, "", " \0 ", True, [], {"a": 1}):
            self.assertEqual(profile(**dict.fromkeys(names, nothing)), OutsideProfile())
        self.assertEqual(profile(nickname=5, somethingElse=[1]), OutsideProfile())

    def test_texts(self) -> None:
        """Fit their columns: nickname and status are cut, a language that is too long is none."""
        self.assertEqual(profile(nickname=" a\0b ").nickname, "ab")
        self.assertEqual(profile(status="x" * 254 + " yz").status, "x" * 254)
        self.assertEqual(profile(nickname="é" * 256).nickname, "é" * 255)
        self.assertEqual(profile(language="x" * 255).language, "x" * 255)
        self.assertIsNone(profile(language="x" * 256).language)

    def test_avatars(self) -> None:
        """An HTTP or HTTPS address, or a path from the root."""
        for good in (
            *("https://a.example/b.png?c=d#e", "HTTP://a.example", "/avatars/1.png", "/", "http://[::1]:80/x"),
            *("https://пример.рф/ава.png", "/%20x"),
        ):
            self.assertEqual(profile(avatar=good).avatar, good)
        for bad in (
            *("javascript:alert(1)", "data:image/png;base64,AAAA", "ftp://a.example/b", "//a.example/b"),
            *("/\\a.example/b", "https:/a", "https://", "https:///b", "avatar.png", "a b", "/a b", "/a\nb"),
            *('/"><script>', "/<b>", " ", "https://a.example/" + "x" * 255, "/a\u2028b", "/a\x7f"),
        ):
            self.assertIsNone(profile(avatar=bad).avatar, bad)

    def test_moments(self) -> None:
        """ISO 8601, in UTC if it names no offset, or a Unix time in seconds or milliseconds."""
        for value in (
            *("2017-05-01T12:00:00Z", "2017-05-01 12:00:00", "2017-05-01T15:00:00.1234567+03:00"),
            *(1_493_640_000, 1_493_640_000.9, 1_493_640_000_999, "1493640000", "1493640000.5", "1493640000999"),
        ):
            self.assertEqual(profile(registerDate=value).registered, 1_493_640_000, value)
        self.assertEqual(profile(registerDate="2017-05-01").registered, 1_493_596_800)
        self.assertEqual(profile(registerDate="20170501").registered, 1_493_596_800)
        self.assertEqual(profile(registerDate=0).registered, 0)
        none: object
        for none in (
            *("yesterday", "", "2017", "2017-13-01", "0001-01-01T00:00:00+23:59", "1960-01-01", "٠" * 10),
            *("9999-12-31T23:59:59-23:59", -1, 10**400, 1e300, True, [1], {}),
        ):
            self.assertIsNone(profile(registerDate=none).registered, none)

    def test_no_such_answer(self) -> None:
        """Is no verdict on the token."""
        for answer in (
            *(
                b"",
                b"null",
                b"[]",
                b"1",
                b'"SUCCESS"',
                b"{}",
                b"<html>SUCCESS</html>",
                b"\xff",
                b"{",
                b"[" * 50_000,
            ),
            *(
                b'{"status": "SUCCESS"}',
                b'{"status": "success", "user": {"userId": 1}}',
                GOOD + GOOD,
                GOOD[:-1],
            ),
            *(b'{"status": "error"}', b'{"status": null}', b'{"status": ["ERROR"]}', b'{"error": "ERROR"}'),
            *(b'{"status": "FAILURE"}', b'{"status": 200, "user": {"userId": 1}}', b'{"user": {"userId": 1}}'),
            *(success(user) for user in (None, [], "17", 17, {}, [ALICE], {"id": 17})),
            *(
                b'{"status": "SUCCESS", "user": {"userId": "\\ud800"}}',
                b'{"status": "SUCCESS", "user": {"userId": ',
            ),
            *(b'{"status": "SUCCESS", "user": {"userId": ' + b"1" * 5000 + b"}}", b"\xef\xbb\xbf"),
            b'{"status": "SUCCESS", "user": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        ):
            with self.assertRaises(UnexpectedAnswer) as raised:
                read_answer(answer)
            self.assertNotIn("17", str(raised.exception))

    @given(st.binary())
    def test_any_bytes(self, content: bytes) -> None:
        """Whatever comes, it is a user, nobody, or no answer."""
        for answer in (content, b'{"status":"SUCCESS","user":' + content + b"}"):
            with contextlib.suppress(UnexpectedAnswer):
                read_answer(answer)

    @given(
        st.dictionaries(
            st.sampled_from(["nickname", "avatar", "language", "status", "registerDate"]),
            st.one_of(
                st.none(),
                st.text(AWKWARD),
                st.text(AWKWARD, max_size=9).map(lambda text: text * 99),
                st.datetimes().map(str),
                st.integers(),
                st.floats(allow_nan=False, allow_infinity=False),
                st.text("/:.hpts\\", max_size=12),
            ),
        )
    )
    def test_any_profile_fits(self, fields: dict[str, object]) -> None:
        """Whatever a profile holds, it goes into the columns, and what was read reads the same again."""
        read = profile(**fields)
        for text in (read.nickname, read.avatar, read.language, read.status):
            if text is not None:
                self.assertTrue(0 < len(text) <= LONGEST_TEXT and "\0" not in text and text == text.strip())
        if read.registered is not None:
            self.assertTrue(0 <= read.registered < 253_402_300_800)
        again = profile(nickname=read.nickname, avatar=read.avatar, language=read.language, status=read.status)
        self.assertEqual(msgspec.structs.replace(read, registered=None), again)


class AddressTests(SynchronousTestCase):
    """The address of the server."""

    def test_good(self) -> None:
        """Is asked as it stands, and has an origin that does not depend on how it is written."""
        for url, origin in (
            ("https://accounts.example/check?key=1", "https://accounts.example"),
            ("HTTPS://Accounts.Example:443", "https://accounts.example"),
            ("http://accounts.example:80/", "http://accounts.example"),
            ("http://accounts.example:443/", "http://accounts.example:443"),
            ("http://127.0.0.1:8090/check", "http://127.0.0.1:8090"),
            ("http://[::1]:8090/check", "http://[::1]:8090"),
        ):
            self.assertEqual(checked_address("key", url), url.encode())
            self.assertEqual(origin_of(url), origin)
            self.assertEqual(TokenChecker(url, agent=RecordingAgent(), clock=Clock()).origin, origin)

    def test_bad(self) -> None:
        """Is refused in one line that names the setting, and nothing else of what was set."""
        for url in (
            *("", "check", "/check", "file:///etc/passwd", "https://", "https:///check", "ftp://a.example/"),
            *("https://user:secret@a.example/", "https://secret@a.example/", "https://exämple.org/"),
            *("https://[::1/", "https://a.example:port/", "https://a.example:0/", "https://a.example:70000/"),
            *("https://a.example/a b", "https://a.example/\n", "https://" + "a" * 250 + ".example/"),
        ):
            with self.assertRaisesRegex(ValueError, r"\Aauth.check_token_url: .*\Z") as raised:
                TokenChecker(url, agent=RecordingAgent(), clock=Clock())
            self.assertNotIn("secret", str(raised.exception))

    def test_in_the_settings(self) -> None:
        """A bad one ends the start."""
        for url in ("/check", "https://user:secret@a.example/"):
            settings = Settings(auth=Auth(check_token_url=url))
            with self.assertRaisesRegex(ConfigurationError, r"\Aauth.check_token_url: .*\Z"):
                wiring.check(settings, reactor)

    def test_not_encrypted(self) -> None:
        """Is possible, with a warning."""
        logged = Logged(self)
        TokenChecker(URL, agent=RecordingAgent(), clock=Clock())
        self.assertEqual(logged.above_debug(), [])
        TokenChecker("http://accounts.example/", agent=RecordingAgent(), clock=Clock())
        self.assertIn("not HTTPS", str(formatEvent(logged.above_debug()[0])))


class CheckerTestCase(SynchronousTestCase):
    """A checker without a network, in a time of its own."""

    def setUp(self) -> None:
        """Make one that nobody has asked yet."""
        self.logged = Logged(self)
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.agent = RecordingAgent()
        self.checker = TokenChecker(URL, agent=self.agent, clock=self.clock)
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    @property
    def exchange(self) -> Exchange:
        """The latest request."""
        return self.agent.exchanges[-1]

    def asked(self) -> list[str]:
        """The tokens that were asked about, since this was last called."""
        tokens = [exchange.token for exchange in self.agent.exchanges]
        self.agent.exchanges.clear()
        return tokens

    def check(self, token: str, answer: bytes = GOOD) -> OutsideUser:
        """The user of a token, if the server would answer this."""
        self.agent.at_once = answer
        checked = self.checker.check(token)
        self.agent.at_once = None
        return self.successResultOf(checked)

    def fail_once(self, token: str = "any") -> None:
        """A question that the server does not answer."""
        self.agent.at_once = NobodyListens()
        self.failureResultOf(self.checker.check(token), IssuerUnavailable)
        self.agent.at_once = None


class QuestionTests(CheckerTestCase):
    """One question."""

    def setUp(self) -> None:
        """Have asked nothing."""
        super().setUp()
        self.checked: list[Deferred[OutsideUser]] = []

    def test_request(self) -> None:
        """Is a POST of the document's JSON, to the address in the settings."""
        checked = self.checker.check("the token")
        self.assertEqual((self.exchange.method, self.exchange.url), (b"POST", URL.encode()))
        self.assertEqual(msgspec.json.decode(self.exchange.body), {"type": "CHECK_TOKEN", "token": "the token"})
        assert self.exchange.headers is not None
        self.assertEqual(
            dict(self.exchange.headers.getAllRawHeaders()),
            {b"Content-Type": [b"application/json"], b"Accept": [b"application/json"]},
        )
        self.exchange.answer(GOOD)
        self.assertEqual(self.successResultOf(checked), USER)

    def test_any_text(self) -> None:
        """A token comes to the server as it was shown, whatever it is made of."""
        for token in ('"', "\\u0000", "\0", "токен", "a b", "jti:x", "x" * 8192, "é" * 4096):
            self.check(token)
            self.assertEqual(self.asked(), [token])

    def test_refused(self) -> None:
        """ERROR, and nothing else, makes a token invalid."""
        checked = self.checker.check("bad")
        self.exchange.answer(ERROR)
        self.failureResultOf(checked, TokenInvalid)

    def test_not_asked(self) -> None:
        """What can't be a token is refused without troubling the server."""
        for token in ("", "x" * 8193, "é" * 4097, "x" * 10_000_000, "\ud800"):
            self.failureResultOf(self.checker.check(token), TokenInvalid)
        self.assertEqual(self.asked(), [])

    def test_unknown(self) -> None:
        """A refused connection, another status, another answer: it can't be known now."""
        for error in (NobodyListens(), RuntimeError("anything")):
            self.exchange_of_a_new_checker().fail(error)
        for body in (GOOD, ERROR):
            for code in (201, 204, 301, 302, 307, 400, 401, 403, 404, 429, 500, 503):
                self.exchange_of_a_new_checker().answer(body, code)
        for body in (b"<html>", b" " * MAXIMUM_BYTES + GOOD):
            self.exchange_of_a_new_checker().answer(body)
        self.assertEqual(len(self.checked), 28)
        for checked in self.checked:
            self.failureResultOf(checked, IssuerUnavailable)

    def exchange_of_a_new_checker(self) -> Exchange:
        """A request by a checker that has seen no failure yet."""
        self.checked.append(TokenChecker(URL, agent=self.agent, clock=self.clock).check("any"))
        return self.exchange

    def test_longest(self) -> None:
        """An answer of exactly the longest size is read."""
        self.assertEqual(self.check("any", GOOD + b" " * (MAXIMUM_BYTES - len(GOOD))), USER)

    def test_too_slow(self) -> None:
        """After five seconds it can't be known now, and the request is given up."""
        checked = self.checker.check("any")
        self.clock.advance(4.9)
        self.assertNoResult(checked)
        self.clock.advance(0.1)
        self.failureResultOf(checked, IssuerUnavailable)
        self.assertTrue(self.exchange.cancelled)

    def test_stop(self) -> None:
        """Requests under way are given up, and no more are made; what is known is still known."""
        self.check("known")
        checked = [self.checker.check(token) for token in "abca"]
        self.checker.stop()
        for each in checked:
            self.failureResultOf(each, IssuerUnavailable)
        self.assertTrue(self.exchange.cancelled)
        self.asked()
        self.failureResultOf(self.checker.check("a"), IssuerUnavailable)
        self.assertEqual(self.successResultOf(self.checker.check("known")), USER)
        self.assertEqual(self.asked(), [])
        self.assertEqual(self.logged.above_debug(), [])


class TogetherTests(CheckerTestCase):
    """Many questions at once."""

    def test_the_same_token(self) -> None:
        """Is asked about once, and everybody gets the answer."""
        for answer, outcome in ((GOOD, None), (ERROR, TokenInvalid), (b"", IssuerUnavailable)):
            checked = [self.checker.check(f"shown {outcome}") for _ in range(5)]
            self.assertEqual(len(self.agent.exchanges), 1)
            self.exchange.answer(answer)
            self.asked()
            for each in checked:
                if outcome is None:
                    self.assertEqual(self.successResultOf(each), USER)
                else:
                    self.failureResultOf(each, outcome)

    def test_other_tokens(self) -> None:
        """Get their own answers."""
        first, second = self.checker.check("first"), self.checker.check("second")
        self.agent.exchanges[1].answer(success({"userId": 2}))
        self.agent.exchanges[0].answer(success({"userId": 1}))
        self.assertEqual(self.successResultOf(first).subject, "1")
        self.assertEqual(self.successResultOf(second).subject, "2")

    def test_who_stops_waiting(self) -> None:
        """Leaves the request to the others, and to those who come later."""
        checked = [self.checker.check("shown") for _ in range(3)]
        checked[0].cancel()
        self.failureResultOf(checked[0], CancelledError)
        self.assertFalse(self.exchange.cancelled)
        checked[1].cancel()
        self.failureResultOf(checked[1], CancelledError)
        self.exchange.answer(GOOD)
        self.assertEqual(self.successResultOf(checked[2]), USER)

    def test_nobody_waits_any_more(self) -> None:
        """The answer comes all the same, and is there when the client connects again."""
        checked = self.checker.check("shown")
        checked.cancel()
        self.failureResultOf(checked, CancelledError)
        self.exchange.answer(GOOD)
        self.asked()
        self.assertEqual(self.successResultOf(self.checker.check("shown")), USER)
        self.assertEqual(self.asked(), [])

    def test_asked_again_from_an_answer(self) -> None:
        """Whoever asks when it is told gets the same answer; who is cancelled by then gets none."""
        again: list[OutsideUser] = []
        checked = [self.checker.check("shown") for _ in range(2)]
        checked[0].addCallback(lambda _: self.checker.check("shown").addCallback(again.append))
        checked[0].addCallback(lambda _: checked[1].cancel())
        self.exchange.answer(GOOD)
        self.assertEqual(again, [USER])
        self.failureResultOf(checked[1], CancelledError)

    def test_a_hundred(self) -> None:
        """May be under way; one more can't be known now, which says nothing of the server."""
        checked = [self.checker.check(str(number)) for number in range(REQUESTS_AT_ONCE)]
        for _ in range(10):
            self.failureResultOf(self.checker.check("one more"), IssuerUnavailable)
        joined = self.checker.check("0")
        self.assertEqual(len(self.asked()), 100)
        self.clock.advance(4)
        for exchange in list(self.agent.exchanges):
            exchange.answer(GOOD)
        self.clock.advance(1)
        for each in (*checked, joined):
            self.failureResultOf(each, IssuerUnavailable)

    def test_after_a_hundred(self) -> None:
        """When one has ended, another may begin."""
        checked = [self.checker.check(str(number)) for number in range(REQUESTS_AT_ONCE)]
        self.agent.exchanges[50].answer(ERROR)
        self.failureResultOf(checked[50], TokenInvalid)
        self.assertEqual(self.check("one more"), USER)
        for exchange in self.agent.exchanges[:REQUESTS_AT_ONCE]:
            if not exchange.response.called:
                exchange.answer(GOOD)
        self.assertEqual(len(self.successResultOf(gatherResults(checked[:50] + checked[51:]))), 99)


class RememberingTests(CheckerTestCase):
    """The cache."""

    def test_a_minute(self) -> None:
        """A good token is asked about once a minute, however often it is shown."""
        self.check("shown")
        for _ in range(59):
            self.clock.advance(1)
            self.assertEqual(self.check("shown", ERROR), USER)
        self.assertEqual(self.asked(), ["shown"])
        self.clock.advance(1)
        self.check("shown")
        self.assertEqual(self.asked(), ["shown"])

    def test_withdrawn(self) -> None:
        """A token that the server withdraws is good for what is left of the minute."""
        self.check("shown")
        self.clock.advance(60)
        self.agent.at_once = ERROR
        self.failureResultOf(self.checker.check("shown"), TokenInvalid)

    def test_only_what_is_good(self) -> None:
        """A refused token may be good in the next moment."""
        self.agent.at_once = ERROR
        for _ in range(3):
            self.failureResultOf(self.checker.check("shown"), TokenInvalid)
        self.fail_once("shown")
        self.assertEqual(self.check("shown"), USER)
        self.assertEqual(self.asked(), ["shown"] * 5)

    def test_bounded(self) -> None:
        """The least recently used goes when there are too many."""
        self.patch(check_token, "REMEMBERED", 3)
        for token in ("a", "b", "c", "a", "d"):
            self.check(token)
        self.asked()
        for token in ("a", "c", "d"):
            self.check(token)
        self.assertEqual(self.asked(), [])
        self.check("b")
        self.assertEqual(self.asked(), ["b"])

    def test_off(self) -> None:
        """With no time to remember, nothing is remembered."""
        self.checker = TokenChecker(URL, agent=self.agent, clock=self.clock, cache_seconds=0)
        self.check("shown")
        self.check("shown")
        self.assertEqual(self.asked(), ["shown", "shown"])
        self.assertNotIn("Алиса", repr(vars(self.checker)))

    def test_clock_set_back(self) -> None:
        """A clock that is set back makes nothing good for longer."""
        self.check("shown")
        self.clock.rightNow -= 1_000_000
        self.check("shown")
        self.assertEqual(self.asked(), ["shown", "shown"])

    def test_the_server_is_away(self) -> None:
        """Those whose tokens were good a moment ago don't notice."""
        self.check("shown")
        for _ in range(10):
            self.fail_once()
        self.assertEqual(self.successResultOf(self.checker.check("shown")), USER)

    def test_not_the_tokens_themselves(self) -> None:
        """Neither what is remembered nor what is logged holds a token."""
        token = "the-secret-token"
        self.check(token)
        self.assertNotIn(token, repr(vars(self.checker)))
        for answer in (ERROR, token.encode(), b'{"status": "' + token.encode() + b'"}'):
            self.clock.advance(60)
            self.agent.at_once = answer
            failure = self.failureResultOf(self.checker.check(token))
            self.assertNotIn(token, repr(failure.value) + failure.getTraceback())
        self.agent.at_once = RuntimeError(token)
        self.clock.advance(60)
        self.failureResultOf(self.checker.check(token), IssuerUnavailable)
        self.assertEqual(self.logged.holding(token), [])
        self.assertEqual(len(self.logged.above_debug()), 3)


class BreakerTests(CheckerTestCase):
    """A server that fails is left alone for a while."""

    def test_opens(self) -> None:
        """After five failures in a row nobody is asked for ten seconds; then one is."""
        for _ in range(5):
            self.fail_once()
        self.assertEqual(len(self.asked()), 5)
        self.clock.advance(9.9)
        self.failureResultOf(self.checker.check("any"), IssuerUnavailable)
        self.assertEqual(self.asked(), [])
        self.clock.advance(0.1)
        trying = self.checker.check("trying")
        joined = self.checker.check("trying")
        self.failureResultOf(self.checker.check("any"), IssuerUnavailable)
        self.assertEqual(len(self.agent.exchanges), 1)
        self.exchange.answer(ERROR)  # which is an answer like another
        for each in (trying, joined):
            self.failureResultOf(each, TokenInvalid)
        self.assertEqual(self.check("any"), USER)

    def test_the_one_who_tries_is_too_slow(self) -> None:
        """The next pause is twice as long, from the moment of giving up."""
        for _ in range(5):
            self.fail_once()
        self.clock.advance(10)
        trying = self.checker.check("any")
        trying.cancel()  # by then nobody may wait for it
        self.failureResultOf(trying, CancelledError)
        self.clock.advance(5)
        self.clock.advance(19.9)
        self.asked()
        self.failureResultOf(self.checker.check("any"), IssuerUnavailable)
        self.assertEqual(self.asked(), [])
        self.clock.advance(0.1)
        self.assertEqual(self.check("any"), USER)

    def test_refusals(self) -> None:
        """Are answers: invented tokens don't open it."""
        self.agent.at_once = ERROR
        for number in range(1000):
            self.failureResultOf(self.checker.check(str(number)), TokenInvalid)
        self.assertEqual(self.check("any"), USER)

    def test_log(self) -> None:
        """A line when it fails, at most once a minute, and one when it is back."""
        for _ in range(30):
            self.clock.advance(4)
            self.agent.at_once = b"<html>"
            self.failureResultOf(self.checker.check("any"), IssuerUnavailable)
        self.clock.advance(60)
        self.check("any")
        lines = [str(formatEvent(event)) for event in self.logged.above_debug()]
        self.assertEqual(len(lines), 3, lines)
        self.assertTrue(lines[0].endswith("can't be asked: no answer to CHECK_TOKEN"), lines[0])
        self.assertIn("again", lines[2])

    def test_reasons(self) -> None:
        """The line says what happened, and nothing of what came."""
        self.fail_once()
        self.clock.advance(60)
        self.agent.at_once = None
        checked = self.checker.check("any")
        self.exchange.answer(GOOD, 503)
        self.failureResultOf(checked, IssuerUnavailable)
        lines = [str(formatEvent(event)).rpartition(": ")[2] for event in self.logged.above_debug()]
        self.assertEqual(lines, ["ConnectionRefusedError", "HTTP status 503"])


class OutsideAuthenticatorTests(SynchronousTestCase):
    """From a token of the server's to a user of ours."""

    def setUp(self) -> None:
        """Have an account of the same name as the outside user."""
        self.database = SynchronousDatabase()
        self.addCleanup(self.database.close)
        database: Any = self.database
        self.accounts = AccountStore(database)
        self.namesake = self.successResultOf(self.accounts.add("Алиса", "a hash"))
        self.agent = RecordingAgent()
        self.checker = TokenChecker(URL, agent=self.agent, clock=Clock(), cache_seconds=0)
        self.authenticator = OutsideAuthenticator(self.accounts, self.checker, self.checker.origin)

    def authenticate(self, answer: bytes, token: str | None = "shown") -> Deferred[Identity]:
        """The identity of a token that is answered so."""
        self.agent.at_once = answer
        return self.authenticator.authenticate(token)

    def test_made_on_first_sight(self) -> None:
        """The user has an id of ours, and is nobody who was here before, whatever the name."""
        identity = self.successResultOf(self.authenticate(GOOD))
        self.assertEqual((identity.user.name, identity.expires, identity.profile), ("Алиса-2", None, PROFILE))
        self.assertNotEqual(identity.user.id, self.namesake.id)
        self.assertEqual(
            self.database.query("SELECT issuer, subject FROM users WHERE id = ?", identity.user.id),
            [("https://accounts.example", "17")],
        )

    def test_the_profile_changes(self) -> None:
        """The user stays the same, and the newest profile comes along."""
        first = self.successResultOf(self.authenticate(GOOD))
        second = self.successResultOf(self.authenticate(success({"userId": 17, "nickname": "Алина"})))
        self.assertEqual(second.user, first.user)
        self.assertEqual(second.profile, OutsideProfile(nickname="Алина"))

    def test_without_a_name(self) -> None:
        """The id is the name."""
        identity = self.successResultOf(self.authenticate(success({"userId": "u-1", "nickname": None})))
        self.assertEqual((identity.user.name, identity.profile), ("u-1", OutsideProfile()))

    def test_a_nickname_that_many_have(self) -> None:
        """Keeps nobody away: when there are no more numbers, the id is the name."""
        for number in range(2, 100):
            self.database.query(
                "INSERT INTO users (user_name, user_password) VALUES (?, '')", f"{self.namesake.name}-{number}"
            )
        self.assertEqual(self.successResultOf(self.authenticate(GOOD)).user.name, "17")

    def test_no_name_at_all(self) -> None:
        """Is not the token's fault."""

        def lose(*who: str) -> Deferred[Any]:
            raise Conflict("refused")

        self.patch(self.accounts, "add_subject", lose)
        self.failureResultOf(self.authenticate(GOOD), IssuerUnavailable)

    def test_other_servers(self) -> None:
        """The same id of another server is somebody else."""
        first = self.successResultOf(self.authenticate(GOOD))
        self.authenticator = OutsideAuthenticator(self.accounts, self.checker, "https://others.example")
        self.assertNotEqual(self.successResultOf(self.authenticate(GOOD)).user.id, first.user.id)

    def test_two_processes_at_once(self) -> None:
        """Who comes second finds what the first has made."""
        add = self.accounts.add_subject
        first: list[Any] = []

        def lose_once(*who: str) -> Deferred[Any]:
            if first:
                return add(*who)
            first.append(self.successResultOf(add(*who)))
            raise Conflict("refused")

        self.patch(self.accounts, "add_subject", lose_once)
        self.assertEqual([self.successResultOf(self.authenticate(GOOD)).user], first)

    def test_refused(self) -> None:
        """An invalid token, and none, make no user."""
        self.failureResultOf(self.authenticate(ERROR), TokenInvalid)
        for nothing in (None, ""):
            self.failureResultOf(self.authenticate(GOOD, nothing), TokenInvalid)
        self.assertEqual(self.database.query("SELECT id FROM users"), [(self.namesake.id,)])

    def test_not_known_now(self) -> None:
        """An ill server and a database that is away are no verdict on the token."""
        self.failureResultOf(self.authenticate(b"<html>"), IssuerUnavailable)
        self.database.away = True
        self.failureResultOf(self.authenticate(GOOD), StorageUnavailable)
