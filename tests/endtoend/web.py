"""Plain HTTP requests to a daemon, in a thread."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread


@dataclass(frozen=True)
class Answer:
    """What came back. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(
    port: int, path: str, *, method: str = "GET", body: bytes | None = None, **headers: str
) -> Deferred[Answer]:
    """Send one request over a connection of its own; underscores in header names become dashes."""

    def run() -> Answer:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Answer(
                answer.status,
                {name.lower(): value for name, value in answer.getheaders()},
                answer.read(),
            )

    return deferToThread(run)


def sign_in_with(port: int, name: str, password: str, **more: Any) -> Deferred[Answer]:
    """``POST /v1/auth/``, as the document draws it."""
    body = json.dumps({"user_name": name, "password": password, **more}).encode()
    return ask(port, "/v1/auth/", method="POST", body=body)
