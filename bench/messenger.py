"""``messenger`` as it is used: the room, dialogs with their receipts, and logins that everybody is shown.

The room is compared with the fan-out of another server to as many; it stores each message, the other does not.
A dialog costs all of its way: stored, sent, confirmed, settled, its receipt sent, confirmed and settled.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench import load, workloads
from bench.load import Connection, Workload
from bench.report import Report, figure, line, medians, ratios
from bench.server import Realtime, Server
from bench.systems import OURS, REFERENCE, SYSTEMS
from bench.workloads import Case, Measurement, drive

BESIDE = REFERENCE
LOGINS = "logins"

_TEXT = "Good morning, where is the parcel I am waiting for?"
_SAY = msgspec.json.encode({"type": "CHAT_MESSAGE", "serverData": {"message": _TEXT}}).decode()
_SAID = '{"type":"CHAT_MESSAGE","serverData":{"message":"Good morning'
_RECEIPT = '{"type":"DELIVERY_MESSAGE","status":"SUCCESS"'
_PRESENCE = '{"type":"USER_CONNECTION_MESSAGE"'
_DIALOG = '{"type":"DIALOG_MESSAGE"'
_ENDS = '"}}'
_AT_ONCE = 32
"""Logins that are under way at the same time."""

_NEWCOMERS = 500
"""Accounts that log in in turn, so that none comes again while it is still there."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is measured: with ``size`` connections, those who only listen included."""

    name: str
    load: str
    size: int
    unit: str
    burst: int = 1
    rate: int = 0


KINDS = {
    kind.name: kind
    for kind in (
        Kind("room of 1000", "room", 1000, "a delivery"),
        Kind("room of 1000, bursts of 8", "room", 1000, "a delivery", burst=8),
        Kind("dialogs, 2 users", "echo", 2, "a dialog"),
        Kind("dialogs, 50 users", "echo", 50, "a dialog"),
        Kind("dialogs, 500 users", "echo", 500, "a dialog"),
        Kind(f"{LOGINS}, nobody there", "handshakes", 0, "a login"),
        Kind(f"{LOGINS}, 1000 there", "handshakes", 1000, "a login"),
        Kind(f"{LOGINS}, 1000 there, 1000 a second asked", "handshakes", 1000, "a login", rate=1000),
    )
}


def systems(kind: Kind) -> list[str]:
    """Return who takes part: where something is compared, one more than ours."""
    return [OURS, BESIDE] if kind.load == "room" else [OURS]


def measure(kind: Kind, system: str, seconds: float, scratch: Path) -> Measurement:
    """Run it once."""
    if system != OURS:
        case = Case(kind.name, "fanout", kind.size, kind.unit, burst=kind.burst)
        return workloads.measure(case, SYSTEMS[system], seconds, scratch)
    with serving(kind, scratch) as (server, workload):
        return drive(kind.name, OURS, server, workload, seconds, scratch)


@contextmanager
def serving(kind: Kind, scratch: Path) -> Iterator[tuple[Server, Workload]]:
    """Run the daemon, with those who only listen, and tell what is to be done to it."""
    with tempfile.TemporaryDirectory(prefix="server-", dir=scratch) as folder:
        server = Realtime(Path(folder))
        newcomers = _NEWCOMERS if kind.load == "handshakes" else 0
        people = [
            Connection("/messenger", (f"HauthToken: {token}", "<"))
            for token in server.make_accounts(kind.size + newcomers)
        ]
        with server:
            if not newcomers:
                yield server, _workload(kind, people)
                return
            there = Workload("idle", people[: kind.size], flight=_AT_ONCE)
            with load.idle(there, scratch, port=server.port, server=server.process_id):
                yield server, _workload(kind, people[kind.size :])


def _workload(kind: Kind, people: Sequence[Connection]) -> Workload:
    if kind.load == "handshakes":
        return Workload(kind.load, people if kind.rate else people[:_AT_ONCE], rate=kind.rate)
    if kind.load == "room":
        said: dict[str, Any] = {"message": _SAY, "begins": _SAID, "ends": _ENDS, "burst": kind.burst}
        return Workload(kind.load, people, ignore=(_PRESENCE,), **said)
    # Each writes to another, and goes on when it knows that the other has it; accounts are numbered from 1.
    writing = [
        Connection(each.path, (*each.steps, f"={_dialog((index ^ 1) + 1)}"))
        for index, each in enumerate(people)
    ]
    return Workload(kind.load, writing, begins=_RECEIPT, ends=_ENDS, ignore=(_PRESENCE, _DIALOG))


def _dialog(receiver: int) -> str:
    said = {
        "type": "DIALOG_MESSAGE",
        "clientData": {"message": _TEXT},
        "serverData": {"receiver": str(receiver)},
    }
    return msgspec.json.encode(said).decode()


def as_markdown(report: Report) -> str:
    """Return a table of the medians."""
    compared, found = ratios(report.runs, BESIDE), medians(report.runs)
    rows = [
        line(
            (
                f"{each.workload}, {KINDS[each.workload].unit}",
                figure(each.cost),
                f"{1e6 / each.cost:.0f}",
                f"{each.operations / each.seconds:.0f}",
                f"{compared[each.workload, OURS]:.2f}" if (each.workload, OURS) in compared else "",
                *(
                    f"{time / 1e3:.1f}" if time else ""
                    for time in (each.p50_microseconds, each.p99_microseconds)
                ),
                f"{each.client_busy:.0%}",
            )
        )
        for each in found.values()
        if each.system == OURS
    ]
    titles = ("messenger", "CPU µs", "for each CPU second", "a second", f"ratio to {BESIDE}'s fan-out")
    lines = [
        "messenger: everything is stored; a dialog counts when its sender has the receipt.",
        "",
        line((*titles, "p50 ms", "p99 ms", "client busy")),
        line(["---"] * 8),
        *rows,
        *report.machine_lines(),
    ]
    return "\n".join(lines) + "\n"
