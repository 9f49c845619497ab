"""How long it takes to hold an answer against a JSON Schema, reckoned from the schema alone, in nanoseconds.

Each schema that applies costs for each value, and some keywords for each character. What applies to the same value
adds up, and so does what applies to its parts: along a path from the top of an answer to its bottom, level by level,
with `$ref`s followed. That, times the values and characters of an answer, is more than its check takes.

The costs are measured ones of jsonschema-rs 0.60, rounded up.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from pipelines.schema_patterns import pattern_cost

DEEPEST = 64
"""Levels of an answer that are checked at most, and reckoned with."""

MOST_WORK = 2_500_000
"""Nanoseconds that a value may take along a path."""

MOST_WORK_OF_CHARACTERS = 50_000
"""Nanoseconds that a character may take along a path."""

MOST_NESTED = 1_000
"""Schemas that apply within one another, over all levels: the validator recurses, and its stack ends the process."""

MOST_NODES = 5_000
MOST_PATTERNS = 100

MOST_RECKONED = 80_000
"""Schemas times levels: fewer levels of large schemas that hold themselves."""

APPLIED = 25
"""Nanoseconds for a schema that applies to a value."""

_COMPARED = 800
"""For each option of an `enum` that holds objects or arrays: they are compared one by one."""
_UNIQUE = 1_600
_IN_PLACE = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"})
"""Keywords whose schemas apply to the same value, as `$ref` does; those of all others apply to its parts."""
_MANY = frozenset({"properties", "patternProperties", "dependentSchemas", "dependencies"})
_PARTS = frozenset(
    {
        "properties", "patternProperties", "additionalProperties", "propertyNames", "unevaluatedProperties", "items",
        "prefixItems", "additionalItems", "contains", "unevaluatedItems",
    }
)  # fmt: skip
_OF_TEXTS = frozenset({"minLength", "maxLength", "enum", "const"})


class SchemaTooComplex(ValueError):
    """A schema whose work cannot be bounded, or that refers outside itself, by the `keyword` of the schema `within`."""

    def __init__(self, problem: str, within: Any = None, keyword: str | None = None) -> None:
        super().__init__(problem)
        self.within, self.keyword = within, keyword

    def path(self, root: Any) -> list[str | int]:
        """The way from the whole schema to the place of the problem; empty where it is the whole one's."""
        todo: list[tuple[Any, list[str | int]]] = [(root, [])] if self.keyword is not None else []
        while todo:
            each, path = todo.pop()
            if each is self.within:
                return [*path, str(self.keyword)]
            parts = each.items() if isinstance(each, dict) else enumerate(each) if isinstance(each, list) else ()
            todo += [(part, [*path, name]) for name, part in parts if isinstance(part, dict | list)]
        return []


@dataclass(frozen=True, slots=True)
class SchemaWork:
    """What to expect of a schema. The lists are by the levels of the answer, as far as work stays within bounds."""

    by_value: list[int]
    by_character: list[int]
    many_errors: bool
    """Whether one error may hold as many as the answer has values: those of all options of a choice."""
    patterns: int
    names: frozenset[str]
    """The properties that the schema itself names."""

    @property
    def levels(self) -> int:
        """The levels that an answer may have."""
        return min(len(self.by_value), len(self.by_character)) - 1


def work_of(schema: Any) -> SchemaWork:
    """Reckon; raises `SchemaTooComplex`."""
    found = _Schemas(schema)
    depth = _by_level(found, [1] * len(found.here), max, MOST_NESTED)
    by_value = _by_level(found, found.value_costs, sum, MOST_WORK)
    return SchemaWork(
        by_value[: len(depth)],
        _by_level(found, found.character_costs, sum, MOST_WORK_OF_CHARACTERS),
        found.many_errors(),
        found.patterns,
        frozenset(found.names),
    )


def _by_level(schemas: "_Schemas", own: list[int], joined: Callable[[list[int]], int], most: int) -> list[int]:
    """The work of the whole schema on answers of 0, 1, 2 … levels, while it is within `most`."""
    if not any(own):
        return [0] * (DEEPEST + 1)
    found: list[int] = []
    before: list[int] = []
    while len(found) <= min(DEEPEST, MOST_RECKONED // len(own)):
        work = [0] * len(own)
        for number in schemas.order:
            within = [work[n] for n in schemas.here[number]]
            if before:
                within += [max([before[n] for n in group]) for group in schemas.below[number]]
            work[number] = min(own[number] + joined(within), most + 1) if within else own[number]
        if work[0] > most:
            break
        if work == before:  # deeper answers are no more work
            return found + [work[0]] * (DEEPEST + 1 - len(found))
        found.append(work[0])
        before = work
    return found


class _Schemas:
    """The schemas within a schema, by number, each with those that apply in the same place and those of the parts."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._numbers: dict[int, int] = {}
        self._schemas: list[Any] = []
        self.here: list[list[int]] = []
        self.below: list[list[list[int]]] = []
        self.value_costs: list[int] = []
        self.character_costs: list[int] = []
        self.names: set[str] = set()
        self.patterns = 0
        _refuse_inner_ids(root)
        self._add(root)
        for schema in self._schemas:  # grows meanwhile
            self._expand(schema if isinstance(schema, dict) else {})
        self.order = self._sorted()

    def many_errors(self) -> bool:
        """Whether an option of some choice looks at the parts of a value."""
        choices = (s for s in self._schemas if isinstance(s, dict) and ("anyOf" in s or "oneOf" in s))
        return any(self._looks_at_parts(self._numbers[id(schema)]) for schema in choices)

    def _looks_at_parts(self, start: int) -> bool:
        todo, seen = list(self.here[start]), set[int]()
        while todo:
            number = todo.pop()
            if number in seen:
                continue
            seen.add(number)
            if self.below[number]:
                return True
            todo += self.here[number]
        return False

    def _sorted(self) -> list[int]:
        """All numbers, those that apply within another one before it. Without recursion: chains of `$ref`s are long."""
        order: list[int] = []
        under_way, done = set[int](), set[int]()
        for start in range(len(self.here)):
            stack = [start]
            while stack:
                number = stack[-1]
                missing = [n for n in self.here[number] if n not in done]
                if number in done or not missing:
                    stack.pop()
                    if number not in done:
                        done.add(number)
                        order.append(number)
                elif number in under_way:
                    raise SchemaTooComplex("has a $ref that leads back to itself")
                else:
                    under_way.add(number)
                    stack += missing
        return order

    def _add(self, schema: Any) -> int:
        number = self._numbers.get(id(schema)) if isinstance(schema, dict) else None
        if number is None:
            number = self._numbers[id(schema)] = len(self._schemas)
            self._schemas.append(schema)
            if number >= MOST_NODES:
                raise SchemaTooComplex(f"has more than {MOST_NODES} schemas within it")
        return number

    def _expand(self, schema: dict[str, Any]) -> None:
        here: list[int] = []
        below: list[list[int]] = []
        by_value, by_character = APPLIED, 0
        for keyword, value in schema.items():
            if keyword in ("$dynamicRef", "$recursiveRef"):
                raise SchemaTooComplex("is not supported", schema, keyword)
            if keyword == "$ref":
                here.append(self._add(_referred(self._root, schema)))
            elif keyword in _IN_PLACE:
                here += [self._add(each) for each in _schemas_of(keyword, value)]
            elif keyword in _PARTS:
                parts = [self._add(each) for each in _schemas_of(keyword, value)]
                # Of properties and items by place one applies to a part; of patterns, all may.
                below += [[each] for each in parts] if keyword == "patternProperties" else [parts] if parts else []
            by_value += _value_cost(keyword, value)
            by_character += self._character_cost(keyword, value)
        self.names.update(schema["properties"] if isinstance(schema.get("properties"), dict) else ())
        self.here.append(here)
        self.below.append(below)
        self.value_costs.append(by_value)
        self.character_costs.append(by_character)

    def _character_cost(self, keyword: str, value: Any) -> int:
        if keyword in _OF_TEXTS:
            return 1
        found = [value] if keyword == "pattern" else value if keyword == "patternProperties" else ()
        patterns = [each for each in found if isinstance(each, str)]
        self.patterns += len(patterns)
        if self.patterns > MOST_PATTERNS:
            raise SchemaTooComplex(f"has more than {MOST_PATTERNS} patterns")
        return sum(map(pattern_cost, patterns))


def _value_cost(keyword: str, value: Any) -> int:
    if keyword in ("dependentRequired", "dependencies") and isinstance(value, dict):
        return APPLIED * len(value)
    if keyword in ("enum", "const"):
        options = value if keyword == "enum" and isinstance(value, list) else [value]
        return _COMPARED * len(options) if any(isinstance(each, dict | list) for each in options) else APPLIED
    return _UNIQUE if keyword == "uniqueItems" and value is True else 0


def _refuse_inner_ids(root: Any) -> None:
    """An `$id` within a schema changes what the `$ref`s below it lead to."""
    names = {"$id", "id"} if "draft-04" in str(root.get("$schema") if isinstance(root, dict) else "") else {"$id"}
    todo = list(root.values()) if isinstance(root, dict) else []
    while todo:
        each = todo.pop()
        if isinstance(each, dict):
            if found := [name for name in names if isinstance(each.get(name), str)]:
                raise SchemaTooComplex("is not supported within a schema", each, found[0])
            todo += each.values()
        elif isinstance(each, list):
            todo += each


def _schemas_of(keyword: str, value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif keyword in _MANY:
        yield from value.values() if isinstance(value, dict) else ()
    else:
        yield value


def _referred(root: Any, schema: dict[str, Any]) -> Any:
    """What a `$ref` within the document leads to. Raises `SchemaTooComplex` for any other."""
    reference = schema["$ref"]
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        raise SchemaTooComplex("leads elsewhere: only #/… within the schema is followed", schema, "$ref")
    found = root
    for part in unquote(reference).split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isascii() and name.isdecimal() and int(name[:9]) < len(found):
            found = found[int(name[:9])]
        else:
            raise SchemaTooComplex("leads to what is not there", schema, "$ref")
    return found
