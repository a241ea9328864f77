"""A description as an AsyncAPI 3.0 document. Pure.

https://www.asyncapi.com/docs/reference/specification/v3.0.0

The document describes the server: what it receives from clients (``receive``, each with what may answer it) and
what it sends. Beside the standard's own, messages have ``x-opcode`` (market), the document ``x-errors`` and
``x-close-codes``, and an extension of the protocol's the tag ``extension``.
"""

from __future__ import annotations

from typing import Any, Final

from realtime import __version__
from realtime.documents.model import Description, Direction, Message
from realtime.documents.schemas import Schemas

VERSION: Final = "3.0.0"
MEDIA_TYPE: Final = "application/vnd.aai.asyncapi+yaml;version=3.0.0"

_LICENSE: Final = {"name": "MIT", "url": "https://opensource.org/license/mit"}


def asyncapi(description: Description) -> dict[str, Any]:
    """Return the document of a protocol, as JSON."""
    schemas = Schemas(message.payload for message in description.messages)
    channel = f"#/channels/{description.name}"
    credentials = {each.name: dict(each.scheme) for each in description.credentials}
    return {
        "asyncapi": VERSION,
        "id": f"urn:txrealtime:{description.name}",
        "info": {
            "title": description.title,
            "version": __version__,
            "description": _information(description),
            "license": _LICENSE,
        },
        "defaultContentType": "application/json",
        "servers": {name: _server(description, name, credentials) for name in _schemes(description)},
        "channels": {description.name: _channel(description)},
        "operations": {message.key: _operation(message, channel) for message in description.messages},
        "components": {
            "messages": {
                message.key: _message(message, description, schemas) for message in description.messages
            },
            "schemas": schemas.components,
            **({"securitySchemes": credentials} if credentials else {}),
        },
        "x-errors": [
            {"code": each.code, "meaning": each.text, **({"close": int(each.close)} if each.close else {})}
            for each in description.errors
        ],
        "x-close-codes": [
            {"code": int(code), "reason": code.reason, "retry": code.retry, "meaning": meaning}
            for code, meaning in sorted(description.closes.items())
        ],
    }


def _information(description: Description) -> str:
    parts = [description.text]
    for section in description.sections:
        lines = [f"## {section.title}", "", section.text]
        if section.rows:
            lines += ["", _row(section.columns), _row(("---",) * len(section.columns))]
            lines += [_row(row) for row in section.rows]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _schemes(description: Description) -> tuple[str, str]:
    return ("http", "https") if description.namespace else ("ws", "wss")


def _server(description: Description, scheme: str, credentials: dict[str, Any]) -> dict[str, Any]:
    return {
        "host": "{host}",
        "protocol": scheme,
        "description": "With TLS, as a proxy in front of it offers it."
        if scheme.endswith("s") and len(scheme) != 2
        else "As it listens.",
        "variables": {"host": {"default": "localhost:8080", "description": "Where the server is reached."}},
        **(
            {"security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in credentials]}
            if credentials
            else {}
        ),
    }


def _channel(description: Description) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": description.address,
        "title": description.title,
        "messages": {
            message.key: {"$ref": f"#/components/messages/{message.key}"} for message in description.messages
        },
    }
    if description.namespace:
        channel["x-socketio"] = {"namespace": description.namespace, "engine": [3, 4]}
    else:
        channel["bindings"] = {"ws": {"method": "GET", "bindingVersion": "0.1.0"}}
    return channel


def _operation(message: Message, channel: str) -> dict[str, Any]:
    from_client = message.direction is Direction.FROM_CLIENT
    operation: dict[str, Any] = {
        "action": "receive" if from_client else "send",
        "channel": {"$ref": channel},
        "title": message.name,
        "summary": message.summary,
        "messages": [{"$ref": f"{channel}/messages/{message.key}"}],
    }
    if message.replies:
        replies = [{"$ref": f"{channel}/messages/{key}"} for key in message.replies]
        operation["reply"] = {"channel": {"$ref": channel}, "messages": replies}
    return operation


def _message(message: Message, description: Description, schemas: Schemas) -> dict[str, Any]:
    told: dict[str, Any] = {"name": message.name, "title": message.name, "summary": message.summary}
    if message.description:
        told["description"] = message.description
    if message.extension:
        told["tags"] = [{"name": "extension"}]
    if message.opcode is not None:
        told["x-opcode"] = message.opcode
    if message.correlation:
        told["correlationId"] = {"location": f"$message.payload#{message.correlation}"}
    told["payload"] = schemas.resolve(message.payload)
    examples = description.examples(message.key)
    if examples:
        told["examples"] = [{"summary": text, "payload": payload} for text, payload in examples]
    return told
