"""JSON values as YAML 1.2 that people like to read, and that YAML 1.1 reads the same. Pure.

A writer is some lines, a reader is a library: so the daemon needs none. Whatever could be taken for something
else than a text is quoted as JSON quotes it, which is YAML too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_PLAIN: Final = re.compile(r"[A-Za-z/$][A-Za-z0-9_./()-]*( [A-Za-z0-9_./()-]+)*")
_RESERVED: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_WIDTH: Final = 100
"""Columns that a list or an object of plain values may take in one line."""


def dump(value: Any) -> str:
    """Return a document."""
    return "\n".join(_block(value)) + "\n"


def _block(value: Any) -> Iterator[str]:
    """Yield the lines of a value that stands at the beginning of a line."""
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from _entry(f"{_text(str(key))}:", each)
    elif isinstance(value, list | tuple) and value:
        for each in value:
            yield from _item(each)
    else:
        yield _flow(value)


def _entry(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, str) and _reads_well_as_lines(value):
        yield f"{key} |-"
        yield from (f"  {line}" if line else "" for line in value.split("\n"))
        return
    short = _flow(value)
    if not isinstance(value, Mapping | list | tuple) or not value or _is_short(value, len(key) + len(short)):
        yield f"{key} {short}"
        return
    yield key
    yield from (f"  {line}" if line else "" for line in _block(value))


def _item(value: Any) -> Iterator[str]:
    short = _flow(value)
    if not isinstance(value, Mapping | list | tuple) or not value or _is_short(value, len(short)):
        yield f"- {short}"
        return
    lines = _block(value)
    yield f"- {next(lines)}"
    yield from (f"  {line}" if line else "" for line in lines)


def _is_short(value: Any, width: int) -> bool:
    """Whether a list or an object is best written in its line: short, and of plain values."""
    each = value.values() if isinstance(value, Mapping) else value
    return width <= _WIDTH and not any(isinstance(one, Mapping | list | tuple) for one in each)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_text(str(key))}: {_flow(each)}" for key, each in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, str):
        return _text(value)
    written = json.dumps(value)
    return written if "." in written else written.replace("e-", ".0e-").replace("e+", ".0e+")


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted if quoted.isprintable() else "".join(map(_escaped, quoted))


def _escaped(letter: str) -> str:
    # JSON writes what is beyond 16 bits as two halves, which YAML does not put together.
    if letter.isprintable():
        return letter
    return f"\\u{ord(letter):04X}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08X}"


def _reads_well_as_lines(text: str) -> bool:
    lines = text.split("\n")
    return (
        len(lines) > 1
        and not text[0].isspace()
        and not text.endswith("\n")
        and all((line.isprintable() and line == line.rstrip()) for line in lines)
    )
