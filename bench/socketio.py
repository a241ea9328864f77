"""Socket.IO: our whole daemon beside the two other servers, spoken to by the same client.

What is compared is not the same work. Our relay is the talk protocol in its namespace, with a checked token,
its states and its rules; theirs pass an event on to a room of two. Our fan-out is a message of workspace, which
is stored before it is told, has an id and a time, and is kept for those who come back; theirs is the event as
it came.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import msgspec

from bench import polling, workloads
from bench.load import Connection, Workload
from bench.report import Report, figure, line, medians, ratios
from bench.server import Realtime, Server
from bench.systems import MESSAGE, OURS, SYSTEMS, talking
from bench.workloads import Case, Measurement, drive, measure_idle

NODE, PYTHON = "socket.io", "python-socketio"
BESIDE = (NODE, PYTHON)

_PATH = "/socket.io/?EIO=4&transport=websocket&"
_TEXT = msgspec.json.decode(MESSAGE)["payload"]["message"]
_SAID = '42["message-created",{"id":"'
_ENDS = '"]'
_WARM_UP = 0.5


@dataclass(frozen=True, slots=True)
class Kind:
    """What is measured: ``case`` is what the others do, with as many pairs or receivers."""

    case: Case
    polls: bool = False

    @property
    def name(self) -> str:
        """What it is called."""
        return self.case.name


KINDS = {
    kind.name: kind
    for kind in (
        Kind(Case("relay", "relay", 200, "µs a message")),
        Kind(Case("relay by polling", "relay", 50, "µs a message, a POST and a GET"), polls=True),
        Kind(Case("fan-out 100", "fanout", 100, "µs a delivery")),
        Kind(Case("fan-out 1000", "fanout", 1000, "µs a delivery")),
        Kind(Case("burst of 8 to 1000", "fanout", 1000, "µs a delivery", burst=8)),
        Kind(Case("handshakes", "handshakes", 64, "µs a client that joins")),
        Kind(Case("idle", "idle", 2000, "KiB a client")),
    )
}


def measure(kind: Kind, system: str, seconds: float, scratch: Path) -> Measurement:
    """Run it once."""
    case = kind.case
    with serving(kind, system, scratch) as (server, workload):
        if case.kind == "idle":
            return measure_idle(case.name, system, server, workload.connections, scratch)
        if not kind.polls:
            return drive(case.name, system, server, workload, seconds, scratch)
        where = {"port": server.port, "server": server.process_id}
        outcome = polling.run(
            workload.connections, workload.message, **where, seconds=seconds, warm_up=_WARM_UP
        )
    return Measurement(
        case.name,
        system,
        outcome.server_cpu / outcome.operations * 1e6,
        operations=outcome.operations,
        seconds=outcome.seconds,
        client_busy=outcome.client_cpu / outcome.seconds,
    )


@contextmanager
def serving(kind: Kind, system: str, scratch: Path) -> Iterator[tuple[Server, Workload]]:
    """Run a server, and tell what is to be done to it."""
    if system != OURS:
        with workloads.prepared(kind.case, SYSTEMS[system], scratch) as prepared:
            yield prepared
        return
    with tempfile.TemporaryDirectory(prefix="server-", dir=scratch) as folder:
        if kind.case.kind == "relay":
            yield from _relaying(kind.case, Path(folder))
        elif kind.case.kind != "fanout":
            yield from _coming(kind.case, Path(folder))
        else:
            yield from _telling(kind.case, Path(folder))


def _relaying(case: Case, folder: Path) -> Iterator[tuple[Server, Workload]]:
    """Talks, in the namespace that they are served in."""
    server, others = talking(folder, case.size)
    message = _event("message", {"message": _TEXT})
    people = [Connection(_PATH, _as_events(each.steps)) for each in others]
    with server:
        yield server, Workload("relay", people, message=message, begins=message, length=len(message))


def _as_events(steps: Sequence[str]) -> tuple[str, ...]:
    """Return the steps of a talk on a WebSocket of its own as those of a Socket.IO client."""
    token = steps[0].rpartition(" ")[2]
    joining = ("<", f'>40/talk,{{"token":"{token}"}}', "<")
    events = []
    for step in steps[1:]:
        if step.startswith(">"):
            event = json.loads(step[1:])
            events.append(">" + _event(event["event"], event["payload"]))
        else:
            events.append(step)
    return *joining, *events


def _event(name: str, payload: object) -> str:
    return f"42/talk,{msgspec.json.encode([name, payload]).decode()}"


def _coming(case: Case, folder: Path) -> Iterator[tuple[Server, Workload]]:
    """Members of a workspace who come, each with a checked token, and do nothing else."""
    server = Realtime(folder)
    people = _members(server.make_accounts(case.size))
    with server:
        yield server, Workload(case.kind, people)


def _members(tokens: Sequence[str]) -> list[Connection]:
    joining = ("<", ">40", "<")
    # Who looks offline is there all the same; the others need not hear of a thousand arrivals.
    auth = '>42["auth",{"data":"%s","onlineStatus":"offline"}]'
    return [Connection(_PATH, (*joining, auth % token, "<")) for token in tokens]


def _telling(case: Case, folder: Path) -> Iterator[tuple[Server, Workload]]:
    """Members of a workspace in a channel, one of whom says something that everybody hears, the speaker too."""
    server = Realtime(folder)
    tokens = server.make_accounts(case.size)
    people = _members(tokens)
    with server:
        channel = _make_channel(server.port, tokens[0])
        message = f'42["message-send",{{"channelId":"{channel}","text":"{_TEXT}"}}]'
        yield (
            server,
            Workload("room", people, message=message, begins=_SAID, ends=_ENDS, burst=case.burst),
        )


def _make_channel(port: int, token: str) -> str:
    request = Request(
        f"http://127.0.0.1:{port}/v1/workspaces/default/channels",
        data=b'{"name": "general"}',
        headers={"Authorization": f"Bearer {token}"},
    )
    with urlopen(request) as answer:
        made: str = json.load(answer)["id"]
        return made


def as_markdown(report: Report) -> str:
    """Return a table of the medians, and of what ours takes of what the others do."""
    found = medians(report.runs)
    names = list(dict.fromkeys(each.workload for each in found.values()))
    there = [system for system in (OURS, *BESIDE) if any(key[1] == system for key in found)]
    beside = [system for system in BESIDE if system in there]
    compared = {system: ratios(report.runs, system) for system in beside}
    rows = [
        line(
            (
                f"{name}, {KINDS[name].case.unit}",
                *(figure(found[name, system].cost) for system in there),
                *(f"{compared[system][name, OURS]:.2f}" for system in beside),
                *(f"{found[name, system].client_busy:.0%}" for system in there),
            )
        )
        for name in names
    ]
    titles = [
        "Socket.IO",
        *there,
        *(f"ratio to {system}" for system in beside),
        *(f"client busy, {system}" for system in there),
    ]
    lines = [
        "Socket.IO: our daemon with its rules and its database, beside servers that pass on what comes.",
        "",
        line(titles),
        line(["---"] * len(titles)),
        *rows,
        *report.machine_lines(),
    ]
    return "\n".join(lines) + "\n"
