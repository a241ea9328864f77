"""How far it goes, on paper: ``python -m bench.scaling`` prints the tables of docs/scaling.md.

What one thing costs was measured (`Costs`); how people behave is assumed (`PROTOCOLS`), and stands in the
document so that a reader can put other numbers there. From both follow the processes, the Redis and the
database that a number of people take, and what gives out first. A simulation of the processes as queues says
what that does to the time a message takes, and how long everybody needs to be back when a machine dies.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

BUSY: Final = 0.6
"""The share of a CPU that may be in use: beyond it queues grow long, and the rest is there for bad moments."""

CONNECTIONS: Final = 50_000
"""Of one process, however little they do: so many come back at once when it dies."""

MACHINE_CORES: Final = 4
MACHINE_KIB: Final = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU µs, as they were measured (docs/performance.md tells how), in a slow hour of a shared machine."""

    publish: float = 4.1
    """Of a message to other processes, where it is said."""
    listen: float = 3.8
    """Of the same where it is heard."""
    redis: float = 1.5
    """Of Redis for each process that hears it."""
    write: float = 200.0
    """Of a process, to have a message with its summary committed by PostgreSQL, many at once."""
    database: float = 200.0
    """Of PostgreSQL for it."""
    process_kib: float = 90_000.0
    """Of a process without connections."""


COSTS: Final = Costs()


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol and its people. Costs are CPU µs of the process; rates are for each one who is connected.

    ``rest`` is what the connection costs each second when nothing is said (its pings); ``take`` what taking in
    a message costs, ``deliver`` each delivery of it, ``writes`` how often it is written. It goes to ``hearers``
    connections. Where messages of all are heard by ``everywhere`` the processes alike, whatever the hearers
    are, that is said.
    """

    name: str
    behaviour: str
    kib: float
    rest: float
    join: float
    rate: float
    take: float
    hearers: float
    deliver: float
    writes: float
    everywhere: bool = False


PROTOCOLS: Final = (
    Protocol(
        name="talk",
        behaviour="one in four talks, and says something every 8 s; a talk every five minutes",
        kib=3.7,
        rest=0.4,
        join=390,
        rate=0.03,
        take=15,
        hearers=1,
        deliver=7,
        writes=0.1,
    ),
    Protocol(
        name="workspace",
        behaviour="teams of 50; each says something every two minutes while at work",
        kib=10.7,
        rest=1.0,
        join=1050,
        rate=1 / 120,
        take=60,
        hearers=50,
        deliver=9,
        writes=1,
    ),
    Protocol(
        name="market",
        behaviour="a message every two minutes, heard by the other's two devices and one's own second",
        kib=2.7,
        rest=4.6,
        join=390,
        rate=1 / 120,
        take=60,
        hearers=3,
        deliver=9,
        writes=1,
    ),
    Protocol(
        name="messenger",
        behaviour="a dialog every five minutes; nobody uses the room",
        kib=4.0,
        rest=0.4,
        join=810,
        rate=1 / 300,
        take=250,
        hearers=2,
        deliver=20,
        writes=0.75,
    ),
    Protocol(
        name="support",
        behaviour="a message every three minutes; one in 200 is an operator, who has taken what comes",
        kib=2.9,
        rest=0.4,
        join=390,
        rate=1 / 180,
        take=44,
        hearers=2,
        deliver=9,
        writes=1,
        everywhere=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What so many people take. Shares are of one CPU."""

    people: int
    processes: int
    share: float
    redis: float
    database: float
    kib: float

    @property
    def machines(self) -> int:
        """Machines for the processes."""
        cores = math.ceil(self.processes / MACHINE_CORES)
        return max(cores, math.ceil(self.kib * self.processes / MACHINE_KIB))

    @property
    def gives_out(self) -> str:
        """What is used most, of what can't be had twice."""
        return "Redis" if self.redis / BUSY > self.database / (BUSY * MACHINE_CORES) else "the database"


def hearing(protocol: Protocol, processes: int) -> float:
    """Return how many other processes hear a message: each where somebody is who hears it."""
    if protocol.everywhere:
        return processes - 1
    none: float = (1 - 1 / processes) ** protocol.hearers
    return (processes - 1) * (1 - none)


def load(protocol: Protocol, people: int, processes: int, costs: Costs = COSTS) -> Plan:
    """Return how busy everything is when so many processes serve so many people."""
    said = people * protocol.rate
    others = hearing(protocol, processes)
    each = protocol.take + protocol.hearers * protocol.deliver + protocol.writes * costs.write
    if processes > 1:
        each += costs.publish + others * costs.listen
    busy = (people * protocol.rest + said * each) / processes / 1e6
    return Plan(
        people=people,
        processes=processes,
        share=busy,
        redis=said * others * costs.redis / 1e6,
        database=said * protocol.writes * costs.database / 1e6,
        kib=costs.process_kib + people / processes * protocol.kib,
    )


def plan(protocol: Protocol, people: int) -> Plan | None:
    """Return the smallest number of processes that is enough; ``None`` if no number is."""
    processes, before = math.ceil(people / CONNECTIONS), math.inf
    while True:
        found = load(protocol, people, processes)
        if found.share <= BUSY:
            return found
        if found.share > before * 0.999:
            return None  # one more does not help: each of them hears everything
        before = found.share
        processes += max(1, processes // 50)


# -- simulation --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds until the last of its hearers has a message: half of all, and 99 of 100, are not later."""

    median: float
    late: float


def simulate_messages(protocol: Protocol, found: Plan, *, messages: int = 20_000, seed: int = 1) -> Latency:
    """Let messages come by chance, and each process and Redis do one thing after the other.

    The network takes no time here, and a commit 2 ms. What waits for another is what makes the difference.
    """
    chance = random.Random(seed)
    costs, processes = COSTS, found.processes
    rest = found.people / processes * protocol.rest / 1e6  # pings: a share of each process that is gone
    pace = 1 - rest
    interval = 1 / (found.people * protocol.rate)
    commit = 0.002 if protocol.writes >= 0.5 else 0.0
    free = [0.0] * processes
    redis_free = 0.0
    others = round(hearing(protocol, processes))
    local = protocol.hearers / (1 + others)
    take = (protocol.take + protocol.writes * costs.write) / pace / 1e6
    tell = (costs.publish + local * protocol.deliver) / pace / 1e6
    hear = (costs.listen + local * protocol.deliver) / pace / 1e6
    steps: list[tuple[float, int, int, int]] = []  # when, what (0 come, 1 committed, 2 heard), message, process
    begun: list[float] = []
    ended: list[float] = []
    at = 0.0
    for number in range(messages):
        at += chance.expovariate(1 / interval)
        begun.append(at)
        ended.append(at)
        steps.append((at, 0, number, chance.randrange(processes)))
    heapq.heapify(steps)
    while steps:
        when, what, number, process = heapq.heappop(steps)
        free[process] = done = max(free[process], when) + (take, tell, hear)[what]
        if what == 0:
            heapq.heappush(steps, (done + commit, 1, number, process))
            continue
        ended[number] = max(ended[number], done)
        if what == 1 and others:
            redis_free = max(redis_free, done) + others * costs.redis / 1e6
            for other in chance.sample(range(processes - 1), others):
                heapq.heappush(steps, (redis_free, 2, number, other + (other >= process)))
    took = sorted(end - begin for begin, end in zip(begun, ended, strict=True))[messages // 10 :]
    return Latency(took[len(took) // 2] * 1000, took[len(took) * 99 // 100] * 1000)


def simulate_return(
    protocol: Protocol, found: Plan, *, dead: int, delays: Callable[[random.Random, int], float], seed: int = 1
) -> tuple[float, float]:
    """Let all people of so many ``dead`` processes come back to the others.

    Returns the seconds until half of them are back, and until all but one in a thousand are. A process lets
    people in with what the others leave it of its CPU; who is not let in within 10 s tries again.
    """
    chance = random.Random(seed)
    alive = found.processes - dead
    spare = 1 - min(0.95, found.share * found.processes / alive)
    service = protocol.join / 1e6 / spare
    people = found.people // found.processes * dead // alive  # of one of those who take them in
    comers = [(delays(chance, 0), 0) for _ in range(people)]
    heapq.heapify(comers)
    free, back = 0.0, []
    while comers:
        when, attempt = heapq.heappop(comers)
        if max(free, when) - when > 10:
            heapq.heappush(comers, (when + 10 + delays(chance, attempt + 1), attempt + 1))
            continue
        free = max(free, when) + service
        back.append(free)
    back.sort()
    return back[len(back) // 2], back[len(back) * 999 // 1000]


def jittered(chance: random.Random, attempt: int) -> float:
    """Return what our clients wait: anything up to a bound that doubles, from 1 s to 30."""
    return chance.uniform(0, min(30.0, 2.0**attempt))


def at_once(chance: random.Random, attempt: int) -> float:
    """Return what a client waits that does not care: a second, and nearly the same as everybody."""
    return 1.0 + chance.uniform(0, 0.1)


# -- tables ------------------------------------------------------------------------------------------

_CROWDS: Final = (10_000, 100_000, 1_000_000)


def tables() -> Iterator[tuple[str, str]]:
    """Yield the tables of the document: a name, and Markdown."""
    yield (
        "people",
        _table(("protocol", "what its people do"), [(each.name, each.behaviour) for each in PROTOCOLS]),
    )
    yield (
        "processes",
        _table(
            ("protocol", "people", "processes", "machines", "CPU of each", "MiB of each", "Redis", "database"),
            [row for protocol in PROTOCOLS for row in _planned(protocol)],
        ),
    )
    yield (
        "latency",
        _table(
            ("protocol", "people", "processes", "median ms", "99 % ms"),
            [row for protocol in PROTOCOLS for row in _simulated(protocol)],
        ),
    )
    yield (
        "return",
        _table(
            (
                "protocol",
                "processes",
                "people who lose theirs",
                "half are back",
                "all",
                "all, if they don't wait at random",
            ),
            [row for protocol in PROTOCOLS for row in _returned(protocol)],
        ),
    )


def _planned(protocol: Protocol) -> Iterator[Sequence[str]]:
    for people in _CROWDS:
        found = plan(protocol, people)
        if found is None:
            yield protocol.name, f"{people:,}", "no number is enough", *[""] * 5
        else:
            yield (
                *(protocol.name, f"{people:,}", str(found.processes), str(found.machines)),
                *(f"{found.share:.0%}", f"{found.kib / 1024:.0f}"),
                *(f"{found.redis:.0%}", f"{found.database:.0%}"),
            )


def _simulated(protocol: Protocol) -> Iterator[Sequence[str]]:
    for people in _CROWDS:
        found = plan(protocol, people)
        if found is not None:
            took = simulate_messages(protocol, found, messages=4_000)
            yield protocol.name, f"{people:,}", str(found.processes), f"{took.median:.1f}", f"{took.late:.1f}"


def _returned(protocol: Protocol) -> Iterator[Sequence[str]]:
    found = plan(protocol, _CROWDS[2])
    if found is None:
        return
    dead = MACHINE_CORES
    half, everybody = simulate_return(protocol, found, dead=dead, delays=jittered)
    _, careless = simulate_return(protocol, found, dead=dead, delays=at_once)
    yield (
        *(protocol.name, str(found.processes), f"{found.people * dead // found.processes:,}"),
        *(f"{half:.1f} s", f"{everybody:.0f} s", f"{careless:.0f} s"),
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(each) + " |" for each in lines)


if __name__ == "__main__":
    for name, table in tables():
        print(f"<!-- {name} -->\n{table}\n<!-- end -->\n")
