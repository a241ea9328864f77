"""Passwords: right and wrong ones, equal work, bounded queues, a tidy end."""

import threading
from functools import partial
from typing import cast

import bcrypt
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults, succeed
from twisted.internet.interfaces import IReactorFromThreads

from realtime.accounts.errors import PasswordsBusy
from realtime.accounts.passwords import Passwords
from tests.reactor import TestCase

ROUNDS = 4  # the fewest that bcrypt allows
HASHED = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(ROUNDS)).decode()


class PasswordsTestCase(TestCase):
    """Has one thread, and room for two more requests."""

    def setUp(self) -> None:
        """Start, and see to it that no thread is left behind."""
        before = set(threading.enumerate())
        self.addCleanup(lambda: self.assertEqual(set(threading.enumerate()) - before, set()))
        self.passwords = self.make()
        self.passwords.start()
        self.addCleanup(self.stop)
        self.is_stopped = False

    def make(self) -> Passwords:
        """Passwords which are not started."""
        threads = cast(IReactorFromThreads, reactor)
        return Passwords(reactor=threads, threads=1, waiting=2, rounds=ROUNDS)

    def stop(self) -> Deferred[None]:
        """Stop, if the test hasn't."""
        if self.is_stopped:
            return succeed(None)
        self.is_stopped = True
        return self.passwords.stop()


class RightAndWrongTests(PasswordsTestCase):
    """What `hash` and `check` answer."""

    async def test_round_trip(self) -> None:
        """A password matches its own hash and no other password does."""
        for password in ("alice", "пароль", "a" * 72, " ", "é" * 36):
            hashed = await self.passwords.hash(password)
            self.assertTrue(hashed.startswith("$2b$04$"))
            self.assertIs(await self.passwords.check(password, hashed), True)
            self.assertIs(await self.passwords.check(password + "x", hashed), False)

    async def test_salted(self) -> None:
        """The same password never has the same hash."""
        first, second = await self.passwords.hash("alice"), await self.passwords.hash("alice")
        self.assertNotEqual(first, second)

    async def test_refused_when_set(self) -> None:
        """What bcrypt would cut off or can't tell apart is no password, and isn't shown."""
        for password in ("", "sesam" * 15, "sesam" + "é" * 34, "sesam\0", "sesam\ud800"):
            failure = self.failureResultOf(self.passwords.hash(password), ValueError)
            self.assertNotIn("sesam", failure.getErrorMessage())

    async def test_never_right(self) -> None:
        """A password that can't have been set is wrong, even if its first 72 bytes are right."""
        hashed = bcrypt.hashpw(b"a" * 72, bcrypt.gensalt(ROUNDS)).decode()
        for password in ("a" * 73, "", "a\0", "\ud800"):
            self.assertIs(await self.passwords.check(password, hashed), False)

    async def test_unknown_user(self) -> None:
        """Nothing is the password of a user who doesn't exist."""
        for password in ("", "-", "alice", "a" * 100):
            self.assertIs(await self.passwords.check(password, None), False)

    async def test_stored_value_is_no_hash(self) -> None:
        """A stored value that is no bcrypt hash matches nothing, itself least of all."""
        for stored in ("", "!", "alice", HASHED[:-1], HASHED + "x", HASHED + "\n", "é" * 60):
            self.assertIs(await self.passwords.check(stored, stored), False)
            self.assertIs(await self.passwords.check("open sesame", stored), False)

    async def test_hash_that_never_ends(self) -> None:
        """A hash of 31 rounds, which would take days, is no hash."""
        stored = HASHED.replace("$04$", "$31$")
        self.assertIs(await self.passwords.check("open sesame", stored), False)

    async def test_hashes_of_other_programs(self) -> None:
        """PHP's and older libraries' names for the same algorithm are understood."""
        for prefix in ("$2y$", "$2a$"):
            stored = HASHED.replace("$2b$", prefix)
            self.assertIs(await self.passwords.check("open sesame", stored), True)


class EqualWorkTests(PasswordsTestCase):
    """How long a check takes says nothing about the user."""

    def setUp(self) -> None:
        """Note the beginning of the hash in every check."""
        super().setUp()
        self.work: list[bytes] = []
        check = bcrypt.checkpw

        def recording(password: bytes, hashed: bytes) -> bool:
            self.work.append(hashed[:7])
            return check(password, hashed)

        self.patch(bcrypt, "checkpw", recording)

    async def test_same_work(self) -> None:
        """Every way to be wrong costs one bcrypt of the same rounds, as being right does."""
        cases: list[tuple[str, str | None]] = [
            ("open sesame", HASHED),
            ("wrong", HASHED),
            ("wrong", None),
            ("wrong", "no hash"),
            ("x" * 73, HASHED),
            ("x" * 73, None),
            ("nul\0", HASHED),
            ("", HASHED),
        ]
        for password, hashed in cases:
            await self.passwords.check(password, hashed)
        self.assertEqual(self.work, [b"$2b$04$"] * len(cases))

    async def test_dummy_matches_nothing(self) -> None:
        """Even if a password matched the dummy, an unknown user's would be wrong."""
        self.patch(bcrypt, "checkpw", lambda password, hashed: True)
        self.assertIs(await self.passwords.check("anything", None), False)


class BoundTests(PasswordsTestCase):
    """Queues and the end.

    A result reaches the reactor's thread only when the reactor turns, so that requests made in one
    turn find the thread taken, however fast it is.
    """

    async def test_busy(self) -> None:
        """One request beyond the bound is refused at once; the others are answered."""
        accepted = [self.passwords.check("open sesame", HASHED) for _ in range(3)]
        self.failureResultOf(self.passwords.check("open sesame", HASHED), PasswordsBusy)
        self.failureResultOf(self.passwords.hash("alice"), PasswordsBusy)
        self.assertEqual(await gatherResults(accepted), [True, True, True])
        self.assertIs(await self.passwords.check("open sesame", HASHED), True)

    def note(self, order: list[int], number: int, right: bool) -> bool:
        """Note that this request was answered."""
        order.append(number)
        return right

    async def test_in_order(self) -> None:
        """Requests are answered in the order they came."""
        order: list[int] = []
        asked = [self.passwords.check("open sesame", HASHED) for _ in range(3)]
        for number, answer in enumerate(asked):
            answer.addCallback(partial(self.note, order, number))
        await gatherResults(asked)
        self.assertEqual(order, [0, 1, 2])

    async def test_cancelled_while_waiting(self) -> None:
        """A cancelled request makes room for another and its work is never done."""
        first, second, third = (self.passwords.check("open sesame", HASHED) for _ in range(3))
        second.cancel()
        self.failureResultOf(second, CancelledError)
        fourth = self.passwords.check("wrong", HASHED)
        self.assertEqual(await gatherResults([first, third, fourth]), [True, True, False])

    async def test_cancelled_while_working(self) -> None:
        """A request cancelled at work keeps its thread until the work is done, so bounds hold."""
        first, second = (self.passwords.check("open sesame", HASHED) for _ in range(2))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertNoResult(second)
        self.assertIs(await second, True)

    async def test_stop(self) -> None:
        """Stopping answers what is at work and refuses what waits and what comes."""
        at_work, waiting = (self.passwords.check("open sesame", HASHED) for _ in range(2))
        stopped = self.stop()
        self.failureResultOf(waiting, PasswordsBusy)
        self.failureResultOf(self.passwords.check("open sesame", HASHED), PasswordsBusy)
        self.assertNoResult(stopped)
        self.assertIs(await at_work, True)
        await stopped

    async def test_stop_after_cancel(self) -> None:
        """A cancelled request at work doesn't keep stopping from ending."""
        at_work: Deferred[bool] = self.passwords.check("open sesame", HASHED)
        at_work.cancel()
        self.failureResultOf(at_work, CancelledError)
        stopped = self.stop()
        self.assertNoResult(stopped)
        await stopped

    def test_not_started(self) -> None:
        """Before the start nothing is taken."""
        self.failureResultOf(self.make().check("open sesame", HASHED), PasswordsBusy)
