"""A TCP transport that sends at once when nothing waits to be sent.

Twisted's own ``write`` keeps the bytes and waits for the event that the socket is writable, which it
always is: two calls of ``epoll_ctl`` and a turn of the reactor for nothing, 7 µs for each write. Here
``socket.send`` is tried first. What it doesn't take, and everything in the cases below, goes Twisted's way,
unchanged:

- something is queued already (order), or the connection is closing or closed;
- TLS was begun on the connection: what is written here is not what is sent;
- a producer of the kind that is pulled is registered: it is asked for more when the queue has been
  sent, and a queue that never was has never been sent.

This leans on attributes of Twisted's that begin with an underscore. They have been the same since 2004;
where they aren't there (see `versions`), ports keep their own transport.
"""

from __future__ import annotations

from twisted.internet import tcp
from twisted.internet.interfaces import IListeningPort

from realtime.websocket import versions


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


def send_at_once(port: IListeningPort) -> IListeningPort:
    """Give the connections of a listening TCP port this transport; other kinds of port keep theirs."""
    if versions.TWISTED_FITS and isinstance(port, tcp.Port) and port.transport is tcp.Server:
        port.transport = SendingServer
    return port


_BACKLOG = 4096
"""Connections that may wait to be accepted, if the kernel's own limit allows as many.

Twisted's default of 50 overflows when clients come back all at once, after a restart; the kernel then drops
what doesn't fit, and each of those tries again a second or more later.
"""


def hold_a_storm(port: IListeningPort) -> IListeningPort:
    """Let many connections wait at a listening TCP or UNIX port."""
    if isinstance(port, tcp.Port):
        port.socket.listen(_BACKLOG)
    return port
