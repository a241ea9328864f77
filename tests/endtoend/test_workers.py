"""``--workers``: several real processes on one listening socket, through their whole life."""

from __future__ import annotations

import json
import os
import re
import secrets
import select
import signal
import socket
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from tests import services
from tests.endtoend.accounts import sign_in
from tests.endtoend.client import SupportClient, connect
from tests.endtoend.conftest import Start
from tests.endtoend.daemon import DaemonProcess, faults_in
from tests.endtoend.test_life import (
    LOOPBACK,
    STOPPED,
    DaemonWithoutListen,
    notified,
    refusal_in,
    run_in_background,
    run_twistd,
    written,
)
from tests.endtoend.web import ask
from tests.reactor import in_reactor

__all__ = ["notified"]  # a fixture

StartWorkers = Callable[..., "Deferred[DaemonProcess]"]


@pytest.fixture
def redis_settings() -> Mapping[str, str]:
    """The environment of a server of several processes."""
    server = services.redis()
    server.ensure_running()
    return {
        "REALTIME_REDIS_URL": server.url,
        "REALTIME_REDIS_PREFIX": f"test-{secrets.token_hex(4)}",
        "REALTIME_OPERATIONS_DRAIN_SECONDS": "0.2",
    }


@pytest.fixture
def start_workers(start_daemon: Start, redis_settings: Mapping[str, str]) -> StartWorkers:
    """A function that starts two workers."""

    def start(*options: str, environment: Mapping[str, str] | None = None, **settings: Any) -> Any:
        variables = {**redis_settings, **(environment or {})}
        return start_daemon("--workers", "2", *options, environment=variables, **settings)

    return start


def workers_of(daemon: DaemonProcess | int) -> dict[int, int]:
    """The process ids of a daemon's workers, by their slots; of two in one slot, the later."""
    pid = daemon if isinstance(daemon, int) else daemon.transport.pid  # type: ignore[union-attr]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {slot_of(child): int(child) for child in sorted(children, key=int)}


def slot_of(pid: str) -> int:
    """The slot that a process was started for."""
    return int(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[-2])


def has_ended(handle: int) -> Deferred[bool]:
    """Wait until a process, of which this is a handle, is gone."""

    def wait() -> bool:
        try:
            return bool(select.select([handle], [], [], 20)[0])
        finally:
            os.close(handle)

    return deferToThread(wait)


async def metrics(daemon: DaemonProcess) -> dict[str, float]:
    """All samples, by their names with labels."""
    lines = (await ask(daemon.operations_port, "/metrics")).body.decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


async def until(condition: Callable[[], Any]) -> Any:
    """Ask again and again until the answer is yes."""
    from twisted.internet import reactor

    for _ in range(400):
        if answer := await condition():
            return answer
        await deferLater(reactor, 0.05)
    raise AssertionError("not in time")


async def enter(port: int, token: str) -> SupportClient:
    """A connection that has authenticated."""
    client: SupportClient = await connect(port)
    assert (await client.request("message.auth", token))["error"] is None
    return client


async def spread(daemon: DaemonProcess) -> list[float]:
    """How many connections each worker has."""
    now = await metrics(daemon)
    return [now.get(f'realtime_connections{{protocol="support",worker="{slot}"}}', 0) for slot in (0, 1)]


@in_reactor
async def test_one_dies(start_workers: StartWorkers, notified: socket.socket, tmp_path: Path) -> None:
    """All serve from one socket; one that hangs is named, one that dies has a successor, the rest go on."""
    path = tmp_path / "realtime.sock"
    environment = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "REALTIME_LISTEN": f"{LOOPBACK} unix:{path}:mode=660",
        "REALTIME_OPERATIONS_LOG_FORMAT": "json",
    }
    daemon = await start_workers("--demo", environment=environment)
    assert notified.recv(100) == b"READY=1"
    await daemon.logged("demo accounts")
    assert (await ask(daemon.operations_port, "/healthz")).body == b"alive\n"
    assert (await ask(daemon.operations_port, "/readyz")).body == b"ready\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660

    token, operator = await sign_in(daemon.port, "alice"), await sign_in(daemon.port, "operator")
    clients = [await enter(daemon.port, operator)]
    while 0 in await spread(daemon):
        clients.append(await enter(daemon.port, token))
    assert sum(await spread(daemon)) == len(clients)

    first = workers_of(daemon)[0]
    os.kill(first, signal.SIGSTOP)
    answer = await ask(daemon.operations_port, "/readyz")
    assert (answer.status, answer.body) == (200, b"ready\nworker 0: no answer\n")
    assert (await metrics(daemon))['realtime_worker_up{worker="0"}'] == 0
    os.kill(first, signal.SIGKILL)
    await daemon.logged("worker 0 has ended: killed by SIGKILL")
    left = [client for client in clients if not client.closed.called]
    assert left
    late = await enter(daemon.port, token)  # a living one takes it

    async def is_back() -> bool:
        return (await metrics(daemon))['realtime_worker_up{worker="0"}'] == 1

    await until(is_back)
    now = await metrics(daemon)
    assert now['realtime_worker_restarts_total{worker="0"}'] == 1
    assert now['realtime_workers{state="ready",worker="parent"}'] == 2
    assert now['realtime_build_info{version="0.1.0",worker="1"}'] == 1
    now_running = workers_of(daemon)
    assert now_running[0] != first
    assert not late.closed.called

    handles = [os.pidfd_open(each) for each in now_running.values()]
    assert await daemon.stop() == STOPPED
    assert await gatherResults([has_ended(each) for each in handles]) == [True, True]
    assert await gatherResults([client.closed for client in (*left, late)]) == [1001] * (len(left) + 1)
    assert not path.exists()
    assert notified.recv(100) == b"STOPPING=1"
    events = [json.loads(line) for line in daemon.log.splitlines()]
    assert {event.get("worker") for event in events} == {None, 0, 1}


@in_reactor
async def test_reload(
    start_daemon: Start, redis_settings: Mapping[str, str], notified: socket.socket, tmp_path: Path
) -> None:
    """SIGHUP: the file is read again, workers are replaced, nobody is refused meanwhile."""
    from twisted.internet import reactor

    file = tmp_path / "realtime.toml"
    listen = f'[[listen]]\nendpoint = "{LOOPBACK}"\n'
    file.write_text(listen + "[operations]\nworkers = 2\n")
    environment = {**redis_settings, "NOTIFY_SOCKET": str(tmp_path / "notify")}
    daemon = DaemonWithoutListen(tmp_path, "--config", "realtime.toml", "--demo", environment=environment)
    await daemon.start()
    try:
        await daemon.logged("demo accounts")
        token = await sign_in(daemon.port, "alice")
        client = await enter(daemon.port, token)
        before = workers_of(daemon)
        assert notified.recv(100) == b"READY=1"

        file.write_text("[limits]\nmessage_byte = 4096\n")
        hang_up(daemon)
        await daemon.logged("the reload is refused: limits.message_byte: no such setting")
        assert workers_of(daemon) == before
        assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", notified.recv(100))
        assert notified.recv(100) == b"READY=1"

        file.write_text(
            f'{listen}[[listen]]\nendpoint = "unix:{tmp_path}/more.sock"\n[operations]\nworkers = 1\n'
        )
        hang_up(daemon)
        visitors = 0
        while "Parent#info] reloaded" not in daemon.log:
            assert (await ask(daemon.port, "/v1/talks")).status == 401
            visitors += 1
            await deferLater(reactor, 0.01)
        assert visitors > 20
        assert await client.closed == 1001
        assert (tmp_path / "more.sock").is_socket()
        after = workers_of(daemon)
        assert set(after) == {0}
        assert after[0] not in before.values()
        assert notified.recv(100).startswith(b"RELOADING=1")
        assert notified.recv(100) == b"READY=1"
        client = await enter(daemon.port, token)
        client.sendClose(1000)
        await client.closed
        assert await daemon.stop() == STOPPED
    finally:
        await daemon.kill()
    assert not faults_in(daemon.log), daemon.log


def hang_up(daemon: DaemonProcess) -> None:
    """Ask a daemon to reload."""
    daemon.transport.signalProcess("HUP")  # type: ignore[union-attr]


@in_reactor
async def test_parent_is_killed(tmp_path: Path, redis_settings: Mapping[str, str]) -> None:
    """In the background all log to one file; workers whose parent has died send clients away and end."""
    environment = {**redis_settings, "REALTIME_OPERATIONS_WORKERS": "2"}
    started = await run_in_background(tmp_path, **environment)
    assert (started.returncode, started.stdout, started.stderr) == (0, "", "")
    parent = int((tmp_path / "twistd.pid").read_text())
    try:
        await written(tmp_path / "twistd.log", "health, metrics: 127.0.0.1:")
        log = (tmp_path / "twistd.log").read_text()
        (port, _) = re.findall(r": 127\.0\.0\.1:(\d+)\n", log)
        clients = [await connect(int(port)) for _ in range(4)]
        handles = [os.pidfd_open(each) for each in workers_of(parent).values()]
    finally:
        os.kill(parent, signal.SIGKILL)
    assert await gatherResults([client.closed for client in clients]) == [1001] * 4
    assert await gatherResults([has_ended(each) for each in handles]) == [True, True]
    assert log.count("worker 0 is ready") == log.count("worker 1 is ready") == 1
    assert not faults_in(log)


@in_reactor
async def test_socket_of_systemd(start_workers: StartWorkers) -> None:
    """Workers share a socket that systemd listens on; a second signal ends a long drain at once."""
    from twisted.internet import reactor

    adopt = ("sh", "-c", 'exec env LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=realtime.socket "$@"', "sh")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        environment = {
            "REALTIME_LISTEN": "systemd:domain=INET:index=0",
            "REALTIME_OPERATIONS_DRAIN_SECONDS": "100",
        }
        daemon = await start_workers(
            "--demo", environment=environment, launcher=adopt, inherited={3: listening.fileno()}
        )
        assert daemon.port == listening.getsockname()[1]
    await daemon.logged("demo accounts")
    token = await sign_in(daemon.port, "alice")
    clients = [await enter(daemon.port, token) for _ in range(4)]
    ended = daemon.send_signal(signal.SIGINT)
    while daemon.log.count("drain: closing") < 2:  # of each, which has closed the socket then
        await deferLater(reactor, 0.02)
    with pytest.raises(OSError, match="refused"):
        await deferToThread(socket.create_connection, ("127.0.0.1", daemon.port))
    daemon.send_signal(signal.SIGINT)
    assert await ended == -signal.SIGINT
    await gatherResults([client.closed for client in clients])


@in_reactor
async def test_no_start(tmp_path: Path, redis_settings: Mapping[str, str]) -> None:
    """Without Redis, or with workers that can't start, there is one line; --worker is for nobody."""
    refusal = refusal_in(await run_twistd(tmp_path, "--workers", "2"))
    assert refusal == "realtime: redis.url: must be set, for operations.workers to be one server"
    refusal = refusal_in(await run_twistd(tmp_path, "--workers", "many"))
    assert refusal.startswith("realtime: operations.workers: expected `int`")
    refusal = refusal_in(await run_twistd(tmp_path, "--worker", "0"))
    assert refusal == "realtime: --worker is what --workers starts processes with"
    assert not list(tmp_path.iterdir())
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "messenger-sealing-key.json").write_text("{}")
    sealing = {**redis_settings, "REALTIME_MESSENGER_SEALING": "optional"}
    refusal = refusal_in(await run_twistd(tmp_path, "--workers", "2", **sealing))
    assert re.fullmatch(r"realtime: worker [01]: state_dir: .* holds no private P-256 key.*", refusal)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        where = f"tcp:{other.getsockname()[1]}:interface=127.0.0.1"
        in_use = await run_twistd(tmp_path, "--workers", "2", **{**redis_settings, "REALTIME_LISTEN": where})
        assert f"can't listen on {where}" in refusal_in(in_use)
