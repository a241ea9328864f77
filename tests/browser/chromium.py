"""Debian's Chromium, driven by playwright, in a thread of its own.

Playwright's calls block, and must all come from the thread that it was started in; the reactor has the main
thread. So a story is a plain function that runs in the browser's thread from its first line to its last, and
calls the reactor when it needs a daemon.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")

PROGRAM = Path("/usr/bin/chromium")


class Chromium:
    """One browser for the whole run; each of its contexts is a person with a machine of their own."""

    def __init__(self) -> None:
        if not PROGRAM.exists():
            _missing("Chromium is not installed")
        self._thread = ThreadPool(minthreads=1, maxthreads=1, name="browser")
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None

    @property
    def browser(self) -> Browser:
        """What opens contexts. In the browser's thread only."""
        assert self._browser is not None
        return self._browser

    def run(self, function: Callable[[], T]) -> Deferred[T]:
        """Call a function in the browser's thread."""
        running: Deferred[T] = deferToThreadPool(_reactor(), self._thread, function)
        return running

    def start(self) -> Deferred[None]:
        """Start it."""
        self._thread.start()
        return self.run(self._start)

    def stop(self) -> Deferred[None]:
        """Stop it, and the thread with it."""
        return self.run(self._stop).addBoth(self._stopped)

    def _start(self) -> None:
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=PROGRAM)
        # The first picture starts a thread that playwright keeps: no story shall count as its owner.
        page = self._browser.new_page()
        page.screenshot(path="/dev/null", type="png")
        page.close()

    def _stop(self) -> None:
        if self._browser is not None:
            self._browser.close()
        if self._playwright is not None:
            self._playwright.stop()

    def _stopped(self, result: None) -> None:
        self._thread.stop()
        return result


def _reactor() -> Any:
    from twisted.internet import reactor

    return reactor


def _missing(reason: str) -> NoReturn:
    if os.environ.get("TXREALTIME_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
