"""Where a Redis is, and how to log in there: what ``[redis] url`` says.

    redis://[[user]:password@]host[:port][/database]
    rediss://…                                          the same over TLS, its certificate checked
    unix://[[user]:password@]/path/of/socket[?database=number]

``?ca_file=/path`` after a ``rediss://`` names the certificates to trust instead of the machine's. User and
password are percent-encoded where they hold ``:/@?#%``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from twisted.internet import ssl
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint

_PORT = 6379


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where a Redis is. ``path`` is a Unix socket's; else ``host`` and ``port`` count.

    Its texts, ``str`` and ``repr`` alike, hold no secret.
    """

    host: str = ""
    port: int = _PORT
    path: str = ""
    tls: bool = False
    ca_file: str = ""
    database: int = 0
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return the address alone, fit for a log line."""
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.database}"

    def endpoint(self, reactor: Any, timeout: float) -> IStreamClientEndpoint:
        """Return what connects there within ``timeout`` seconds.

        Raises ValueError if ``ca_file`` can't be read.
        """
        if self.path:
            return UNIXClientEndpoint(reactor, self.path, timeout=timeout)
        endpoint: IStreamClientEndpoint = HostnameEndpoint(reactor, self.host, self.port, timeout=timeout)
        if self.tls:
            options = ssl.optionsForClientTLS(self.host, trustRoot=self._trusted())
            endpoint = wrapClientTLS(options, endpoint)
        return endpoint

    def _trusted(self) -> Any:
        if not self.ca_file:
            return ssl.platformTrust()
        try:
            pem = Path(self.ca_file).read_bytes()
            blocks = pem.split(b"-----BEGIN CERTIFICATE-----")[1:]
            found = [ssl.Certificate.loadPEM(b"-----BEGIN CERTIFICATE-----" + block) for block in blocks]
        except Exception:  # OpenSSL's errors have no name of their own here
            found = []
        if not found:
            raise ValueError("ca_file: no certificates can be read there")
        return ssl.trustRootFromCertificates(found)


def parse(url: str) -> RedisAddress:
    """Return the address that a URL names.

    Raises ValueError, whose text holds nothing of the URL: a password may stand anywhere in a wrong one.
    """
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        raise ValueError("not a URL with a port from 1 to 65535") from None
    if split.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("not redis://, rediss:// or unix://")
    if split.fragment or "#" in url or any(character.isspace() for character in url):
        raise ValueError("# and spaces must be percent-encoded")
    username, password = _login(split)
    options = _options(split)
    if split.scheme == "unix":
        if split.hostname or port is not None or not split.path.startswith("/"):
            raise ValueError("unix:// needs an absolute path, as in unix:///run/redis.sock")
        database = _number(options.pop("database", "0"))
        address = RedisAddress(
            path=os.path.normpath(unquote(split.path)),
            database=database,
            username=username,
            password=password,
        )
    else:
        if not split.hostname:
            raise ValueError("no host is named")
        if port == 0:
            raise ValueError("not a URL with a port from 1 to 65535")
        address = RedisAddress(
            host=split.hostname,
            port=port or _PORT,
            tls=split.scheme == "rediss",
            ca_file=options.pop("ca_file", "") if split.scheme == "rediss" else "",
            database=_number(split.path[1:] or "0"),
            username=username,
            password=password,
        )
    if options:
        raise ValueError("an option after ? that is not known for this kind of address")
    return address


def _login(split: SplitResult) -> tuple[str | None, str | None]:
    username, password = unquote(split.username or ""), unquote(split.password or "")
    if username and not password:
        raise ValueError("a user without a password; a password alone is written :password@")
    if not password and "@" in split.netloc:
        raise ValueError("no password stands before the @")
    return username or None, password or None


def _options(split: SplitResult) -> dict[str, str]:
    try:
        pairs = parse_qsl(split.query, keep_blank_values=True, strict_parsing=bool(split.query))
    except ValueError:
        raise ValueError("what follows ? is not name=value") from None
    if len(dict(pairs)) < len(pairs):
        raise ValueError("an option after ? stands there twice")
    return dict(pairs)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise ValueError("the database is not a number")
    return int(text)
