"""A lock on a file: between the tasks of one process, and between processes.

Those of one process wait in line. Other processes are kept out by flock(2), which the kernel undoes when a
process dies, however it dies; there is nothing to clean up and no time that could run out too early. Whoever
finds another process in possession asks again every 20 ms: it is held for a commit's time, and seldom.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

_AGAIN = 0.02


class FileLock:
    """The lock on the file at ``path``, which is made if absent, in a directory that is there."""

    def __init__(self, path: Path, clock: IReactorTime, patience: float = 10.0) -> None:
        self._path = path
        self._clock = clock
        self._patience = patience
        self._here = DeferredLock()
        self._descriptor = -1

    def acquire(self) -> Deferred[None]:
        """Fires when the lock is ours.

        Fails with `TimeoutError` if another process has it for longer than ``patience`` seconds, and with
        another `OSError` if the file can't be had.
        """
        return Deferred.fromCoroutine(self._acquire())

    def release(self) -> None:
        """Let the next one have it."""
        os.close(self._descriptor)  # which lets go of the lock
        self._descriptor = -1
        self._here.release()

    async def _acquire(self) -> None:
        await self._here.acquire()
        descriptor = -1
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            await self._take(descriptor)
        except BaseException:
            if descriptor != -1:
                os.close(descriptor)
            self._here.release()
            raise
        self._descriptor = descriptor

    async def _take(self, descriptor: int) -> None:
        deadline = self._clock.seconds() + self._patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._clock.seconds() >= deadline:
                    raise TimeoutError("another process holds the lock") from None
                await deferLater(self._clock, _AGAIN)
            else:
                return
