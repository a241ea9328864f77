"""A daemon under load that is killed again and again, and whether it kept its promises.

All choices come from the seed; how far the daemon is when it is killed depends on the machine as well.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from twisted.internet import defer
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from tests.endtoend.daemon import DaemonProcess, faults_in
from tests.scenarios.messenger_client import add_users, tokens
from tests.scenarios.messenger_user import User

NAMES = ("alice", "bob", "carol", "dave", "erin", "sleeper")
"""The last one is seldom there: its mailbox fills up, and receipts for what it gets wait for their senders."""

_SETTINGS = {
    "REALTIME_LIMITS_MESSAGES_PER_SECOND": "100000",
    "REALTIME_MESSENGER_MAILBOX_LIMIT": "100",
    "REALTIME_MESSENGER_WINDOW": "16",
}
_PATIENCE = 60.0
"""Seconds in which whatever is waited for must happen."""


@dataclass(slots=True)
class Report:
    """What was seen: numbers, and everything that must not be."""

    kills: int = 0
    kills_at_start: int = 0
    cuts: int = 0
    sent: int = 0
    resent: int = 0
    dialogs: int = 0
    doubles: int = 0
    outcomes: int = 0
    failed: int = 0
    faults: list[str] = field(default_factory=list)


class Load:
    """Users and their daemon, in ``folder``; `run` kills it so many times. ``said`` is told of each kill."""

    def __init__(self, folder: Path, seed: int, said: Callable[[str], None] = lambda line: None) -> None:
        self.random = Random(seed)
        self.report = Report()
        self.users: dict[str, User] = {}
        self.is_finishing = False
        self.is_over = False
        self._folder = folder
        self._said = said
        self._daemon: DaemonProcess | None = None
        self._port = 0
        self._waiting: list[Deferred[None]] = []
        self._events_left = 0
        self._moment: Deferred[None] | None = None
        self._quiet: Deferred[None] | None = None

    @property
    def sleeper(self) -> User:
        """Who is seldom there."""
        return self.users[str(len(NAMES))]

    async def run(self, kills: int) -> Report:
        """Kill the daemon so many times, let everything come to its end, and look at everything."""
        await add_users(self._folder, NAMES)
        await self._start()
        assert self._daemon is not None
        for number, token in enumerate(await tokens(self._daemon, NAMES), 1):
            self.users[str(number)] = User(self, NAMES[number - 1], str(number), token)
        lives = [Deferred.fromCoroutine(user.live()) for user in self.users.values()]
        try:
            try:
                await self._torment(kills)
                await self._finish()
            except defer.TimeoutError:
                self.report.faults.append("nothing happens any more")
            await self._end(lives)
            self._look()
        finally:
            self._port = 0
            if self._daemon is not None and self._daemon.is_running:
                await self._daemon.kill()
        return self.report

    async def _torment(self, kills: int) -> None:
        while self.report.kills < kills:
            await self._until_some_moment()
            await self._kill()
            while self.report.kills < kills and self.random.random() < 0.1:
                await self._start_in_vain()
            await self._start()

    # -- for the users -------------------------------------------------------------------------

    async def address(self, user: User) -> int:
        """Return the daemon's port, once it is there and the user wants to be; 0: it is all over."""
        while not self.is_over:
            if self._port and (user is not self.sleeper or self.is_finishing or self.random.random() < 0.3):
                return self._port
            waiting: Deferred[None] = Deferred()
            self._waiting.append(waiting)
            await waiting
        return 0

    def happened(self, user: User) -> None:
        """Something came to a user. Now and then it loses its connection."""
        if self.random.random() < 0.002 and not self.is_finishing:
            self.report.cuts += 1
            user.cut()
        self._events_left -= 1
        if self._moment is not None and self._events_left <= 0:
            moment, self._moment = self._moment, None
            moment.callback(None)
        self._look_for_quiet()

    # -- the daemon ----------------------------------------------------------------------------

    async def _start(self) -> None:
        daemon = self._new_daemon()
        await daemon.start()
        self._port = daemon.port
        self._wake()

    async def _start_in_vain(self) -> None:
        """Start it, and kill it before it serves, or just when it does."""
        from twisted.internet import reactor

        daemon = self._new_daemon()
        daemon.start().addErrback(lambda _: None)
        await deferLater(reactor, self.random.uniform(0.3, 1.5))
        self.report.kills_at_start += 1
        await self._kill()

    def _new_daemon(self) -> DaemonProcess:
        daemon = self._daemon = DaemonProcess(self._folder, environment=_SETTINGS)
        return daemon

    async def _until_some_moment(self) -> None:
        """Wait for a number of events, few or many, and for an instant more."""
        from twisted.internet import reactor

        self._events_left = self.random.choice((5, 50, 300, 1500))
        self._events_left = self.random.randint(0, self._events_left)
        self._moment = Deferred()
        await self._moment.addTimeout(_PATIENCE, reactor)
        await deferLater(reactor, self.random.choice((0, 0, 0.002, 0.02)) * self.random.random())

    async def _kill(self) -> None:
        daemon = self._daemon
        assert daemon is not None
        self._port = 0
        self.report.kills += 1
        await daemon.kill()
        self.report.faults += faults_in(daemon.log)
        self._said(f"kill {self.report.kills}: {self.report.outcomes} outcomes so far")

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    # -- the end -------------------------------------------------------------------------------

    async def _finish(self) -> None:
        """Send nothing new, have everybody there, and wait until all is known."""
        from twisted.internet import reactor

        self.is_finishing = True
        self._wake()
        self._quiet = Deferred()
        quiet = self._quiet.addTimeout(_PATIENCE, reactor)
        self._look_for_quiet()
        await quiet

    def _look_for_quiet(self) -> None:
        if self._quiet is not None and all(user.is_done for user in self.users.values()):
            quiet, self._quiet = self._quiet, None
            quiet.callback(None)

    async def _end(self, lives: list[Deferred[None]]) -> None:
        self.is_over = True
        for user in self.users.values():
            user.cut()
        self._wake()
        await gatherResults(lives)
        assert self._daemon is not None
        await self._daemon.stop()
        self.report.faults += faults_in(self._daemon.log)

    def _look(self) -> None:
        """Look at what everybody knows, and what the database has."""
        report = self.report
        everything = [sent for user in self.users.values() for sent in user.sent]
        report.sent = len(everything)
        report.failed = sum(sent.outcome == "ERROR" for sent in everything)
        for user in self.users.values():
            report.faults += user.contradictions()
        with closing(sqlite3.connect(self._folder / "var" / "realtime.db")) as database:
            (stored, of_one_key) = database.execute(
                "SELECT count(*), count(DISTINCT sender_id || ' ' || client_message_id) FROM messenger_dialogs"
            ).fetchone()
            (whole,) = database.execute("PRAGMA integrity_check").fetchone()
        if not stored == of_one_key == report.sent or whole != "ok":
            report.faults.append(f"{report.sent} sent, {stored} stored, {of_one_key} different; {whole}")
