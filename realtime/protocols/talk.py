"""Builds talk."""

from __future__ import annotations

from realtime.protocols.shared import Protocol, Shared, rules
from realtime.settings import Settings
from realtime.socketio.namespace import Namespace
from realtime.talk.conversation import Timeouts
from realtime.talk.lobby import Lobby
from realtime.talk.matching import Matcher
from realtime.talk.namespace import TalkHandler
from realtime.talk.pool import MemoryPool
from realtime.talk.protocol import TalkFactory
from realtime.talk.resource import TalksResource
from realtime.talk.store import TalkStore


def build(settings: Settings, shared: Shared) -> Protocol:
    """Build the protocol."""
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
        bus=shared.cluster.bus,
        pool=MemoryPool(matcher, clock=shared.reactor, rematch_after=talk.rematch_after),
        timeouts=Timeouts(confirm=talk.confirm_timeout, talk=talk.talk_duration, answer=talk.answer_timeout),
        clock=shared.reactor,
    )
    talks = TalksResource(shared.authenticator, shared.sharing, store, settings.limits.history_bytes)
    factory = TalkFactory(shared.surroundings, rules(settings.limits, talk), lobby)
    handler = TalkHandler(lobby)

    def namespace(name: str) -> Namespace:
        return Namespace(name, handler, clock=shared.reactor)

    return Protocol(factory, namespace, {"v1/talks": talks})
