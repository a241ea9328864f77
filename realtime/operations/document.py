"""The endpoints for those who run the server, as they read them."""

from __future__ import annotations

from typing import Final

from realtime.documents.model import Endpoint, Response

_TEXT: Final = "text/plain"

ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/healthz",
        summary="Whether the process is alive: the answer is the proof.",
        responses={200: Response("Alive.", media_type=_TEXT)},
        is_open=True,
        is_for_operations=True,
    ),
    Endpoint(
        method="GET",
        path="/readyz",
        summary="Whether it should be sent clients.",
        responses={
            200: Response("Ready.", media_type=_TEXT),
            503: Response("A line for each check that fails, or `draining`.", media_type=_TEXT),
        },
        is_open=True,
        is_for_operations=True,
    ),
    Endpoint(
        method="GET",
        path="/metrics",
        summary="Metrics in the text format of Prometheus, or OpenMetrics if that is asked for.",
        responses={200: Response("The metrics.", media_type=_TEXT)},
        is_open=True,
        is_for_operations=True,
    ),
)
