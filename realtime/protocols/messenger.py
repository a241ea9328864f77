"""Builds messenger."""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex

from twisted.web.resource import IResource

from realtime.messenger import avatars, messages
from realtime.messenger.avatar_resource import AvatarResource
from realtime.messenger.avatars import AvatarStore, picture_workers
from realtime.messenger.delivery import Window
from realtime.messenger.hall import Hall
from realtime.messenger.key_set_resource import KeySetResource
from realtime.messenger.parts import Parts, Sealing
from realtime.messenger.post_office import PostOffice
from realtime.messenger.protocol import MessengerFactory, RoomAudience
from realtime.messenger.sealing import Sealer
from realtime.messenger.sealing_keys import load_sealing_key
from realtime.messenger.seat import Seats
from realtime.messenger.store import MessengerStore
from realtime.protocols.shared import Protocol, Shared, rules
from realtime.settings import Settings


def build(settings: Settings, shared: Shared) -> Protocol:
    """Build the protocol."""
    messenger, state_dir = settings.messenger, Path(settings.state_dir)
    store = MessengerStore(shared.database, messenger.mailbox_limit)
    pictures = picture_workers(shared.reactor)
    avatar_store = AvatarStore(
        state_dir / avatars.PATH,
        workers=pictures,
        clock=shared.reactor,
        is_used=store.is_avatar_used,
        most=messenger.avatar_bytes,
    )
    resources: dict[str, IResource] = {avatars.PATH: AvatarResource(avatar_store, shared.reactor)}
    sealing = None
    if messenger.sealing != "off":
        key = load_sealing_key(state_dir)
        sealing = Sealing(Sealer(key), is_required=messenger.sealing == "required")
        resources[".well-known/jwks.json"] = KeySetResource(key, shared.sharing)
    discarded = shared.surroundings.metrics.refused_total.labels(reason="discarded")
    time = messages.IN_UNIT[messenger.time_unit]
    seats = Seats(
        leases=shared.cluster.leases,
        bus=shared.cluster.bus,
        clock=shared.reactor,
        takeover_timeout=messenger.takeover_timeout,
    )
    hall = Hall(
        presence=shared.cluster.presence,
        bus=shared.cluster.bus,
        store=store,
        audience=RoomAudience(shared.surroundings.metrics.messages_sent_total.of("messenger")),
        clock=shared.reactor,
        time=time,
    )
    shared.cluster.when_lost(hall.unsettle)
    shared.cluster.when_lost(seats.lost)
    parts = Parts(
        authority=shared.authenticator if shared.outside is None else shared.outside,
        store=store,
        seats=seats,
        hall=hall,
        office=PostOffice(
            store=store,
            bus=shared.cluster.bus,
            clock=shared.reactor,
            mailbox_days=messenger.mailbox_days,
            window=Window(messenger.window, messenger.window_bytes),
        ),
        avatars=avatar_store,
        sealing=sealing,
        clock=shared.reactor,
        time=time,
        process=token_hex(8),
        history_bytes=settings.limits.history_bytes,
        discarded=discarded.inc,
    )
    factory = MessengerFactory(shared.surroundings, rules(settings.limits, messenger), parts)
    return Protocol(factory, resources=resources, workers=[pictures])
