"""What is logged during a test."""

from typing import Any

from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase


class Logged:
    """The log events of a test, from now to its end."""

    def __init__(self, test: SynchronousTestCase) -> None:
        self.events: list[dict[str, Any]] = []
        observer: Any = self.events.append
        globalLogPublisher.addObserver(observer)
        test.addCleanup(globalLogPublisher.removeObserver, observer)

    def above_debug(self) -> list[dict[str, Any]]:
        """Those that an operator sees."""
        return [event for event in self.events if event["log_level"] > LogLevel.debug]

    def holding(self, *parts: str) -> list[dict[str, Any]]:
        """Those that hold one of these texts, in whatever form they are shown."""
        return [event for event in self.events if any(part in repr(event) for part in parts)]
