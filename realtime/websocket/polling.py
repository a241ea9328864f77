"""The reactor's way to a connection, without the detour over the log.

For every event Twisted sets up a context that says to whom log lines of the old kind belong, which takes
1.5 µs, and each time it asks the kernel it makes room for an event of every connection there is. Connections of
ours log nothing of that kind: their events go straight to them, and what there is room for is bounded. All else
(ports, pipes, connections of others) is called as Twisted calls it.

This takes the place of ``doIteration``, which each kind of reactor brings, and of the epoll reactor's alone. It
leans on four names of it that begin with an underscore (see `versions`).
"""

from __future__ import annotations

import errno
from select import EPOLLIN
from typing import Any

from twisted.python import log

from realtime.websocket import versions
from realtime.websocket.transport import SendingServer

_MOST_EVENTS = 1024
"""Events at a time; those that are left over come first the next time."""


def poll_directly(reactor: Any) -> None:
    """Have an epoll reactor call connections of ours straight; other reactors stay as they are."""
    if not versions.TWISTED_FITS or not isinstance(reactor, versions.EPOLL_REACTOR):
        return
    wait, selectables, dispatch = reactor._poller.poll, reactor._selectables, reactor._doReadOrWrite

    def read(selectable: Any) -> None:
        try:
            why = selectable.doRead()
        except BaseException as error:  # as Twisted does
            log.err()
            why = error
        if why:
            reactor._disconnectSelectable(selectable, why, True)

    def poll(timeout: float | None) -> None:
        try:
            events = wait(-1 if timeout is None else timeout, min(len(selectables), _MOST_EVENTS))
        except OSError as error:
            if error.errno == errno.EINTR:
                return
            raise
        for number, event in events:
            selectable = selectables.get(number)  # None: an earlier event has ended it
            if type(selectable) is SendingServer:
                if event == EPOLLIN:  # nearly always
                    read(selectable)
                else:
                    dispatch(selectable, number, event)
            elif selectable is not None:
                log.callWithLogger(selectable, dispatch, selectable, number, event)

    reactor.doIteration = poll
