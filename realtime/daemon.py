"""The daemon's life: what is started and stopped, and in which order.

Start: listen (while twistd may still be root), migrate and open the database, and only then, when the
reactor turns, accept. A start that fails says why in one line and leaves nothing half started.

Stop (SIGTERM): be unready, stop listening, close the connections spread over the drain time, let what
they asked for be committed and answered, tell the other processes, close the database.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime import __version__
from realtime.accounts.demo import DEMO_ACCOUNTS, add_demo_accounts
from realtime.accounts.passwords import Passwords
from realtime.accounts.store import AccountStore
from realtime.cluster.cluster import Cluster
from realtime.cluster.peers import Peers
from realtime.operations.drain import Drain
from realtime.operations.health import Health
from realtime.operations.starting import StartFailed, where_it_listens
from realtime.operations.systemd import READY, Watchdog, notify
from realtime.storage.database import Database
from realtime.storage.errors import StorageError
from realtime.threads import Workers
from realtime.websocket.admission import Admission
from realtime.websocket.polling import poll_directly
from realtime.websocket.transport import hold_a_storm, send_at_once


@dataclass(frozen=True, slots=True)
class Listener:
    """An endpoint with its text in the settings, what answers there, and what to call that.

    One that ``stays`` is closed only when everything else has ended: those who watch the server want
    to see it drain.
    """

    where: str
    endpoint: IStreamServerEndpoint
    factory: IProtocolFactory
    serves: str
    stays: bool = False


class Parent(Protocol):
    """Who started this process as one of several, and tells the service manager and the log for all."""

    def ready(self) -> None:
        """Take note that it serves."""

    def failed(self) -> None:
        """End it, and start another."""


class Daemon(Service):
    """Everything that runs. ``demo`` makes the demo accounts and says what to try.

    With a ``parent``, that is told what else the service manager and the log would be.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        reactor: Any,
        listeners: Sequence[Listener],
        migrate: Callable[[], None],
        database: Database,
        cluster: Cluster,
        peers: Peers | None,
        passwords: Passwords,
        workers: Sequence[Workers],
        accounts: AccountStore,
        connections: Admission,
        health: Health,
        drain_seconds: float,
        demo: bool,
        parent: Parent | None = None,
    ) -> None:
        self.setName("realtime")
        self._reactor = reactor
        self._listeners = listeners
        self._migrate = migrate
        self._database = database
        self._cluster = cluster
        self._peers = peers
        self._passwords = passwords
        self._workers = workers
        self._accounts = accounts
        self._connections = connections
        self._health = health
        self._drain_seconds = drain_seconds
        self._demo = demo
        self._parent = parent
        self._ports: list[IListeningPort] = []
        self._watchdog = Watchdog(reactor)

    def privilegedStartService(self) -> None:
        """Listen. What comes before the reactor turns waits in the sockets' backlogs."""
        for listener in self._listeners:
            self._open(listener.endpoint.listen(listener.factory), listener.where, self._ports.append)
        if self._peers is not None:
            self._open(self._peers.listen(), "cluster.listen", lambda _: None)

    def _open(self, opened: Deferred[IListeningPort], where: str, keep: Callable[[Any], None]) -> None:
        refused: list[Failure] = []
        opened.addCallback(send_at_once).addCallback(hold_a_storm).addCallbacks(keep, refused.append)
        if refused:  # not in the errback: a Deferred keeps what would end the start
            self._fail(refused[0], f"can't listen on {where}")

    def startService(self) -> None:
        """Open the database; the rest when the reactor turns."""
        super().startService()
        try:
            self._migrate()
        except (StorageError, ValueError) as error:
            self._fail(Failure(error), "can't use the database")
        self._reactor.callWhenRunning(self._begin)

    def stopService(self) -> Deferred[None]:
        """Drain."""
        super().stopService()
        drain = Drain(
            clock=self._reactor,
            health=self._health,
            stop_listening=self._stop_listening,
            connections=self._connections,
            flush=self._flush,
            seconds=self._drain_seconds,
        )
        return drain.run().addBoth(self._ended)

    def _begin(self) -> None:
        poll_directly(self._reactor)
        self._cluster.start()
        if self._peers is not None:
            self._peers.start()
        self._passwords.start()
        for workers in self._workers:
            workers.start()
        self._database.start().addCallback(self._ready).addErrback(self._report)

    def _ready(self, _: object) -> None:
        # What is here now stays to the end. Out of the collector's sight, it is not walked through again
        # each time that hundreds of requests are under way at once: a fifth of the time under such load.
        gc.collect()
        gc.freeze()
        if self._parent is not None:
            self._parent.ready()
        else:
            self._announce()
        if self._demo:
            made = add_demo_accounts(self._accounts, self._passwords)
            made.addCallback(self._introduce).addErrback(self._report)

    def _announce(self) -> None:
        self._watchdog.startService()
        notify(READY)
        self._log.info("realtime {version} is ready", version=__version__)
        for port, listener in zip(self._ports, self._listeners, strict=True):
            where = where_it_listens(port, listener.where)
            self._log.info("{serves}: {where}", serves=listener.serves, where=where)

    def _introduce(self, _: object) -> None:
        names = ", ".join(
            f"{name} (an operator)" if is_admin else name for name, is_admin in DEMO_ACCOUNTS.items()
        )
        self._log.info("demo accounts, each with its name as password: {names}", names=names)

    def _stop_listening(self) -> Deferred[Any]:
        return self._close(stays=False)

    def _close(self, *, stays: bool) -> Deferred[Any]:
        ports = [
            port
            for port, listener in zip(self._ports, self._listeners, strict=False)
            if listener.stays is stays
        ]
        return DeferredList([maybeDeferred(port.stopListening) for port in ports])

    async def _stop_parts(self) -> None:
        await DeferredList([self._passwords.stop(), *(workers.stop() for workers in self._workers)])
        if self._peers is not None:
            await self._peers.stop()
        await self._cluster.stop()
        await self._database.stop()

    def _flush(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop_parts())

    def _ended(self, _: object) -> Deferred[Any]:
        self._watchdog.stopService()
        return self._close(stays=True)

    def _report(self, failure: Failure) -> None:
        self._log.failure("realtime: the start is not complete", failure)
        if self._parent is not None:
            self._parent.failed()

    def _fail(self, failure: Failure, what: str) -> NoReturn:
        """End the start, and twistd with it, in one line."""
        raise StartFailed(f"realtime: {what}: {failure.getErrorMessage()}")
