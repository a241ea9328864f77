"""An IN of so many places: a statement is compiled once, however many ids are asked about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BindParameter, bindparam


def places(count: int) -> list[BindParameter[Any]]:
    """Return the places, for a column's ``in_``."""
    return [bindparam(f"id{number}") for number in range(count)]


def filled(ids: Sequence[int], count: int) -> dict[str, Any]:
    """Return the parameters for `places`, of at least one id; the last stands in all that are left."""
    return {f"id{number}": ids[min(number, len(ids) - 1)] for number in range(count)}
