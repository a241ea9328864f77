"""The other processes of a server, one by one: what is asked of a certain one, and answered here.

A process has a name of its own for as long as it lives, and a listener; under its name's lease the others find
the address. With each process that is asked something there is one connection for everything, kept until
nothing was asked for a while, and one more for each connection of a client that is passed on (`through`).

A process that can't be found, can't be reached or is silent is `Unreachable`, within some seconds.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    connectProtocol,
)
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.cluster.cluster import Cluster
from realtime.cluster.peer_guest import Asked, Link, Unreachable
from realtime.cluster.peer_host import Hosting, Service, Taker
from realtime.cluster.peer_protocol import derive

NAME_LENGTH: Final = 8

OPENING_SECONDS: Final = 5.0
"""To find a process and prove ourselves: milliseconds as a rule."""

IDLE_SECONDS: Final = 60.0
"""For which an unused connection is kept."""

_AGAIN_SECONDS: Final = 1.0
"""Between two attempts to make our address known while Redis is away."""

Connect = Callable[[str, int, Link], Deferred[Any]]


class Peers:
    """What one process, the one it is made in, asks the others and is asked.

    Arguments:
        cluster: whose leases say where everybody is.
        endpoint: where to listen for the others.
        advertised: ``host:port`` under which they reach that; empty: what is listened at.
        secret: which all processes of the server know.
        reactor: connects, and is the clock.
        connect: connects a `Link` to a host and port; by TCP if it is not given.
    """

    _log = Logger()

    def __init__(
        self,
        cluster: Cluster,
        endpoint: IStreamServerEndpoint,
        *,
        advertised: str,
        secret: bytes,
        reactor: Any,
        connect: Connect | None = None,
    ) -> None:
        self.name = secrets.token_urlsafe(6)  # NAME_LENGTH characters
        self.clock = reactor
        self._leases = cluster.leases
        self._endpoint = endpoint
        self._address = advertised
        self._secret = derive(secret)
        self._hosting = Hosting(self.name, self._secret, reactor)
        self._connect = connect or self._connect_by_tcp
        self._port: IListeningPort | None = None
        self._neighbours: dict[str, _Neighbour] = {}
        self._is_stopped = False
        self._entering: IDelayedCall | None = None
        cluster.when_lost(self._enter)

    # -- for the parts that others ask ---------------------------------------------------------

    def serve(self, service: str, serves: Service) -> None:
        """Have what others ask of a service answered."""
        self._hosting.services[service] = serves

    def take(self, service: str, takes: Taker) -> None:
        """Have the connections that others pass on to a service taken."""
        self._hosting.takers[service] = takes

    # -- for the parts that ask ----------------------------------------------------------------

    def ask(self, name: str, service: str, payload: bytes) -> Asked:
        """Ask a service of the process called ``name``."""
        asked = Asked(service, payload)
        if self._is_stopped:
            asked.end(None)
        else:
            self._neighbour(name).ask(asked)
        return asked

    def through(self, name: str, service: str, payload: bytes, lost: Callable[[], None]) -> Deferred[Any]:
        """Give a service of another process a connection of its own; fires with this end's transport.

        Its protocol is to be set at once. ``lost`` is called if the other dies, or is silent, before
        `forget_through` was; what is left to be done is to cut the transport.
        """
        if self._is_stopped:
            return fail(Unreachable("this process ends"))
        neighbour = self._neighbour(name)
        neighbour.tunnels[lost] = None
        opening = neighbour.opened().addCallback(lambda _: self._link(name, neighbour.address or "", _no_one))
        opening.addCallback(lambda link: link.go_through(service, payload))
        opening.addTimeout(OPENING_SECONDS, self.clock)
        return opening.addErrback(self._not_through, name, lost)

    def forget_through(self, name: str, lost: Callable[[], None]) -> None:
        """A connection that went to another process has ended."""
        neighbour = self._neighbours.get(name)
        if neighbour is not None:
            neighbour.tunnels.pop(lost, None)

    def _not_through(self, failure: Failure, name: str, lost: Callable[[], None]) -> Failure:
        self.forget_through(name, lost)
        return failure

    # -- this process's life -------------------------------------------------------------------

    def listen(self) -> Deferred[IListeningPort]:
        """Listen for the others; fires with the port, or fails if that can't be."""
        return self._endpoint.listen(self._hosting).addCallback(self._listens)

    def _listens(self, port: IListeningPort) -> IListeningPort:
        self._port = port
        if not self._address:
            address: Any = port.getHost()
            host = getattr(address, "host", "")
            if host in ("", "0.0.0.0", "::"):
                raise ValueError("cluster.advertise: must be set, for others to know where that is")
            self._address = f"{host}:{address.port}"
        return port

    def start(self) -> None:
        """Have the others know where this process is."""
        self._log.info("cluster: other processes reach this one at {address}", address=self._address)
        self._enter()

    async def stop(self) -> None:
        """Break off everything: what was asked fails."""
        self._is_stopped = True
        if self._entering is not None and self._entering.active():
            self._entering.cancel()
        left = self._leases.release(_lease(self.name), self._address)
        left.addErrback(lambda _: None)  # it is free as soon as the process is gone
        for neighbour in list(self._neighbours.values()):
            neighbour.end()
        self._hosting.disconnect()
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)

    def _enter(self) -> None:
        self._entering = None
        if self._address and not self._is_stopped:
            entered = self._leases.take(_lease(self.name), self._address)
            entered.addErrback(lambda _: self._enter_later())

    def _enter_later(self) -> None:
        if not self._is_stopped and self._entering is None:
            self._entering = self.clock.callLater(_AGAIN_SECONDS, self._enter)

    # -- connections ---------------------------------------------------------------------------

    def _neighbour(self, name: str) -> _Neighbour:
        neighbour = self._neighbours.get(name)
        if neighbour is None:
            neighbour = self._neighbours[name] = _Neighbour(name, self.clock, self._neighbours)
            opening = self._leases.holder(_lease(name))
            opening.addCallback(neighbour.found, lambda where: self._link(name, where, neighbour.lost))
            neighbour.begin(opening)
        return neighbour

    def _link(self, name: str, address: str, ended: Callable[[Link], None]) -> Deferred[Link]:
        host, _, port = address.rpartition(":")
        link = Link(name, self._secret, self.clock, ended)
        connecting = self._connect(host.strip("[]"), int(port), link)
        return connecting.addCallback(lambda _: link.ready)

    def _connect_by_tcp(self, host: str, port: int, link: Link) -> Deferred[Any]:
        endpoint: Any = HostnameEndpoint  # which looks every host up, in a thread
        if isIPAddress(host):
            endpoint = TCP4ClientEndpoint
        elif isIPv6Address(host):
            endpoint = TCP6ClientEndpoint
        connecting: Deferred[Any] = connectProtocol(
            endpoint(self.clock, host, port, timeout=OPENING_SECONDS), link
        )
        return connecting


class _Neighbour:
    """Another process: how it is reached, what waits until it is, and what ends with it."""

    def __init__(self, name: str, clock: Any, among: dict[str, _Neighbour]) -> None:
        self.address: str | None = None
        self.tunnels: dict[Callable[[], None], None] = {}
        self._name = name
        self._clock = clock
        self._among = among
        self._link: Link | None = None
        self._opening: Deferred[Any] | None = None
        self._waiting: list[Asked] = []
        self._waiting_to_open: list[Deferred[None]] = []
        self._timer: IDelayedCall | None = None
        self._is_over = False

    def begin(self, opening: Deferred[Any]) -> None:
        """Ask what waits as soon as there is a connection."""
        self._opening = opening
        opening.addTimeout(OPENING_SECONDS, self._clock)
        opening.addCallback(self._opened).addErrback(lambda _: self.end())

    def found(self, address: str | None, connect: Callable[[str], Deferred[Link]]) -> Deferred[Link]:
        """The lease says where it is."""
        if address is None:
            raise Unreachable("there is no such process")
        self.address = address
        return connect(address)

    def _opened(self, link: Link) -> None:
        self._link, self._opening = link, None
        waiting, self._waiting = self._waiting, []
        for asked in waiting:
            link.ask(asked)
        opened, self._waiting_to_open = self._waiting_to_open, []
        for each in opened:
            each.callback(None)
        self._look_later()

    def ask(self, asked: Asked) -> None:
        """Ask something, now or when there is a connection."""
        if self._is_over:
            asked.end(None)
        elif self._link is not None:
            self._link.ask(asked)
        else:
            self._waiting.append(asked)

    def opened(self) -> Deferred[None]:
        """Fires when there is a connection."""
        if self._is_over:
            return fail(Unreachable("another process can't be reached"))
        if self._link is not None:
            return succeed(None)
        waits: Deferred[None] = Deferred()
        self._waiting_to_open.append(waits)
        return waits

    def lost(self, _: Link) -> None:
        """The connection is gone, or never was one."""
        self.end()

    def end(self) -> None:
        """Let go of everything that waits for it."""
        self._is_over = True
        if self._among.get(self._name) is self:
            del self._among[self._name]
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        link, self._link = self._link, None
        opening, self._opening = self._opening, None
        waiting, self._waiting = self._waiting, []
        opened, self._waiting_to_open = self._waiting_to_open, []
        tunnels, self.tunnels = list(self.tunnels), {}
        if link is not None:
            link.abort()
        if opening is not None:
            opening.addErrback(lambda _: None).cancel()
        for asked in waiting:
            asked.end(None)
        for each in opened:
            if not each.called:
                each.errback(Unreachable("another process can't be reached"))
        for lost in tunnels:
            lost()

    def _look_later(self) -> None:
        self._timer = self._clock.callLater(IDLE_SECONDS, self._look)

    def _look(self) -> None:
        if self.tunnels or (self._link is not None and self._link.is_used):
            self._look_later()
        else:
            self.end()


def _lease(name: str) -> str:
    return f"process.{name}"


def _no_one(_: Link) -> None:
    pass
