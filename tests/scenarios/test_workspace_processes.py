"""The stories of workspace with several processes behind one address, and a balancer that knows nothing."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from typing import Any

from twisted.internet.task import deferLater

from tests.endtoend.daemon import PRIVATE, DaemonProcess
from tests.endtoend.programs import Program
from tests.endtoend.web import ask
from tests.reactor import in_reactor
from tests.scenarios.alternator import alternating
from tests.scenarios.conftest import StartServer
from tests.scenarios.socketio_world import KINDS, TRANSPORTS, add_people, python_client, script

BY_INVITATION = {"REALTIME_WORKSPACE_OPEN": "false"}
POLLING = "/socket.io/?EIO=4&transport=polling"


async def invited(daemons: Sequence[DaemonProcess], mark: str, port: int, **more: Any) -> dict[str, Any]:
    """A workspace with two members, who come to ``port``."""
    people = add_people(daemons[0].folder, mark, ("alice", "bob", "operator"))
    bearer: dict[str, Any] = {"Authorization": f"Bearer {people['operator']['token']}"}
    body = json.dumps({"id": mark, "name": mark}).encode()
    assert (await ask(port, "/v1/workspaces", method="POST", body=body, **bearer)).status == 201
    for name in ("alice", "bob"):
        path = f"/v1/workspaces/{mark}/members/{people[name]['id']}"
        assert (await ask(port, path, method="PUT", **bearer)).status == 204
    return {"port": port, "private": PRIVATE, "workspace": mark, "people": people, **more}


@in_reactor
async def test_clients_of_all_kinds(start_server: StartServer, programs: list[Program]) -> None:
    """Each request may come to another process: nothing is lost, and who comes back at another is recovered."""
    node_programs = script("processes.mjs", programs)
    daemons = await start_server(2, environment=BY_INVITATION)
    ports = [daemon.port for daemon in daemons]
    async with alternating(ports) as alternator:
        worlds = [
            await invited(
                daemons,
                f"w{version}-{transport}",
                alternator.port,
                version=version,
                transport=transport,
                ports=ports,
            )
            for version, transport in KINDS
        ]
        node_programs.tell(worlds)
        faults = await node_programs.stories()
        assert not faults, "\n\n".join(faults)


@in_reactor
async def test_python_socketio(start_server: StartServer, programs: list[Program]) -> None:
    """The short story, with each of its ways to connect."""
    program = python_client(programs)
    daemons = await start_server(2, environment=BY_INVITATION)
    async with alternating([daemon.port for daemon in daemons]) as alternator:
        worlds = [
            await invited(daemons, transport, alternator.port, story="meeting", transport=transport)
            for transport in TRANSPORTS
        ]
        program.tell(worlds)
        faults = await program.stories()
        assert not faults, "\n\n".join(faults)


@in_reactor
async def test_a_process_is_killed_or_stands_still(start_server: StartServer) -> None:
    """Who waits elsewhere for a session of either is told that it is unknown: at once, or in a moment."""
    from twisted.internet import reactor

    killed, stopped, other = await start_server(3)
    waiting = []
    for daemon in (killed, stopped):
        sid = json.loads((await ask(daemon.port, POLLING)).body[1:])["sid"]
        posted = f"{POLLING}&sid={sid}"
        while (await ask(other.port, posted, method="POST", body=b"40")).body != b"ok":
            await deferLater(reactor, 0.05)  # they have just started, and may not know each other yet
        assert (await ask(other.port, f"{POLLING}&sid={sid}")).body.startswith(b"40{")
        waiting.append(ask(other.port, f"{POLLING}&sid={sid}"))
    assert stopped.transport is not None
    stopped.transport.signalProcess(signal.SIGSTOP)
    try:
        await killed.kill()
        for each in waiting:
            answer = await each
            assert (answer.status, answer.body) == (400, b'{"code":1,"message":"Session ID unknown"}')
    finally:
        stopped.transport.signalProcess(signal.SIGCONT)


@in_reactor
async def test_another_secret(start_server: StartServer) -> None:
    """Processes that don't know each other's secret serve their own clients alone."""
    (one,) = await start_server(1, environment={"REALTIME_CLUSTER_SECRET": f"{PRIVATE}-1"})
    (two,) = await start_server(1, environment={"REALTIME_CLUSTER_SECRET": f"{PRIVATE}-2"})
    sid = json.loads((await ask(one.port, POLLING)).body[1:])["sid"]
    assert (await ask(two.port, f"{POLLING}&sid={sid}")).status == 400
    assert (await ask(one.port, f"{POLLING}&sid={sid}", method="POST", body=b"40")).body == b"ok"
