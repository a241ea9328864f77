"""One process at a time migrates a database: a lock that the database, or the file system, holds.

All three end with the process or connection that holds them, however it ends.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, text

from realtime.storage.errors import StorageUnavailable

_WAIT = 60
"""Seconds to wait for another process's migration."""

_POSTGRESQL_KEY = 0x7265616C74696D65
"""The advisory lock's number: `realtime` in ASCII. Such locks belong to one database."""


@contextmanager
def sqlite_lock(path: Path) -> Iterator[None]:
    """Holds `<file>.lock`, which stays behind, empty: removing it would let two in."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def postgresql_lock(connection: Connection) -> Iterator[None]:
    """Holds an advisory lock of the session."""
    connection.execute(text(f"SET lock_timeout = '{_WAIT}s'"))
    connection.execute(text(f"SELECT pg_advisory_lock({_POSTGRESQL_KEY})"))
    connection.commit()
    try:
        yield
    finally:
        connection.execute(text(f"SELECT pg_advisory_unlock({_POSTGRESQL_KEY})"))
        connection.commit()


@contextmanager
def mysql_lock(connection: Connection) -> Iterator[None]:
    """Holds a named lock of the session. Such names are the whole server's, hence the database in it."""
    database = str(connection.execute(text("SELECT DATABASE()")).scalar_one())
    name = "realtime." + hashlib.sha256(database.encode()).hexdigest()[:32]
    wait = {"name": name, "seconds": _WAIT}
    if connection.execute(text("SELECT GET_LOCK(:name, :seconds)"), wait).scalar_one() != 1:
        raise StorageUnavailable("another process holds the lock for migrations")
    connection.commit()
    try:
        yield
    finally:
        connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": name})
        connection.commit()
