"""Builds support."""

from __future__ import annotations

from realtime.protocols.shared import Protocol, Shared, rules
from realtime.settings import Settings
from realtime.support.desk import Desk
from realtime.support.participants import Pushes
from realtime.support.protocol import SupportFactory
from realtime.support.session import Parts
from realtime.support.store import SupportStore


def build(settings: Settings, shared: Shared) -> Protocol:
    """Build the protocol."""
    desk = Desk(
        store=SupportStore(shared.database),
        cluster=shared.cluster,
        clock=shared.reactor,
    )
    parts = Parts(
        authenticator=shared.authenticator,
        desk=desk,
        pushes=Pushes(with_id=settings.support.push_id == "message_id"),
        clock=shared.reactor,
        history_bytes=settings.limits.history_bytes,
    )
    return Protocol(SupportFactory(shared.surroundings, rules(settings.limits, settings.support), parts))
