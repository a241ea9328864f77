"""Folders that go away with the test, also where trial's own `mktemp` would leave them."""

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase


def temporary_folder(test: SynchronousTestCase) -> Path:
    """An empty folder that is removed when `test` ends."""
    folder = tempfile.TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    return Path(folder.name)
