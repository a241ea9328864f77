"""What every protocol is built from, and what a built one consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.web.resource import IResource

from realtime.accounts.authentication import Authenticator, OutsideAuthenticator
from realtime.cluster.cluster import Cluster
from realtime.limiting import Rate
from realtime.settings import Limits
from realtime.socketio.moving import Moving
from realtime.socketio.namespace import Namespace
from realtime.storage.database import Database
from realtime.threads import Workers
from realtime.web.sharing import Sharing
from realtime.websocket.factory import ConnectionFactory, Rules, Surroundings


@dataclass(frozen=True, slots=True)
class Shared:
    """The parts of the daemon that protocols are built from; ``moving``: if there are other processes."""

    reactor: Any
    surroundings: Surroundings
    database: Database
    authenticator: Authenticator
    sharing: Sharing
    cluster: Cluster
    outside: OutsideAuthenticator | None
    moving: Moving | None = None


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol that is served.

    ``factory`` is that of its own WebSocket, if it has one; ``namespace`` makes a namespace of a name where
    it is served over Socket.IO, if it is. ``resources`` are by path (``"v1/talks"``), ``workers`` not started
    yet.
    """

    factory: ConnectionFactory | None = None
    namespace: Callable[[str], Namespace] | None = None
    resources: Mapping[str, IResource] = field(default_factory=dict)
    workers: Sequence[Workers] = ()


def rules(limits: Limits, section: Any) -> Rules:
    """Return the limits of a protocol's connections; ``section`` is its own part of the settings."""
    return Rules(
        message_bytes=section.message_bytes or limits.message_bytes,
        rate=Rate(limits.messages_per_second, burst=2 * limits.messages_per_second),
        send_buffer_bytes=limits.send_buffer_bytes,
        handshake_timeout=limits.handshake_timeout,
        unauthenticated_timeout=limits.unauthenticated_timeout,
        compression=limits.compression,
    )
