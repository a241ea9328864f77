"""What Autobahn keeps in every connection, and how much of it is needed.

Some fifty attributes are set when a connection is made, each to what all others have as well; a dozen more by
the handshake, of which nothing is needed afterwards. Here they are named, once: `stock` reads the first kind
from the class until something changes it, and drops the second.
"""

from __future__ import annotations

from typing import Any

from autobahn.websocket.protocol import WebSocketServerProtocol

OF_THE_HANDSHAKE = (
    *("http_request_data", "http_status_line", "http_headers", "http_request_uri"),
    *("http_request_path", "http_request_params", "http_request_host", "http_response_data"),
    *("websocket_origin", "websocket_protocols", "websocket_extensions", "_wskey"),
    *("websocket_protocol_in_use", "websocket_extensions_in_use", "handshake"),
)
"""What Autobahn keeps of a handshake for as long as the connection lives."""

FIRST_STATE: dict[str, Any] = {
    **dict.fromkeys(
        (
            *("wasMaxFramePayloadSizeExceeded", "wasMaxMessagePayloadSizeExceeded", "triggered"),
            *("closedByMe", "failedByMe", "droppedByMe", "wasClean", "wasOpenHandshakeTimeout"),
            *("wasServerConnectionDropTimeout", "wasCloseHandshakeTimeout", "inside_message"),
            *("wasServingFlashSocketPolicyFile", "trackTimings"),
        ),
        False,
    ),
    **dict.fromkeys(
        (
            *("wasNotCleanReason", "localCloseCode", "localCloseReason", "remoteCloseCode"),
            *("remoteCloseReason", "openHandshakeTimeoutCall", "closeHandshakeTimeoutCall"),
            *("autoPingTimeoutCall", "autoPingPending", "autoPingPendingCall", "autoPingPendingSent"),
            *("trackedTimings", "_perMessageCompress", "current_frame"),
        ),
    ),
    "autoPingPendingSeq": 0,
    "send_state": WebSocketServerProtocol.SEND_STATE_GROUND,
    "websocket_version": 13,
    "data": b"",
    "connected": 1,
    "state": WebSocketServerProtocol.STATE_OPEN,
}
"""The state that a connection is opened in: read from the class until something changes it.

(Before the handshake's end Autobahn gives each connection its own.)
"""

NOT_NEEDED = frozenset({*OF_THE_HANDSHAKE, "trafficStats", "send_queue", "factory"})
"""What an open connection drops.

Beside the handshake: what nothing here uses, so that one for all will do, and what its class knows.
"""

SET_AT_FIRST = frozenset(
    {*FIRST_STATE, *NOT_NEEDED, "utf8validator", "serverConnectionDropTimeoutCall"},
)
"""All that Autobahn sets when a connection is made: it need not, if it sets nothing else."""
