"""The stories of workspace, between clients of all generations and a real daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.endtoend.accounts import sign_in
from tests.endtoend.conftest import Start
from tests.endtoend.daemon import DaemonProcess, faults_in
from tests.endtoend.programs import Program
from tests.endtoend.web import ask
from tests.reactor import in_reactor
from tests.scenarios.socketio_world import (
    KINDS,
    TRANSPORTS,
    VERSIONS,
    DedicatedDaemon,
    add_people,
    python_client,
    script,
    world,
)

BY_INVITATION = {"REALTIME_WORKSPACE_OPEN": "false"}
AT_ONCE = {"REALTIME_OPERATIONS_DRAIN_SECONDS": "0.2"}


def everybody(daemon: DaemonProcess) -> list[dict[str, Any]]:
    """One user for each kind of client."""
    people = add_people(daemon.folder, "all", [f"{version}-{transport}" for version, transport in KINDS])
    return [
        {"version": version, "transport": transport, **people[f"{version}-{transport}"]}
        for version, transport in KINDS
    ]


@in_reactor
async def test_the_whole_story(start_daemon: Start, programs: list[Program]) -> None:
    """From a wrong token to recovery: nine kinds of client at once, each in a workspace of its own.

    And the short one with python-socketio.
    """
    node_programs, python_program = script("workspace.mjs", programs), python_client(programs)
    daemon = await start_daemon(environment=BY_INVITATION)
    names = ("alice", "bob", "carol", "operator")
    node_programs.tell(
        [
            world(
                daemon,
                version=version,
                transport=transport,
                workspace=f"w{version}-{transport}",
                people=add_people(daemon.folder, f"{version}-{transport}", names),
            )
            for version, transport in KINDS
        ]
    )
    python_program.tell([await invited(daemon, transport) for transport in TRANSPORTS])
    faults = [*await node_programs.stories(), *await python_program.stories()]
    assert not faults, "\n\n".join(faults)


async def invited(daemon: DaemonProcess, transport: str) -> dict[str, Any]:
    """A workspace with two members."""
    people = add_people(daemon.folder, transport, ("alice", "bob", "operator"))
    bearer: dict[str, Any] = {"Authorization": f"Bearer {people['operator']['token']}"}
    body = json.dumps({"id": transport, "name": transport}).encode()
    assert (await ask(daemon.port, "/v1/workspaces", method="POST", body=body, **bearer)).status == 201
    for name in ("alice", "bob"):
        path = f"/v1/workspaces/{transport}/members/{people[name]['id']}"
        assert (await ask(daemon.port, path, method="PUT", **bearer)).status == 204
    return world(daemon, story="workspace", transport=transport, workspace=transport, people=people)


@in_reactor
async def test_restart(start_daemon: Start, programs: list[Program]) -> None:
    """All kinds hear each other; the server stops, then is killed, and each time they come back."""
    daemon = await start_daemon(environment=AT_ONCE)
    same_port = {**AT_ONCE, "REALTIME_LISTEN": f"tcp:{daemon.port}:interface=127.0.0.1"}
    meeting = script("meeting.mjs", programs)
    meeting.tell(world(daemon, path="", people=everybody(daemon), comesBack=2))
    assert await meeting.next() == {"ready": True}
    for end in (DaemonProcess.stop, DaemonProcess.kill):
        await end(daemon)
        daemon = await start_daemon(environment=same_port)
        assert await meeting.next() == {"ready": True}
    assert await meeting.next() == {"over": True}
    await meeting.ended


@in_reactor
async def test_dedicated_listener(tmp_path: Path, programs: list[Program]) -> None:
    """A listener for workspace alone serves it in the namespaces / and /workspace, and nothing else."""
    daemon = DedicatedDaemon(tmp_path, "workspace", {})
    try:
        await daemon.start()
        people = everybody(daemon)
        for path in ("", "/workspace"):
            meeting = script("meeting.mjs", programs)
            meeting.tell(world(daemon, path=path, people=people, comesBack=0))
            assert await meeting.next() == {"ready": True}
            assert await meeting.next() == {"over": True}
            await meeting.ended
        assert (await ask(daemon.port, "/v1/workspaces")).status == 401
        assert (await ask(daemon.port, "/v1/talks")).status == 404
        assert (await ask(daemon.port, "/talk")).status == 404
    finally:
        await daemon.kill()
    assert not faults_in(daemon.log), daemon.log


@in_reactor
async def test_tokens_expire(start_daemon: Start, programs: list[Program]) -> None:
    """Whose token has expired is told, hears nothing more, and may show a new one."""
    settings = {"REALTIME_AUTH_TOKEN_TTL": "4", "REALTIME_AUTH_LEEWAY": "0"}
    program = script("expiry.mjs", programs)
    daemon = await start_daemon("--demo", environment=settings)
    await daemon.logged("demo accounts")
    names = ("alice", "bob", "carol")
    tokens = [await sign_in(daemon.port, name) for name in names]
    bearer: dict[str, Any] = {"Authorization": f"Bearer {tokens[0]}"}
    members = await ask(daemon.port, "/v1/workspaces/default/members", **bearer)
    ids = {member["name"]: member["id"] for member in json.loads(members.body)["members"]}
    program.tell(
        world(
            daemon,
            people=[
                {"version": version, "transport": "upgrade", "id": ids[name], "token": token}
                for version, name, token in zip(VERSIONS, names, tokens, strict=True)
            ],
        )
    )
    assert await program.next() == {"expired": True}
    body = json.dumps({"event": "unheard"}).encode()
    bearer = {"Authorization": f"Bearer {await sign_in(daemon.port, 'operator')}"}
    path = "/v1/workspaces/default/events"
    assert (await ask(daemon.port, path, method="POST", body=body, **bearer)).status == 204
    program.tell({"published": "unheard", "tokens": [await sign_in(daemon.port, name) for name in names]})
    assert await program.next() == {"over": True}
    await program.ended
