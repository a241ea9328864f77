"""A browser for the run, and a stage for each story."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import Chromium
from tests.browser.stage import Stage
from tests.endtoend.conftest import Start
from tests.endtoend.conftest import start_daemon as start_daemon
from tests.reactor import wait_for


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """The browser, started when a story first asks for it."""
    browser = Chromium()
    wait_for(browser.start())
    yield browser
    wait_for(browser.stop())


@pytest.fixture
def stage(chromium: Chromium, start_daemon: Start, tmp_path: Path, request: pytest.FixtureRequest) -> Stage:
    """What a story has at hand."""
    name = re.sub(r"\W+", "-", request.node.name.removeprefix("test_")).strip("-")
    return Stage(chromium, start_daemon, tmp_path, name)
