"""Signals, handled in the reactor's turn."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any


def handle(reactor: Any, number: int, act: Callable[[], object]) -> None:
    """Call ``act`` in the reactor's next turn whenever the signal comes, in place of what was done."""
    signal.signal(number, lambda *_: reactor.callFromThread(act))


def handle_repeated(reactor: Any, number: int, act: Callable[[], object]) -> None:
    """Leave the first such signal to who handles it now, and call ``act`` for each that follows."""
    first: Any = signal.getsignal(number)
    came = False

    def second(received: int, frame: Any) -> None:
        nonlocal came
        if came:
            reactor.callFromThread(act)
        else:
            came = True
            first(received, frame)

    signal.signal(number, second)
