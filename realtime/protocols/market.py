"""Builds market."""

from __future__ import annotations

from realtime.market.exchange import Exchange, Packets
from realtime.market.heartbeat import Heartbeat
from realtime.market.protocol import MarketFactory
from realtime.market.resource import ReportsResource
from realtime.market.store import MarketStore
from realtime.protocols.shared import Protocol, Shared, rules
from realtime.settings import Settings


def build(settings: Settings, shared: Shared) -> Protocol:
    """Build the protocol."""
    market = settings.market
    store = MarketStore(shared.database)
    exchange = Exchange(
        store=store,
        bus=shared.cluster.bus,
        packets=Packets(escape_html=market.escape_html),
        clock=shared.reactor,
        history_bytes=settings.limits.history_bytes,
    )
    factory = MarketFactory(
        shared.surroundings,
        rules(settings.limits, market),
        authenticator=shared.authenticator,
        exchange=exchange,
        heartbeat=Heartbeat(shared.reactor, market.ping_interval, market.pong_timeout),
    )
    reports = ReportsResource(shared.authenticator, shared.sharing, store, shared.reactor)
    return Protocol(factory, resources={"v1/reports": reports})
