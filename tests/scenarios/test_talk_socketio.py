"""The stories of talk over Socket.IO, between clients of all generations and a real daemon."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.endtoend.conftest import Start
from tests.endtoend.daemon import DaemonProcess, faults_in
from tests.endtoend.programs import Program
from tests.reactor import in_reactor
from tests.scenarios.socketio_world import (
    KINDS,
    TRANSPORTS,
    DedicatedDaemon,
    add_people,
    python_client,
    script,
    world,
)
from tests.scenarios.test_talk import UNLIMITED

SHORT = {**UNLIMITED, "REALTIME_TALK_TALK_DURATION": "1.5"}


OTHERS = tuple(("python", transport) for transport in TRANSPORTS)


def worlds_of(daemon: DaemonProcess, path: str, kinds: Sequence[tuple[Any, str]]) -> list[dict[str, Any]]:
    """Two people for each kind of client, whose scores are near each other's and far from all others'."""
    return [
        world(
            daemon,
            story="talk",
            version=version,
            transport=transport,
            path=path,
            score=10 * (KINDS + OTHERS).index((version, transport)),
            people=add_people(daemon.folder, f"{version}-{transport}", ("alice", "bob")),
        )
        for version, transport in kinds
    ]


async def tell(daemon: DaemonProcess, path: str, programs: list[Program]) -> None:
    """Have all kinds of client tell their stories at once, and expect no fault."""
    told = [(script("talk.mjs", programs), KINDS), (python_client(programs), OTHERS)]
    for program, kinds in told:
        program.tell(worlds_of(daemon, path, kinds))
    faults = [fault for program, _ in told for fault in await program.stories()]
    assert not faults, "\n\n".join(faults)


@in_reactor
async def test_all_generations(start_daemon: Start, programs: list[Program]) -> None:
    """Whole talks, objects and texts, errors and ends: twelve kinds of client at once."""
    daemon = await start_daemon(environment=SHORT)
    await tell(daemon, "/talk", programs)


@in_reactor
async def test_dedicated_listener(tmp_path: Path, programs: list[Program]) -> None:
    """A listener for talk alone serves it in the namespace /."""
    daemon = DedicatedDaemon(tmp_path, "talk", SHORT)
    try:
        await daemon.start()
        await tell(daemon, "", programs)
    finally:
        await daemon.kill()
    assert not faults_in(daemon.log), daemon.log
