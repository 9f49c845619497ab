"""An answer in the form of a JSON Schema: what the sandbox says where a request asks for one.

It follows what schemas of answers are made of. What it cannot follow (a `pattern`, a `not`, conditions) it leaves out.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

_ENOUGH = 4
"""Levels below which only what has to be there is there, so that schemas that hold themselves come to an end."""

_LAST = 24

_FORMATS = {
    "date": "2026-01-01",
    "time": "12:00:00Z",
    "date-time": "2026-01-01T12:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_TYPE_OF = {
    "properties": "object", "required": "object", "additionalProperties": "object", "items": "array",
    "prefixItems": "array", "minItems": "array", "minLength": "string", "maxLength": "string", "pattern": "string",
    "format": "string", "minimum": "number", "maximum": "number", "multipleOf": "number",
}  # fmt: skip


_TIGHTER: Mapping[str, Callable[[Any, Any], Any]] = {
    "minimum": max, "minLength": max, "minItems": max, "maximum": min, "maxLength": min, "maxItems": min,
}  # fmt: skip


def example(schema: Any, words: str) -> Any:
    """A value that fits the schema; `words` is what its texts say, where they may."""
    return _Examples(schema, words or "answer").of(schema, 0)


class _Examples:
    def __init__(self, root: Any, words: str) -> None:
        self._root = root
        self._words = words

    def of(self, schema: Any, level: int) -> Any:
        if not isinstance(schema, dict) or level > _LAST:
            return None
        schema = self._merged(schema, level)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        return self._typed(_type(schema), schema, level)

    def _typed(self, kind: str, schema: dict[str, Any], level: int) -> Any:
        if kind == "object":
            return self._object(schema, level)
        if kind == "array":
            return self._array(schema, level)
        if kind in ("integer", "number"):
            return _number(schema, whole=kind == "integer")
        if kind == "boolean":
            return True
        return None if kind == "null" else self._string(schema)

    def _merged(self, schema: dict[str, Any], level: int) -> dict[str, Any]:
        """The schema with what it refers to, what all of its parts say, and one of its choices."""
        found = dict(schema)
        for _ in range(_LAST):
            more = self._parts(found, level)
            if not more:
                break
            for part in more:
                found = _both(found, part) if isinstance(part, dict) else found
        return found

    def _parts(self, schema: dict[str, Any], level: int) -> list[Any]:
        parts: list[Any] = []
        if "$ref" in schema:
            parts.append(self._referred(schema.pop("$ref")))
        parts += schema.pop("allOf", [])
        for choice in ("anyOf", "oneOf"):
            options = schema.pop(choice, None)
            if options:
                parts.append(self._choice(options, level))
        return parts

    def _choice(self, options: list[Any], level: int) -> Any:
        """The first; further down the one that holds least, so that an end is reached."""
        return options[0] if level < _ENOUGH else min(options, key=lambda option: str(option).count("{"))

    def _referred(self, reference: str) -> Any:
        found = self._root
        for part in str(reference).split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            found = found.get(name, {}) if isinstance(found, dict) else {}
        return found

    def _object(self, schema: dict[str, Any], level: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties", {})
        required = schema.get("required", [])
        names = [*properties, *(name for name in required if name not in properties)]
        others = schema.get("additionalProperties", {})
        return {
            name: self.of(properties.get(name, others if isinstance(others, dict) else {}), level + 1)
            for name in names
            if name in required or level < _ENOUGH
        }

    def _array(self, schema: dict[str, Any], level: int) -> list[Any]:
        first = schema.get("prefixItems", [])
        rest = schema.get("items", {})
        least = max(schema.get("minItems", 0), 1 if level < _ENOUGH else 0)
        count = min(least, schema.get("maxItems", least), len(first) if rest is False else least)
        return [self.of(first[n] if n < len(first) else rest, level + 1) for n in range(count)]

    def _string(self, schema: dict[str, Any]) -> str:
        text: str = _FORMATS.get(schema.get("format", ""), self._words)
        least = schema.get("minLength", 0)
        text = text + "." * (least - len(text))
        return text[: max(schema.get("maxLength", len(text)), 0)]


def _type(schema: dict[str, Any]) -> str:
    named = schema.get("type")
    if isinstance(named, list):
        named = next((each for each in named if each != "null"), "null")
    return str(named) if named else next((kind for keyword, kind in _TYPE_OF.items() if keyword in schema), "string")


def _both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What both say; the tighter of two bounds."""
    found = {**other, **one}
    for name in ("properties", "$defs"):
        if name in one and name in other:
            found[name] = {**other[name], **one[name]}
    for name in ("required", "allOf"):
        if name in one and name in other:
            found[name] = [*one[name], *other[name]]
    for name, tighter in _TIGHTER.items():
        if name in one and name in other:
            found[name] = tighter(one[name], other[name])
    return found


def _number(schema: dict[str, Any], *, whole: bool) -> float | int:
    """The smallest that is allowed, or 1."""
    step = schema.get("multipleOf") or (1 if whole else None)
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    bottoms = [each for each in (low, above) if each is not None and not isinstance(each, bool)]
    tops = [each for each in (high, below) if each is not None and not isinstance(each, bool)]
    value: float = max(bottoms) if bottoms else min([1, *tops])
    if step:
        value = (math.ceil if bottoms else math.floor)(value / step) * step
    for bound, sign in ((above, 1), (below, -1)):
        if bound is not None and value == bound:
            value += sign * (step or _gap(bottoms, tops))
    return int(value) if whole else value


def _gap(bottoms: list[float], tops: list[float]) -> float:
    """So much within both bounds."""
    return (min(tops) - max(bottoms)) / 2 if bottoms and tops else 1
