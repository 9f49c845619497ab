"""Plain JSON values: what may be stored and published, whatever library a value comes from."""

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

MOST_DEPTH = 32
"""Levels that a value may be nested; one that holds itself is deeper than any."""

_INTEGERS = range(-(2**63), 2**63)
"""What every database and JSON reader here takes as an integer."""


def plain(value: Any, depth: int = MOST_DEPTH) -> Any:
    """The value as JSON's own kinds: None, bool, int, float, str, list, and dict with texts as keys.

    Numbers and arrays of numpy become Python's; sets become lists, sorted where they can be; integers of more than
    64 bits, `Decimal`, times and enumerations become texts; numbers that are none (NaN, infinities) become None.
    Raises `TypeError` for what has no such form, and `ValueError` for what is nested too deeply.
    """
    kind = type(value)
    if value is None or kind is str or kind is bool:
        return value
    if kind is int:
        return value if value in _INTEGERS else str(value)
    if kind is float:
        return value if math.isfinite(value) else None
    if depth <= 0:
        raise ValueError(f"nested more than {MOST_DEPTH} levels")
    if isinstance(value, Mapping):
        return {_key(name): plain(item, depth - 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth - 1) for item in value]
    if isinstance(value, AbstractSet):
        return _sorted([plain(item, depth - 1) for item in value])
    return _converted(value, depth)


def _converted(value: Any, depth: int) -> Any:
    if isinstance(value, Enum):
        return plain(value.value, depth - 1)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return plain(int(value), depth - 1)
    if isinstance(value, float):
        return plain(float(value), depth - 1)
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if callable(to_list := getattr(value, "tolist", None)):  # numpy's arrays and scalars, and their like
        return plain(to_list(), depth - 1)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _key(name: Any) -> str:
    key = plain(name, 1)
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool | int | float):
        return str(key)
    raise TypeError(f"{type(name).__name__} cannot name a value in JSON")


def _sorted(values: list[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return values
