from __future__ import annotations

import signal
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from realtime.operations.signals import handle, handle_repeated


class InTurn(MemoryReactorClock):
    """Makes calls from elsewhere when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Any] = []

    def callFromThread(self, call: Any, *args: Any) -> None:
        """Keep a call."""
        self.calls.append(call)

    def turn(self) -> None:
        """Make what was kept."""
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class SignalTests(SynchronousTestCase):
    """Signals of this very process."""

    def setUp(self) -> None:
        """Have one that nobody uses, and put it back."""
        before = signal.signal(signal.SIGUSR2, lambda *_: self.heard.append("first"))
        self.addCleanup(signal.signal, signal.SIGUSR2, before)
        self.reactor = InTurn()
        self.heard: list[str] = []

    def act(self) -> None:
        """Note it."""
        self.heard.append("acted")

    def test_handle(self) -> None:
        """It takes the place of what was done, and acts in the reactor's turn, each time."""
        handle(self.reactor, signal.SIGUSR2, self.act)
        signal.raise_signal(signal.SIGUSR2)
        self.assertEqual(self.heard, [])
        self.reactor.turn()
        signal.raise_signal(signal.SIGUSR2)
        self.reactor.turn()
        self.assertEqual(self.heard, ["acted", "acted"])

    def test_repeated(self) -> None:
        """The first is left to who handled it, those that follow are not, however soon they come."""
        handle_repeated(self.reactor, signal.SIGUSR2, self.act)
        signal.raise_signal(signal.SIGUSR2)
        signal.raise_signal(signal.SIGUSR2)
        self.assertEqual(self.heard, ["first"])
        self.reactor.turn()
        signal.raise_signal(signal.SIGUSR2)
        self.reactor.turn()
        self.assertEqual(self.heard, ["first", "acted", "acted"])
