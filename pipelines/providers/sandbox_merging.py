"""Two JSON Schemas as one that says what both say, as far as the sandbox's examples need it."""

import math
from collections.abc import Callable, Mapping
from typing import Any

_TIGHTER: Mapping[str, Callable[[Any, Any], Any]] = {
    "minimum": max, "exclusiveMinimum": max, "minLength": max, "minItems": max, "minProperties": max,
    "maximum": min, "exclusiveMaximum": min, "maxLength": min, "maxItems": min, "maxProperties": min,
    "multipleOf": lambda one, other: math.lcm(one, other) if type(one) is type(other) is int else max(one, other),
    "enum": lambda one, other: [each for each in one if each in other] or one,
    "type": lambda one, other: _common_types(one, other),
    "required": lambda one, other: [*one, *(name for name in other if name not in one)],
    "allOf": lambda one, other: [*one, *other],
    "properties": lambda one, other: _properties_of_both(one, other),
    "items": lambda one, other: _all_of(one, other),
    "additionalProperties": lambda one, other: _all_of(one, other),
}  # fmt: skip
_LATER = ("$ref", "anyOf", "oneOf", "contains")


def both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What both say, as one schema. Of what cannot be merged, `one`'s is kept."""
    found = {**other, **one}
    for name in one.keys() & other.keys():
        if name in _TIGHTER:
            found[name] = _TIGHTER[name](one[name], other[name])
        elif name in _LATER and one[name] != other[name]:
            found["allOf"] = [*found.get("allOf", ()), {name: other[name]}]
    return found


def _all_of(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return one if one == other else {"allOf": [one, other]}
    return False if one is False or other is False else one if isinstance(one, dict) else other


def _properties_of_both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    shared = {name: _all_of(one[name], other[name]) for name in one if name in other}
    return {**one, **other, **shared}


def _common_types(one: Any, other: Any) -> Any:
    mine, theirs = (each if isinstance(each, list) else [each] for each in (one, other))
    common = [kind for kind in mine if kind in theirs or (kind == "integer" and "number" in theirs)]
    common += ["integer"] if "number" in mine and "integer" in theirs and "integer" not in common else []
    return common or one
