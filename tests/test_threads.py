"""Work in threads: what is told of it, its order, its bounds. Its end is in the passwords' tests."""

from __future__ import annotations

import threading
from functools import partial
from typing import cast

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.interfaces import IReactorFromThreads

from realtime.threads import Workers
from tests.reactor import TestCase


class Busy(Exception):
    """What can't be taken."""


class WorkersTests(TestCase):
    """One thread, and room for two more requests.

    A result reaches the reactor's thread only when the reactor turns, so that requests made in one
    turn find the thread taken, however fast it is.
    """

    def setUp(self) -> None:
        """Start, and see to it that no thread is left behind."""
        before = set(threading.enumerate())
        self.addCleanup(lambda: self.assertEqual(set(threading.enumerate()) - before, set()))
        self.workers = Workers(
            "things", reactor=cast(IReactorFromThreads, reactor), threads=1, waiting=2, busy=Busy
        )
        self.workers.start()
        self.addCleanup(self.workers.stop)
        self.done: list[str] = []

    async def test_result(self) -> None:
        """What the work returns or raises is told, and another thread did it."""
        self.assertIsNot(await self.workers.submit(threading.current_thread), threading.current_thread())
        with self.assertRaises(ZeroDivisionError):
            await self.workers.submit(lambda: 1 // 0)
        self.assertEqual(await self.workers.submit(lambda: "well"), "well")

    async def test_busy(self) -> None:
        """What is too much is refused at once, in a text that names the work."""
        taken = [self.workers.submit(partial(self.done.append, name)) for name in "abc"]
        failure = self.failureResultOf(self.workers.submit(partial(self.done.append, "d")), Busy)
        self.assertEqual(failure.getErrorMessage(), "too many things wait")
        await gatherResults(taken)
        self.assertEqual(self.done, ["a", "b", "c"])

    async def test_ahead(self) -> None:
        """What goes ahead is taken, however many wait, and is done before them."""
        taken = [self.workers.submit(partial(self.done.append, name)) for name in "abc"]
        taken.append(self.workers.submit(partial(self.done.append, "d"), ahead=True))
        await gatherResults(taken)
        self.assertEqual(self.done, ["a", "d", "b", "c"])
