"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from twisted.trial.unittest import SynchronousTestCase

from realtime import files
from tests.accounts.folders import temporary_folder


class FileTests(SynchronousTestCase):
    """One file in a folder."""

    def setUp(self) -> None:
        """Have a folder."""
        self.path = temporary_folder(self) / "file"

    def assert_alone(self, content: bytes) -> None:
        """The file has this content, is its owner's, and nothing else is in the folder."""
        self.assertEqual(self.path.read_bytes(), content)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(os.listdir(self.path.parent), ["file"])

    def test_replace(self) -> None:
        """A file is written, and written again."""
        for content in (b"one", b"two"):
            files.replace(self.path, content)
            self.assert_alone(content)

    def test_create(self) -> None:
        """A file is written once."""
        self.assertTrue(files.create(self.path, b"one"))
        self.assertFalse(files.create(self.path, b"two"))
        self.assert_alone(b"one")

    def test_created_by_many(self) -> None:
        """Of many at once one writes, and all read the same afterwards."""
        together = Barrier(8)

        def create(number: int) -> tuple[bool, bytes]:
            together.wait()
            written = files.create(self.path, b"%d" % number * 10_000)
            return written, self.path.read_bytes()

        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(create, range(8)))
        self.assertEqual(sum(written for written, _ in done), 1)
        self.assertEqual({content for _, content in done}, {self.path.read_bytes()})
        self.assert_alone(self.path.read_bytes())

    def test_disk_is_full(self) -> None:
        """What can't be flushed to the disk leaves the old file, and nothing else."""
        files.replace(self.path, b"old")

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "fsync", full)
        self.assertRaises(OSError, files.replace, self.path, b"new")
        self.assertRaises(OSError, files.create, self.path.with_name("other"), b"new")
        self.assert_alone(b"old")

    def test_no_folder(self) -> None:
        """There must be a folder."""
        self.assertRaises(FileNotFoundError, files.replace, Path("/nowhere/at/all"), b"")
