"""Builds talk."""

from __future__ import annotations

from secrets import token_hex

from twisted.python.failure import Failure

from realtime.cluster.cluster import Cluster
from realtime.cluster.redis_cluster import RedisCluster
from realtime.protocols.shared import Protocol, Shared, rules
from realtime.settings import Settings, Talk
from realtime.socketio.namespace import Namespace
from realtime.talk.cluster_pool import ClusterPool
from realtime.talk.conversation import Timeouts
from realtime.talk.forwarding import Forwarding
from realtime.talk.lobby import Lobby
from realtime.talk.matching import Matcher
from realtime.talk.namespace import TalkHandler
from realtime.talk.pool import MemoryPool, Pool
from realtime.talk.protocol import TalkFactory
from realtime.talk.resource import TalksResource
from realtime.talk.store import TalkStore


def build(settings: Settings, shared: Shared) -> Protocol:
    """Build the protocol."""
    talk = settings.talk
    store = TalkStore(shared.database)
    process = token_hex(8)
    forwarding = Forwarding(
        process, shared.cluster.bus, shared.reactor, is_cut_off=lambda: _is_cut_off(shared.cluster)
    )
    lobby = Lobby(
        authenticator=shared.authenticator,
        store=store,
        bus=shared.cluster.bus,
        pool=_pool(talk, shared, process),
        forwarding=forwarding,
        timeouts=Timeouts(confirm=talk.confirm_timeout, talk=talk.talk_duration, answer=talk.answer_timeout),
        clock=shared.reactor,
    )
    talks = TalksResource(shared.authenticator, shared.sharing, store, settings.limits.history_bytes)
    factory = TalkFactory(shared.surroundings, rules(settings.limits, talk), lobby)
    handler = TalkHandler(lobby)

    def namespace(name: str) -> Namespace:
        return Namespace(name, handler, clock=shared.reactor)

    return Protocol(factory, namespace, {"v1/talks": talks})


def _pool(talk: Talk, shared: Shared, process: str) -> Pool:
    def make_matcher() -> Matcher:
        return Matcher(
            tolerance=talk.tolerance,
            span=talk.score_span,
            find_timeout=talk.find_timeout,
            anyone_at_deadline=talk.at_deadline == "anyone",
        )

    if not isinstance(shared.cluster, RedisCluster):
        return MemoryPool(make_matcher(), clock=shared.reactor, rematch_after=talk.rematch_after)
    return ClusterPool(
        shared.cluster,
        process,
        make_matcher,
        clock=shared.reactor,
        find_timeout=talk.find_timeout,
        rematch_after=talk.rematch_after,
    )


def _is_cut_off(cluster: Cluster) -> bool:
    failures: list[Failure] = []
    cluster.check().addErrback(failures.append)
    return bool(failures)
