"""Builds workspace."""

from __future__ import annotations

from realtime.protocols.shared import Protocol, Shared
from realtime.settings import Settings
from realtime.socketio.namespace import Namespace
from realtime.workspace.administration import Administration
from realtime.workspace.hub import Hub
from realtime.workspace.membership import Membership
from realtime.workspace.parts import Parts
from realtime.workspace.protocol import Rooms, WorkspaceHandler
from realtime.workspace.resource import WorkspacesResource
from realtime.workspace.store import ChannelStore


def build(settings: Settings, shared: Shared) -> Protocol:
    """Build the protocol."""
    workspace = settings.workspace
    membership = Membership(shared.database, is_open=workspace.open)
    channels = ChannelStore(shared.database, membership)
    rooms = Rooms()
    hub = Hub(
        bus=shared.cluster.bus,
        presence=shared.cluster.presence,
        messages=channels,
        audience=rooms,
        clock=shared.reactor,
        linger=workspace.recovery_seconds,
    )
    shared.cluster.when_lost(hub.unsettle)
    administration = Administration(
        membership=membership,
        channels=channels,
        hub=hub,
        presence=shared.cluster.presence,
        clock=shared.reactor,
    )
    handler = WorkspaceHandler(
        Parts(
            authenticator=shared.authenticator,
            membership=membership,
            channels=channels,
            administration=administration,
            hub=hub,
            presence=shared.cluster.presence,
            clock=shared.reactor,
            unauthenticated_timeout=settings.limits.unauthenticated_timeout,
        )
    )

    def namespace(name: str) -> Namespace:
        made = Namespace(
            name,
            handler,
            clock=shared.reactor,
            recovery_seconds=workspace.recovery_seconds,
            moving=shared.moving,
            packer=handler,
        )
        rooms.add(made)
        return made

    resource = WorkspacesResource(shared.authenticator, shared.sharing, administration)
    return Protocol(namespace=namespace, resources={"v1/workspaces": resource})
