"""The binary parts of a packet: taken out of what is sent, put back into what has come. Pure.

Socket.IO writes JSON. Each bytes value in it is replaced, depth first, by ``{"_placeholder": true, "num": 0}``
and so on, and follows as a binary message of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import is_dataclass
from math import isfinite
from typing import Any, Final

import msgspec

_BINARY: Final = (bytes, bytearray, memoryview)
_PLAIN: Final = frozenset({str, int, bool, type(None), msgspec.Raw})


class IllegalAttachment(ValueError):
    """A placeholder that stands for nothing."""


def holds_binary(value: Any) -> bool:
    """Whether there is a bytes value anywhere in it.

    Raises ``ValueError`` for a number that JSON can't hold: msgspec would write it as null.
    """
    if type(value) in _PLAIN:
        return False
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError("not a finite number")
        return False
    if isinstance(value, _BINARY):
        return True
    found = False
    for each in _parts(value):  # all of them, for the numbers' sake
        if type(each) not in _PLAIN and holds_binary(each):
            found = True
    return found


def _parts(value: Any) -> Iterable[Any]:
    """Return what stands in a container, or in the fields of a structure."""
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, list | tuple | set | frozenset):
        return value
    if isinstance(value, msgspec.Struct):
        return [getattr(value, name) for name in value.__struct_fields__]
    return vars(value).values() if is_dataclass(value) else ()


def take_out(value: Any, taken: list[bytes]) -> Any:
    """Return ``value`` with placeholders for its bytes values, which are added to ``taken``."""
    if isinstance(value, _BINARY):
        taken.append(bytes(value))
        return {"_placeholder": True, "num": len(taken) - 1}
    if isinstance(value, dict):
        return {key: take_out(each, taken) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [take_out(each, taken) for each in value]
    if isinstance(value, msgspec.Struct) or is_dataclass(value):
        return take_out(msgspec.to_builtins(value, builtin_types=_BINARY), taken)
    return value


def put_back(value: Any, attachments: Sequence[bytes]) -> Any:
    """Return what was read from JSON with its placeholders replaced. Raises `IllegalAttachment`."""
    if type(value) is dict:
        if value.get("_placeholder") is True:
            number = value.get("num")
            if type(number) is not int or not 0 <= number < len(attachments):
                raise IllegalAttachment("a placeholder for nothing")
            return attachments[number]
        return {key: put_back(each, attachments) for key, each in value.items()}
    if type(value) is list:
        return [put_back(each, attachments) for each in value]
    return value
