"""The demo accounts: somebody to be, on a machine where nobody is yet (``--demo`` only)."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from realtime.accounts.passwords import Passwords
from realtime.accounts.store import AccountStore
from realtime.storage.errors import Conflict

DEMO_ACCOUNTS = {"alice": False, "bob": False, "carol": False, "operator": True}
"""Names, and whether each is an operator. The password of each is its name."""


def add_demo_accounts(accounts: AccountStore, passwords: Passwords) -> Deferred[None]:
    """Make those of the demo accounts that are absent."""
    return Deferred.fromCoroutine(_add(accounts, passwords))


async def _add(accounts: AccountStore, passwords: Passwords) -> None:
    for name, is_admin in DEMO_ACCOUNTS.items():
        if await accounts.by_name(name) is None:
            password_hash = await passwords.hash(name)
            try:
                await accounts.add(name, password_hash, is_admin=is_admin)
            except Conflict:
                continue  # another process was as quick
