"""JSON Schemas of documents, asked whether a message is valid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.protocols import Validator as JsonValidator

from realtime.documents.asyncapi import asyncapi
from realtime.documents.model import Description


def read(text: str | bytes) -> Any:
    """What a document in YAML holds; by libyaml, where there is one, which takes a tenth of the time."""
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


class Validator:
    """Validates by the documents of a protocol: its messages, and the answers of its endpoints."""

    def __init__(self, description: Description, openapi: dict[str, Any]) -> None:
        self._asyncapi = asyncapi(description)
        self._openapi = openapi
        self._messages = {
            key: _validator(Draft7Validator, message["payload"], self._asyncapi)
            for key, message in self._asyncapi["components"]["messages"].items()
        }

    def check(self, key: str, payload: Any) -> None:
        """Assert that a payload is one of a message."""
        errors = [
            f"{list(each.absolute_path)}: {each.message}" for each in self._messages[key].iter_errors(payload)
        ]
        assert not errors, f"{key}: {errors}"

    def is_valid(self, key: str, payload: Any) -> bool:
        """Whether a payload is one of a message."""
        return self._messages[key].is_valid(payload)

    def check_answer(self, endpoint: str, status: int, body: Any) -> None:
        """Assert that a body is what the endpoint answers with this status."""
        method, path = endpoint.split(" ")
        response = self._openapi["paths"][path][method.lower()]["responses"][str(status)]
        (content,) = response["content"].values()
        errors = [
            each.message
            for each in _validator(Draft202012Validator, content["schema"], self._openapi).iter_errors(body)
        ]
        assert not errors, f"{endpoint}: {errors}"


def _validator(dialect: Callable[..., JsonValidator], schema: Any, document: dict[str, Any]) -> JsonValidator:
    # The references of a document lead from its root, where a schema's own lie beside it here.
    return dialect({**schema, "components": {"schemas": document["components"]["schemas"]}})
