"""The servers that tests need: PostgreSQL, MariaDB and Redis, each a private instance of this test run.

An instance is started when a test first asks for it, from the binaries that the machine has, in a folder
of its own under the temporary directory, on a free port of the loopback interface, without fsync; it is
stopped when the run ends. Tests may stop, kill and pause it: they leave it running.

- `TXREALTIME_TEST_POSTGRES_URL`, `TXREALTIME_TEST_MYSQL_URL` name a running server to use instead; its
  user may create databases. Such a server can't be stopped: tests that need to are skipped.
- Without binaries the tests are skipped; with `TXREALTIME_REQUIRE_SERVICES=1` they fail.

PostgreSQL and MariaDB refuse to run as root; then they run as the user `postgres` or `nobody`.
"""

from __future__ import annotations

import atexit
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pymysql
import pytest
from sqlalchemy.engine import URL, make_url

_START_SECONDS = 60.0
_numbers = count(1)


class Service:
    """One private server.

    Attributes:
        name: for messages.
        folder: where its data and log are; removed at the end of the run.
        port: on 127.0.0.1.
    """

    name = ""
    programs: tuple[str, ...] = ()
    user = "nobody"

    def __init__(self) -> None:
        self.binaries = {program: _find(program, self.name) for program in self.programs}
        self.folder = Path(tempfile.mkdtemp(prefix=f"txrealtime-{self.name}-"))
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        # Of a parent that is killed outright the folder stays; the server itself ends with the machine.
        atexit.register(self._remove)
        if os.getuid() == 0:
            shutil.chown(self.folder, self._account().pw_name)
        self.prepare()
        self.start()

    def start(self) -> None:
        """Starts it if it does not run, and waits until it answers."""
        if self._process is not None:
            return
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **self._identity(),
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.name} does not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stops it in order, though not waiting for its clients."""
        self._end(signal.SIGINT if self.name == "postgresql" else signal.SIGTERM)

    def kill(self) -> None:
        """Kills it with all its processes: no chance to say goodbye to its clients."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stops all its processes where they are: connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on after `pause`."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stops and starts it: every connection is lost."""
        self.stop()
        self.start()

    def ensure_running(self) -> None:
        """Undoes what a test left: resumed and started."""
        if self._process is not None:
            self.resume()
        self.start()

    def prepare(self) -> None:
        """Makes the data folder."""

    def command(self) -> list[str]:
        """The command line of the server in the foreground."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether a client is answered."""
        raise NotImplementedError

    def run(self, *command: str) -> None:
        """Runs a program to its end as the server's user."""
        done = subprocess.run(
            command,
            check=False,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **self._identity(),
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stdout.decode(errors='replace')[-2000:]}")

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _account(self) -> pwd.struct_passwd:
        for name in (self.user, "nobody"):
            try:
                return pwd.getpwnam(name)
            except KeyError:
                continue
        raise RuntimeError("there is no user to run a server as")

    def _identity(self) -> dict[str, Any]:
        if os.getuid() != 0:
            return {}
        account = self._account()
        return {
            "user": account.pw_uid,
            "group": account.pw_gid,
            "extra_groups": [],
            "env": {**os.environ, "HOME": str(self.folder)},
        }

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        for process in _family(self._process.pid):
            try:
                os.kill(process, number)
            except ProcessLookupError:
                continue

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        everyone = _family(process.pid) if number == signal.SIGKILL else [process.pid]
        for each in everyone:
            try:
                os.kill(each, number)
                os.kill(each, signal.SIGCONT)
            except ProcessLookupError:
                continue
        process.wait(30)

    def _remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class DatabaseServer:
    """What a storage test asks of a server, private or not."""

    url: str

    def fresh_database(self) -> str:
        """Creates an empty database and gives its URL."""
        raise NotImplementedError

    def drop_database(self, url: str) -> None:
        """Removes a database that `fresh_database` made."""
        raise NotImplementedError

    def run_sql(self, url: str, sql: str) -> None:
        """Runs one statement by a connection of its own."""
        raise NotImplementedError


class _PostgreSQL(DatabaseServer):
    def fresh_database(self) -> str:
        name = _fresh_name()
        self.run_sql(self.url, f'CREATE DATABASE "{name}"')
        return _rendered(make_url(self.url).set(database=name))

    def drop_database(self, url: str) -> None:
        self.run_sql(self.url, f'DROP DATABASE IF EXISTS "{make_url(url).database}" WITH (FORCE)')

    def run_sql(self, url: str, sql: str) -> None:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            connection.execute(sql.encode())


class _MariaDB(DatabaseServer):
    def fresh_database(self) -> str:
        name = _fresh_name()
        # Latin-1 on purpose: tables must say themselves that they hold Unicode.
        self.run_sql(self.url, f"CREATE DATABASE `{name}` CHARACTER SET latin1")
        return _rendered(make_url(self.url).set(database=name))

    def drop_database(self, url: str) -> None:
        self.run_sql(self.url, f"DROP DATABASE IF EXISTS `{make_url(url).database}`")

    def run_sql(self, url: str, sql: str) -> None:
        self.query(sql, url)

    def query(self, sql: str, url: str | None = None) -> list[tuple[Any, ...]]:
        """Runs one statement by a connection of its own, and gives its rows."""
        place = make_url(url or self.url)
        connection = pymysql.connect(
            host=place.host,
            port=place.port or 3306,
            user=place.username,
            password=str(place.password or ""),
            database=place.database,
            autocommit=True,
            connect_timeout=10,
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())
        finally:
            connection.close()


class PostgreSQLServer(_PostgreSQL, Service):
    """A private PostgreSQL."""

    name = "postgresql"
    programs = ("initdb", "postgres")
    user = "postgres"

    @property
    def url(self) -> str:  # type: ignore[override]
        """The maintenance database."""
        return f"postgresql://realtime:s3cret-of-tests@127.0.0.1:{self.port}/postgres"

    def prepare(self) -> None:
        """Runs initdb."""
        password = self.folder / "password"
        password.write_text("s3cret-of-tests\n")
        password.chmod(0o644)
        self.run(
            self.binaries["initdb"],
            *("--pgdata", str(self.folder / "data"), "--username", "realtime"),
            *("--auth", "scram-sha-256", "--pwfile", str(password)),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
        )

    def command(self) -> list[str]:
        """Small, and without flushing to the disk: a commit survives the process, not the machine."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "full_page_writes": "off",
            "shared_buffers": "16MB",
            "max_connections": 60,
            # Not that of the sessions: a session must set its own.
            "timezone": "Asia/Kolkata",
        }
        options = [text for key, value in settings.items() for text in ("-c", f"{key}={value}")]
        return [self.binaries["postgres"], "-D", str(self.folder / "data"), *options]

    def answers(self) -> bool:
        """Whether one can log in."""
        try:
            self.run_sql(self.url, "SELECT 1")
        except psycopg.Error:
            return False
        return True


class MariaDBServer(_MariaDB, Service):
    """A private MariaDB."""

    name = "mariadb"
    programs = ("mariadb-install-db", "mariadbd")
    user = "mysql"

    @property
    def url(self) -> str:  # type: ignore[override]
        """The system's database."""
        return f"mysql://realtime:s3cret-of-tests@127.0.0.1:{self.port}/mysql"

    def prepare(self) -> None:
        """Installs the system tables, and a user that may do everything."""
        self.run(
            self.binaries["mariadb-install-db"],
            *("--no-defaults", f"--datadir={self.folder / 'data'}"),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
        )
        (self.folder / "init.sql").write_text(
            "CREATE USER IF NOT EXISTS realtime@'%' IDENTIFIED BY 's3cret-of-tests';\n"
            "GRANT ALL ON *.* TO realtime@'%' WITH GRANT OPTION;\n"
        )

    def command(self) -> list[str]:
        """Small, and without flushing to the disk: a commit survives the process, not the machine."""
        return [
            self.binaries["mariadbd"],
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.folder / 'mariadb.sock'}",
            f"--pid-file={self.folder / 'mariadb.pid'}",
            f"--init-file={self.folder / 'init.sql'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=8M",
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-flush-method=nosync",
            "--innodb-doublewrite=0",
            "--max-connections=60",
            # Not that of the sessions: a session must set its own.
            "--default-time-zone=+05:30",
        ]

    def answers(self) -> bool:
        """Whether one can log in."""
        try:
            self.run_sql(self.url, "SELECT 1")
        except pymysql.Error:
            return False
        return True


class RedisServer(Service):
    """A private Redis, which keeps nothing."""

    name = "redis"
    programs = ("redis-server",)

    @property
    def url(self) -> str:
        """Its first database."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """In memory alone."""
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self.folder, "appendonly": "no"}
        listed = [text for key, value in options.items() for text in (f"--{key}", str(value))]
        return [self.binaries["redis-server"], *listed, "--save", ""]

    def answers(self) -> bool:
        """Whether it answers a PING."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


class _RunningPostgreSQL(_PostgreSQL):
    def __init__(self, url: str) -> None:
        self.url = url


class _RunningMariaDB(_MariaDB):
    def __init__(self, url: str) -> None:
        self.url = url


@cache
def postgresql() -> DatabaseServer:
    """The PostgreSQL of this test run."""
    if url := os.environ.get("TXREALTIME_TEST_POSTGRES_URL"):
        return _RunningPostgreSQL(url)
    return PostgreSQLServer()


@cache
def mariadb() -> DatabaseServer:
    """The MariaDB or MySQL of this test run."""
    if url := os.environ.get("TXREALTIME_TEST_MYSQL_URL"):
        return _RunningMariaDB(url)
    return MariaDBServer()


@cache
def redis() -> RedisServer:
    """The Redis of this test run."""
    return RedisServer()


SERVERS: dict[str, Callable[[], DatabaseServer]] = {"postgresql": postgresql, "mariadb": mariadb}
"""The database servers, by the name that tests are parametrised with."""


def private(server: DatabaseServer) -> Service:
    """The server as one that may be stopped, or the test is skipped."""
    if isinstance(server, Service):
        return server
    pytest.skip("needs a server of its own, not one named by the environment")


def _find(program: str, service: str) -> str:
    places = [
        *os.get_exec_path(),
        "/usr/sbin",
        "/usr/local/sbin",
        *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True),
    ]
    found = shutil.which(program, path=os.pathsep.join(places))
    if found is None:
        _missing(f"{service} is not installed: there is no {program}")
    return found


def _missing(reason: str) -> NoReturn:
    if os.environ.get("TXREALTIME_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _fresh_name() -> str:
    return f"realtime_{os.getpid()}_{next(_numbers)}"


def _rendered(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _family(process: int) -> list[int]:
    """A process and all that descend from it, parents first."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold anything: what counts stands behind it.
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        children.setdefault(parent, []).append(int(status.parent.name))
    family = [process]
    for member in family:
        family += children.get(member, [])
    return family
