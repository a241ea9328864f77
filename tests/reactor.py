"""Tests that need the real reactor, whoever runs it: trial, or pytest with pytest-twisted.

pytest-twisted starts the reactor once and keeps it running; trial's own TestCase starts it for each wait.
The `TestCase` here does what fits, so that both kinds of test can stand in one run.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, cast

import pytest_twisted  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial import unittest

P = ParamSpec("P")
T = TypeVar("T")


def in_reactor(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, Deferred[None]]:
    """Makes a test function of a coroutine that awaits Deferreds."""
    return cast(Callable[P, Deferred[None]], pytest_twisted.ensureDeferred(test))


def wait_for(deferred: Deferred[T]) -> T:
    """Turns the reactor until the Deferred has fired; for fixtures that are not coroutines."""
    return cast(T, pytest_twisted.blockon(deferred))


class TestCase(unittest.TestCase):
    """A test case of trial's whose tests may be coroutines, under trial as under pytest."""

    def _wait(self, d: Any, *arguments: Any) -> Any:
        from twisted.internet import reactor

        if not reactor.running:
            return super()._wait(d, *arguments)
        wait_for(d.addBoth(lambda _: None))
        # Trial turns the reactor by hand afterwards. If what woke this test, or the one before it, came from a
        # thread, the reactor still stands in the middle of such calls and would make the same one again.
        wait_for(deferLater(reactor, 0))
        return None
