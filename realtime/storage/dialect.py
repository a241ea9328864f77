"""What one kind of database does differently from the others, and how a URL names a database.

A `Dialect` knows how to connect, what a session needs, how a transaction begins, where the id of a new
row is found, and what an exception of the driver means. The parts that do the same for all are given
it.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any, Protocol

from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import Dialect as Compiler
from sqlalchemy.exc import ArgumentError

from realtime.storage.errors import (
    Conflict,
    ConnectionLost,
    StorageError,
    TransactionAborted,
)


class Fault(Enum):
    """What an exception of a driver means to us."""

    REFUSED = "the database refused a statement"
    CONFLICT = "a constraint refused a statement"
    ABORTED = "the database aborted the transaction"
    LOST = "the database is away"


class Handle(Protocol):
    """A hold on one connection that another thread may use to end what the connection waits for."""

    def cut(self) -> None:
        """Make the driver's call return with an error soon. Never raises, never blocks."""

    def release(self) -> None:
        """Let go of the connection: `cut` does nothing from here on."""


class Dialect(ABC):
    """One database: its address, and the ways of its kind.

    Attributes:
        name: `sqlite`, `postgresql` or `mysql`; statements are compiled for this name.
        driver: the DB-API module.
        engine: SQLAlchemy's name of the driver, for the migrations.
        compiler: SQLAlchemy's dialect, with positional parameters in the driver's style.
        begin_write: the statement that begins a transaction of the writing session.
        begin_read: the same for a reading session: all its statements see one moment.
        where: the database's address for the log; no password.
    """

    name: str
    driver: str
    engine: str
    extra: str | None = None
    compiler: Compiler
    begin_write = "BEGIN"
    begin_read = "BEGIN"

    def __init__(self, url: URL) -> None:
        self.where = f"{self.name} at {self._address(url)}"
        self._password = str(url.password or "")
        try:
            module = importlib.import_module(self.driver)
        except ImportError as error:
            raise ValueError(
                f"the database {self.where} needs a driver: pip install 'txrealtime[{self.extra}]'"
            ) from error
        self.connect: Callable[..., Any] = module.connect
        self.errors: type[Exception] = module.Error

    @abstractmethod
    def connect_arguments(self, timeout: float) -> dict[str, Any]:
        """The arguments of the driver's `connect`; it gives up after `timeout` seconds."""

    def session_arguments(self, *, reading: bool, timeout: float) -> dict[str, Any]:
        """More arguments of `connect`, for a session of ours and not for a migration; see `opened`."""
        return {}

    def opened(self, connection: Any, *, reading: bool, timeout: float) -> None:
        """Prepare a new connection as a session: no transaction but those we begin, in UTC.

        Arguments:
            connection: the driver's connection.
            reading: whether the session is to refuse every change.
            timeout: the seconds after which a statement is given up.
        """
        try:
            self._configure(connection, reading=reading, timeout=timeout)
        except BaseException:
            with suppress(self.errors):
                connection.close()
            raise

    def abandon(self, connection: Any) -> None:
        """Before a connection is closed that may be broken, or in the middle of anything."""

    def inserted_id(self, cursor: Any) -> int:
        """The id of the row that the cursor has just inserted."""
        return int(cursor.lastrowid)

    @abstractmethod
    def handle(self, connection: Any) -> Handle:
        """A hold on the connection for the time of one piece of work."""

    @abstractmethod
    def fault(self, error: Exception) -> Fault:
        """What an exception of the driver means."""

    def explain(self, error: Exception, sql: str | None = None) -> StorageError:
        """Our exception for one of the driver's.

        Its text names the driver's class and code and the statement, which hold nobody's data; the
        driver's own text may.
        """
        fault = self.fault(error)
        what = f"{fault.value} ({type(error).__name__} {self.code(error)})"
        if fault is Fault.LOST:
            return ConnectionLost(what)
        if fault is Fault.ABORTED:
            return TransactionAborted(what)
        kind = Conflict if fault is Fault.CONFLICT else StorageError
        return kind(f"{what}: {sql}" if sql else what)

    @abstractmethod
    def code(self, error: Exception) -> str:
        """The driver's code for an error, as its manual lists it."""

    def reason(self, error: BaseException) -> str:
        """The driver's own words on why there is no connection, on one line, for an operator to read."""
        text = " ".join(str(error).split()) or type(error).__name__
        return text.replace(self._password, "***") if self._password else text

    def _address(self, url: URL) -> str:
        port = f":{url.port}" if url.port else ""
        return f"{url.host or 'local socket'}{port}/{url.database}"

    def _configure(self, connection: Any, *, reading: bool, timeout: float) -> None:
        """What `session_arguments` can't do. Each statement ends by itself in bounded time."""


def dialect_for(url: str) -> Dialect:
    """The database that a URL names.

    `sqlite:///relative/path.db`, `sqlite:////absolute/path.db`,
    `postgresql://user:password@host:port/name` (a directory of a Unix socket as `?host=`),
    `mysql://user:password@host:port/name` (a Unix socket as `?unix_socket=`; `mariadb://` is the same).

    Raises:
        ValueError: with one line that names what is wrong, and no password.
    """
    # Here, so that a driver that is not used need not be there, and because they import this module.
    from realtime.storage.mysql import MySQL
    from realtime.storage.postgresql import PostgreSQL
    from realtime.storage.sqlite import SQLite

    kinds: dict[str, Callable[[URL], Dialect]] = {
        "sqlite": SQLite,
        "postgresql": PostgreSQL,
        "postgres": PostgreSQL,
        "mysql": MySQL,
        "mariadb": MySQL,
    }
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Not `from error`: its text quotes the whole URL.
        raise ValueError("the database URL is not of the form kind://user:password@host/name") from None
    if parsed.drivername not in kinds:
        raise ValueError(
            f"the database URL begins with {parsed.drivername!r}: sqlite, postgresql or mysql is needed"
        )
    return kinds[parsed.drivername](parsed)


def plain_query(url: URL) -> dict[str, str]:
    """The part of a URL behind the `?`.

    Raises:
        ValueError: a key stands there twice.
    """
    for key, value in url.query.items():
        if not isinstance(value, str):
            raise ValueError(f"the database URL has {key!r} more than once")
    return {key: str(value) for key, value in url.query.items()}
