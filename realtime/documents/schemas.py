r"""JSON Schemas from the types that cross the wire, for documents. Pure.

What msgspec says of a type is nearly what a client's developer should read; changed are:

- names of types without the underscore that marks them as a module's own;
- patterns, which are Python's: ``\A`` and ``\Z`` mean something else in every other language;
- docstrings, whose ``code`` is marked twice;
- ``default: null`` of what may be left out: it says no more than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import cleandoc
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from realtime.documents.model import Of

_PREFIX: Final = "#/components/schemas/"


class Schemas:
    """The schemas of all types that some shapes name. ``components`` are those with a name of their own."""

    def __init__(self, shapes: Iterable[Any]) -> None:
        kinds: list[Any] = []
        for shape in shapes:
            _collect(shape, kinds)
        named = [_without_raw_defaults(kind) for kind in kinds]
        schemas, components = msgspec.json.schema_components(named, ref_template=_PREFIX + "{name}")
        names = _public_names(components)
        self.components: dict[str, Any] = {
            names[name]: _cleaned(schema, names) for name, schema in sorted(components.items())
        }
        self._by_kind = [(kind, _cleaned(schema, names)) for kind, schema in zip(kinds, schemas, strict=True)]

    def resolve(self, shape: Any) -> Any:
        """Return a shape with the schema of each type in its place."""
        if isinstance(shape, Of):
            return next(schema for kind, schema in self._by_kind if kind == shape.kind)
        if isinstance(shape, Mapping):
            return {name: self.resolve(each) for name, each in shape.items()}
        if isinstance(shape, list | tuple):
            return [self.resolve(each) for each in shape]
        return shape


def _collect(shape: Any, kinds: list[Any]) -> None:
    if isinstance(shape, Of):
        if shape.kind not in kinds:
            kinds.append(shape.kind)
    elif isinstance(shape, Mapping):
        for each in shape.values():
            _collect(each, kinds)
    elif isinstance(shape, list | tuple):
        for each in shape:
            _collect(each, kinds)


def _without_raw_defaults(kind: Any) -> Any:
    """Return a type that msgspec can describe: it can't write down a default that is JSON already."""
    if not (isinstance(kind, type) and issubclass(kind, Struct)):
        return kind
    fields = msgspec.structs.fields(kind)
    if not any(isinstance(each.default, Raw) for each in fields):
        return kind
    named: list[Any] = []
    for each in fields:
        if isinstance(each.default, Raw):
            default = msgspec.json.decode(each.default) if bytes(each.default) else msgspec.UNSET
            named.append((each.encode_name, Any, default))
        elif each.required:
            named.append((each.encode_name, each.type))
        else:
            named.append((each.encode_name, each.type, each.default))
    return msgspec.defstruct(kind.__name__, named, namespace={"__doc__": kind.__doc__}, kw_only=True)


def _public_names(components: Iterable[str]) -> dict[str, str]:
    taken = set(components)
    return {name: name.lstrip("_") if name.lstrip("_") not in taken else name for name in sorted(components)}


def _cleaned(schema: Any, names: Mapping[str, str]) -> Any:
    if isinstance(schema, list):
        return [_cleaned(each, names) for each in schema]
    if not isinstance(schema, dict):
        return schema
    cleaned: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "$ref":
            cleaned[key] = _PREFIX + names[value.removeprefix(_PREFIX)]
        elif key == "title":
            cleaned[key] = names.get(value, value)
        elif key == "description":
            cleaned[key] = cleandoc(value).replace("``", "`")
        elif key == "pattern":
            cleaned[key] = value.replace(r"\A", "^").replace(r"\Z", "$")
        elif key == "properties":
            cleaned[key] = {name: _cleaned(each, names) for name, each in value.items()}
        elif key == "default":
            if value is not None and value is not msgspec.UNSET:
                cleaned[key] = value
        elif key == "required" and not value:
            continue
        else:
            cleaned[key] = _cleaned(value, names)
    return cleaned
