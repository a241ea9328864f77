"""Brings together what the slices and the shared rooms say of themselves, for documents.

Imported when something is first asked of it: a server that nobody asks for its documents has none in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from realtime.documents.model import Description
from realtime.documents.openapi import openapi
from realtime.market import document as market
from realtime.messenger import document as messenger
from realtime.operations import document as operations
from realtime.support import document as support
from realtime.talk import document as talk
from realtime.web import document as web
from realtime.workspace import document as workspace

DESCRIBED: Final[Mapping[str, Callable[[], Description]]] = {
    "talk": talk.describe,
    "workspace": workspace.describe,
    "market": market.describe,
    "messenger": messenger.describe,
    "support": support.describe,
}
"""What describes each protocol, in the order of the settings."""


def describe(names: Iterable[str]) -> list[Description]:
    """Return the descriptions of some protocols."""
    return [DESCRIBED[name]() for name in names]


def openapi_of(descriptions: Iterable[Description]) -> dict[str, Any]:
    """Return the OpenAPI document of a server with these protocols."""
    served = list(descriptions)
    endpoints = [
        *web.ENDPOINTS,
        *(endpoint for each in served for endpoint in each.endpoints),
        *operations.ENDPOINTS,
    ]
    return openapi(endpoints, [*web.STORIES, *(story for each in served for story in each.stories)])
