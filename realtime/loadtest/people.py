"""Accounts for a load test: made in the database, or read from a file that was written when they were."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred, gatherResults

from realtime.accounts.authentication import token_of
from realtime.accounts.store import AccountStore, User
from realtime.accounts.tokens import TokenSigner
from realtime.storage.errors import Conflict

_AT_ONCE: Final = 200
"""Accounts that are made at a time: they share transactions."""


class Person(Struct, frozen=True):
    """Somebody with an account and a token."""

    id: int
    name: str
    token: str
    is_admin: bool = False


class NotEnough(ValueError):
    """There are fewer accounts than a test needs."""


async def make(accounts: AccountStore, signer: TokenSigner, users: int, admins: int) -> list[Person]:
    """Return so many people, made unless they are there already. Nobody can sign in as one of them."""
    names = [(f"loadtest-{number:06}", False) for number in range(1, users + 1)]
    names += [(f"loadtest-admin-{number:03}", True) for number in range(1, admins + 1)]
    people: list[Person] = []
    for begin in range(0, len(names), _AT_ONCE):
        made = [
            Deferred.fromCoroutine(_person(accounts, signer, name, is_admin))
            for name, is_admin in names[begin : begin + _AT_ONCE]
        ]
        people += await gatherResults(made, consumeErrors=True)
    return people


async def _person(accounts: AccountStore, signer: TokenSigner, name: str, is_admin: bool) -> Person:
    user: User
    try:
        user = await accounts.add(name, "", is_admin=is_admin)
    except Conflict:
        account = await accounts.by_name(name)
        if account is None:
            raise
        user = account.user
    value = await accounts.token_for(user.id)
    if value is None:
        raise ValueError(f"the account {name} is gone")
    return Person(user.id, name, token_of(user, value, signer), is_admin)


def write(path: Path, people: Sequence[Person]) -> None:
    """Write people down, tokens and all: nobody but the owner may read it."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.writelines(msgspec.json.encode(person) + b"\n" for person in people)


def read(path: Path) -> list[Person]:
    """Read people, a JSON object in each line. Raises ``ValueError`` and ``OSError``."""
    decode: Any = msgspec.json.Decoder(Person).decode
    return [decode(line) for line in path.read_bytes().splitlines() if line.strip()]


def choose(people: Sequence[Person], users: int, admins: int) -> tuple[list[Person], list[Person]]:
    """Return so many users and administrators. Raises `NotEnough`."""
    found = (
        [each for each in people if not each.is_admin][:users],
        [each for each in people if each.is_admin][:admins],
    )
    if len(found[0]) < users or len(found[1]) < admins:
        raise NotEnough(f"{users} accounts and {admins} administrators are needed")
    return found
