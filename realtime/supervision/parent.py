"""The parent's life: what twistd runs with ``--workers``. It serves nobody but those who watch.

Start: open all sockets (while twistd may still be root), migrate the database, start the workers; ready when
all are. A start that fails says why in one line.

SIGTERM or SIGINT: all workers drain at the same time, then it ends; at a second one they are killed. SIGHUP:
the settings are read again, and the workers replaced one after the other (`supervisor`). What can't be used
is refused with one line, and all stays as it is. Endpoints that are new are opened, those that are gone are
closed when the last worker that knew them has ended. How the parent itself logs stays until it is started
again, and so does the code that it runs.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime import __version__
from realtime.config import ConfigurationError
from realtime.operations.metrics import ParentMetrics
from realtime.operations.signals import handle, handle_repeated
from realtime.operations.site import OperationsSite
from realtime.operations.starting import StartFailed, where_it_listens
from realtime.operations.systemd import READY, STOPPING, Watchdog, notify, reloading
from realtime.settings import Settings
from realtime.storage.errors import StorageError
from realtime.supervision.messages import Begin
from realtime.supervision.overview import Overview
from realtime.supervision.process import WorkerProcess
from realtime.supervision.sockets import CannotListen, Sockets
from realtime.supervision.supervisor import State, Supervisor, Told, WorkerFailed


class Parent(Service):
    """Starts workers with ``command`` and a slot, and keeps them.

    ``settings`` are those to start with; ``reload`` reads and checks them anew, and raises
    `ConfigurationError`. ``migrate`` brings a database to its schema, and ``write`` takes each line of a
    worker's log.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        reactor: Any,
        command: Sequence[str],
        settings: Settings,
        reload: Callable[[], Settings],
        migrate: Callable[[Settings], None],
        write: Callable[[str], object],
        demo: bool,
    ) -> None:
        self.setName("realtime")
        self._reactor = reactor
        self._command = command
        self._settings = settings
        self._reload = reload
        self._migrate = migrate
        self._write = write
        self._demo = demo
        self._metrics = ParentMetrics()
        self._supervisor: Supervisor[WorkerProcess] = Supervisor(reactor, self._count_restart)
        self._overview = Overview(reactor, self._supervisor.standing, self._metrics)
        nobody = Factory()
        nobody.noisy = False
        self._sockets = Sockets(reactor, nobody)
        self._operations = Sockets(reactor, OperationsSite(self._overview, self._overview, reactor))
        self._watchdog = Watchdog(reactor)
        self._reload_again = False
        self._reloading = True  # until all have started
        for state in State:
            gauge = self._metrics.workers.labels(state.name.lower())
            gauge.set_function(partial(self._supervisor.count, state))

    def privilegedStartService(self) -> None:
        """Open all sockets; who connects before a worker is ready waits."""
        try:
            self._open(self._settings)
        except CannotListen as error:
            raise StartFailed(f"realtime: {error}") from None

    def startService(self) -> None:
        """Migrate the database; the rest when the reactor turns."""
        super().startService()
        try:
            self._migrate(self._settings)
        except (StorageError, ValueError) as error:
            raise StartFailed(f"realtime: can't use the database: {error}") from None
        self._reactor.callWhenRunning(self._begin)

    def stopService(self) -> Deferred[Any]:
        """Let all workers drain."""
        super().stopService()
        self._overview.draining = True
        notify(STOPPING)
        self._log.info("stopping {count} workers", count=len(list(self._supervisor.standing())))
        ended = self._supervisor.stop()
        # Theirs are closed as they begin to drain; with these, nobody listens any more.
        self._sockets.close()
        return ended.addBoth(self._ended)

    def reload(self) -> None:
        """Replace the workers, with the settings as they are now; once more if that is asked for meanwhile."""
        if not self.running:
            return
        if self._reloading:
            self._reload_again = True
            return
        self._reloading = True
        Deferred.fromCoroutine(self._replace()).addErrback(self._report).addBoth(self._reloaded)

    def _begin(self) -> None:
        handle_repeated(self._reactor, signal.SIGTERM, self._supervisor.kill)
        handle_repeated(self._reactor, signal.SIGINT, self._supervisor.kill)
        handle(self._reactor, signal.SIGHUP, self.reload)
        self._operations.accept()
        settings = self._settings
        started = self._supervisor.start(
            settings.operations.workers, self._starter(settings), settings.operations.drain_seconds
        )
        started.addCallbacks(self._ready, self._failed).addErrback(self._report)

    def _ready(self, _: object) -> None:
        self._watchdog.startService()
        notify(READY)
        count = len(list(self._supervisor.standing()))
        self._log.info("realtime {version} is ready: {count} workers", version=__version__, count=count)
        self._announce()
        self._next_reload()

    def _announce(self) -> None:
        protocols = [
            name
            for name in self._settings.__struct_fields__
            if getattr(getattr(self._settings, name), "enabled", False)
        ]
        serves = [each.protocol or ", ".join(protocols) for each in self._settings.listen]
        listening = [*zip(serves, self._sockets.used, strict=True)]
        listening += [("health, metrics", socket) for socket in self._operations.used]
        for what, socket in listening:
            self._log.info("{serves}: {where}", serves=what, where=where_it_listens(socket.port, socket.where))

    def _failed(self, failure: Failure) -> None:
        if not self.running:  # asked to end before all were ready
            return
        failure.trap(WorkerFailed)
        line = f"realtime: {failure.getErrorMessage()}"
        self._log.critical("the start failed: {reason}", reason=failure.getErrorMessage())
        # twistd knows no other way to end with a code once its reactor runs.
        atexit.register(_end_with, line)
        self._reactor.stop()

    def _starter(self, settings: Settings) -> Callable[[int, Told], WorkerProcess]:
        sockets = list(self._sockets.used)

        def start(slot: int, told: Told) -> WorkerProcess:
            begin = Begin(
                slot=slot,
                settings=settings,
                endpoints=tuple((socket.descriptor, socket.family) for socket in sockets),
                demo=self._demo,
            )
            process = WorkerProcess(self._reactor, slot, told, self._write)
            process.start(self._command, begin, [socket.descriptor for socket in sockets])
            return process

        return start

    async def _replace(self) -> None:
        notify(reloading())
        try:
            settings = self._reload()
            await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._migrate, settings)
            if not self.running:
                return
            self._open(settings)
        except (ConfigurationError, StorageError, ValueError, CannotListen) as error:
            self._log.error("the reload is refused: {reason}", reason=str(error))
            return
        count = max(1, settings.operations.workers)
        self._log.info("reloading {count} workers", count=count)
        try:
            await self._supervisor.reload(count, self._starter(settings), settings.operations.drain_seconds)
        except WorkerFailed as error:
            if not self.running:
                return
            self._log.error("the reload has ended: {reason}", reason=str(error))
            if error.replaced:
                return  # some workers know the endpoints that were, some those that are
            self._open(self._settings)
        else:
            self._log.info("reloaded")
            self._settings = settings
        self._sockets.close_unused()

    def _reloaded(self, _: object) -> None:
        if self.running:
            notify(READY)
        self._next_reload()

    def _next_reload(self) -> None:
        self._reloading = False
        again, self._reload_again = self._reload_again, False
        if again:
            self.reload()

    def _open(self, settings: Settings) -> None:
        """Open what the settings name; those who watch are served at once."""
        before = [each.where for each in self._sockets.used]
        self._sockets.change([each.endpoint for each in settings.listen])
        try:
            self._operations.change([settings.operations.listen] if settings.operations.listen else [])
        except CannotListen:
            self._sockets.change(before)
            self._sockets.close_unused()
            raise
        self._operations.close_unused()
        if self._reactor.running:
            self._operations.accept()

    def _ended(self, _: object) -> Deferred[Any]:
        self._log.info("all workers have ended")
        self._watchdog.stopService()
        return self._operations.close()

    def _count_restart(self, slot: int) -> None:
        self._metrics.worker_restarts_total.labels(str(slot)).inc()

    def _report(self, failure: Failure) -> None:
        self._log.failure("realtime: the workers are not what they should be", failure)


def _end_with(line: str) -> None:
    print(line, file=sys.__stderr__, flush=True)
    os._exit(1)
