"""Whether Autobahn and Twisted look inside as the shortcuts of this room expect.

Some shortcuts lean on what is private to the two libraries: attributes that have been there for ten years
and more, but that no release promises. Looked at, when this is imported, is what the libraries' own code
touches: the names that a method of theirs uses. Where a name isn't there any more, the shortcuts that lean
on it are left out with one warning, and everything goes the libraries' own way, slower but right.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any

from autobahn.websocket.protocol import WebSocketProtocol, WebSocketServerProtocol
from twisted.internet import abstract, tcp
from twisted.logger import Logger

from realtime.websocket import state

try:
    from twisted.internet import epollreactor
except ImportError:  # there is epoll on Linux alone
    EPOLL_REACTOR: tuple[type[Any], ...] = ()
else:
    EPOLL_REACTOR = (epollreactor.EPollReactor,)
"""The reactor of Linux, if there is one here."""

_log = Logger()

_AUTOBAHN: Mapping[tuple[type[Any], str], set[str]] = {
    (WebSocketProtocol, "_dataReceived"): {"data", "consumeData"},
    (WebSocketProtocol, "processData"): {"data", "current_frame", "inside_message", "_perMessageCompress"},
    (WebSocketProtocol, "onFrameEnd"): {"current_frame", "inside_message", "_perMessageCompress"},
    (WebSocketProtocol, "onMessageEnd"): {"message_data", "message_is_binary", "failedByMe"},
    (WebSocketProtocol, "_connectionMade"): {"CONFIG_ATTRS", "setTrackTimings", "openHandshakeTimeout"},
    (WebSocketServerProtocol, "_connectionMade"): {"WebSocketProtocol", "countConnections"},
    (WebSocketProtocol, "_connectionLost"): {"_onClose", "is_closed", "wasClean", "state"},
    (WebSocketServerProtocol, "_connectionLost"): {"WebSocketProtocol", "countConnections"},
    (WebSocketServerProtocol, "succeedHandshake"): {"current_frame", "inside_message", "data"},
}
"""Methods of Autobahn's, and names that they use."""

_TWISTED: Mapping[tuple[type[Any], str], set[str]] = {
    (abstract.FileDescriptor, "write"): {"_tempDataBuffer", "connected", "_writeDisconnected"},
    (abstract.FileDescriptor, "doWrite"): {"dataBuffer", "producer", "streamingProducer", "disconnecting"},
    (tcp.Connection, "write"): {"TLS"},
    **{(kind, "doPoll"): {"_poller", "_selectables", "_doReadOrWrite"} for kind in EPOLL_REACTOR},
    **{(kind, "_doReadOrWrite"): {"doRead", "_disconnectSelectable"} for kind in EPOLL_REACTOR},
}
"""The same for Twisted."""


def fits(expected: Mapping[tuple[type[Any], str], set[str]]) -> bool:
    """Whether each method is there and uses the names that it is expected to."""
    for (owner, method), names in expected.items():
        code = getattr(getattr(owner, method, None), "__code__", None)
        if not isinstance(code, CodeType) or not names <= {*code.co_names}:
            return False
    return True


def attributes_set(method: Callable[..., Any]) -> set[str]:
    """Return the names of the attributes that a method's own code sets."""
    return {each.argval for each in dis.get_instructions(method) if each.opname == "STORE_ATTR"}


AUTOBAHN_FITS = fits(_AUTOBAHN) and attributes_set(WebSocketProtocol._connectionMade) <= state.SET_AT_FIRST
TWISTED_FITS = fits(_TWISTED)

for _what, _fits in (("Autobahn", AUTOBAHN_FITS), ("Twisted", TWISTED_FITS)):
    if not _fits:
        _log.warn("websocket: this version of {what} is not known; going its own, slower way", what=_what)
