"""An answer in the form of a JSON Schema: what the sandbox says where a request asks for one.

It follows what schemas of answers are made of. What it cannot follow (a `pattern`, a `not`, conditions) it leaves out.
Whatever a schema asks for, an example is bounded: it is made on a worker's event loop.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.providers.sandbox_merging import both
from pipelines.providers.sandbox_numbers import number

MOST_VALUES = 5_000
"""Values of an example, and schemas that are looked at for it, at most."""

MOST_CHARACTERS = 100_000
"""Characters of an example's texts, at most, all together."""

TURNS = 8
"""Examples that are made of a schema's different options, as long as they are small."""

_SMALL = 500
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
    "properties": "object", "required": "object", "additionalProperties": "object", "minProperties": "object",
    "items": "array", "prefixItems": "array", "minItems": "array", "contains": "array", "minLength": "string",
    "maxLength": "string", "pattern": "string", "format": "string", "minimum": "number", "maximum": "number",
    "exclusiveMinimum": "number", "exclusiveMaximum": "number", "multipleOf": "number",
}  # fmt: skip
_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
    "boolean": (bool,), "null": (type(None),),
}  # fmt: skip


def examples(schema: Any, words: str) -> Iterator[Any]:
    """Values that may fit the schema, the likeliest first; `words` is what their texts say, where they may."""
    for turn in range(TURNS):
        making = _Examples(schema, words or "answer", turn)
        yield making.of(schema, 0)
        if making.looked_at > _SMALL:
            return


class _Examples:
    def __init__(self, root: Any, words: str, turn: int) -> None:
        self._root = root
        self._words = words
        self._turn = turn
        self._variant = 0
        self._characters = MOST_CHARACTERS
        self.looked_at = 0

    def of(self, schema: Any, level: int) -> Any:
        self.looked_at += 1
        if not isinstance(schema, dict) or level > _LAST or self._spent:
            return None
        schema = self._merged(schema, level)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._one_of(schema["enum"], schema)
        return self._typed(_type(schema), schema, level)

    @property
    def _spent(self) -> bool:
        return self.looked_at > MOST_VALUES

    def _one_of(self, options: list[Any], schema: dict[str, Any]) -> Any:
        kinds = _types(schema)
        fitting = [each for each in options if not kinds or any(_is_a(each, kind) for kind in kinds)] or options
        return fitting[self._variant % len(fitting)]

    def _typed(self, kind: str, schema: dict[str, Any], level: int) -> Any:
        if kind == "object":
            return self._object(schema, level)
        if kind == "array":
            return self._array(schema, level)
        if kind in ("integer", "number"):
            return number(schema, whole=kind == "integer", variant=self._variant)
        if kind == "boolean":
            return self._variant % 2 == 0
        return None if kind == "null" else self._string(schema)

    def _merged(self, schema: dict[str, Any], level: int) -> dict[str, Any]:
        """The schema with what it refers to, what all of its parts say, and one of its choices."""
        found = dict(schema)
        while not self._spent and (more := self._parts(found, level)):
            for part in more:
                self.looked_at += 1
                if isinstance(part, dict) and not self._spent:
                    found = both(found, part)
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
        """Each turn another one; further down the one that holds least, so that an end is reached."""
        if level < _ENOUGH:
            return options[self._turn % len(options)]
        return min(options, key=lambda option: str(option).count("{"))

    def _referred(self, reference: str) -> Any:
        found = self._root
        for part in str(reference).split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            found = found.get(name, {}) if isinstance(found, dict) else {}
        return found

    def _object(self, schema: dict[str, Any], level: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties", {})
        others = schema.get("additionalProperties", {})
        found: dict[str, Any] = {}
        for name in self._names(schema, level):
            if self._spent:
                break
            found[name] = self.of(properties.get(name, others if isinstance(others, dict) else {}), level + 1)
        return found

    def _names(self, schema: dict[str, Any], level: int) -> list[str]:
        """What has to be there, and further up what may be there, too."""
        dependent: Mapping[str, list[str]] = schema.get("dependentRequired", {})
        names = dict.fromkeys(schema.get("required", ()))
        if level < _ENOUGH:
            optional = [name for name, each in schema.get("properties", {}).items() if each is not False]
            names |= dict.fromkeys(optional[: max(schema.get("maxProperties", len(optional)) - len(names), 0)])
        for name in list(names):
            names |= dict.fromkeys(dependent.get(name, ()))
        missing = min(schema.get("minProperties", 0), MOST_VALUES) - len(names)
        if schema.get("additionalProperties") is False:
            spare = [name for name in schema.get("properties", ()) if name not in names]
        else:
            spare = [f"more_{number}" for number in range(1, missing + 1)]
        return [*names, *spare[: max(missing, 0)]]

    def _array(self, schema: dict[str, Any], level: int) -> list[Any]:
        first, rest = schema.get("prefixItems", []), schema.get("items", {})
        held, times = schema.get("contains"), schema.get("minContains", 1)
        least = max(schema.get("minItems", 0), 1 if level < _ENOUGH else 0, 0 if held is None else times)
        count = int(min(least, schema.get("maxItems", least), len(first) if rest is False else least))
        found: list[Any] = []
        outer = self._variant
        for place in range(min(count, MOST_VALUES)):
            if self._spent:
                break
            self._variant = place if schema.get("uniqueItems") else outer
            item = first[place] if place < len(first) else rest
            asked = {"allOf": [item, held]} if held is not None and place < times else item
            found.append(self.of({} if asked is True else asked, level + 1))
        self._variant = outer
        return found

    def _string(self, schema: dict[str, Any]) -> str:
        text: str = _FORMATS.get(schema.get("format", ""), self._words)
        text = f"{self._variant} {text}" if self._variant else text
        least = int(min(schema.get("minLength", 0), self._characters))
        text = (text + "." * (least - len(text)))[: max(int(schema.get("maxLength", MOST_CHARACTERS)), 0)]
        self._characters = max(self._characters - len(text), 0)
        return text


def _is_a(value: Any, kind: str) -> bool:
    return isinstance(value, _PYTHON_TYPES.get(kind, ())) and (kind == "boolean" or not isinstance(value, bool))


def _types(schema: dict[str, Any]) -> list[str]:
    named = schema.get("type", [])
    return named if isinstance(named, list) else [named]


def _type(schema: dict[str, Any]) -> str:
    named = _types(schema)
    if named:
        return next((each for each in named if each != "null"), "null")
    return next((kind for keyword, kind in _TYPE_OF.items() if keyword in schema), "string")
