"""The users table: accounts, their password hashes and the one token column.

What `users.token` may hold (common.md, "Accounts and tokens"):

- nothing: the user has not signed in since the account was made, or all its tokens were revoked;
- ``jti:<id>``: this server's JWTs for the user carry that id, and no others count;
- any other text: a bare token, put there by another system, which is the token itself.
"""

from __future__ import annotations

import secrets
from hmac import compare_digest

from msgspec import Struct
from sqlalchemy import bindparam, case, insert, null, or_, select, update
from twisted.internet.defer import Deferred

from realtime.storage.database import Database
from realtime.storage.errors import Conflict
from realtime.storage.statements import Statement
from realtime.storage.tables import users
from realtime.storage.transaction import Transaction
from realtime.storage.types import utc_now

TOKEN_ID_PREFIX = "jti:"
_LONGEST = 255  # characters, of a name or a token


class User(Struct, frozen=True):
    """Who somebody is, for every protocol."""

    id: int
    name: str
    is_admin: bool


class Account(Struct, frozen=True):
    """A user with what proves it."""

    user: User
    password_hash: str
    token: str | None


_ACCOUNT = select(users.c.id, users.c.user_name, users.c.is_admin, users.c.user_password, users.c.token)
_BY_ID = Statement(_ACCOUNT.where(users.c.id == bindparam("user_id")))
_BY_NAME = Statement(_ACCOUNT.where(users.c.user_name == bindparam("name")))
_BY_TOKEN = Statement(_ACCOUNT.where(users.c.token == bindparam("token")).limit(1))
_BY_SUBJECT = Statement(
    _ACCOUNT.where(users.c.issuer == bindparam("issuer_is"), users.c.subject == bindparam("subject_is"))
)
_ALL = Statement(_ACCOUNT.order_by(users.c.id))
_ADD = Statement(
    insert(users).values(
        user_name=bindparam("name"),
        user_password=bindparam("password_hash"),
        is_admin=bindparam("admin"),
        issuer=bindparam("by_issuer"),
        subject=bindparam("by_subject"),
        registered=utc_now(),
    )
)
_SET_PASSWORD = Statement(
    update(users)
    .where(users.c.id == bindparam("of"))
    .values(
        user_password=bindparam("password_hash"),
        token=case((users.c.token.startswith(TOKEN_ID_PREFIX), null()), else_=users.c.token),
    )
)
_REVOKE = Statement(update(users).where(users.c.id == bindparam("of")).values(token=None))
_GIVE_TOKEN_ID = Statement(
    update(users)
    .where(users.c.id == bindparam("of"), or_(users.c.token.is_(None), users.c.token == ""))
    .values(token=bindparam("value"))
)


class AccountStore:
    """Reads and writes accounts. All Deferreds may fail with `StorageUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def by_name(self, name: str) -> Deferred[Account | None]:
        """Fires with the account of that name, compared by code points."""
        return self._database.read(_by_name, name)

    def by_id(self, user_id: int) -> Deferred[Account | None]:
        """Fires with the account of that id."""
        return self._database.read(_by_id, user_id)

    def by_bare_token(self, token: str) -> Deferred[Account | None]:
        """Fires with the account whose column holds ``token`` as it is."""
        return self._database.read(_by_bare_token, token)

    def all(self) -> Deferred[list[Account]]:
        """Fires with every account, oldest first."""
        return self._database.read(_all)

    def add(self, name: str, password_hash: str, *, is_admin: bool = False) -> Deferred[User]:
        """Fires with the new user; `Conflict` if the name is taken, `ValueError` if it can't be one.

        A name has 1 to 255 characters, none of them NUL.
        """
        if not is_storable(name):
            raise ValueError("a name has 1 to 255 characters")
        return self._database.write(_add, name, password_hash, is_admin, None, None)

    def set_password(self, user_id: int, password_hash: str) -> Deferred[int]:
        """Change a password, which ends this server's tokens of the user.

        A bare token is another system's, and stays.
        """
        return self._database.write(_set_password, user_id, password_hash)

    def revoke(self, user_id: int) -> Deferred[int]:
        """End every token of a user."""
        return self._database.write(_revoke, user_id)

    def token_for(self, user_id: int) -> Deferred[str | None]:
        """Fires with the column's value, after giving it a token id if it held nothing.

        Signing in again finds the same id, so several devices stay signed in. ``None`` if there is
        no such user any more.
        """
        return self._database.write(_token_for, user_id, secrets.token_urlsafe(16))

    def of_subject(self, issuer: str, subject: str) -> Deferred[Account | None]:
        """Fires with the account of an outside issuer's user, if it was ever seen."""
        return self._database.read(_of_subject, issuer, subject)

    def add_subject(self, issuer: str, subject: str, name: str) -> Deferred[User]:
        """Fires with the account of an outside issuer's user, made if it was never seen.

        Names are unique here; if another account has this one, the newcomer's gets a number. It is
        never taken for the other: the key is issuer and subject.
        """
        return self._database.write(_add_subject, issuer, subject, name)


def is_storable(text: str) -> bool:
    """Whether a name or token fits its column on every database (PostgreSQL takes no NUL)."""
    return 0 < len(text) <= _LONGEST and "\0" not in text


def _account(row: tuple[int, str, bool, str, str | None] | None) -> Account | None:
    if row is None:
        return None
    user_id, name, is_admin, password_hash, token = row
    return Account(User(user_id, name, bool(is_admin)), password_hash, token)


def _by_id(transaction: Transaction, user_id: int) -> Account | None:
    return _account(transaction.row(_BY_ID, user_id=user_id))


def _by_name(transaction: Transaction, name: str) -> Account | None:
    return _account(transaction.row(_BY_NAME, name=name)) if is_storable(name) else None


def _by_bare_token(transaction: Transaction, token: str) -> Account | None:
    if not is_storable(token):
        return None
    account = _account(transaction.row(_BY_TOKEN, token=token))
    if account is None or account.token is None:
        return None
    # The index has found it; this makes sure that "equal" is no matter of collation.
    return account if compare_digest(account.token.encode(), token.encode()) else None


def _all(transaction: Transaction) -> list[Account]:
    return [account for row in transaction.rows(_ALL) if (account := _account(row)) is not None]


def _add(
    transaction: Transaction,
    name: str,
    password_hash: str,
    is_admin: bool,
    issuer: str | None,
    subject: str | None,
) -> User:
    user_id = transaction.insert(
        _ADD,
        name=name,
        password_hash=password_hash,
        admin=is_admin,
        by_issuer=issuer,
        by_subject=subject,
    )
    return User(user_id, name, is_admin)


def _set_password(transaction: Transaction, user_id: int, password_hash: str) -> int:
    return transaction.execute(_SET_PASSWORD, of=user_id, password_hash=password_hash)


def _revoke(transaction: Transaction, user_id: int) -> int:
    return transaction.execute(_REVOKE, of=user_id)


def _token_for(transaction: Transaction, user_id: int, new_id: str) -> str | None:
    transaction.execute(_GIVE_TOKEN_ID, of=user_id, value=TOKEN_ID_PREFIX + new_id)
    account = _by_id(transaction, user_id)
    return account.token if account else None


def _of_subject(transaction: Transaction, issuer: str, subject: str) -> Account | None:
    return _account(transaction.row(_BY_SUBJECT, issuer_is=issuer, subject_is=subject))


def _add_subject(transaction: Transaction, issuer: str, subject: str, name: str) -> User:
    known = _of_subject(transaction, issuer, subject)
    if known is not None:
        return known.user
    name = name.replace("\0", "")[: _LONGEST - 20] or "user"
    for number in range(1, 100):
        candidate = name if number == 1 else f"{name}-{number}"
        if _by_name(transaction, candidate) is None:
            # No password: an empty hash matches none. Another process may be as quick: `Conflict`.
            return _add(transaction, candidate, "", False, issuer, subject)
    raise Conflict("a hundred users have this name")
