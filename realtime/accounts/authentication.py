"""Who is it? From a token, or from a name and a password, to a user.

Every protocol asks here and nowhere else, so that a token means the same to all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from hmac import compare_digest

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from realtime.accounts.check_token import OutsideProfile, TokenChecker
from realtime.accounts.errors import IssuerUnavailable, TokenInvalid
from realtime.accounts.issuers import OutsideIssuer, issuer_of
from realtime.accounts.passwords import Passwords
from realtime.accounts.store import TOKEN_ID_PREFIX, AccountStore, User, is_storable
from realtime.accounts.tokens import TokenSigner
from realtime.limiting import Throttle
from realtime.storage.errors import Conflict


class Identity(Struct, frozen=True):
    """A user, and the Unix time at which the token that proved it ends (``None``: never).

    ``profile`` is what an outside authorization server told of the user along with it, if it was asked.
    """

    user: User
    expires: float | None
    profile: OutsideProfile | None = None


class SignedIn(Struct, frozen=True):
    """A user who gave the right password, and a token that every protocol accepts."""

    user: User
    token: str


class SignInRefused(Exception):
    """The name or the password is wrong; which of them is not told."""


class SignInThrottled(Exception):
    """Too many failures; ``retry_after`` is the number of seconds until another attempt counts."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("too many failed attempts")
        self.retry_after = retry_after


class Authenticator:
    """Checks tokens.

    A JWT of the configured outside issuer is checked with that issuer's public keys alone, every
    other with our own secret alone. What is no valid JWT of ours may still be a bare token: other
    systems put texts of their own into ``users.token``.
    """

    def __init__(
        self, *, accounts: AccountStore, signer: TokenSigner, outside: OutsideIssuer | None = None
    ) -> None:
        self._accounts = accounts
        self._signer = signer
        self._outside = outside

    def authenticate(self, token: str | None) -> Deferred[Identity]:
        """Fires with the identity that ``token`` proves.

        Fails with `TokenInvalid`, `TokenExpired` (a kind of it), or, if it can't be known now,
        `StorageUnavailable` or `IssuerUnavailable`.
        """
        return Deferred.fromCoroutine(self._authenticate(token))

    async def _authenticate(self, token: str | None) -> Identity:
        if not token or token.startswith(TOKEN_ID_PREFIX):
            raise TokenInvalid("no token")
        if self._outside is not None and issuer_of(token) == self._outside.issuer:
            return await self._from_outside(self._outside, token)
        try:
            claims = self._signer.verify(token)
        except TokenInvalid as refusal:
            account = await self._accounts.by_bare_token(token)
            if account is None:
                raise refusal from None
            return Identity(account.user, None)
        account = await self._accounts.by_id(claims.user_id)
        current = account.token if account is not None else None
        if (
            account is None
            or current is None
            or not compare_digest(current.encode(), f"{TOKEN_ID_PREFIX}{claims.token_id}".encode())
        ):
            raise TokenInvalid("revoked")
        return Identity(account.user, claims.expires)

    async def _from_outside(self, outside: OutsideIssuer, token: str) -> Identity:
        who = await outside.verify(token)
        # The second time for another process that was as quick: now it is there, or the name has a number.
        user = await _user_of_subject(self._accounts, who.issuer, who.subject, (who.name, who.name))
        return Identity(user, who.expires)


class OutsideAuthenticator:
    """Checks tokens by asking an outside authorization server, and nobody else.

    It stands where an `Authenticator` does. ``issuer_name`` and the server's id of a user are the key of the
    user's account; the name is `TokenChecker.origin`, so that two servers never share a user.
    """

    def __init__(self, accounts: AccountStore, checker: TokenChecker, issuer_name: str) -> None:
        self._accounts = accounts
        self._checker = checker
        self._issuer_name = issuer_name

    def authenticate(self, token: str | None) -> Deferred[Identity]:
        """Fires with the identity that ``token`` proves, and the profile that the server has of it.

        Such a token has no end that is known here. Fails with `TokenInvalid`, or, if it can't be known now,
        `StorageUnavailable` or `IssuerUnavailable`.
        """
        return Deferred.fromCoroutine(self._authenticate(token))

    async def _authenticate(self, token: str | None) -> Identity:
        who = await self._checker.check(token or "")
        # Nicknames are what people like, and more may like one than there are numbers for; ids are unique.
        nickname = who.profile.nickname or who.subject
        names = (nickname, nickname, who.subject)
        try:
            user = await _user_of_subject(self._accounts, self._issuer_name, who.subject, names)
        except Conflict:  # which says nothing of the token
            raise IssuerUnavailable("no name is free for a new user") from None
        return Identity(user, None, who.profile)


async def _user_of_subject(accounts: AccountStore, issuer: str, subject: str, names: Sequence[str]) -> User:
    """Return the account of an outside issuer's user, made on first sight with the first name that will do.

    Raises `Conflict` if none will. A name is worth another try: what was in its way may be this very user.
    """
    account = await accounts.of_subject(issuer, subject)
    if account is not None:
        return account.user
    for name in names[:-1]:
        try:
            return await accounts.add_subject(issuer, subject, name)
        except Conflict:
            continue
    return await accounts.add_subject(issuer, subject, names[-1])


class SignIn:
    """Checks passwords and gives tokens, at a bounded rate of failures.

    Failures are counted for each name and for each address. For a name an attempt is counted before
    its password is checked, and taken back if it is right, so that guesses made all at once are no
    more than guesses made in turn. For an address only failures count: many people may share one.
    """

    def __init__(
        self,
        *,
        accounts: AccountStore,
        passwords: Passwords,
        signer: TokenSigner,
        names: Throttle,
        addresses: Throttle,
        clock: IReactorTime,
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._signer = signer
        self._names = names
        self._addresses = addresses
        self._clock = clock

    def sign_in(self, name: str, password: str, address: str) -> Deferred[SignedIn]:
        """Fires with the user and a token.

        Fails with `SignInRefused`, `SignInThrottled`, or, if it can't be known now,
        `StorageUnavailable` or `PasswordsBusy`.
        """
        return Deferred.fromCoroutine(self._sign_in(name, password, address))

    async def _sign_in(self, name: str, password: str, address: str) -> SignedIn:
        now = self._clock.seconds()
        retry_after = max(self._names.wait(name, now), self._addresses.wait(address, now))
        if retry_after > 0:
            raise SignInThrottled(retry_after)
        self._names.charge(name, now)
        try:
            account = await self._accounts.by_name(name) if is_storable(name) else None
            known = None if account is None else account.password_hash
            right = await self._passwords.check(password, known)
            if account is None or not right:
                raise SignInRefused
            value = await self._accounts.token_for(account.user.id)
            if value is None:
                raise SignInRefused
        except SignInRefused:
            self._addresses.charge(address, self._clock.seconds())
            raise
        except BaseException:
            self._names.refund(name)
            raise
        self._names.refund(name)
        return SignedIn(account.user, token_of(account.user, value, self._signer))


def token_of(user: User, value: str, signer: TokenSigner) -> str:
    """Return the token of a user whose ``users.token`` holds ``value``: signed for it, or bare."""
    if value.startswith(TOKEN_ID_PREFIX):
        return signer.sign(user.id, user.name, value.removeprefix(TOKEN_ID_PREFIX))
    return value
