"""How much work it is to hold an answer against a JSON Schema, reckoned from the schema alone."""

from collections.abc import Iterator
from typing import Any

DEEPEST = 64
"""Levels of an answer that are checked at most, and reckoned with."""

MOST_WORK = 100_000
"""Schemas that may be applied along one path from the top of an answer to its bottom."""

MOST_NODES = 5_000

_IN_PLACE = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "$ref"})
"""Keywords whose schemas apply to the same value; those of all others apply to its parts."""
_MANY = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
_PARTS = frozenset(
    {
        "properties", "patternProperties", "additionalProperties", "propertyNames", "unevaluatedProperties", "items",
        "prefixItems", "additionalItems", "contains", "unevaluatedItems",
    }
)  # fmt: skip


class SchemaTooComplex(ValueError):
    """A schema whose work cannot be bounded, or that refers outside itself."""


def work_by_level(schema: Any) -> list[int]:
    """The schemas applied along a path, for answers of 0, 1, 2 … levels, while they stay within bounds.

    Raises `SchemaTooComplex`.
    """
    reckoning = _Reckoning(schema)
    found: list[int] = []
    work = reckoning.next_level([])
    while work[0] <= MOST_WORK and len(found) <= DEEPEST:
        found.append(work[0])
        work = reckoning.next_level(work)
    return found


class _Reckoning:
    """The schemas within a schema, by number, each with those that apply in the same place and those of the parts."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._numbers: dict[int, int] = {}
        self._schemas: list[Any] = []
        self._here: list[list[int]] = []
        self._below: list[list[list[int]]] = []
        self._add(root)
        done = 0
        while done < len(self._schemas):
            self._expand(self._schemas[done])
            done += 1

    def next_level(self, below: list[int]) -> list[int]:
        """The work of each schema on an answer with one level more than that of `below`, which is empty for none."""
        work: list[int | None] = [None] * len(self._schemas)
        for start in range(len(work)):
            self._reckon(start, work, below)
        return [found or 0 for found in work]

    def _reckon(self, start: int, work: list[int | None], below: list[int]) -> None:
        """Depth first without recursion: a chain of `$ref`s may be long."""
        stack, under_way = [start], set()
        while stack:
            number = stack[-1]
            if work[number] is not None:
                stack.pop()
                continue
            missing = [other for other in self._here[number] if work[other] is None]
            if not missing:
                parts = sum(max((below[n] for n in group), default=0) for group in self._below[number]) if below else 0
                work[number] = min(1 + parts + sum(work[n] or 0 for n in self._here[number]), MOST_WORK + 1)
                stack.pop()
                continue
            if number in under_way:
                raise SchemaTooComplex("has a $ref that leads back to itself")
            under_way.add(number)
            stack += missing

    def _add(self, schema: Any) -> int:
        number = self._numbers.get(id(schema))
        if number is None:
            number = self._numbers[id(schema)] = len(self._schemas)
            self._schemas.append(schema)
            if number >= MOST_NODES:
                raise SchemaTooComplex(f"has more than {MOST_NODES} schemas within it")
        return number

    def _expand(self, schema: Any) -> None:
        here: list[int] = []
        below: list[list[int]] = []
        for keyword, value in schema.items() if isinstance(schema, dict) else ():
            if keyword in ("$dynamicRef", "$recursiveRef"):
                raise SchemaTooComplex(f"has a {keyword}, which is not supported")
            if keyword == "$ref":
                here.append(self._add(_referred(self._root, value)))
            elif keyword in _IN_PLACE:
                here += [self._add(each) for each in _schemas_of(keyword, value)]
            elif keyword in _PARTS:
                parts = [self._add(each) for each in _schemas_of(keyword, value)]
                # Of properties and items by place one applies to a part; of patterns, all may.
                below += [[each] for each in parts] if keyword == "patternProperties" else [parts]
        self._here.append(here)
        self._below.append(below)


def _schemas_of(keyword: str, value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif keyword in _MANY:
        yield from value.values() if isinstance(value, dict) else ()
    else:
        yield value


def _referred(root: Any, reference: Any) -> Any:
    """What a `$ref` within the document leads to. Raises `SchemaTooComplex` for any other."""
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        raise SchemaTooComplex("has a $ref that leads elsewhere: only #/… within the schema is followed")
    found = root
    for part in reference.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            raise SchemaTooComplex(f"has a $ref to {reference[:100]}, which is not there")
    return found
