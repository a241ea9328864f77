"""A database of dialogs: a table that survives everything, and answers that come late, wrong or never."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

MAILBOX = 12
"""Dialogs that may wait for one receiver."""

NOBODY = "nobody"
"""An unknown receiver."""

PENDING, DELIVERED, FAILED = "pending", "delivered", "failed"


@dataclass
class Row:
    """A dialog; ``key`` is its clientMessageId."""

    id: int
    sender: str
    receiver: str
    key: int
    size: int
    state: str = PENDING
    told: bool = False
    accepted: bool = True


class Table:
    """What is committed."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self._ids = count(1)

    def new_id(self) -> int:
        """Return the next id: taken when a transaction begins, and seen when it is committed."""
        return next(self._ids)

    def post(self, row: Row) -> tuple[Row, bool]:
        """Store a dialog; return the one with its key, and whether it is new."""
        for known in self.rows.values():
            if (known.sender, known.key) == (row.sender, row.key):
                return known, False
        waiting = [
            each for each in self.rows.values() if (each.receiver, each.state) == (row.receiver, PENDING)
        ]
        if row.receiver == NOBODY or len(waiting) >= MAILBOX:
            row.state, row.accepted = FAILED, False
        self.rows[row.id] = row
        return row, True

    def end(self, ids: Sequence[int], state: str) -> list[Row]:
        """Let dialogs that wait become delivered or failed; return those that did."""
        ended = [self.rows[each] for each in ids if self.rows[each].state == PENDING]
        for row in ended:
            row.state = state
        return ended

    def tell(self, ids: Sequence[int]) -> None:
        """Note that a sender has these outcomes."""
        for each in ids:
            self.rows[each].told = True

    def dialogs(self, receiver: str, limit: int) -> tuple[list[Row], bool]:
        """Return the first that wait for a receiver, and whether these are all."""
        return self._first(limit, lambda row: (row.receiver, row.state) == (receiver, PENDING))

    def outcomes(self, sender: str, limit: int) -> tuple[list[Row], bool]:
        """Return the first of a sender's that have ended without its knowing, and whether these are all."""
        return self._first(limit, lambda row: row.sender == sender and row.state != PENDING and not row.told)

    def _first(self, limit: int, suits: Callable[[Row], bool]) -> tuple[list[Row], bool]:
        found = [self.rows[each] for each in sorted(self.rows) if suits(self.rows[each])]
        return found[:limit], len(found) <= limit


@dataclass
class Operation:
    """Something asked of the database. Those of one ``queue`` are done, and answered, in order."""

    queue: str
    work: Callable[[], Any]
    answer: Callable[[Any], None]
    failed: Callable[[], None]
    is_done: bool = False
    has_failed: bool = False
    result: Any = None


@dataclass
class Database:
    """The operations under way. While ``away``, they fail, and some of those are stored nonetheless."""

    away: bool = False
    under_way: list[Operation] = field(default_factory=list)
    unknown: int = 0
    _number: Any = field(default_factory=lambda: count())

    def ask(
        self,
        work: Callable[[], Any],
        answer: Callable[[Any], None],
        failed: Callable[[], None],
        queue: str = "",
    ) -> None:
        """Have something done, some time; without a queue it overtakes others, and is overtaken."""
        queue = queue or f"operation {next(self._number)}"
        self.under_way.append(Operation(queue, work, answer, failed))

    def advance(self, number: int) -> bool:
        """Let one operation be done, or answered if it is; return whether there was any."""
        first: dict[str, Operation] = {}
        for each in self.under_way:
            first.setdefault(each.queue, each)
        if not first:
            return False
        operation = list(first.values())[number % len(first)]
        if not operation.is_done:
            self._do(operation, number)
        else:
            self.under_way.remove(operation)
            if operation.has_failed:
                operation.failed()
            else:
                operation.answer(operation.result)
        return True

    def crash(self, number: int) -> None:
        """Lose whoever waits for the answers; some of what was asked for is done nevertheless."""
        for operation in self.under_way[: number % (len(self.under_way) + 1)]:
            if not operation.is_done:
                self._do(operation, number)
        self.under_way.clear()

    def _do(self, operation: Operation, number: int) -> None:
        operation.is_done = True
        operation.has_failed = self.away
        if not self.away or number % 2:
            operation.result = operation.work()
            self.unknown += self.away
