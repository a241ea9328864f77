"""Files that are there whole or not at all, whoever looks and whenever the power fails.

A file is written under a temporary name in the same directory, flushed to the disk, and only then gets its own
name; then the directory is flushed. They belong to their owner alone (mode 0600). All of it blocks.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def replace(path: Path, data: bytes) -> None:
    """Write a file; one of this name is replaced. Raises `OSError`."""
    with _written(path, data) as candidate:
        os.rename(candidate, path)


def create(path: Path, data: bytes) -> bool:
    """Write a file unless there is one of this name; whether it was written. Raises `OSError`.

    However many processes try at the same moment, one of them writes it, and all can read it afterwards.
    """
    with _written(path, data) as candidate:
        try:
            os.link(candidate, path)
        except FileExistsError:
            return False
    return True


@contextmanager
def _written(path: Path, data: bytes) -> Iterator[str]:
    """Have a temporary file with this content, which is gone afterwards if it still has its name."""
    descriptor, candidate = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:  # mkstemp made it 0600
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield candidate
    finally:
        if os.path.lexists(candidate):
            os.unlink(candidate)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """Make a new name in ``directory`` outlive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
