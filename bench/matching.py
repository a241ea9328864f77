"""What talk's matcher costs, and how good its pairs are: ``python -m bench.matching``.

**Cost**: operations for each second of CPU time on a crowd that waits, its scores spread so wide that few
meet; without and with users who have met lately, the latter among each other's closest, which is the
worst that memory can do.

**Quality**: a simulation. People arrive at random (Poisson) and look for a partner; how far apart are the
scores of pairs, and how long did both wait? Beside the matcher stand first come, first served, and four
bins of scores with that rule in each; at their deadline both of these take whoever waits longest.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Protocol

import msgspec
from msgspec import Struct

from realtime.talk.matching import Matcher, Outcome, Pair, Ticket, Unmatched

_RESULTS = Path(__file__).parent / "results"
_FIND_TIMEOUT = 60.0
_RATES = (0.1, 1.0, 10.0, 100.0)
_BINS = 4

SCORES: dict[str, Callable[[Random], float]] = {
    "uniform": lambda random: random.random(),
    "normal": lambda random: min(1.0, max(0.0, random.gauss(0.5, 0.15))),
}


class Cost(Struct, frozen=True):
    """What was done to how many who waited, with how many recent partners each, per CPU second."""

    operation: str
    waiting: int
    recent: int
    per_cpu_second: float


class Quality(Struct, frozen=True):
    """What became of those who arrived: distances in units of the score, waiting times in seconds.

    A pair has one distance and two waiting times; who found nobody is counted in ``unmatched`` alone.
    """

    policy: str
    scores: str
    rate: float
    mean_distance: float
    p90_distance: float
    mean_wait: float
    p90_wait: float
    unmatched: float


class Policy(Protocol):
    """What the simulation asks of a matcher."""

    def insert(self, ticket: Ticket) -> None:
        """Let somebody wait."""

    def next_moment(self) -> float | None:
        """Return when something happens next."""

    def match(self, now: float) -> list[Outcome]:
        """Return what happens up to ``now``."""


class Queues:
    """First come, first served, in each of some equal bins of the scores from 0 to 1."""

    def __init__(self, bins: int) -> None:
        self._bins = bins
        # With anybody who could be paired gone at once, a bin holds one at most; in order of arrival.
        self._waiting: dict[int, Ticket] = {}
        self._met: list[Outcome] = []

    def insert(self, ticket: Ticket) -> None:
        """Pair somebody with the one who waits in the same bin, or let it wait."""
        which = min(self._bins - 1, int(ticket.score * self._bins))
        other = self._waiting.pop(which, None)
        if other is None:
            self._waiting[which] = ticket
        else:
            self._met.append(Pair(other, ticket))

    def next_moment(self) -> float | None:
        """Return when the one who has waited longest has waited too long."""
        return next((each.since + _FIND_TIMEOUT for each in self._waiting.values()), None)

    def match(self, now: float) -> list[Outcome]:
        """Return what happens up to ``now``."""
        outcomes, self._met = self._met, []
        while (moment := self.next_moment()) is not None and moment <= now:
            first, *others = self._waiting
            ticket = self._waiting.pop(first)
            outcomes.append(Pair(ticket, self._waiting.pop(others[0])) if others else Unmatched(ticket))
        return outcomes


POLICIES: dict[str, Callable[[], Policy]] = {
    "closest, widening": lambda: Matcher(find_timeout=_FIND_TIMEOUT),
    "first come": lambda: Queues(1),
    "four bins": lambda: Queues(_BINS),
}


def simulate(policy: str, scores: str, rate: float, arrivals: int, seed: int) -> Quality:
    """Let so many arrive, ``rate`` a second, and wait until the last is gone."""
    random = Random(seed)
    matcher = POLICIES[policy]()
    distances: list[float] = []
    waits: list[float] = []
    unmatched = 0

    def happen(until: float) -> None:
        nonlocal unmatched
        while (moment := matcher.next_moment()) is not None and moment <= until:
            tell(moment)

    def tell(moment: float) -> None:
        nonlocal unmatched
        for outcome in matcher.match(moment):
            match outcome:
                case Pair(first, second):
                    distances.append(abs(first.score - second.score))
                    waits.extend(max(0.0, moment - each.since) for each in (first, second))
                case Unmatched():
                    unmatched += 1

    now = 0.0
    for number in range(arrivals):
        now += random.expovariate(rate)
        happen(now)
        matcher.insert(Ticket(number, number, SCORES[scores](random), now))
        tell(now)
    happen(now + 2 * _FIND_TIMEOUT)
    return Quality(
        policy,
        scores,
        rate,
        *mean_and_p90(distances),
        *mean_and_p90(waits),
        unmatched / arrivals,
    )


def mean_and_p90(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the 90th percentile of some values, at least one."""
    return sum(values) / len(values), sorted(values)[len(values) * 9 // 10]


def costs(waiting: int, recent: int, times: int) -> Iterator[Cost]:
    """Measure a crowd: coming, leaving, meeting a close one at once, and meeting as time passes."""
    random = Random(waiting)
    ordered = sorted(random.uniform(0, waiting) for _ in range(waiting + times))

    def ticket(number: int, since: float) -> Ticket:
        near = [each for each in range(number - recent, number + recent + 1) if each != number]
        return Ticket(number, number, ordered[number], since, frozenset(random.sample(near, recent)))

    def cost(operation: str, deed: Callable[[], int]) -> Cost:
        start = time.process_time()
        done = deed()
        return Cost(operation, waiting, recent, done / (time.process_time() - start))

    numbers = random.sample(range(waiting + times), waiting + times)
    matcher = Matcher(tolerance=0.0, find_timeout=_FIND_TIMEOUT)
    for number in numbers[:waiting]:
        matcher.insert(ticket(number, 0.0))
    coming = [ticket(number, 0.0) for number in numbers[waiting:]]

    def insert() -> int:
        for each in coming:
            matcher.insert(each)
        return len(coming)

    yield cost("insert", insert)
    yield cost("leave", lambda: sum(matcher.leave(each.id) for each in coming))

    close = [Ticket(-1 - each, -1 - each, ordered[each], 0.0) for each in numbers[: times // 4]]
    yield cost("insert and match at once", lambda: sum(_meet(matcher, each) for each in close))

    def pass_time() -> int:
        pairs = 0
        while pairs < times // 4 and (moment := matcher.next_moment()) is not None:
            pairs += len(matcher.match(moment))
        return pairs

    yield cost("match as time passes", pass_time)


def _meet(matcher: Matcher, ticket: Ticket) -> int:
    matcher.insert(ticket)
    return len(matcher.match(0.0))


def as_markdown(measured: Sequence[Cost], simulated: Sequence[Quality], arrivals: int) -> str:
    """Return a table of each."""
    lines = [
        "| operation | waiting | recent partners | per CPU second | µs |",
        "|---|---|---|---|---|",
        *(
            f"| {each.operation} | {each.waiting} | {each.recent} | {each.per_cpu_second:.0f}"
            f" | {1e6 / each.per_cpu_second:.1f} |"
            for each in measured
        ),
        "",
        f"{arrivals} arrivals for each line; timeout {_FIND_TIMEOUT:g} s.",
        "",
        "| scores | arrivals per s | policy | distance, mean | p90 | wait s, mean | p90 | unmatched |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {each.scores} | {each.rate:g} | {each.policy} | {each.mean_distance:.3f}"
            f" | {each.p90_distance:.3f} | {each.mean_wait:.2f} | {each.p90_wait:.2f} | {each.unmatched:.1%} |"
            for each in simulated
        ),
    ]
    return "\n".join(lines) + "\n"


def draw(simulated: Sequence[Quality], path: Path) -> None:
    """Plot the mean distance and the mean wait by the rate of arrivals; needs matplotlib."""
    from matplotlib import pyplot

    figure, rows = pyplot.subplots(2, len(SCORES), sharex=True, sharey="row", squeeze=False, figsize=(9, 6))
    for column, scores in enumerate(SCORES):
        rows[0][column].set_title(f"{scores} scores")
        rows[1][column].set_xlabel("arrivals per second")
        for row, figure_name in enumerate(("mean_distance", "mean_wait")):
            rows[row][column].set_xscale("log")
            for policy in POLICIES:
                points = [each for each in simulated if (each.scores, each.policy) == (scores, policy)]
                rates, values = zip(*((each.rate, getattr(each, figure_name)) for each in points), strict=True)
                rows[row][column].plot(rates, values, marker="o", label=policy)
    rows[0][0].set_ylabel("mean distance of a pair")
    rows[1][0].set_ylabel("mean wait, s")
    rows[0][0].legend()
    figure.tight_layout()
    figure.savefig(path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.matching", description="What the matcher costs and gives.")
    parser.add_argument("--waiting", type=int, default=100_000, help="tickets, for the costs")
    parser.add_argument("--times", type=int, default=20_000, help="inserts and leaves; a quarter as many pairs")
    parser.add_argument("--arrivals", type=int, default=20_000, help="of each simulation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=_RESULTS, metavar="DIR")
    return parser.parse_args()


def main() -> None:
    """Measure, simulate, and keep both."""
    arguments = _arguments()
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    measured = [cost for recent in (0, 2, 8) for cost in costs(arguments.waiting, recent, arguments.times)]
    simulated = [
        simulate(policy, scores, rate, arguments.arrivals, arguments.seed)
        for scores in SCORES
        for rate in _RATES
        for policy in POLICIES
    ]
    table = as_markdown(measured, simulated, arguments.arrivals)
    everything = {"costs": measured, "quality": simulated, "arrivals": arguments.arrivals}
    (output / "matching.md").write_text(table)
    (output / "matching.json").write_bytes(msgspec.json.format(msgspec.json.encode(everything), indent=2))
    print(table)
    try:
        draw(simulated, output / "matching.png")
    except ModuleNotFoundError:
        print("matplotlib is not installed: no plot was drawn", file=sys.stderr)


if __name__ == "__main__":
    main()
