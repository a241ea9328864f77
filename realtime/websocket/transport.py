"""A TCP transport that sends at once when nothing waits to be sent.

Twisted's own ``write`` keeps the bytes and waits for the event that the socket is writable, which it
always is: two calls of ``epoll_ctl`` and a turn of the reactor for nothing, 7 µs for each write. Here
``socket.send`` is tried first. What it doesn't take, and everything in the cases below, goes Twisted's way,
unchanged:

- something is queued already (order), or the connection is closing or closed;
- TLS was begun on the connection: what is written here is not what is sent;
- a producer of the kind that is pulled is registered: it is asked for more when the queue has been
  sent, and a queue that never was has never been sent.

This leans on attributes of Twisted's that begin with an underscore. They have been the same since 2004, and
are checked when this module is imported: where they aren't there, ports keep their own transport.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet import abstract, tcp
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

_log = Logger()

_EXPECTED = {
    *("dataBuffer", "_tempDataBuffer", "producer", "streamingProducer", "connected"),
    *("disconnecting", "_writeDisconnected", "TLS"),
}


class SendingServer(tcp.Server):
    """One connection of a listening port."""

    def write(self, data: bytes) -> None:
        """Send, or queue what can't be sent now."""
        if (
            not self.dataBuffer
            and not self._tempDataBuffer
            and self.connected
            and not self.disconnecting
            and not self._writeDisconnected
            and not self.TLS
            and (self.producer is None or self.streamingProducer)
            and type(data) is bytes
        ):
            try:
                sent = self.socket.send(data)
            except OSError:
                sent = 0  # would block, or broken: the reactor will find out which
            if sent == len(data):
                return
            if sent:
                data = data[sent:]
        super().write(data)


def _fits() -> bool:
    """Whether this version of Twisted has what is leant on."""
    descriptor = tcp.Server.__new__(tcp.Server)
    abstract.FileDescriptor.__init__(descriptor, cast(Any, object()))
    return all(hasattr(descriptor, name) for name in _EXPECTED)


_FITS = _fits()


def send_at_once(port: IListeningPort) -> IListeningPort:
    """Give the connections of a listening TCP port this transport; other kinds of port keep theirs."""
    if isinstance(port, tcp.Port) and port.transport is tcp.Server:
        if _FITS:
            port.transport = SendingServer
        else:
            _log.warn("websocket: this version of Twisted is not known; sending the slower way")
    return port
