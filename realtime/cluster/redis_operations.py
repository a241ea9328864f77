"""What this process asks of Redis: in order, each thing once, over as many connections as that takes.

Operations leave at once and are answered in order. What has not been answered when the connection is lost is
asked again on the next, with the same number: Redis knows what it has done already (`redis_scripts`). While
Redis is away operations wait for some seconds and fail then; those that give something back wait as long as it
takes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.redis_scripts import WINDOW, Script

WAIT_SECONDS: Final = 5.0
"""How long what is asked waits for a Redis that is away, before it fails; it is looked at every heartbeat."""

WAITING: Final = 10_000
"""Operations that wait; more fail at once. A tenth of a second of Redis's time."""

Arguments = tuple[str | bytes | int, ...]


class Run(Protocol):
    """Runs a script by the present connection; fires with its answer."""

    def __call__(self, script: Script, *arguments: str | bytes | int) -> Deferred[Any]:
        """Run it."""


class Operation:
    """One thing to be asked. ``number``: 0: none yet; -1: needs none, as it changes nothing."""

    __slots__ = ("answer", "arguments", "deadline", "number", "restores", "script", "undo")

    def __init__(
        self,
        script: Script,
        arguments: Arguments,
        deadline: float | None = None,
        *,
        changes: bool = True,
        undo: Script | None = None,
        restores: bool = False,
    ) -> None:
        self.script = script
        self.arguments = arguments
        self.deadline = deadline
        self.undo = undo
        self.restores = restores
        self.number = 0 if changes else -1
        self.answer: Deferred[Any] = Deferred()

    def fail(self, reason: str) -> None:
        """Let go who waits."""
        if not self.answer.called:
            self.answer.errback(ClusterUnavailable(reason))


class Operations:
    """The operations of a process.

    Arguments:
        clock: for deadlines.
        run: runs a script.
        refused: called with what Redis answers instead of doing something; returns whether the operation is
            to be asked again, after `resume`.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, run: Run, refused: Callable[[Failure], bool]) -> None:
        self._clock = clock
        self._run = run
        self._refused = refused
        self._life = ""
        self._number = 0
        self._is_open = False
        self._is_over = False
        self._waiting: deque[Operation] = deque()
        self._under_way: deque[Operation] = deque()
        self._drained: Deferred[None] | None = None

    def add(
        self, script: Script, arguments: Arguments, *, patient: bool, changes: bool, undo: Script | None = None
    ) -> Deferred[Any]:
        """Ask something; fires with the answer, or fails with ClusterUnavailable.

        Arguments:
            script: what is asked.
            arguments: of the script, without those that all operations have.
            patient: waits for a Redis that is away as long as it takes.
            changes: is to be done once.
            undo: is carried out with the same arguments if this has failed, but was perhaps done.
        """
        if self._is_over:
            return fail(ClusterUnavailable("the process ends"))
        if len(self._waiting) >= WAITING and not patient:
            return fail(ClusterUnavailable("too much waits for Redis"))
        deadline = None if patient else self._clock.seconds() + WAIT_SECONDS
        operation = Operation(script, arguments, deadline, changes=changes, undo=undo)
        self._waiting.append(operation)
        self._send()
        return operation.answer

    def pause(self) -> None:
        """Ask nothing."""
        self._is_open = False

    def resume(self) -> None:
        """Ask again what was not answered, in its order, and go on."""
        self._is_open = True
        for operation in list(self._under_way):
            self._ask(operation)
        self._send()

    def begin(self, life: str, restoring: Iterable[Operation] = ()) -> None:
        """Ask everything that was not answered for another life, after what restores the one before."""
        unfinished = [each for each in (*self._under_way, *self._waiting) if not each.restores]
        for operation in unfinished:
            operation.number = min(operation.number, 0)
        self._under_way.clear()
        self._waiting = deque([*restoring, *unfinished])
        self._number = 0
        self._life = life

    def expire(self) -> None:
        """Let those go who have waited too long."""
        now = self._clock.seconds()
        for queue in (self._under_way, self._waiting):
            late = [each for each in queue if each.deadline is not None and each.deadline <= now]
            if not late:
                continue
            kept = [each for each in queue if each.deadline is None or each.deadline > now]
            queue.clear()
            queue.extend(kept)
            for operation in late:
                if operation.undo is not None and queue is self._under_way:
                    undoing = Operation(operation.undo, operation.arguments)
                    undoing.answer.addErrback(lambda _: None)
                    self._waiting.append(undoing)
                operation.fail("Redis is away")

    def drained(self) -> Deferred[None]:
        """Fires when nothing waits and nothing is under way."""
        self._drained = Deferred()
        self._tell_drained()
        return self._drained

    def end(self) -> None:
        """Fail what is left, and what comes."""
        self._is_open = False
        self._is_over = True
        left = [*self._under_way, *self._waiting]
        self._under_way.clear()
        self._waiting.clear()
        for operation in left:
            operation.fail("the process ends")

    def _send(self) -> None:
        while self._is_open and self._waiting and len(self._under_way) < WINDOW:
            operation = self._waiting.popleft()
            self._under_way.append(operation)
            self._ask(operation)

    def _ask(self, operation: Operation) -> None:
        if operation.number == 0:
            self._number += 1
            operation.number = self._number
        numbered = () if operation.number < 0 else (self._life, operation.number)
        asked = self._run(operation.script, *numbered, *operation.arguments)
        whose = (operation, self._life)
        asked.addCallbacks(self._answered, self._not_answered, whose, {}, whose)
        asked.addErrback(lambda failure: self._log.failure("cluster: an answer could not be used", failure))

    def _answered(self, result: Any, operation: Operation, life: str) -> None:
        if life == self._life and self._done(operation):
            if not operation.answer.called:
                operation.answer.callback(result)
            self._send()

    def _not_answered(self, failure: Failure, operation: Operation, life: str) -> None:
        if life != self._life or failure.check(ClusterUnavailable) or self._refused(failure):
            return  # it is asked again
        if self._done(operation):
            operation.fail("Redis answers with an error")
            self._send()

    def _done(self, operation: Operation) -> bool:
        """Take an operation off those under way; return whether it was."""
        if self._under_way and self._under_way[0] is operation:
            self._under_way.popleft()
        elif operation in self._under_way:
            self._under_way.remove(operation)
        else:
            return False
        self._tell_drained()
        return True

    def _tell_drained(self) -> None:
        if self._drained is not None and not (self._under_way or self._waiting):
            drained, self._drained = self._drained, None
            drained.callback(None)
