"""The daemon from its start to its end: what it says, where it listens, how it fails and how it stops."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sqlite3
import ssl
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from websockets.sync.client import connect as connect_in_thread
from websockets.sync.client import unix_connect

from tests.endtoend.accounts import sign_in
from tests.endtoend.client import Client, SupportClient, connect
from tests.endtoend.conftest import Start
from tests.endtoend.daemon import PRIVATE, TWISTD, DaemonProcess, faults_in
from tests.endtoend.web import ask, sign_in_with
from tests.reactor import in_reactor

LOOPBACK = "tcp:0:interface=127.0.0.1"

STOPPED = -signal.SIGTERM
"""What twistd ends with: when all is done it sends itself the signal that it was sent."""


@pytest.fixture
def notified(tmp_path: Path) -> Iterator[socket.socket]:
    """A service manager's socket, at ``notify`` in the folder."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        yield manager


async def with_demo(start_daemon: Start, *options: str, **settings: Any) -> DaemonProcess:
    """A daemon whose demo accounts are there."""
    daemon = await start_daemon("--demo", *options, **settings)
    await daemon.logged("demo accounts")
    return daemon


async def enter(daemon: DaemonProcess, name: str) -> SupportClient:
    """A connection that has authenticated."""
    client: SupportClient = await connect(daemon.port)
    answer = await client.request("message.auth", await sign_in(daemon.port, name))
    assert answer["error"] is None, answer
    return client


# -- stopping ------------------------------------------------------------------------------------


@in_reactor
async def test_drain(start_daemon: Start, notified: socket.socket, tmp_path: Path) -> None:
    """SIGTERM: not ready, nobody new, 1001 to each spread over the time, what was asked is stored."""
    from twisted.internet import reactor

    environment = {
        "REALTIME_OPERATIONS_DRAIN_SECONDS": "1.5",
        "REALTIME_LIMITS_MESSAGES_PER_SECOND": "1000",
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
    }
    daemon = await with_demo(start_daemon, environment=environment)
    assert (await ask(daemon.operations_port, "/readyz")).body == b"ready\n"
    clients = [await enter(daemon, "alice") for _ in range(6)]
    moments: list[float] = []

    def note_moment(code: int) -> int:
        moments.append(reactor.seconds())
        return code

    for client in clients:
        client.closed.addCallback(note_moment)
    stored = [clients[-1].request("message.send", f"{PRIVATE} {number}") for number in range(20)]
    await stored[0]

    began = reactor.seconds()
    ended = daemon.stop()
    await daemon.logged("drain: closing 6 connections")
    ready = await ask(daemon.operations_port, "/readyz")
    assert (ready.status, ready.body) == (503, b"draining\n")
    assert (await ask(daemon.operations_port, "/healthz")).status == 200
    with pytest.raises(OSError, match="refused"):
        await deferToThread(socket.create_connection, ("127.0.0.1", daemon.port))
    await gatherResults(stored)

    assert await gatherResults([client.closed for client in clients]) == [1001] * 6
    assert 1 < max(moments) - began < 4
    assert max(moments) - min(moments) > 0.9, "spread"
    assert await ended == STOPPED
    assert "drain: done" in daemon.log
    assert "drain: cutting" not in daemon.log
    with closing(sqlite3.connect(tmp_path / "var" / "realtime.db")) as database:
        assert database.execute("SELECT count(*) FROM messages").fetchone() == (20,)
    assert [notified.recv(100), notified.recv(100)] == [b"READY=1", b"STOPPING=1"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@in_reactor
async def test_nobody_there(start_daemon: Start, number: int) -> None:
    """Without connections it ends at once, whatever the drain time."""
    daemon = await start_daemon(environment={"REALTIME_OPERATIONS_DRAIN_SECONDS": "1000"})
    assert await daemon.send_signal(number) == -number
    assert daemon.log.rstrip().endswith("Server Shut Down.")


# -- starts that fail ----------------------------------------------------------------------------


def run_twistd(folder: Path, *options: str, **environment: str) -> Deferred[subprocess.CompletedProcess[str]]:
    """Run ``twistd -n realtime`` to its end, which must come by itself; with no ports to share."""
    command = [str(TWISTD), "-n", "--pidfile=", "realtime", *options]
    surroundings = {"REALTIME_LISTEN": LOOPBACK, "REALTIME_OPERATIONS_LISTEN": LOOPBACK, **environment}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **surroundings},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return deferToThread(run)


def refusal_in(ended: subprocess.CompletedProcess[str]) -> str:
    """The one line that says why a start failed; nothing was half started, and nothing leaked."""
    said = ended.stdout + ended.stderr
    assert ended.returncode == 1, said
    assert not faults_in(said), said
    assert "is ready" not in said
    return said.splitlines()[-1]


@pytest.mark.parametrize(
    ("file", "environment", "reason"),
    [
        ("[support]\ncolour = 1", {}, "support.colour: no such setting"),
        ("[limits", {}, "realtime.toml: not TOML"),
        ("", {"REALTIME_LIMITS_MESSAGE_BYTES": PRIVATE}, "REALTIME_LIMITS_MESSAGE_BYTES: "),
        ("", {"REALTIME_DATABASE_URL": f"oracle://scott:{PRIVATE}@host/x"}, "database"),
        ("", {"REALTIME_AUTH_JWT_SECRET": PRIVATE}, "jwt_secret"),
        ("", {"REALTIME_AUTH_JWT_SECRET_FILE": "absent"}, "jwt_secret_file"),
        ("", {"REALTIME_LISTEN": "nonsense"}, "listen: 'nonsense'"),
        ("", {"REALTIME_LISTEN": "unix:/nowhere/at/all"}, "listen"),
    ],
)
@in_reactor
async def test_bad_settings(tmp_path: Path, file: str, environment: dict[str, str], reason: str) -> None:
    """The start ends with one line that names what is wrong."""
    (tmp_path / "realtime.toml").write_text(file)
    ended = await run_twistd(tmp_path, "--config", "realtime.toml", **environment)
    assert reason in refusal_in(ended)
    assert not (tmp_path / "var" / "realtime.db").exists()


@in_reactor
async def test_unreadable_settings(tmp_path: Path) -> None:
    """A file that can't be read, or a folder: one line, and nothing is made."""
    for options, reason in (
        (("--config", "absent.toml"), "absent.toml: can't be read: No such file or directory"),
        (("--config", "."), ".: can't be read: Is a directory"),
    ):
        refusal = refusal_in(await run_twistd(tmp_path, *options))
        assert refusal == f"realtime: {reason}"
    assert not list(tmp_path.iterdir())


@in_reactor
async def test_port_in_use(tmp_path: Path) -> None:
    """A port that another has ends the start, whichever of the two listeners it is for."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        where = f"tcp:{other.getsockname()[1]}:interface=127.0.0.1"
        for variable in ("REALTIME_LISTEN", "REALTIME_OPERATIONS_LISTEN"):
            refusal = refusal_in(await run_twistd(tmp_path, **{variable: where}))
            assert where in refusal
            assert "in use" in refusal
    assert not (tmp_path / "var" / "realtime.db").exists()


@in_reactor
async def test_unusable_database(tmp_path: Path) -> None:
    """A file that is no database, one of a later version, and a server that is away: one line."""
    with socket.socket() as reserved:  # bound, and refusing
        reserved.bind(("127.0.0.1", 0))
        away = f"127.0.0.1:{reserved.getsockname()[1]}/x"
        (tmp_path / "text.db").write_text("This is no database.\n" * 100)
        with closing(sqlite3.connect(tmp_path / "later.db")) as later, later:
            later.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
            later.execute("INSERT INTO alembic_version VALUES ('9999')")
        for url in (
            "sqlite:///text.db",
            "sqlite:///later.db",
            "sqlite:////proc/nowhere/realtime.db",
            f"postgresql://me:{PRIVATE}@{away}",
            f"mysql://me:{PRIVATE}@{away}",
        ):
            refusal = refusal_in(await run_twistd(tmp_path, "--database", url))
            assert "realtime: can't use the database: " in refusal, refusal


# -- what a start makes --------------------------------------------------------------------------


@in_reactor
async def test_defaults(start_daemon: Start, tmp_path: Path) -> None:
    """With no options, everything is in ./var, for its owner alone; a second start finds it again."""
    umask = os.umask(0o022)
    try:
        daemon = await start_daemon()
    finally:
        os.umask(umask)
    state = tmp_path / "var"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (state, *state.iterdir())}
    assert modes["var"] == 0o700
    assert modes["jwt-secret"] == 0o600
    assert {"realtime.db", "jwt-secret"} <= set(modes)
    assert not {name: mode for name, mode in modes.items() if mode & 0o077}
    secret = (state / "jwt-secret").read_bytes()
    assert len(secret.strip()) >= 32
    assert await daemon.stop() == STOPPED
    assert {path.name for path in tmp_path.iterdir()} == {"var"}

    again = await start_daemon()
    assert (state / "jwt-secret").read_bytes() == secret
    assert (await ask(again.port, "/")).status == 200


@in_reactor
async def test_demo_accounts(start_daemon: Start, tmp_path: Path) -> None:
    """They sign in with their names; a second start leaves alone what was changed meanwhile."""
    daemon = await with_demo(start_daemon)
    kept = await sign_in(daemon.port, "alice")
    for name in ("bob", "carol", "operator"):
        await sign_in(daemon.port, name)
    assert await daemon.stop() == STOPPED
    with closing(sqlite3.connect(tmp_path / "var" / "realtime.db")) as database, database:
        users = database.execute("SELECT user_name, is_admin FROM users ORDER BY id").fetchall()
        assert users == [("alice", 0), ("bob", 0), ("carol", 0), ("operator", 1)]
        database.execute("UPDATE users SET user_password = 'none' WHERE user_name = 'bob'")
        database.execute("DELETE FROM users WHERE user_name = 'carol'")

    again = await with_demo(start_daemon)
    assert (await sign_in_with(again.port, "bob", "bob")).status == 403
    assert (await sign_in_with(again.port, "carol", "carol")).status == 200
    client = await connect(again.port)
    assert (await client.request("message.auth", kept))["error"] is None
    client.sendClose(1000)
    await client.closed


@in_reactor
async def test_options_over_environment_over_file(start_daemon: Start, tmp_path: Path) -> None:
    """What is said in several places is taken from the option, then the environment, then the file."""
    (tmp_path / "realtime.toml").write_text(
        'state_dir = "from-file"\n[operations]\nlisten = "nonsense"\nlog_level = "error"\n'
    )
    environment = {"REALTIME_STATE_DIR": "from-environment", "REALTIME_OPERATIONS_LOG_LEVEL": "info"}
    options = ("--config", "realtime.toml", "--listen", LOOPBACK)
    await start_daemon(*options, "--state-dir", "from-option", environment=environment)
    await start_daemon(*options, environment=environment)
    assert (tmp_path / "from-option" / "realtime.db").exists()
    assert (tmp_path / "from-environment" / "realtime.db").exists()
    assert not (tmp_path / "from-file").exists()


# -- what it says --------------------------------------------------------------------------------


@in_reactor
async def test_operations(start_daemon: Start) -> None:
    """/healthz, /readyz and /metrics tell what happened; nothing else is there, and no token needed."""
    daemon = await with_demo(start_daemon)
    alice, operator = await enter(daemon, "alice"), await enter(daemon, "operator")
    await alice.request("message.send", PRIVATE)
    await sign_in_with(daemon.port, "alice", PRIVATE)
    refused = await connect(daemon.port)
    refused.request("message.auth", PRIVATE).addErrback(lambda failure: failure.trap(ConnectionError))
    assert await refused.closed == 4401
    operator.sendClose(1000)
    await operator.closed

    port = daemon.operations_port
    health, ready = await ask(port, "/healthz"), await ask(port, "/readyz")
    assert (health.status, health.body, ready.status, ready.body) == (200, b"alive\n", 200, b"ready\n")
    metrics = await ask(port, "/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    lines = metrics.body.decode().splitlines()
    for line in (
        'realtime_build_info{version="0.1.0"} 1.0',
        'realtime_connections{protocol="support"} 1.0',
        'realtime_connections_opened_total{protocol="support"} 3.0',
        'realtime_connections_closed_total{code="4401",protocol="support"} 1.0',
        'realtime_connections_closed_total{code="1000",protocol="support"} 1.0',
        'realtime_messages_received_total{protocol="support"} 4.0',
        'realtime_messages_sent_total{protocol="support"} 4.0',
        'realtime_sign_ins_total{outcome="accepted"} 2.0',
        'realtime_sign_ins_total{outcome="refused"} 1.0',
        "realtime_database_writes_waiting 0.0",
    ):
        assert line in lines
    assert any(line.startswith("realtime_database_commits_total") for line in lines)
    assert any(line.startswith("process_resident_memory_bytes") for line in lines)
    assert PRIVATE not in metrics.body.decode()
    assert (await ask(port, "/")).status == 404
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await ask(daemon.port, path)).status == 404
    alice.sendClose(1000)
    await alice.closed


@in_reactor
async def test_json_lines(start_daemon: Start) -> None:
    """With log_format "json" each line is one object, with a connection's number where there is one."""
    environment = {"REALTIME_OPERATIONS_LOG_FORMAT": "json", "REALTIME_OPERATIONS_LOG_LEVEL": "debug"}
    daemon = await with_demo(start_daemon, environment=environment)
    alice = await enter(daemon, "alice")
    await alice.request("message.send", PRIVATE)
    await ask(daemon.port, f"/x?token={PRIVATE}")
    alice.sendClose(1000)
    await alice.closed
    assert await daemon.stop() == STOPPED
    events = [json.loads(line) for line in daemon.log.splitlines()]
    for event in events:
        assert {"time", "level", "namespace", "message"} <= set(event)
        assert datetime.fromisoformat(event["time"]).tzinfo is UTC
    connections = [event["message"] for event in events if "connection" in event]
    assert any("closed with 1000" in message for message in connections)


@in_reactor
async def test_service_manager(start_daemon: Start, notified: socket.socket, tmp_path: Path) -> None:
    """It says READY=1 when it serves, WATCHDOG=1 twice in the time given, STOPPING=1 at its end."""
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
    daemon = await start_daemon(environment=environment)
    said = [await deferToThread(notified.recv, 100) for _ in range(4)]
    assert set(said) == {b"READY=1", b"WATCHDOG=1"}
    assert said.count(b"READY=1") == 1
    assert await daemon.stop() == STOPPED
    notified.setblocking(False)
    rest = []
    while b"STOPPING=1" not in rest:
        rest.append(notified.recv(100))


# -- where it listens ----------------------------------------------------------------------------


@in_reactor
async def test_socket_activation(start_daemon: Start) -> None:
    """It takes over a socket that systemd listens on; who had connected before is served."""
    adopt = ("sh", "-c", 'exec env LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=realtime.socket "$@"', "sh")
    with socket.socket() as listening, socket.socket() as early:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        early.connect(listening.getsockname())
        early.sendall(b"GET / HTTP/1.0\r\n\r\n")
        environment = {"REALTIME_LISTEN": "systemd:domain=INET:index=0"}
        daemon = await with_demo(
            start_daemon, environment=environment, launcher=adopt, inherited={3: listening.fileno()}
        )
        assert daemon.port == listening.getsockname()[1]
        early.settimeout(20)
        assert b"200 OK" in await deferToThread(early.recv, 1000)
    alice = await enter(daemon, "alice")
    ended = daemon.stop()
    assert await alice.closed == 1001
    assert await ended == STOPPED


@in_reactor
async def test_dedicated_listener(start_daemon: Start, tmp_path: Path) -> None:
    """A listener for support alone serves it at / and at /support, with its sign-in."""
    (tmp_path / "realtime.toml").write_text(f'[[listen]]\nendpoint = "{LOOPBACK}"\nprotocol = "support"\n')
    environment = {**os.environ, "REALTIME_OPERATIONS_LISTEN": LOOPBACK}
    daemon = DaemonWithoutListen(tmp_path, "--config", "realtime.toml", "--demo", environment=environment)
    await daemon.start()
    try:
        await daemon.logged("demo accounts")
        token = await sign_in(daemon.port, "alice")
        for path in ("/", "/support", "/support/", "/?x=1"):
            client = await connect(daemon.port, path)
            assert (await client.request("message.auth", token))["error"] is None
            client.sendClose(1000)
            await client.closed
        with pytest.raises(ConnectionError):
            await connect(daemon.port, "/elsewhere")
        assert (await ask(daemon.port, "/")).status == 426
    finally:
        await daemon.kill()
    assert not faults_in(daemon.log), daemon.log


@in_reactor
async def test_dedicated_listener_with_an_api(start_daemon: Start, tmp_path: Path) -> None:
    """A listener for talk alone serves it at / and at /talk, with its list of talks and the sign-in."""
    (tmp_path / "realtime.toml").write_text(f'[[listen]]\nendpoint = "{LOOPBACK}"\nprotocol = "talk"\n')
    environment = {**os.environ, "REALTIME_OPERATIONS_LISTEN": LOOPBACK}
    daemon = DaemonWithoutListen(tmp_path, "--config", "realtime.toml", "--demo", environment=environment)
    await daemon.start()
    try:
        await daemon.logged("demo accounts")
        bearer: dict[str, Any] = {"Authorization": f"Bearer {await sign_in(daemon.port, 'alice')}"}
        for path in ("/", "/talk", "/talk/", "/?x=1"):
            client: Client = await connect(daemon.port, path, protocol=Client, headers=bearer)
            client.sendMessage(b'{"event": "message", "payload": {"message": "too early"}}')
            assert json.loads(await client.next())["payload"]["code"] == "not-allowed"
            assert await client.closed == 1008
        talks = await ask(daemon.port, "/v1/talks", **bearer)
        assert json.loads(talks.body) == {"talks": [], "next": None}
        assert (await ask(daemon.port, "/v1/talks")).status == 401
        assert (await ask(daemon.port, "/support")).status == 404
        with pytest.raises(ConnectionError):
            await connect(daemon.port, "/support")
    finally:
        await daemon.kill()
    assert not faults_in(daemon.log), daemon.log


class DaemonWithoutListen(DaemonProcess):
    """One whose environment names no place to listen for clients, so that the file does."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        del self._environment["REALTIME_LISTEN"]


@in_reactor
async def test_several_listeners(start_daemon: Start, tmp_path: Path) -> None:
    """A UNIX socket beside a port serves the same; it is gone after the end."""
    path = tmp_path / "realtime.sock"
    daemon = await with_demo(start_daemon, environment={"REALTIME_LISTEN": f"{LOOPBACK} unix:{path}"})
    token = await sign_in(daemon.port, "alice")

    def talk() -> Any:
        with unix_connect(str(path), uri="ws://localhost/support") as client:
            client.send(json.dumps({"method": "message.auth", "params": [token], "id": 1}))
            client.recv(20)
            client.send(json.dumps({"method": "message.send", "params": [PRIVATE], "id": 2}))
            return json.loads(client.recv(20))

    bob = await enter(daemon, "operator")
    pushed = bob.next_push()
    answer = await deferToThread(talk)
    assert answer["result"]["message"]["message_text"] == PRIVATE
    assert (await pushed)["message_text"] == PRIVATE
    ended = daemon.stop()
    assert await bob.closed == 1001
    assert await ended == STOPPED
    assert not path.exists()


def make_certificate(folder: Path) -> None:
    """Write a key and a certificate for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "realtime")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@in_reactor
async def test_tls(start_daemon: Start, tmp_path: Path) -> None:
    """An ssl: endpoint serves wss:// and https://, also for messages of some size, and drains."""
    make_certificate(tmp_path)
    endpoint = "ssl:0:interface=127.0.0.1:privateKey=key.pem:certKey=certificate.pem"
    daemon = await with_demo(start_daemon, environment={"REALTIME_LISTEN": endpoint})
    trust = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
    where = f"127.0.0.1:{daemon.port}"
    text = PRIVATE.ljust(10_000, "☃")

    def talk() -> list[Any]:
        from http.client import HTTPSConnection

        with closing(HTTPSConnection(where, context=trust, timeout=20)) as page:
            page.request("POST", "/v1/auth/", json.dumps({"user_name": "alice", "password": "alice"}))
            token = json.load(page.getresponse())["result"]["token"]
        with connect_in_thread(f"wss://{where}/support?token={token}", ssl=trust, proxy=None) as client:
            client.send('{"method": "message.auth", "params": [], "id": 0}')
            answers = [json.loads(client.recv(20))]
            for number in range(1, 11):
                client.send(json.dumps({"method": "message.send", "params": [text], "id": number}))
            answers += [json.loads(client.recv(20)) for _ in range(10)]
            client.send('{"method": "message.history", "params": [], "id": 11}')
            return [*answers, json.loads(client.recv(20))]

    answers = await deferToThread(talk)
    assert [answer["id"] for answer in answers] == list(range(12))
    assert [message["message_text"] for message in answers[-1]["result"]["messages"]] == [text] * 10
    assert await daemon.stop() == STOPPED


# -- in the background ---------------------------------------------------------------------------


def run_in_background(folder: Path, **environment: str) -> Deferred[subprocess.CompletedProcess[str]]:
    """Run ``twistd realtime``; fires when it gives the terminal back."""
    surroundings = {"REALTIME_LISTEN": LOOPBACK, "REALTIME_OPERATIONS_LISTEN": LOOPBACK, **environment}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(TWISTD), "realtime"],
            cwd=folder,
            env={**os.environ, **surroundings},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return deferToThread(run)


def stop(process: int) -> None:
    """Ask a process that is nobody's child to stop, and wait until it has."""
    handle = os.pidfd_open(process)
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        ended, _, _ = select.select([handle], [], [], 20)
        assert ended
    finally:
        os.close(handle)


@in_reactor
async def test_in_the_background(tmp_path: Path) -> None:
    """Without ``-n`` it leaves the terminal when it has started; twistd.pid says whom to stop."""
    started = await run_in_background(tmp_path)
    assert (started.returncode, started.stdout, started.stderr) == (0, "", "")
    try:
        await written(tmp_path / "twistd.log", "health, metrics: 127.0.0.1:")
    finally:
        await deferToThread(stop, int((tmp_path / "twistd.pid").read_text()))
    log = (tmp_path / "twistd.log").read_text()
    assert "Server Shut Down." in log
    assert not faults_in(log)
    assert not (tmp_path / "twistd.pid").exists()


@in_reactor
async def test_no_start_in_the_background(tmp_path: Path) -> None:
    """A start that fails is told at the terminal and in twistd.log, and leaves no twistd.pid."""
    (tmp_path / "text.db").write_text("This is no database.\n" * 100)
    for environment, reason in (
        ({"REALTIME_LISTEN": "tcp:99999999"}, "can't listen on tcp:99999999"),
        ({"REALTIME_DATABASE_URL": "sqlite:///text.db"}, "can't use the database"),
    ):
        failed = await run_in_background(tmp_path, **environment)
        assert failed.returncode == 1
        assert reason in failed.stdout + failed.stderr
        # The process says so to who started it, and then to its log.
        await written(tmp_path / "twistd.log", f"realtime: {reason}")
        log = (tmp_path / "twistd.log").read_text()
        assert not faults_in(failed.stdout + failed.stderr + log)
        assert not (tmp_path / "twistd.pid").exists()


async def written(log: Path, text: str) -> None:
    """Wait until a file holds a text."""
    from twisted.internet import reactor

    for _ in range(400):
        if log.exists() and text in log.read_text():
            return
        await deferLater(reactor, 0.05)
    raise AssertionError(f"not written in time: {text}")
