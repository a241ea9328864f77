"""From a token, or a name and a password, to a user."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.accounts.authentication import (
    Authenticator,
    SignIn,
    SignInRefused,
    SignInThrottled,
    token_of,
)
from realtime.accounts.errors import IssuerUnavailable, PasswordsBusy, TokenExpired, TokenInvalid
from realtime.accounts.issuers import OutsideIdentity
from realtime.accounts.store import AccountStore, User
from realtime.accounts.tokens import TokenSigner
from realtime.limiting import Rate, Throttle
from realtime.storage.errors import Conflict, StorageUnavailable
from tests.accounts.jose import ISSUER, claims, token
from tests.databases import SynchronousDatabase

SECRET = b"s" * 32


class AccountsTestCase(SynchronousTestCase):
    """An account, a clock and a signer."""

    def setUp(self) -> None:
        """Make them."""
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.database = SynchronousDatabase()
        self.addCleanup(self.database.close)
        database: Any = self.database
        self.accounts = AccountStore(database)
        self.signer = TokenSigner(SECRET, algorithms=["HS256"], ttl=600, leeway=0, now=self.clock.seconds)
        self.alice: User = self.successResultOf(self.accounts.add("alice", "alice's hash"))

    def signed(self, user: User) -> str:
        """A token of ours."""
        value = self.successResultOf(self.accounts.token_for(user.id))
        assert value is not None
        return token_of(user, value, self.signer)


class TokenTests(AccountsTestCase):
    """Our own tokens, and bare ones."""

    def setUp(self) -> None:
        """Make the authenticator."""
        super().setUp()
        self.authenticate = Authenticator(accounts=self.accounts, signer=self.signer).authenticate

    def test_our_own(self) -> None:
        """Proves its user, until it ends."""
        identity = self.successResultOf(self.authenticate(self.signed(self.alice)))
        self.assertEqual((identity.user, identity.expires), (self.alice, 1_700_000_600))

    def test_expired(self) -> None:
        """Is said to be so: whoever shows it may ask for another."""
        signed = self.signed(self.alice)
        self.clock.advance(601)
        self.failureResultOf(self.authenticate(signed), TokenExpired)

    def test_revoked(self) -> None:
        """Does not count, nor does one of before a revocation after the next sign-in."""
        signed = self.signed(self.alice)
        self.successResultOf(self.accounts.revoke(self.alice.id))
        self.failureResultOf(self.authenticate(signed), TokenInvalid)
        self.signed(self.alice)
        self.failureResultOf(self.authenticate(signed), TokenInvalid)

    def test_several_devices(self) -> None:
        """Tokens of several sign-ins count at once."""
        first = self.signed(self.alice)
        self.clock.advance(1)
        second = self.signed(self.alice)
        self.assertNotEqual(first, second)
        for signed in (first, second):
            self.assertEqual(self.successResultOf(self.authenticate(signed)).user, self.alice)

    def test_a_user_who_is_gone(self) -> None:
        """Has no token that counts."""
        signed = self.signed(self.alice)
        self.database.query("DELETE FROM users")
        self.failureResultOf(self.authenticate(signed), TokenInvalid)

    def test_bare(self) -> None:
        """What stands in the column is a token; what only marks it there is none."""
        for bare in ("QWERTYUIOP", "a.b.c", "é"):
            self.database.query("UPDATE users SET token = ?", bare)
            identity = self.successResultOf(self.authenticate(bare))
            self.assertEqual((identity.user, identity.expires), (self.alice, None))
        signed = self.signed(self.alice)
        self.database.query("UPDATE users SET token = 'jti:abc'")
        for wrong in ("jti:abc", "jti:", "abc", "", None, "x" * 9000, signed):
            self.failureResultOf(self.authenticate(wrong), TokenInvalid)

    def test_the_database_is_away(self) -> None:
        """Is no verdict on the token."""
        signed = self.signed(self.alice)
        self.database.away = True
        for shown in (signed, "QWERTYUIOP"):
            self.failureResultOf(self.authenticate(shown), StorageUnavailable)

    def test_refusals_keep_secrets(self) -> None:
        """No error text holds the token."""
        for wrong in ("QWERTYUIOP", self.signed(self.alice)[:-3] + "abc"):
            failure = self.failureResultOf(self.authenticate(wrong), TokenInvalid)
            self.assertNotIn(wrong, failure.getErrorMessage())


class OutsideTests(AccountsTestCase):
    """Tokens of an outside issuer."""

    def setUp(self) -> None:
        """Make an authenticator with an issuer that says ``answer``."""
        super().setUp()
        self.answer: Deferred[Any] = succeed(OutsideIdentity(ISSUER, "7", "alice", 1_700_000_600))
        outside: Any = self
        self.authenticate = Authenticator(
            accounts=self.accounts, signer=self.signer, outside=outside
        ).authenticate
        self.shown = token(b"k" * 32, "HS256")

    issuer = ISSUER

    def verify(self, shown: str) -> Deferred[Any]:
        """Stand in for the issuer's keys, which have tests of their own."""
        self.assertEqual(shown, self.shown)
        return self.answer

    def test_made_on_first_sight(self) -> None:
        """The user has an id of ours, and is nobody who was here before, whatever the name."""
        identity = self.successResultOf(self.authenticate(self.shown))
        self.assertEqual((identity.user.name, identity.expires), ("alice-2", 1_700_000_600))
        self.assertNotEqual(identity.user.id, self.alice.id)
        self.answer = succeed(OutsideIdentity(ISSUER, "7", "alicia", 1_700_000_700))
        self.assertEqual(self.successResultOf(self.authenticate(self.shown)).user, identity.user)

    def test_two_processes_at_once(self) -> None:
        """Who comes second finds what the first has made."""
        add = self.accounts.add_subject
        first: list[Any] = []

        def lose_once(*who: str) -> Deferred[Any]:
            if first:
                return add(*who)
            first.append(self.successResultOf(add(*who)))
            return fail(Conflict("refused"))

        self.patch(self.accounts, "add_subject", lose_once)
        identity = self.successResultOf(self.authenticate(self.shown))
        self.assertEqual([identity.user], first)

    def test_refused_by_the_issuers_keys(self) -> None:
        """Our own secret is not asked, nor is the column."""
        self.shown = token(SECRET, "HS256", **claims(sub=str(self.alice.id), jti="abc"))
        self.database.query("UPDATE users SET token = ?", self.shown[:255])
        self.answer = fail(TokenInvalid("wrong signature"))
        self.failureResultOf(self.authenticate(self.shown), TokenInvalid)

    def test_the_issuer_is_away(self) -> None:
        """Is no verdict on the token."""
        self.answer = fail(IssuerUnavailable("no keys"))
        self.failureResultOf(self.authenticate(self.shown), IssuerUnavailable)


class KnownPasswords:
    """Stands in for bcrypt: a hash is right for the password whose name it bears."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.waiting: list[Deferred[bool]] = []
        self.held = False
        self.busy = False

    def check(self, password: str, hashed: str | None) -> Deferred[bool]:
        """See `Passwords.check`."""
        self.asked.append(hashed)
        if self.busy:
            return fail(PasswordsBusy("busy"))
        if self.held:
            self.waiting.append(Deferred())
            return self.waiting[-1]
        return succeed(hashed == f"{password}'s hash")


class SignInTests(AccountsTestCase):
    """Names and passwords."""

    def setUp(self) -> None:
        """Allow three failures a minute."""
        super().setUp()
        self.passwords = KnownPasswords()
        passwords: Any = self.passwords
        failures = Rate(3 / 60, 3)
        self.sign_in = SignIn(
            accounts=self.accounts,
            passwords=passwords,
            signer=self.signer,
            names=Throttle(failures),
            addresses=Throttle(failures),
            clock=self.clock,
        ).sign_in

    def test_right(self) -> None:
        """Gives a token that proves the user; the next one is for the same token id."""
        signed_in = self.successResultOf(self.sign_in("alice", "alice", "1.1.1.1"))
        authenticator = Authenticator(accounts=self.accounts, signer=self.signer)
        identity = self.successResultOf(authenticator.authenticate(signed_in.token))
        self.assertEqual((signed_in.user, identity.user), (self.alice, self.alice))
        again = self.successResultOf(self.sign_in("alice", "alice", "1.1.1.1"))
        self.assertEqual(self.signer.verify(again.token).token_id, self.signer.verify(signed_in.token).token_id)

    def test_a_row_with_a_bare_token(self) -> None:
        """Gives that token."""
        self.database.query("UPDATE users SET token = 'QWERTYUIOP'")
        signed_in = self.successResultOf(self.sign_in("alice", "alice", "1.1.1.1"))
        self.assertEqual(signed_in.token, "QWERTYUIOP")

    def test_wrong(self) -> None:
        """A wrong password and an unknown name are refused alike, after the same work."""
        for name, password in (("alice", "bob"), ("bob", "bob"), ("a\0", "a"), ("x" * 300, "x")):
            refused = self.failureResultOf(self.sign_in(name, password, name[:3]), SignInRefused)
            self.assertEqual(refused.getErrorMessage(), "")
        self.assertEqual(self.passwords.asked, ["alice's hash", None, None, None])

    def test_too_many_failures_for_a_name(self) -> None:
        """Even the right password has to wait, from any address, and the time is told."""
        for number in range(3):
            self.failureResultOf(self.sign_in("alice", "no", f"1.1.1.{number}"), SignInRefused)
        failure = self.failureResultOf(self.sign_in("alice", "alice", "2.2.2.2"), SignInThrottled)
        reason = failure.value
        assert isinstance(reason, SignInThrottled)
        self.assertAlmostEqual(reason.retry_after, 20, places=0)
        self.clock.advance(20)
        self.successResultOf(self.sign_in("alice", "alice", "2.2.2.2"))

    def test_too_many_failures_from_an_address(self) -> None:
        """Other names have to wait there, but not elsewhere."""
        for name in "xyz":
            self.failureResultOf(self.sign_in(name, "no", "1.1.1.1"), SignInRefused)
        self.failureResultOf(self.sign_in("alice", "alice", "1.1.1.1"), SignInThrottled)
        self.successResultOf(self.sign_in("alice", "alice", "2.2.2.2"))

    def test_successes_are_not_counted(self) -> None:
        """However many there are."""
        for _ in range(20):
            self.successResultOf(self.sign_in("alice", "alice", "1.1.1.1"))

    def test_guesses_made_at_once(self) -> None:
        """Are no more than guesses made in turn: an attempt counts before it is checked."""
        self.passwords.held = True
        attempts = [self.sign_in("alice", str(number), f"1.1.1.{number}") for number in range(10)]
        self.assertEqual(len(self.passwords.waiting), 3)
        for waiting in self.passwords.waiting:
            waiting.callback(False)
        for attempt in attempts:
            self.failureResultOf(attempt, SignInRefused, SignInThrottled)

    def test_what_can_not_be_known_now(self) -> None:
        """Is neither a refusal nor counted as a failure."""
        self.passwords.busy = True
        for _ in range(5):
            self.failureResultOf(self.sign_in("alice", "no", "1.1.1.1"), PasswordsBusy)
        self.passwords.busy = False
        self.database.away = True
        for _ in range(5):
            self.failureResultOf(self.sign_in("alice", "no", "1.1.1.1"), StorageUnavailable)
        self.database.away = False
        self.successResultOf(self.sign_in("alice", "alice", "1.1.1.1"))

    def test_who_hangs_up(self) -> None:
        """Is not counted as a failure."""
        self.passwords.held = True
        for _ in range(5):
            attempt = self.sign_in("alice", "alice", "1.1.1.1")
            attempt.cancel()
            self.failureResultOf(attempt)
        self.passwords.held = False
        self.successResultOf(self.sign_in("alice", "alice", "1.1.1.1"))
