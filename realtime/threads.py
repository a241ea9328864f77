"""Work in threads of its own: a few at once, a bounded number waiting, and a tidy end.

For what would hold up the reactor for milliseconds and more. Each kind of work has its own `Workers`, so that
one kind neither waits for another nor takes its threads.

- Beyond the bound of waiting requests the next ones are refused at once, with the error of the kind.
- A request that is cancelled before its turn takes up no thread. One that has begun keeps its thread until the
  work is done, so that the bound holds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")


class Workers:
    """Does work in ``threads`` threads; at most ``waiting`` more requests wait.

    ``name`` is that of the work, in the plural (``"passwords"``), and ``busy`` makes the error for what
    can't be taken, from its text. Requests are taken between `start` and `stop`, called once each.
    """

    def __init__(
        self,
        name: str,
        *,
        reactor: IReactorFromThreads,
        threads: int,
        waiting: int,
        busy: Callable[[str], Exception],
    ) -> None:
        self._name = name
        self._reactor = reactor
        self._busy = busy
        self._pool = ThreadPool(minthreads=0, maxthreads=threads, name=name)
        self._threads = threads
        self._working = 0
        self._maximum_waiting = waiting
        # First come, first served. A dictionary, so that a cancelled request is found at once.
        self._waiting: OrderedDict[Deferred[Any], Callable[[], Any]] = OrderedDict()
        self._running = False
        self._stopped: Deferred[None] = Deferred()

    def start(self) -> None:
        """Begin to take requests."""
        self._pool.start()
        self._running = True

    def stop(self) -> Deferred[None]:
        """Refuse what waits and what comes; fires when what was under way has been answered."""
        self._running = False
        while self._waiting:
            answer, _ = self._waiting.popitem(last=False)
            answer.errback(self._not_now())
        if not self._working:
            self._end()
        return self._stopped

    def submit(self, work: Callable[[], T], *, ahead: bool = False) -> Deferred[T]:
        """Do ``work`` in a thread; fires with what it returns, or fails with what it raises.

        What goes ``ahead`` of all that waits, and is taken however many wait, is short, and the end of
        something that was taken before: whoever submits it has a bound of his own.
        """
        if not self._running:
            return defer.fail(self._not_now())
        if not ahead and self._working == self._threads and len(self._waiting) >= self._maximum_waiting:
            return defer.fail(self._busy(f"too many {self._name} wait"))
        answer: Deferred[T] = Deferred(self._forget)
        self._waiting[answer] = work
        if ahead:
            self._waiting.move_to_end(answer, last=False)
        self._hand_out()
        return answer

    def _not_now(self) -> Exception:
        return self._busy(f"no {self._name} are taken now")

    def _forget(self, answer: Deferred[Any]) -> None:
        """Cancel a request. If it has begun, its thread stays taken until the work is done."""
        self._waiting.pop(answer, None)

    def _hand_out(self) -> None:
        """Give waiting requests to idle threads.

        The pool never gets more than it has threads for, so that its own queue, which has no bound
        and can't be cancelled, stays empty.
        """
        while self._waiting and self._working < self._threads:
            answer, work = self._waiting.popitem(last=False)
            self._working += 1
            self._pool.callInThreadWithCallback(partial(self._done_in_thread, answer), work)

    def _done_in_thread(self, answer: Deferred[T], success: bool, result: T | Failure) -> None:
        self._reactor.callFromThread(self._done, answer, result)

    def _done(self, answer: Deferred[T], result: T | Failure) -> None:
        self._working -= 1
        self._hand_out()
        if not answer.called:  # else it was cancelled meanwhile
            answer.callback(result)
        if not self._running and not self._working and not self._stopped.called:
            self._end()

    def _end(self) -> None:
        self._pool.stop()
        self._stopped.callback(None)
