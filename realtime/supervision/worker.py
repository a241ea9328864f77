"""A worker's end: who it is, and what it says to its parent.

The parent starts it as ``twistd … realtime --worker SLOT`` and says the rest over a pipe (`messages`). If
that ends, the parent is dead, and the worker drains and ends as well.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
from contextlib import suppress
from typing import Any, cast

import msgspec
from prometheus_client import CollectorRegistry
from twisted.application.service import Service
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from realtime.operations.health import Health
from realtime.operations.signals import handle
from realtime.supervision.messages import (
    Alive,
    Ask,
    Begin,
    Drain,
    Failing,
    FromParent,
    Measured,
    Ready,
    ToParent,
    ToWorker,
    frame,
)
from realtime.supervision.metrics import families
from realtime.supervision.process import FIRST_SOCKET, INCOMING, OUTGOING
from realtime.supervision.sockets import inherited_endpoint

_SIGN_OF_LIFE = 1.0


class NotStartedByParent(Exception):
    """There is no parent at the other end of the pipes."""


class Worker(Service):
    """What this process is among others. It waits, before the reactor runs, for what the parent says first.

    Raises `NotStartedByParent`.
    """

    _log = Logger()

    def __init__(self, incoming: int = INCOMING, outgoing: int = OUTGOING) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._frames = FromParent()
        self._held: list[ToWorker] = []
        self.begin = self._first_word()

    def attach(self, reactor: Any) -> None:
        """Have the reactor by which it is going to listen and to talk."""
        self._reactor = reactor
        self._ports: list[Any] = []
        self._stopping = False
        self._channel: StandardIO | None = None
        self._alive = LoopingCall(self._say, Alive())
        self._alive.clock = reactor

    def answer_from(self, health: Health, registry: CollectorRegistry) -> None:
        """Have what the parent may ask about."""
        self._health = health
        self._registry = registry

    @property
    def is_first(self) -> bool:
        """Whether this process does what one does for all."""
        return self.begin.slot == 0

    def endpoint(self, index: int, where: str) -> IStreamServerEndpoint:
        """Return the endpoint of the settings that has this index, with the parent's socket."""
        family = self.begin.endpoints[index][1]
        return _WhenReady(inherited_endpoint(self._reactor, where, FIRST_SOCKET + index, family), self._ports)

    def startService(self) -> None:
        """Talk to the parent as soon as the reactor runs."""
        super().startService()
        self._reactor.callWhenRunning(self._talk)

    def ready(self) -> None:
        """Tell the parent that this process serves, and accept."""
        self._log.info("worker {slot} is ready", slot=self.begin.slot)
        for port in self._ports:
            port.startReading()
        self._say(Ready())

    def failed(self) -> None:
        """End: the parent starts another."""
        self.stop()

    def stop(self) -> None:
        """Drain and end; once, however often and by whomever it is asked for."""
        if not self._stopping:
            self._stopping = True
            self._reactor.stop()

    def heard(self, message: ToWorker) -> None:
        """Do what the parent asks."""
        match message:
            case Drain():
                self.stop()
            case Ask(number, "readiness"):
                self._health.not_ready().addCallback(lambda checks: self._say(Failing(number, tuple(checks))))
            case Ask(number, "metrics"):
                self._say(Measured(number, families(self._registry.collect())))

    def _first_word(self) -> Begin:
        if not all(_is_pipe(number) for number in (self._incoming, self._outgoing)):
            raise NotStartedByParent
        while not self._held:
            data = os.read(self._incoming, 1 << 16)
            if not data:
                raise NotStartedByParent
            try:
                self._held += self._frames.feed(data)
            except msgspec.MsgspecError:
                raise NotStartedByParent from None
        begin = self._held.pop(0)
        if not isinstance(begin, Begin):
            raise NotStartedByParent
        return begin

    def _talk(self) -> None:
        # The reactor's own would complain of a second one.
        for number in (signal.SIGTERM, signal.SIGINT):
            handle(self._reactor, number, self.stop)
        pipes: Any = StandardIO  # annotated as it is on Windows
        self._channel = pipes(_Channel(self), self._incoming, self._outgoing, self._reactor)
        self._alive.start(_SIGN_OF_LIFE)
        for message in self._held:
            self.heard(message)

    def receive(self, data: bytes) -> None:
        """Take bytes of the parent's."""
        for message in self._frames.feed(data):
            self.heard(message)

    def _say(self, message: ToParent) -> None:
        if self._channel is not None:
            self._channel.write(frame(message))


def settle() -> None:
    """Make this process one that leaves to its parent what is meant for all, and logs through it."""
    # Ctrl-C, or a terminal that is closed, reaches a whole process group; `pkill twistd`, all of that name.
    with suppress(OSError):
        os.setpgid(0, 0)
    for number in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    cast(Any, sys.stdout).reconfigure(encoding="utf-8")


class _Channel(Protocol):
    """The pipes."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def dataReceived(self, data: bytes) -> None:
        self._worker.receive(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._worker.stop()


@implementer(IStreamServerEndpoint)
class _WhenReady:
    """An endpoint whose port accepts nobody until it is told to: others may have time for them."""

    def __init__(self, endpoint: IStreamServerEndpoint, ports: list[Any]) -> None:
        self._endpoint = endpoint
        self._ports = ports

    def listen(self, factory: IProtocolFactory) -> Any:
        def wait(port: Any) -> IListeningPort:
            port.stopReading()
            self._ports.append(port)
            return cast(IListeningPort, port)

        return self._endpoint.listen(factory).addCallback(wait)


def _is_pipe(number: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(number).st_mode)
    except OSError:
        return False
