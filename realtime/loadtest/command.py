"""``realtime loadtest``: what its options mean, and what is written where."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec
from click.termui import progressbar
from msgspec import Struct

from realtime import __version__
from realtime.client import Options, Reconnection
from realtime.loadtest import people, report
from realtime.loadtest.load import Load, Result, Second
from realtime.loadtest.people import Person
from realtime.loadtest.scenarios import SCENARIOS, Parts
from realtime.loadtest.schedule import Schedule

People = tuple[list[Person], list[Person]]
"""Users and administrators."""


class Plan(Struct, frozen=True):
    """What is to be done. Times are in seconds; ``rate`` is of messages a second, of all clients together."""

    protocol: str
    url: str
    clients: int
    ramp: float
    duration: float
    rate: float


class _Written(Struct, frozen=True):
    version: str
    plan: Plan
    result: Result


def admins_for(plan: Plan) -> int:
    """Return how many administrators a test needs."""
    return SCENARIOS[plan.protocol].admins(plan.clients)


def who(plan: Plan, known: Sequence[Person]) -> People:
    """Return who takes part. Raises `people.NotEnough`."""
    return people.choose(known, plan.clients, admins_for(plan))


async def run(plan: Plan, who: People, reactor: Any, told: Callable[[Second], None]) -> Result:
    """Do it. Raises `ValueError`, `ClientError`."""
    users, admins = who
    _allow_connections(plan.clients + len(admins))
    scenario = SCENARIOS[plan.protocol]
    schedule = Schedule(plan.clients, plan.ramp, plan.duration, plan.rate)
    load = Load(schedule, reactor, told)
    # What is sent late is part of what is measured, and what comes too often is the server's to refuse.
    options = Options(messages_per_second=None, most_pending=100_000, reconnection=Reconnection(longest=10.0))
    url = plan.url if urlsplit(plan.url).path.strip("/") else plan.url.rstrip("/") + scenario.path
    return await load.run(scenario.cast(Parts(url, options, users, admins, load.received, reactor)))


async def run_and_show(plan: Plan, who: People, reactor: Any) -> Result:
    """Do it, with a bar and a line of figures on a terminal, or a line each second elsewhere; then a table."""
    error = sys.stderr
    if error.isatty():
        seconds = round(plan.ramp + plan.duration)
        with progressbar(length=seconds, file=error, width=20, item_show_func=_shown) as bar:
            result = await run(plan, who, reactor, lambda second: bar.update(1, second))
    else:
        result = await run(plan, who, reactor, lambda second: click.echo(report.line(second), err=True))
    click.echo(report.table(result))
    return result


def _shown(second: Any) -> str | None:
    return report.line(second) if isinstance(second, Second) else None


def write(folder: Path, plan: Plan, result: Result) -> None:
    """Write what came of it: ``result.json`` and ``result.svg``."""
    written = msgspec.json.encode(_Written(__version__, plan, result))
    (folder / "result.json").write_bytes(msgspec.json.format(written) + b"\n")
    title = f"{plan.protocol}: {plan.clients} clients, {plan.rate:g} messages a second"
    (folder / "result.svg").write_text(report.picture(title, result.seconds), encoding="utf-8")


def _allow_connections(count: int) -> None:
    """Raise our own limit of open files, as far as it may be. Raises ``ValueError`` if that is too few."""
    needed = count + 100
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ValueError(
            f"{count} connections need more open files than the {hard} that are allowed (ulimit -Hn)"
        )
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
