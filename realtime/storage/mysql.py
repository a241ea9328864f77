"""MariaDB and MySQL through PyMySQL."""

import math
from typing import Any

from sqlalchemy.dialects.mysql import pymysql as pymysql_dialect
from sqlalchemy.engine import URL

from realtime.storage.dialect import Dialect, Fault, plain_query

_QUERY_KEYS = {"unix_socket", "ssl_ca", "ssl_cert", "ssl_key"}

_CONFLICTS = {
    1062,  # duplicate entry
    1586,  # duplicate entry, with the key's name
    1216,  # no such parent row
    1217,  # the row has children
    1451,  # the row has children, with the constraint's name
    1452,  # no such parent row, with the constraint's name
}
_ABORTED = {
    1020,  # the row changed since it was read
    1205,  # waited too long for a lock
    1213,  # deadlock
}
_LOST = {
    0,  # PyMySQL: the connection is closed
    1021,  # the disk is full
    1040,  # too many connections
    1044,  # access denied
    1045,  # access denied
    1049,  # no such database
    1053,  # the server shuts down
    1114,  # the table is full
    1129,  # the host is blocked
    1130,  # the host is not allowed
    1203,  # too many connections of the user
    1290,  # the server is read-only
    1317,  # the statement was interrupted
    1836,  # the server is read-only
    1927,  # the connection was killed
    1969,  # the statement took too long
    4031,  # the server closed the connection for its idleness
}


class MySQL(Dialect):
    """One database of a MariaDB or MySQL server."""

    name = "mysql"
    driver = "pymysql"
    engine = "mysql+pymysql"
    extra = "mysql"
    compiler = pymysql_dialect.dialect(paramstyle="format")

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        if not url.database:
            raise ValueError("the database URL names no database")
        query = plain_query(url)
        if unknown := sorted(query.keys() - _QUERY_KEYS):
            raise ValueError(f"the database URL has an unknown key {unknown[0]!r}")
        from pymysql.constants import CLIENT

        named = {
            "host": url.host,
            "port": url.port,
            "user": url.username,
            "password": url.password,
            "database": url.database,
        }
        self._arguments: dict[str, Any] = {
            "charset": "utf8mb4",
            # UPDATE counts the rows that it matched, as on the other databases.
            "client_flag": CLIENT.FOUND_ROWS,
            **query,
            **{key: value for key, value in named.items() if value is not None},
        }

    def connect_arguments(self, timeout: float) -> dict[str, Any]:
        """PyMySQL's parameters; no single answer of the server is waited for longer than `timeout`."""
        return {
            **self._arguments,
            "connect_timeout": max(1, math.ceil(timeout)),
            "read_timeout": timeout,
            "write_timeout": timeout,
        }

    def handle(self, connection: Any) -> "_Nothing":
        """None is needed: PyMySQL ends each wait for the server by itself."""
        return _Nothing()

    def fault(self, error: Exception) -> Fault:
        """By the error number: those from 2000 to 2999 are the client's, the connection broke."""
        number = _number(error)
        if number in _CONFLICTS:
            return Fault.CONFLICT
        if number in _ABORTED:
            return Fault.ABORTED
        return Fault.LOST if number in _LOST or 2000 <= number < 3000 else Fault.REFUSED

    def code(self, error: Exception) -> str:
        """The server's error number."""
        return str(_number(error))

    def _configure(self, connection: Any, *, reading: bool, timeout: float) -> None:
        isolation = "REPEATABLE READ, READ ONLY" if reading else "READ COMMITTED"
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION time_zone = '+00:00'")
            # A text that does not fit is refused, not cut.
            cursor.execute("SET SESSION sql_mode = 'TRADITIONAL'")
            cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {max(1, math.ceil(timeout / 2))}")
            cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}")
        connection.autocommit(True)


def _number(error: Exception) -> int:
    first = error.args[0] if error.args else 0
    return first if isinstance(first, int) else 0


class _Nothing:
    def cut(self) -> None:
        pass

    def release(self) -> None:
        pass
