"""Which workers run: the rules, without processes, sockets or a reactor.

A slot is a worker's place, with a number that stays. In it stands one worker; another beside it while a
reload puts that in its place. States of a worker, and what leads from one to the next::

    STARTING --ready--> READY --asked to--> DRAINING --> ended

- One that is asked to end before it is ready is killed: it serves nobody.
- One that ends by itself is replaced: at once, unless its predecessors ended soon after their start as well;
  then after 1, 2, 4, … 30 seconds.
- One that gives no sign of life for `SILENCE` seconds is killed. Counted are the turns of the parent's own
  clock, each of which comes after what was said until then has been read: a parent, or a machine, that stood
  still blames nobody.
- One that isn't ready in `START` seconds is killed, and one that drains for too long.
- If one of the first workers ends before all are ready, the start has failed.
- A reload takes one slot after the other: the new worker is started, and when it is ready, the old one
  drains; the next slot comes when that has ended, so that one process more than usual runs, and clients are
  sent away slot by slot. If a new worker can't start, the rest stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

TURN = 1.0
"""Seconds between two looks at all workers."""

SILENCE = 10
"""Turns without a sign of life. A worker gives one each second; nothing it does may take a tenth of this."""

START = 60
"""Turns that a start may take: reading the code, reaching the database, on a machine that is busy."""

AFTER_DRAIN = 15
"""Turns beyond the drain time, for the last answers and the last commit. systemd waits a little longer."""

LONG_ENOUGH = 60
"""Turns after which a worker counts as one that could run: its end is no reason to wait."""

_LONGEST_DELAY = 30.0

P = TypeVar("P", bound="Process")


class Process(Protocol):
    """A worker's process, as far as the rules need it."""

    def drain(self) -> None:
        """Ask it to end; does nothing if it can't be reached any more."""

    def kill(self) -> None:
        """End it at once."""


class Told(Protocol):
    """What a process tells of itself."""

    def alive(self) -> None:
        """It gave a sign of life."""

    def ready(self) -> None:
        """It serves."""

    def ended(self, reason: str) -> None:
        """It is gone; ``reason`` is one line."""


Start = Callable[[int, Told], P]
"""Starts a process for a slot; `Told` is not called before it returns."""


class WorkerFailed(Exception):
    """A worker could not start; the text is one line. ``replaced`` by a reload before: so many."""

    replaced = 0


class State(Enum):
    """See the module."""

    STARTING = auto()
    READY = auto()
    DRAINING = auto()


class _Worker(Generic[P]):
    """One process and what is known of it."""

    process: P

    def __init__(self, supervisor: Supervisor[P], slot: int, is_ready: Deferred[None] | None) -> None:
        self.slot = slot
        self.state = State.STARTING
        self.age = self.silent = self.draining = 0  # in turns
        self.has_ended: Deferred[None] = Deferred()
        self._is_ready = is_ready
        self._supervisor = supervisor

    def alive(self) -> None:
        self.silent = 0

    def ready(self) -> None:
        if self.state is State.STARTING:
            self.state = State.READY
            waiting, self._is_ready = self._is_ready, None
            if waiting is not None:
                waiting.callback(None)

    def ended(self, reason: str) -> None:
        self._supervisor.worker_ended(self, reason)
        self.has_ended.callback(None)
        waiting, self._is_ready = self._is_ready, None
        if waiting is not None:
            waiting.errback(WorkerFailed(f"worker {self.slot}: {reason}"))


class _Slot(Generic[P]):
    """A place: who stands in it, who is to, and how its workers have fared."""

    def __init__(self) -> None:
        self.current: _Worker[P] | None = None
        self.successor: _Worker[P] | None = None
        self.short_lives = 0
        self.restart: IDelayedCall | None = None


class Supervisor(Generic[P]):
    """Keeps ``count`` workers running. ``restarted`` is told the slot of each that is started again.

    `start`, then any number of `reload`, one at a time, then `stop`.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, restarted: Callable[[int], None]) -> None:
        self._clock = clock
        self._restarted = restarted
        self._slots: dict[int, _Slot[P]] = {}
        self._workers: set[_Worker[P]] = set()
        self._stopping = False
        self._starting = True
        self._turns = LoopingCall(self._turn)
        self._turns.clock = clock

    def start(self, count: int, start: Start[P], drain_seconds: float) -> Deferred[None]:
        """Start the workers. Fires when all are ready; fails with `WorkerFailed`, and then `kill` is due."""
        self._use(start, drain_seconds)
        self._turns.start(TURN, now=False)
        first = []
        for number in range(count):
            slot = self._slots[number] = _Slot()
            first.append(is_ready := Deferred[None]())
            slot.current = self._new(number, is_ready)

        def complete(_: object) -> None:
            self._starting = False

        return gatherResults(first, consumeErrors=True).addCallbacks(
            complete, lambda failure: failure.value.subFailure
        )

    async def reload(self, count: int, start: Start[P], drain_seconds: float) -> None:
        """Replace the workers one after the other, and have ``count`` of them.

        Raises `WorkerFailed` if a new one can't start: it and those after it are not replaced.
        """
        before = (self._start, self._drain_seconds)
        self._use(start, drain_seconds)
        replaced = 0
        try:
            for number in range(count):
                await self._replace(self._slots.setdefault(number, _Slot()), number)
                replaced += 1
        except WorkerFailed as failed:
            failed.replaced = replaced
            if not replaced:
                self._use(*before)
            self._slots = {number: slot for number, slot in self._slots.items() if slot.current or slot.restart}
            raise
        for number in sorted(self._slots)[count:]:
            await self._dismiss(self._slots.pop(number))

    def stop(self) -> Deferred[None]:
        """Let all drain at once. Fires when the last has ended."""
        self._stopping = True
        for slot in self._slots.values():
            _cancel(slot)
        for worker in list(self._workers):
            self._drain(worker)
        if not self._workers:
            self._end()
        everyone = [worker.has_ended for worker in self._workers]
        return gatherResults(everyone).addCallback(lambda _: None) if everyone else succeed(None)

    def kill(self) -> None:
        """End all at once, who drain as well."""
        for worker in list(self._workers):
            worker.process.kill()

    def standing(self) -> Iterable[tuple[int, P | None]]:
        """Return each slot with the process in it that is ready, in their order."""
        for number, slot in sorted(self._slots.items()):
            worker = slot.current
            yield number, worker.process if worker is not None and worker.state is State.READY else None

    def count(self, state: State) -> int:
        """Return how many workers are in a state."""
        return sum(worker.state is state for worker in self._workers)

    def worker_ended(self, worker: _Worker[P], reason: str) -> None:
        """Take note of an end; replace the worker, if it was not asked to end."""
        self._workers.discard(worker)
        if self._stopping and not self._workers:
            self._end()
        slot = self._slots.get(worker.slot)
        expected = worker.state is State.DRAINING
        if not expected:
            self._log.warn("worker {slot} has ended: {reason}", slot=worker.slot, reason=reason)
        if slot is not None and slot.successor is worker:
            slot.successor = None
        elif slot is not None and slot.current is worker:
            slot.current = None
            if not expected and not self._starting:
                self._start_again(worker, slot)

    def _use(self, start: Start[P], drain_seconds: float) -> None:
        self._start, self._drain_seconds = start, drain_seconds

    def _new(self, slot: int, is_ready: Deferred[None] | None = None) -> _Worker[P]:
        worker = _Worker(self, slot, is_ready)
        worker.process = self._start(slot, worker)
        self._workers.add(worker)
        return worker

    async def _replace(self, slot: _Slot[P], number: int) -> None:
        if self._stopping:
            return
        is_ready: Deferred[None] = Deferred()
        successor = slot.successor = self._new(number, is_ready)
        await is_ready
        _cancel(slot)
        old, slot.current, slot.successor, slot.short_lives = slot.current, successor, None, 0
        if old is not None:
            self._drain(old)
            await old.has_ended

    async def _dismiss(self, slot: _Slot[P]) -> None:
        _cancel(slot)
        if slot.current is not None:
            self._drain(slot.current)
            await slot.current.has_ended

    def _start_again(self, worker: _Worker[P], slot: _Slot[P]) -> None:
        slot.short_lives = 1 if worker.age >= LONG_ENOUGH else slot.short_lives + 1
        lives = slot.short_lives - 2
        delay = 0.0 if lives < 0 else min(2.0 ** min(lives, 10), _LONGEST_DELAY)
        if delay:
            self._log.warn("worker {slot} is started again in {delay:g} s", slot=worker.slot, delay=delay)

        def again() -> None:
            slot.restart = None
            slot.current = self._new(worker.slot)
            self._restarted(worker.slot)

        slot.restart = self._clock.callLater(delay, again)

    def _drain(self, worker: _Worker[P]) -> None:
        state, worker.state = worker.state, State.DRAINING
        if state is State.STARTING:
            worker.process.kill()  # it serves nobody yet
        elif state is State.READY:
            worker.process.drain()

    def _turn(self) -> None:
        for worker in list(self._workers):
            worker.age += 1
            worker.silent += 1
            if worker.state is State.DRAINING:
                worker.draining += 1
            reason = self._too_long(worker)
            if reason:
                self._log.error("worker {slot} is killed: {reason}", slot=worker.slot, reason=reason)
                worker.process.kill()

    def _too_long(self, worker: _Worker[P]) -> str:
        if worker.draining > self._drain_seconds + AFTER_DRAIN:
            return "it does not end"
        if worker.state is State.STARTING:
            return "it does not become ready" if worker.age > START else ""
        return "no sign of life" if worker.silent > SILENCE else ""

    def _end(self) -> None:
        if self._turns.running:
            self._turns.stop()


def _cancel(slot: _Slot[P]) -> None:
    if slot.restart is not None:
        slot.restart.cancel()
        slot.restart = None
