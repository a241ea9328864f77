"""Builds the protocols that are served, each from what all share and from its own settings.

A protocol has a factory, which makes its connections, and the resources of its HTTP side by their paths. One
function builds each; whoever adds a protocol adds one here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource

from realtime.accounts.authentication import Authenticator
from realtime.cluster.bus import Bus
from realtime.cluster.leases import Leases
from realtime.cluster.presence import Presence
from realtime.config import Limits, Settings
from realtime.limiting import Rate
from realtime.market.exchange import Exchange, Packets
from realtime.market.heartbeat import Heartbeat
from realtime.market.protocol import MarketFactory
from realtime.market.resource import ReportsResource
from realtime.market.store import MarketStore
from realtime.storage.database import Database
from realtime.support.desk import Desk
from realtime.support.participants import Pushes
from realtime.support.protocol import SupportFactory
from realtime.support.session import Parts
from realtime.support.store import SupportStore
from realtime.talk.conversation import Timeouts
from realtime.talk.lobby import Lobby
from realtime.talk.matching import Matcher
from realtime.talk.pool import MemoryPool
from realtime.talk.protocol import TalkFactory
from realtime.talk.resource import TalksResource
from realtime.talk.store import TalkStore
from realtime.web.sharing import Sharing
from realtime.websocket.factory import ConnectionFactory, Rules, Surroundings


@dataclass(frozen=True, slots=True)
class Shared:
    """The parts of the daemon that protocols are built from."""

    clock: IReactorTime
    surroundings: Surroundings
    database: Database
    authenticator: Authenticator
    sharing: Sharing
    bus: Bus
    presence: Presence
    leases: Leases


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol that is served: ``resources`` by path (``"v1/talks"``)."""

    factory: ConnectionFactory
    resources: Mapping[str, IResource] = field(default_factory=dict)


def build(settings: Settings, shared: Shared) -> Mapping[str, Protocol]:
    """Return the protocols that are enabled, by name."""
    return {
        name: build_one(settings, shared)
        for name, build_one in _BUILDERS.items()
        if getattr(settings, name).enabled
    }


def _talk(settings: Settings, shared: Shared) -> Protocol:
    talk = settings.talk
    store = TalkStore(shared.database)
    matcher = Matcher(
        tolerance=talk.tolerance,
        span=talk.score_span,
        find_timeout=talk.find_timeout,
        anyone_at_deadline=talk.at_deadline == "anyone",
    )
    lobby = Lobby(
        authenticator=shared.authenticator,
        store=store,
        bus=shared.bus,
        pool=MemoryPool(matcher, clock=shared.clock, rematch_after=talk.rematch_after),
        timeouts=Timeouts(confirm=talk.confirm_timeout, talk=talk.talk_duration, answer=talk.answer_timeout),
        clock=shared.clock,
    )
    talks = TalksResource(shared.authenticator, shared.sharing, store, settings.limits.history_bytes)
    factory = TalkFactory(shared.surroundings, _rules(settings.limits, talk), lobby)
    return Protocol(factory, {"v1/talks": talks})


def _market(settings: Settings, shared: Shared) -> Protocol:
    market = settings.market
    store = MarketStore(shared.database)
    exchange = Exchange(
        store=store,
        bus=shared.bus,
        packets=Packets(escape_html=market.escape_html),
        clock=shared.clock,
        history_bytes=settings.limits.history_bytes,
    )
    factory = MarketFactory(
        shared.surroundings,
        _rules(settings.limits, market),
        authenticator=shared.authenticator,
        exchange=exchange,
        heartbeat=Heartbeat(shared.clock, market.ping_interval, market.pong_timeout),
    )
    reports = ReportsResource(shared.authenticator, shared.sharing, store, shared.clock)
    return Protocol(factory, {"v1/reports": reports})


def _support(settings: Settings, shared: Shared) -> Protocol:
    desk = Desk(
        store=SupportStore(shared.database),
        bus=shared.bus,
        presence=shared.presence,
        leases=shared.leases,
        clock=shared.clock,
    )
    parts = Parts(
        authenticator=shared.authenticator,
        desk=desk,
        pushes=Pushes(with_id=settings.support.push_id == "message_id"),
        clock=shared.clock,
        history_bytes=settings.limits.history_bytes,
    )
    return Protocol(SupportFactory(shared.surroundings, _rules(settings.limits, settings.support), parts))


_BUILDERS: Final[Mapping[str, Callable[[Settings, Shared], Protocol]]] = {
    "talk": _talk,
    "market": _market,
    "support": _support,
}


def _rules(limits: Limits, section: Any) -> Rules:
    """Return the limits of a protocol's connections; ``section`` is its own part of the settings."""
    return Rules(
        message_bytes=section.message_bytes or limits.message_bytes,
        rate=Rate(limits.messages_per_second, burst=2 * limits.messages_per_second),
        send_buffer_bytes=limits.send_buffer_bytes,
        handshake_timeout=limits.handshake_timeout,
        unauthenticated_timeout=limits.unauthenticated_timeout,
        compression=limits.compression,
    )
