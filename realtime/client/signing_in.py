"""Signing in: a name and a password for a token, over HTTP (support.md, ``POST /v1/auth/``)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred

from realtime.client.asking import address_of, ask
from realtime.client.errors import ConnectionLost, SignInRefused


class _Result(Struct):
    token: str


class _Answer(Struct):
    result: _Result


def sign_in(url: str, name: str, password: str, *, reactor: Any = None) -> Deferred[str]:
    """Ask a server for a token; fires with it.

    ``url`` is any of the server's, ``http:`` or ``ws:``: its scheme and host count. Fails with `SignInRefused`;
    with `ConnectionLost` if the server can't answer now; and as `Agent.request` does.
    """
    if reactor is None:
        from twisted.internet import reactor
    return Deferred.fromCoroutine(_sign_in(reactor, address_of(url, "/v1/auth/"), name, password))


async def _sign_in(reactor: Any, address: str, name: str, password: str) -> str:
    answer = await ask(reactor, "POST", address, body={"user_name": name, "password": password})
    if answer.status == 403:
        raise SignInRefused(answer.retry_after)
    if answer.status != 200:
        raise ConnectionLost(f"HTTP status {answer.status}")
    return msgspec.json.decode(answer.content, type=_Answer).result.token
