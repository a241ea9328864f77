"""Builds what serves the documents of a port's protocols: `realtime.documents` with what the slices say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.web.resource import IResource

from realtime.documents.model import Description
from realtime.documents.resource import Documents
from realtime.web.sharing import Sharing


def build(names: Sequence[str], sharing: Sharing) -> Mapping[str, IResource]:
    """Return the resources, by path, of the documents of the protocols ``names``."""

    def describe() -> tuple[Sequence[Description], dict[str, Any]]:
        from realtime.protocols import documents  # when somebody asks: they are large

        descriptions = documents.describe(names)
        return descriptions, documents.openapi_of(descriptions)

    return Documents(names, describe, sharing).resources
