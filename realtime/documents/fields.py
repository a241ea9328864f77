"""JSON Schemas as tables that people read: a row for each field. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from realtime.documents.text import inline

_TYPES: Final = {"string": "text", "boolean": "true or false", "null": "null", "integer": "integer"}


def table(schema: Mapping[str, Any], caption: str, schemas: Mapping[str, Any] | None = None) -> str:
    """Return the table of an object's fields, or what the schema is if it is no object.

    With ``schemas``, the types by name, the fields of a type that a field has are shown below it.
    """
    rows = list(_rows(schema, schemas or {}))
    if not rows:
        return f'<p class="type">{type_of(schema)}</p>'
    has_notes = any(notes for _, _, notes in rows)
    head = "".join(f'<th scope="col">{name}</th>' for name in ("field", "type", "notes")[: 2 + has_notes])
    body = "".join(
        f'<tr><th scope="row">{name}</th><td>{kind}</td>{f"<td>{notes}</td>" if has_notes else ""}</tr>'
        for name, kind, notes in rows
    )
    return (
        f'<div class="scroll"><table><caption class="unseen">{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _rows(
    schema: Mapping[str, Any], schemas: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Yield for each field its name, its type and what is to be said of it, as HTML."""
    for part in schema.get("allOf", ()):
        yield from _rows(_named(part, schemas) or part, schemas, prefix)
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        optional = "" if name in required else ' <small class="optional">optional</small>'
        yield f"<code>{escape(prefix + name)}</code>{optional}", type_of(field), _notes(field)
        # One level of types: those within have a table of their own.
        if "properties" in field:
            yield from _rows(field, schemas, f"{prefix}{name}.")
        elif (inner := _named(field, schemas)) is not None:
            yield from _rows(inner, {}, f"{prefix}{name}.")


def _named(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = schemas.get(schema.get("$ref", "").rpartition("/")[2])
    return found


def type_of(schema: Any) -> str:
    """Return what a schema allows, in a few words of HTML."""
    if not isinstance(schema, Mapping) or not schema:
        return "anything"
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#type.{name}">{name}</a>'
    if "const" in schema:
        return f"<code>{escape(json.dumps(schema['const'], ensure_ascii=False), quote=False)}</code>"
    if "enum" in schema:
        return " or ".join(
            f"<code>{escape(json.dumps(each, ensure_ascii=False), quote=False)}</code>"
            for each in schema["enum"]
        )
    for key, word in (("anyOf", " or "), ("allOf", " and ")):
        if key in schema:
            return word.join(dict.fromkeys(map(type_of, schema[key])))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " or ".join(_TYPES.get(str(each), str(each)) for each in kind)
    if kind == "array":
        return _list_of(schema)
    if kind is None:
        return "anything"
    return f"{_TYPES.get(kind, kind)}{_bounds(schema)}"


def _list_of(schema: Mapping[str, Any]) -> str:
    items = schema.get("items")
    if isinstance(items, list):
        least = schema.get("minItems", 0)
        names = [
            f"{escape(each.get('title', ''))}{'?' if number >= least else ''}"
            for number, each in enumerate(items)
        ]
        return f"<code>[{', '.join(names)}]</code>"
    most = f", at most {schema['maxItems']}" if "maxItems" in schema else ""
    return f"list of {type_of(items)}{most}"


def _bounds(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minLength"), schema.get("maxLength")
    unit = " characters"
    if least is None and most is None:
        least, most, unit = schema.get("minimum"), schema.get("maximum"), ""
    if least is None and most is None:
        return ""
    if most is None:
        return f", from {_number(least)}{unit}"
    if least is None:
        return f", at most {_number(most)}{unit}"
    if (least, most) == (-(2**63), 2**63 - 1):
        return ", 64 bits"
    return f", {_number(least)} to {_number(most)}{unit}"


def _number(value: Any) -> str:
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _notes(schema: Mapping[str, Any]) -> str:
    notes = [inline(" ".join(schema["description"].split()))] if "description" in schema else []
    if "default" in schema:
        notes.append(f"Default <code>{escape(json.dumps(schema['default']), quote=False)}</code>.")
    return " ".join(notes)
