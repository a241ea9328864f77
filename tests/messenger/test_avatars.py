"""The store of pictures: one file for one content, there for as long as a profile names it."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, fail, gatherResults, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime import files
from realtime.messenger import avatars
from realtime.messenger.avatars import AvatarStore, address_of, name_of, picture_workers
from realtime.messenger.file_lock import FileLock
from realtime.messenger.pictures import NotAPicture, PicturesUnavailable, PictureTooLarge
from realtime.storage.errors import StorageUnavailable
from realtime.threads import Workers
from tests.accounts.folders import temporary_folder
from tests.logged import Logged
from tests.messenger.images import encoded, picture
from tests.reactor import TestCase

T = TypeVar("T")

RED, BLUE = picture("PNG", shade=200), picture("GIF", shade=10)


def name(data: bytes) -> str:
    """The name of a picture."""
    return hashlib.sha256(data).hexdigest()


def address(data: bytes) -> str:
    """The address of a picture."""
    return address_of(name(data))


class Held(Workers):
    """Does work at once, or, while it is ``held``, when the test says so."""

    def __init__(self) -> None:
        self.held: list[Callable[[], object]] | None = None
        self.away = False

    def submit(self, work: Callable[[], T], *, ahead: bool = False) -> Deferred[T]:
        """Do the work, in its turn."""
        if self.away:
            return fail(PicturesUnavailable("too many pictures wait"))
        if self.held is None:
            return defer.maybeDeferred(work)
        answer: Deferred[T] = Deferred()
        self.held.append(lambda: defer.maybeDeferred(work).chainDeferred(answer))
        return answer


class Profiles:
    """Stands in for SQL: which user's profile names which address."""

    def __init__(self) -> None:
        self.avatars: dict[str, str] = {}
        self.away = False
        self.questions: list[str] = []

    def use(self, user: str) -> Callable[[str], Deferred[str]]:
        """What commits a user's new address."""

        def use(address: str) -> Deferred[str]:
            if self.away:
                return fail(StorageUnavailable("away"))
            previous = self.avatars.get(user, "")
            self.avatars[user] = address
            return succeed(previous)

        return use

    def is_used(self, address: str) -> Deferred[bool]:
        """Whether a profile names an address."""
        if self.away:
            return fail(StorageUnavailable("away"))
        self.questions.append(address)
        return succeed(address in self.avatars.values())


class StoreTestCase(SynchronousTestCase):
    """Has a store in a folder that is not there yet."""

    def setUp(self) -> None:
        """Build it."""
        self.directory = temporary_folder(self) / "state" / "avatars"
        self.clock = Clock()
        self.workers = Held()
        self.profiles = Profiles()
        self.store = self.build()
        self.logged = Logged(self)

    def build(self, **options: Any) -> AvatarStore:
        """A store on the folder."""
        return AvatarStore(
            self.directory,
            workers=self.workers,
            clock=self.clock,
            is_used=self.profiles.is_used,
            **options,
        )

    def save(self, user: str, data: bytes) -> Deferred[str]:
        """Begin to save a user's picture."""
        return self.store.save(encoded(data), self.profiles.use(user))

    def kept(self) -> list[bytes]:
        """The pictures in the folder, where they belong."""
        found = []
        for path in sorted(self.directory.glob("??/*")):
            if path.name != ".lock":
                data = path.read_bytes()
                self.assertEqual(path.parent.name + path.name, name(data))
                found.append(data)
        return sorted(found)


class SavingTests(StoreTestCase):
    """What is kept, and for how long."""

    def test_saved(self) -> None:
        """A picture is kept under its hash, and the profile names its address."""
        self.assertEqual(self.successResultOf(self.save("alice", RED)), address(RED))
        self.assertEqual(self.profiles.avatars, {"alice": address(RED)})
        self.assertEqual((self.directory / name(RED)[:2] / name(RED)[2:]).read_bytes(), RED)
        self.assertEqual(self.kept(), [RED])

    def test_same_content(self) -> None:
        """The same picture of two users is one file, written once."""
        self.successResultOf(self.save("alice", RED))
        self.patch(files, "replace", None)
        self.assertEqual(self.successResultOf(self.save("bob", RED)), address(RED))
        self.assertEqual(self.kept(), [RED])

    def test_replaced(self) -> None:
        """The picture before goes with its last user."""
        for user in ("alice", "bob"):
            self.successResultOf(self.save(user, RED))
        self.successResultOf(self.save("alice", BLUE))
        self.assertEqual(self.kept(), sorted([RED, BLUE]))
        self.successResultOf(self.save("bob", BLUE))
        self.assertEqual(self.kept(), [BLUE])

    def test_same_again(self) -> None:
        """Who saves the picture that he has keeps it, and nobody is asked."""
        for _ in range(2):
            self.successResultOf(self.save("alice", RED))
        self.assertEqual((self.kept(), self.profiles.questions), ([RED], []))

    def test_outside_address(self) -> None:
        """An address that is not ours is nothing to remove."""
        for before in ("https://elsewhere.example/a.png", "/avatars/../../etc/passwd", "/avatars/" + "A" * 64):
            self.profiles.avatars["alice"] = before
            self.successResultOf(self.save("alice", RED))
        self.assertEqual(self.kept(), [RED])

    def test_refused(self) -> None:
        """What is no picture, a broken or a large one leaves nothing, and no profile is touched."""
        self.store = self.build(most=1000)
        self.failureResultOf(self.save("alice", b"no picture"), NotAPicture)
        self.failureResultOf(self.save("alice", RED[:40]), NotAPicture)
        self.failureResultOf(self.save("alice", RED + bytes(1000)), PictureTooLarge)
        self.assertEqual((self.profiles.avatars, self.directory.exists()), ({}, False))

    def test_remove_unless_used(self) -> None:
        """Whether it was removed is told."""
        self.successResultOf(self.save("alice", RED))
        self.assertFalse(self.successResultOf(self.store.remove_unless_used(address(RED))))
        self.profiles.avatars.clear()
        self.assertTrue(self.successResultOf(self.store.remove_unless_used(address(RED))))
        self.assertFalse(self.successResultOf(self.store.remove_unless_used(address(RED))))
        self.assertFalse(self.successResultOf(self.store.remove_unless_used("")))
        self.assertEqual(self.kept(), [])

    def test_addresses(self) -> None:
        """Only an address of ours, to the letter, has a name."""
        self.assertEqual(name_of(address(RED)), name(RED))
        for other in (
            "",
            name(RED),
            address(RED) + "\n",
            address(RED).upper(),
            address(RED)[:-1],
            "x" + address(RED),
            "/avatars/" + "٠" * 64,
        ):
            self.assertIsNone(name_of(other))


class FaultTests(StoreTestCase):
    """The database, the disk, and too many at once."""

    def test_commit_fails(self) -> None:
        """It fails as the commit does; the file goes before the next picture is saved, unless it is used."""
        self.profiles.away = True
        self.failureResultOf(self.save("alice", RED), StorageUnavailable)
        self.assertEqual(self.kept(), [RED])
        self.profiles.away = False
        self.successResultOf(self.save("bob", BLUE))
        self.assertEqual(self.kept(), [BLUE])

    def test_commit_fails_yet_took_place(self) -> None:
        """A commit whose answer was lost may name the picture: it stays."""

        def use(address: str) -> Deferred[str]:
            self.profiles.avatars["alice"] = address
            return fail(StorageUnavailable("lost"))

        self.failureResultOf(self.store.save(encoded(RED), use), StorageUnavailable)
        self.successResultOf(self.save("bob", BLUE))
        self.assertEqual(self.kept(), sorted([RED, BLUE]))

    def test_outage_does_not_fill_the_disk(self) -> None:
        """While what is to be removed can't be, nothing more is written."""
        self.profiles.away = True
        self.failureResultOf(self.save("alice", RED), StorageUnavailable)
        for shade in range(5):
            self.failureResultOf(self.save("alice", picture("PNG", shade=shade)), PicturesUnavailable)
        self.assertEqual(self.kept(), [RED])

    def test_removal_fails(self) -> None:
        """Who has saved a picture is told so, though the one before could not be removed; it is later."""
        self.successResultOf(self.save("alice", RED))
        use = self.profiles.use("alice")

        def use_and_lose(address: str) -> Deferred[str]:
            answer = use(address)
            self.profiles.away = True
            return answer

        self.assertEqual(self.successResultOf(self.store.save(encoded(BLUE), use_and_lose)), address(BLUE))
        self.assertEqual(self.kept(), sorted([RED, BLUE]))
        self.assertEqual(len(self.logged.above_debug()), 1)
        self.profiles.away = False
        self.successResultOf(self.save("bob", BLUE))
        self.assertEqual(self.kept(), [BLUE])

    def test_disk_fails(self) -> None:
        """A disk that is full or away is logged in one line, without a traceback, and told as such."""

        def full(path: Path, data: bytes) -> None:
            raise OSError(28, "No space left on device")

        self.patch(files, "replace", full)
        self.failureResultOf(self.save("alice", RED), PicturesUnavailable)
        (event,) = self.logged.above_debug()
        self.assertEqual(event["reason"], "No space left on device")
        self.assertNotIn("log_failure", event)
        self.assertEqual(self.profiles.avatars, {})

    def test_directory_cannot_be_made(self) -> None:
        """So is a folder that can't be made; the lock is not left locked."""
        self.directory.parent.mkdir()
        self.directory.write_text("in the way")
        self.failureResultOf(self.save("alice", RED), PicturesUnavailable)
        self.directory.unlink()
        self.successResultOf(self.save("alice", RED))

    def test_folder_lost(self) -> None:
        """If somebody empties the directory, it is made again."""
        self.successResultOf(self.save("alice", RED))
        shutil.rmtree(self.directory)
        self.successResultOf(self.save("bob", RED))
        self.assertEqual(self.kept(), [RED])

    def test_busy(self) -> None:
        """More than may be saved at once are refused at once, and so is what the threads refuse."""
        self.store = self.build(at_once=2)
        self.workers.held = []
        saving = [self.save("alice", RED), self.save("bob", BLUE)]
        self.failureResultOf(self.save("carol", RED), PicturesUnavailable)
        held, self.workers.held = self.workers.held, None
        for work in held:
            work()
        for each in saving:
            self.successResultOf(each)
        self.successResultOf(self.save("carol", RED))
        self.workers.away = True
        self.failureResultOf(self.save("carol", RED), PicturesUnavailable)

    def test_cancelled(self) -> None:
        """Who does not wait any more has it saved all the same: a commit can't be taken back."""
        committed: Deferred[str] = Deferred()
        saving = self.store.save(encoded(RED), lambda _: committed)
        saving.cancel()
        self.failureResultOf(saving, CancelledError)
        self.profiles.avatars["alice"] = address(RED)
        removing = self.store.remove_unless_used(address(RED))
        self.assertNoResult(removing)
        committed.callback("")
        self.assertFalse(self.successResultOf(removing))
        self.assertEqual(self.kept(), [RED])


class OpenTests(StoreTestCase):
    """Reading."""

    def test_open(self) -> None:
        """A picture is open at its beginning, with its size and the type of its bytes."""
        self.successResultOf(self.save("alice", BLUE))
        opened = self.store.open(name(BLUE))
        assert opened is not None
        with opened.file:
            self.assertEqual((opened.size, opened.media_type), (len(BLUE), "image/gif"))
            self.assertEqual(opened.file.read(), BLUE)

    def test_not_there(self) -> None:
        """What is no name never reaches the file system."""
        self.successResultOf(self.save("alice", RED))
        self.assertIsNone(self.store.open(name(BLUE)))
        self.patch(avatars.AvatarStore, "_path", None)
        for other in (
            "",
            "..",
            "../" * 20 + "etc/passwd",
            name(RED).upper(),
            name(RED) + "\n",
            name(RED)[:2] + "/" + name(RED)[3:],
            name(RED)[:2] + ".lock",
            "\0" * 64,
            "\u0660" * 64,
        ):
            self.assertIsNone(self.store.open(other))

    def test_not_a_picture(self) -> None:
        """A file that somebody else put there is not shown."""
        path = self.directory / "ab" / ("c" * 62)
        path.parent.mkdir(parents=True)
        path.write_text("<script>")
        self.assertIsNone(self.store.open("ab" + "c" * 62))


class Late:
    """Two stores on one folder, as of two processes, whose questions and commits take their time."""

    def __init__(self, directory: Path) -> None:
        self.clock = Clock()
        self.sql = Profiles()
        self.waiting: list[Callable[[], object]] = []
        self.running: list[Deferred[Any]] = []
        self.busy: set[str] = set()
        self.stores = [
            AvatarStore(directory, workers=Held(), clock=self.clock, is_used=self.is_used) for _ in range(2)
        ]

    def later(self, ask: Callable[[], Deferred[Any]]) -> Deferred[Any]:
        """Ask at one moment, and hear the answer at another."""
        answer: Deferred[Any] = Deferred()

        def heard(told: Deferred[Any]) -> None:
            told.chainDeferred(answer)

        self.waiting.append(lambda: self.waiting.append(partial(heard, ask())))
        return answer

    def is_used(self, address: str) -> Deferred[bool]:
        """Whether a profile names an address."""
        return self.later(partial(self.sql.is_used, address))

    def begin(self, store: int, user: str, content: bytes) -> None:
        """Begin to save a picture, unless the user is just saving: one's own changes come one by one."""
        if user in self.busy:
            return
        self.busy.add(user)

        def use(address: str) -> Deferred[str]:
            return self.later(partial(self.sql.use(user), address))

        def done(result: object) -> object:
            self.busy.discard(user)
            return result

        self.running.append(self.stores[store].save(encoded(content), use).addBoth(done))

    def step(self, which: int) -> None:
        """Let one thing happen, and the others' patience wane."""
        if self.waiting:
            self.waiting.pop(which % len(self.waiting))()
        self.clock.advance(0.02)

    def finish(self) -> None:
        """Let everything happen that is still to come."""
        while self.waiting or self.clock.getDelayedCalls():
            self.step(0)


BEGIN = st.tuples(st.integers(0, 1), st.sampled_from(["a", "b"]), st.sampled_from([RED, BLUE]))
STEPS = st.lists(BEGIN | st.sampled_from([0, -1]) | st.sampled_from([0, -1]), min_size=5, max_size=40)


class RaceTests(SynchronousTestCase):
    """Pictures that come and go at the same moment."""

    def test_used_again_before_it_goes(self) -> None:
        """A picture whose last user leaves it while another's commit is under way stays, in any process."""
        for store in (0, 1):
            with tempfile.TemporaryDirectory() as folder:
                late = Late(Path(folder))
                late.begin(0, "a", RED)
                late.finish()
                late.begin(store, "b", RED)
                late.begin(0, "a", BLUE)
                while len(late.waiting) > 1:
                    late.step(-1)
                late.finish()
                self.assertEqual(kept(Path(folder)), {address(RED), address(BLUE)})

    def test_used_again_while_it_goes(self) -> None:
        """One that begins to be used when nobody was found to use it is written again, in any process."""
        for store in (0, 1):
            with tempfile.TemporaryDirectory() as folder:
                late = Late(Path(folder))
                late.begin(0, "a", RED)
                late.finish()
                late.begin(0, "a", BLUE)
                while address(RED) not in late.sql.questions:
                    late.step(0)
                late.begin(store, "b", RED)
                late.finish()
                self.assertEqual(kept(Path(folder)), {address(RED), address(BLUE)})

    @settings(max_examples=200, deadline=None)
    @given(STEPS)
    def test_races(self, steps: list[tuple[int, str, bytes] | int]) -> None:
        """Whatever happens when: no profile names a picture that is not there, and none is left over."""
        with tempfile.TemporaryDirectory() as folder:
            late = Late(Path(folder))
            late.begin(0, "a", RED)
            for step in [0, 0, *steps]:
                if isinstance(step, tuple):
                    late.begin(*step)
                else:
                    late.step(step)
                self.assertLessEqual(set(late.sql.avatars.values()), kept(Path(folder)))
            late.finish()
            for each in late.running:
                self.successResultOf(each)
            self.assertEqual(kept(Path(folder)), set(late.sql.avatars.values()))


def kept(directory: Path) -> set[str]:
    """The addresses of the pictures in a folder."""
    return {address(path.read_bytes()) for path in directory.glob("??/*") if path.name != ".lock"}


class FileLockTests(SynchronousTestCase):
    """The lock itself."""

    def setUp(self) -> None:
        """Have a file that two processes lock, the second of them twice."""
        self.clock = Clock()
        self.path = temporary_folder(self) / "lock"
        self.one, self.other = (FileLock(self.path, self.clock, patience=1) for _ in range(2))

    def test_in_line(self) -> None:
        """In one process whoever asks first has it first, and no time passes."""
        first, second, third = (self.one.acquire() for _ in range(3))
        self.successResultOf(first)
        self.assertNoResult(second)
        self.one.release()
        self.successResultOf(second)
        self.assertNoResult(third)
        self.one.release()
        self.successResultOf(third)
        self.one.release()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_between_processes(self) -> None:
        """Another process has it soon after it was let go."""
        self.successResultOf(self.one.acquire())
        waiting = self.other.acquire()
        self.clock.pump([0.02] * 10)
        self.assertNoResult(waiting)
        self.one.release()
        self.clock.advance(0.02)
        self.successResultOf(waiting)
        self.other.release()

    def test_patience(self) -> None:
        """Who waits too long gives up, and does not keep the others of its process from trying."""
        self.successResultOf(self.one.acquire())
        waiting, next_one = self.other.acquire(), self.other.acquire()
        self.clock.pump([0.02] * 52)
        self.failureResultOf(waiting, TimeoutError)
        self.assertNoResult(next_one)
        self.one.release()
        self.clock.advance(0.02)
        self.successResultOf(next_one)
        self.other.release()

    def test_no_folder(self) -> None:
        """A file that can't be made is an error, each time."""
        lock = FileLock(self.path / "nowhere", self.clock)
        for _ in range(2):
            self.failureResultOf(lock.acquire(), OSError)

    def test_nothing_left_open(self) -> None:
        """No descriptor stays open."""
        before = len(os.listdir("/proc/self/fd"))
        self.successResultOf(self.one.acquire())
        waiting = self.other.acquire()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.one.release()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


class ThreadTests(TestCase):
    """With real threads."""

    async def test_many(self) -> None:
        """Many save at once, and what is left at the end is what is used; no thread stays."""
        from twisted.internet import reactor

        threads = set(threading.enumerate())
        workers = picture_workers(cast(IReactorFromThreads, reactor))
        workers.start()
        profiles, directory = Profiles(), temporary_folder(self)
        clock = cast(Any, reactor)
        store = AvatarStore(directory, workers=workers, clock=clock, is_used=profiles.is_used)
        contents = [picture("PNG", shade=shade) for shade in range(3)]
        for turn in range(3):
            await gatherResults(
                store.save(encoded(contents[(user + turn) % (3 - turn)]), profiles.use(str(user)))
                for user in range(10)
            )
        self.assertEqual(kept(directory), {address(contents[0])})
        await workers.stop()
        self.assertEqual(set(threading.enumerate()) - threads, set())
