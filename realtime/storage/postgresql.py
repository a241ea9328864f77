"""PostgreSQL through psycopg 3."""

import math
import os
import socket
from contextlib import suppress
from threading import Lock
from typing import Any

from sqlalchemy.dialects.postgresql import psycopg as psycopg_dialect
from sqlalchemy.engine import URL

from realtime.storage.dialect import Dialect, Fault, plain_query

_CONFLICTS = {"23503", "23505"}
_ABORTED = {"40001", "40P01", "55P03"}
# Connection exceptions; insufficient resources; shutdown and cancellation; system errors.
_LOST_CLASSES = {"08", "53", "57", "58"}
# Idle in transaction for too long; a server that has become a read-only standby.
_LOST = {"25P03", "25006"}


class PostgreSQL(Dialect):
    """One PostgreSQL database."""

    name = "postgresql"
    driver = "psycopg"
    engine = "postgresql+psycopg"
    extra = "postgres"
    compiler = psycopg_dialect.dialect(paramstyle="format")

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        if not url.database:
            raise ValueError("the database URL names no database")
        import psycopg.conninfo

        named = {
            "host": url.host,
            "port": url.port,
            "user": url.username,
            "password": url.password,
            "dbname": url.database,
        }
        self._arguments: dict[str, Any] = {
            "application_name": "realtime",
            # A server whose machine is gone is noticed in a minute, not in two hours.
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            **plain_query(url),
            **{key: value for key, value in named.items() if value is not None},
        }
        try:
            psycopg.conninfo.make_conninfo("", **self._arguments)
        except psycopg.Error as error:
            raise ValueError(f"the database URL: {self.reason(error)}") from None

    def connect_arguments(self, timeout: float) -> dict[str, Any]:
        """The parameters of libpq."""
        # libpq counts in whole seconds, and not under two.
        return {**self._arguments, "connect_timeout": max(2, math.ceil(timeout))}

    def session_arguments(self, *, reading: bool, timeout: float) -> dict[str, Any]:
        """The session's settings go with the login, so that they cost no round trips and can't hang."""
        milliseconds = math.ceil(timeout * 1000)
        settings = {
            "timezone": "UTC",
            "default_transaction_isolation": "repeatable read" if reading else "read committed",
            "default_transaction_read_only": "on" if reading else "off",
            # What we have given up the server gives up too, with the locks it holds.
            "statement_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
        }
        options = [str(self._arguments.get("options", ""))]
        for key, value in settings.items():
            # Options are parted by spaces, and a space within one has a backslash before it.
            escaped = str(value).replace(" ", "\\ ")
            options.append(f"-c {key}={escaped}")
        return {"autocommit": True, "options": " ".join(options).strip()}

    def inserted_id(self, cursor: Any) -> int:
        """What the RETURNING, that compiling added, brought."""
        return int(cursor.fetchone()[0])

    def handle(self, connection: Any) -> "_Socket":
        """Shuts down the connection's socket."""
        return _Socket(connection.fileno())

    def fault(self, error: Exception) -> Fault:
        """By SQLSTATE; an error without one is libpq's own: the connection broke."""
        import psycopg

        state = getattr(error, "sqlstate", None)
        if state is None:
            broken = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
            return Fault.LOST if broken else Fault.REFUSED
        if state in _CONFLICTS:
            return Fault.CONFLICT
        if state in _ABORTED:
            return Fault.ABORTED
        return Fault.LOST if state in _LOST or state[:2] in _LOST_CLASSES else Fault.REFUSED

    def code(self, error: Exception) -> str:
        """The SQLSTATE."""
        return str(getattr(error, "sqlstate", None) or "")


class _Socket:
    """A second descriptor of a connection's socket.

    libpq closes its own descriptor in the thread that runs the work, and the number may then serve
    another socket; this one stays what it is until it is released.
    """

    def __init__(self, descriptor: int) -> None:
        self._lock = Lock()
        self._descriptor: int | None = os.dup(descriptor)

    def cut(self) -> None:
        with self._lock:
            descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with socket.socket(fileno=descriptor) as duplicate, suppress(OSError):
                duplicate.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        with self._lock:
            descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
