"""The pictures of users, kept as files under the hash of their content.

A picture is at ``<directory>/ab/cd…``, named by the SHA-256 of its bytes in hexadecimal, and its address is
``/avatars/abcd…``: the same picture is one file, whoever uses it, and what an address shows never changes. Who
uses it is known to SQL alone.

A picture goes when its last user has another. That must not take it from one who begins to use it at that very
moment, in this process or in another on the same directory. So there is a lock on each of the 256 folders:

- whoever saves holds it from before the file is written until the commit that names it is over;
- whoever removes holds it from before the question who uses it until the file is gone.

Whichever comes first, the other sees all it has done. Nobody holds two. A file is older than its name in SQL,
so a crash leaves at most a file that nobody uses, and never a name without its file.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

from msgspec import Struct
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime import files
from realtime.messenger.file_lock import FileLock
from realtime.messenger.pictures import (
    AVATAR_BYTES,
    Picture,
    PicturesUnavailable,
    media_type,
    read,
    verify,
)
from realtime.threads import Workers

PATH: Final = "avatars"
"""Where pictures are served, and the folder of the state directory that they are in."""

T = TypeVar("T")

_NAME = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ADDRESS = re.compile(rf"/{PATH}/([0-9a-f]{{64}})", re.ASCII)


def picture_workers(reactor: IReactorFromThreads) -> Workers:
    """Return what decodes and writes pictures, not started.

    One thread, for the largest picture takes 260 MiB while it is decoded, and usual ones a few milliseconds.
    32 that wait take half a MiB each.
    """
    return Workers("pictures", reactor=reactor, threads=1, waiting=32, busy=PicturesUnavailable)


def address_of(name: str) -> str:
    """Return the address that a picture of this name is served at: what a profile's ``avatar`` says."""
    return f"/{PATH}/{name}"


def name_of(address: str) -> str | None:
    """Return the name of the picture at an address; ``None`` if it is none of ours."""
    match = _ADDRESS.fullmatch(address)
    return match and match[1]


class StoredPicture(Struct, frozen=True):
    """An open picture: ``file`` stands at its beginning and is the caller's to close."""

    file: BinaryIO
    size: int
    media_type: str


class AvatarStore:
    """Keeps pictures in ``directory``, which is made when it is first needed.

    ``is_used`` asks SQL, in a transaction that begins now, whether any profile names an address. At most
    ``at_once`` pictures are being saved, each in memory until its commit.
    """

    _log = Logger()

    def __init__(
        self,
        directory: Path,
        *,
        workers: Workers,
        clock: IReactorTime,
        is_used: Callable[[str], Deferred[bool]],
        most: int = AVATAR_BYTES,
        at_once: int = 64,
    ) -> None:
        self._directory = directory
        self._workers = workers
        self._clock = clock
        self._is_used = is_used
        self._most = most
        self._at_once = at_once
        self._saving = 0
        self._locks: dict[str, FileLock] = {}
        self._left_behind: set[str] = set()

    def save(self, text: str, use: Callable[[str], Deferred[str]]) -> Deferred[str]:
        """Keep the picture in ``text`` (base64, see `pictures.read`); fires with its address.

        ``use`` is given the address and commits that a profile names it; it fires with the address that the
        profile named before (``""``: none), whose picture then goes unless another profile names it. Fails with
        a `PictureRefused`, or as ``use`` fails. What is cancelled is done all the same, and not told.
        """
        return _to_its_end(self._save(text, use))

    def remove_unless_used(self, address: str) -> Deferred[bool]:
        """Remove the picture at an address unless a profile names it; whether it was removed.

        An address that is none of ours is nothing to remove. Fails as ``is_used`` fails, and with
        `PicturesUnavailable`; then it is tried again before the next picture is saved. What is cancelled is
        done all the same, and not told.
        """
        name = name_of(address)
        if name is None:
            return defer.succeed(False)
        return _to_its_end(self._remove(name))

    def open(self, name: str) -> StoredPicture | None:
        """Open a picture; ``None`` if there is none of this name, or it is no name at all."""
        if not _NAME.fullmatch(name):
            return None
        try:
            file = self._path(name).open("rb", buffering=0)
        except OSError:
            return None
        kind = media_type(os.pread(file.fileno(), 16, 0))
        if kind is None:
            file.close()
            return None
        return StoredPicture(file, os.fstat(file.fileno()).st_size, kind)

    async def _save(self, text: str, use: Callable[[str], Deferred[str]]) -> str:
        if self._saving >= self._at_once:
            raise PicturesUnavailable("too many pictures are being saved")
        self._saving += 1
        try:
            picture = read(text, self._most)
            name = await self._workers.submit(partial(_verified, picture))
            await self._clear()
            previous = await self._keep(name, picture, use)
        finally:
            self._saving -= 1
        address = address_of(name)
        if previous != address:
            await self.remove_unless_used(previous).addErrback(self._stays)
        return address

    async def _keep(self, name: str, picture: Picture, use: Callable[[str], Deferred[str]]) -> str:
        lock = await self._locked(name)
        try:
            await self._in_thread(partial(_write, self._path(name), picture.data))
            try:
                return await use(address_of(name))
            except BaseException:
                # Whether the commit took place can't be known here; whoever removes will ask.
                self._left_behind.add(name)
                raise
        finally:
            lock.release()

    async def _remove(self, name: str) -> bool:
        try:
            lock = await self._locked(name)
            try:
                used = await self._is_used(address_of(name))
                removed = not used and await self._in_thread(partial(_unlink, self._path(name)))
            finally:
                lock.release()
        except BaseException:
            self._left_behind.add(name)
            raise
        self._left_behind.discard(name)
        return removed

    async def _clear(self) -> None:
        """Remove what could not be removed before.

        While that fails nothing more is saved, so that no trouble with the database fills the disk.
        """
        while self._left_behind:
            try:
                await self._remove(next(iter(self._left_behind)))
            except Exception as error:
                raise PicturesUnavailable(f"a picture cannot be removed: {type(error).__name__}") from None

    async def _locked(self, name: str) -> FileLock:
        folder = name[:2]
        lock = self._locks.get(folder)
        if lock is None:
            lock = FileLock(self._directory / folder / ".lock", self._clock)
            self._locks[folder] = lock
        try:
            (self._directory / folder).mkdir(parents=True, exist_ok=True)
            await lock.acquire()
        except OSError as error:
            raise self._away(error) from None
        return lock

    async def _in_thread(self, work: Callable[[], bool]) -> bool:
        try:
            # Short, and with the lock in hand: not behind those that are still to be decoded.
            return await self._workers.submit(work, ahead=True)
        except OSError as error:
            raise self._away(error) from None

    def _away(self, error: OSError) -> PicturesUnavailable:
        self._log.error("messenger: pictures can't be kept: {reason}", reason=error.strerror or str(error))
        return PicturesUnavailable("the disk")

    def _stays(self, failure: Failure) -> bool:
        """Leave a picture for later: that of the caller is saved."""
        self._log.warn("messenger: a picture cannot be removed: {kind}", kind=type(failure.value).__name__)
        return False

    def _path(self, name: str) -> Path:
        return self._directory / name[:2] / name[2:]


def _to_its_end(work: Coroutine[Any, Any, T]) -> Deferred[T]:
    """Do work that nobody can stop half-way: a lock let go of then would be let go of too early."""
    answer: Deferred[T] = Deferred()
    Deferred.fromCoroutine(work).addBoth(lambda result: None if answer.called else answer.callback(result))
    return answer


def _verified(picture: Picture) -> str:
    verify(picture)
    return hashlib.sha256(picture.data).hexdigest()


def _write(path: Path, data: bytes) -> bool:
    """Write a picture unless it is there; whether it was."""
    if path.exists():
        return False
    files.replace(path, data)
    return True


def _unlink(path: Path) -> bool:
    """Remove a picture; whether it was there."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
