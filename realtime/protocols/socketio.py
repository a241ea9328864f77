"""Builds what serves /socket.io/: one engine for each port, with the namespaces of its protocols.

And what its processes ask each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.interfaces import IStreamServerEndpoint

from realtime.cluster.cluster import Cluster
from realtime.cluster.peers import Peers
from realtime.protocols.shared import Protocol, rules
from realtime.settings import Settings
from realtime.socketio.elsewhere import Elsewhere
from realtime.socketio.engine_context import EngineRules
from realtime.socketio.namespace import Namespace
from realtime.socketio.server import Server
from realtime.socketio.websocket import EngineFactory
from realtime.websocket.factory import Surroundings

PATH: Final = "socket.io"

_AT_ROOT: Final = "workspace"
"""The protocol whose namespace is ``/`` where several are served."""


def processes(
    settings: Settings, cluster: Cluster, endpoint: IStreamServerEndpoint, secret: bytes, reactor: Any
) -> Peers | None:
    """Return this process among the others, if there may be any; ``secret`` is the signing secret."""
    if not settings.redis.url:
        return None
    return Peers(
        cluster,
        endpoint,
        advertised=settings.cluster.advertise,
        secret=settings.cluster.secret.encode() or secret,
        reactor=reactor,
    )


def build(
    settings: Settings,
    surroundings: Surroundings,
    served: Mapping[str, Protocol],
    alone: str,
    elsewhere: Elsewhere | None,
) -> EngineFactory | None:
    """Return the engine of a port, or ``None`` if nothing is served over Socket.IO there.

    ``elsewhere`` are the sessions of other processes, if there are any.
    """
    makers: dict[str, Callable[[str], Namespace]] = {}
    for name, protocol in served.items():
        if protocol.namespace is not None:
            makers[f"/{name}"] = protocol.namespace
            if name in (alone, _AT_ROOT):
                makers["/"] = protocol.namespace
    if not makers:
        return None
    socketio = settings.socketio
    engine_rules = EngineRules(
        connections=rules(settings.limits, socketio),
        ping_interval=socketio.ping_interval,
        ping_timeout=socketio.ping_timeout,
        upgrade_timeout=socketio.upgrade_timeout,
        revision_3=socketio.revision_3,
    )
    server = Server(
        [make(name) for name, make in makers.items()],
        clock=surroundings.clock,
        connect_timeout=socketio.connect_timeout,
    )
    return EngineFactory("socketio", surroundings, engine_rules, server, elsewhere)
