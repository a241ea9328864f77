"""The listening sockets: opened by the parent, who accepts nobody, and taken over by its workers.

Any endpoint will do that ends in one of the reactor's ways to listen to streams: tcp, tcp6, unix, ssl,
systemd, and those that wrap them (haproxy:). A worker reads the endpoint's text as well, for what is on top
of the socket (a certificate), but where it would open a socket it is handed the parent's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from twisted.internet import fdesc, tcp, unix
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from realtime.websocket.transport import hold_a_storm


class CannotListen(Exception):
    """An endpoint can't be opened; the text is one line."""


class ListeningSocket:
    """One that the parent has opened. ``where`` is its endpoint's text, ``port`` shows where it listens."""

    def __init__(self, where: str, port: Any) -> None:
        self.where = where
        self.port = port
        port.stopReading()  # before the reactor turns again: nobody is accepted here
        # Closing it here must leave it open in the workers.
        port._shouldShutdown = False
        hold_a_storm(port)

    @property
    def descriptor(self) -> int:
        """Its number in this process."""
        number: int = self.port.fileno()
        return number

    @property
    def family(self) -> int:
        """Its address family, as in the module `socket`."""
        return int(self.port.addressFamily)

    def close(self) -> Any:
        """Close it in this process, and remove what a UNIX socket leaves in the file system."""
        return self.port.stopListening()


class Sockets:
    """Sockets for a list of endpoints. If this process itself accepts on them, ``factory`` serves."""

    def __init__(self, reactor: Any, factory: IProtocolFactory) -> None:
        self._reactor = reactor
        self._factory = factory
        self._unused: list[ListeningSocket] = []
        self.used: list[ListeningSocket] = []
        """One for each endpoint, in their order."""

    def change(self, wanted: Sequence[str]) -> None:
        """Have sockets for the endpoints that are wanted. What was open stays open until `close_unused`.

        The same text means the same socket; twice the same text, two. Raises `CannotListen`, and then
        everything is as it was before.
        """
        before = [*self.used, *self._unused]
        used, opened = [], []
        try:
            for where in wanted:
                found = next((each for each in before if each.where == where), None)
                if found is None:
                    found = self._listen(where)
                    opened.append(found)
                else:
                    before.remove(found)
                used.append(found)
        except CannotListen:
            for each in opened:
                each.close()
            raise
        self.used, self._unused = used, before

    def close_unused(self) -> Deferred[Any]:
        """Close those that no endpoint wants any more, here. Fires when that is done."""
        unused, self._unused = self._unused, []
        return DeferredList([maybeDeferred(each.close) for each in unused])

    def close(self) -> Deferred[Any]:
        """Close all, here."""
        self.change([])
        return self.close_unused()

    def accept(self) -> None:
        """Have this process itself accept on them."""
        for each in self.used:
            each.port.startReading()

    def _listen(self, where: str) -> ListeningSocket:
        refused: list[Failure] = []
        ports: list[IListeningPort] = []
        try:
            listening = serverFromString(self._reactor, where).listen(self._factory)
            listening.addCallbacks(ports.append, refused.append)
        except Exception:  # parsers of endpoints raise whatever they please
            raise CannotListen(f"listen: {where!r} is no server endpoint") from None
        if refused:
            raise CannotListen(f"can't listen on {where}: {refused[0].getErrorMessage()}")
        return ListeningSocket(where, ports[0])


def inherited_endpoint(reactor: Any, where: str, descriptor: int, family: int) -> IStreamServerEndpoint:
    """Return the endpoint of a text with the parent's socket in it, which has this descriptor here."""
    # Only the process that systemd has started may ask it for a socket; any other kind will do.
    text = re.sub(r"(^|:)systemd:.*", r"\1tcp:0", where)
    endpoint: IStreamServerEndpoint = serverFromString(_Inheriting(reactor, descriptor, family), text)
    return endpoint


class _Inheriting:
    """A reactor to an endpoint: however it listens, it gets the one socket."""

    def __init__(self, reactor: Any, descriptor: int, family: int) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._family = family

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> Any:
        """Take over the socket."""
        return self._adopt(factory)

    def listenSSL(
        self, port: int, factory: IProtocolFactory, contextFactory: Any, backlog: int = 50, interface: str = ""
    ) -> Any:
        """Take it over, with TLS on top."""
        return self._adopt(TLSMemoryBIOFactory(contextFactory, False, factory))

    def listenUNIX(
        self,
        address: str,
        factory: IProtocolFactory,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: bool = False,
    ) -> Any:
        """Take it over."""
        return self._adopt(factory)

    def _adopt(self, factory: IProtocolFactory) -> Any:
        fdesc.setNonBlocking(self._descriptor)
        if self._family == unix.Port.addressFamily:
            port: Any = _InheritedUNIXPort._fromListeningDescriptor(self._reactor, self._descriptor, factory)
            port.startListening()
        else:
            port = self._reactor.adoptStreamPort(self._descriptor, self._family, factory)
        os.close(self._descriptor)  # the port has one of its own
        return port


class _InheritedUNIXPort(unix.Port):
    """One whose file is the parent's: its mode is left as it is, and it is there when this port is closed.

    Twisted's own for an inherited descriptor sets the mode, ends the socket for everybody, and removes the
    file.
    """

    _shouldShutdown = False

    def startListening(self) -> None:
        """Begin to accept."""
        factory: Any = self.factory
        factory.doStart()
        inherited: Any = self._preexistingSocket
        self.socket, self._preexistingSocket = inherited, None
        self.fileno = inherited.fileno  # type: ignore[method-assign]
        self.connected = True
        self.numberAccepts = 100
        self.startReading()

    def connectionLost(self, reason: Failure) -> None:
        """Close it in this process."""
        tcp.Port.connectionLost(self, reason)
