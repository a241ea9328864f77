"""Endpoints as an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1). Pure.

What every endpoint that asks for a token may answer beside its own, an `ErrorAnswer`, is added here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import Struct

from realtime import __version__
from realtime.documents.model import Asks, Endpoint, Of, Response, Story
from realtime.documents.schemas import Schemas

VERSION: Final = "3.1.1"


class Failure(Struct, frozen=True):
    """What went wrong: `code` is for programs, `message` for people."""

    code: str
    message: str


class ErrorAnswer(Struct, frozen=True):
    """The body of an answer that says no."""

    error: Failure


_REFUSALS: Final = {
    401: Response("No valid token."),
    403: Response("This user may not do that."),
    503: Response("The database is away. Try again after `Retry-After` seconds."),
}
_BAD: Final = {400: Response("The request can't be understood.")}


def openapi(endpoints: Sequence[Endpoint], stories: Iterable[Story] = ()) -> dict[str, Any]:
    """Return the document of some endpoints, with what the stories ask of them as examples."""
    schemas = Schemas([Of(ErrorAnswer), *(shape for each in endpoints for shape in _shapes(each))])
    asked = [step for story in stories for step in story.steps if isinstance(step, Asks)]
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        item = paths.setdefault(endpoint.path, {})
        if endpoint.is_for_operations:
            item["servers"] = [{"url": "http://localhost:8081", "description": "The listener of [operations]."}]
        examples = [step for step in asked if step.endpoint == endpoint.key]
        item[endpoint.method.lower()] = _operation(endpoint, examples, schemas)
    return {
        "openapi": VERSION,
        "info": {
            "title": "realtime over HTTP",
            "version": __version__,
            "summary": "Signing in, and what the protocols offer beside their connections.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "http://localhost:8080", "description": "As it listens."}],
        "security": [{"token": []}],
        "tags": [{"name": name} for name in dict.fromkeys(map(_tag, endpoints))],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token stands in `Authorization` and nowhere else.",
                }
            },
        },
    }


def responses_of(endpoint: Endpoint) -> dict[int, Response]:
    """Return all that an endpoint may answer, by status."""
    if endpoint.is_open:
        return dict(sorted(endpoint.responses.items()))
    bad = _BAD if endpoint.body is not None or endpoint.parameters else {}
    return dict(sorted({**bad, **_REFUSALS, **endpoint.responses}.items()))


def _shapes(endpoint: Endpoint) -> list[Any]:
    return [
        *([] if endpoint.body is None else [endpoint.body]),
        *(response.schema for response in endpoint.responses.values() if response.schema is not None),
    ]


def _tag(endpoint: Endpoint) -> str:
    if endpoint.is_for_operations:
        return "operations"
    return next(part for part in endpoint.path.split("/") if part not in ("", "v1")).lstrip(".")


def _operation(endpoint: Endpoint, examples: list[Asks], schemas: Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": endpoint.summary, "tags": [_tag(endpoint)]}
    if endpoint.description:
        operation["description"] = endpoint.description
    if endpoint.is_open:
        operation["security"] = []
    if endpoint.parameters:
        operation["parameters"] = [
            {
                "name": each.name,
                "in": "path" if each.in_path else "query",
                "description": each.text,
                **({"required": True} if each.in_path else {}),
                "schema": each.schema,
            }
            for each in endpoint.parameters
        ]
    if endpoint.body is not None:
        bodies = [step for step in examples if step.body is not None]
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": _content(schemas.resolve(endpoint.body), bodies, "body")},
        }
    operation["responses"] = {
        str(status): _response(status, response, endpoint, examples, schemas)
        for status, response in responses_of(endpoint).items()
    }
    return operation


def _response(
    status: int, response: Response, endpoint: Endpoint, examples: list[Asks], schemas: Schemas
) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": response.text}
    if status >= 400 and not endpoint.is_open:
        answer["content"] = {"application/json": {"schema": schemas.resolve(Of(ErrorAnswer))}}
    elif response.schema is not None:
        told = [step for step in examples if step.status == status and step.answer is not None]
        answer["content"] = {response.media_type: _content(schemas.resolve(response.schema), told, "answer")}
    elif response.media_type not in ("", "application/json"):
        answer["content"] = {response.media_type: {}}
    return answer


def _content(schema: Any, examples: list[Asks], part: str) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema}
    if examples:
        content["examples"] = {
            f"example-{number}": {"summary": step.text or step.endpoint, "value": getattr(step, part)}
            for number, step in enumerate(examples, 1)
        }
    return content
