"""Builds the protocols that are served, each from what all share and from its own settings.

A protocol has a factory, which makes its connections, and the resources of its HTTP side by their paths. One
module here builds each; whoever adds a protocol adds one, and names it below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from realtime.protocols import market, messenger, support, talk, workspace
from realtime.protocols.shared import Protocol, Shared
from realtime.settings import Settings

_BUILDERS: Final[Mapping[str, Callable[[Settings, Shared], Protocol]]] = {
    "talk": talk.build,
    "workspace": workspace.build,
    "market": market.build,
    "messenger": messenger.build,
    "support": support.build,
}


def build(settings: Settings, shared: Shared) -> Mapping[str, Protocol]:
    """Return the protocols that are enabled, by name."""
    return {
        name: build_one(settings, shared)
        for name, build_one in _BUILDERS.items()
        if getattr(settings, name).enabled
    }
