"""Answers that have to be JSON, or to fit a JSON Schema: whether a schema can be used, and whether an answer fits.

Validation is `jsonschema-rs`'s, without network and with regular expressions in linear time. Its time can still grow
without bound: `$ref`s branch, and branch again on each level of the answer. So the work is reckoned before it is done,
and what would hold up the event loop is not done.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeAlias

import jsonschema_rs
import orjson

from pipelines.schema_work import APPLIED, SchemaTooComplex, SchemaWork, work_of

MOST_BYTES = 256 * 1024
"""Bytes of a schema as JSON."""

LEAST_DEPTH = 8
"""Levels of an answer that a schema has to allow to be checked."""

MOST_NANOSECONDS = 100_000_000
"""What a check may take, reckoned as the worst case."""

MOST_CHARACTERS = 4_000_000
"""Of an answer: no model writes as much, and reading it holds up the event loop, too."""

MOST_ERRORS = 10_000
"""Errors of options, at most, up to which it is said where an answer fits none of them: each costs up to 30 µs."""

BYTES_KEPT = 2 * 1024 * 1024
"""Bytes of the schemas whose validators are kept. A validator takes up to forty times its schema's."""

_BYTES_PER_PATTERN = 8_000
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=300_000, dfa_size_limit=1_000_000)
_NANOSECONDS_PER_CONTAINER = 300
_LONGEST = 300
_TOO_LARGE = "the answer is too large to be checked"
_CONTAINERS = frozenset({dict, list})

Misfit: TypeAlias = Callable[[str | None], str | None]
"""Why a text is not what was asked for; None where it is. Repeats no value of it."""


class SchemaProblem(ValueError):
    """A schema that answers cannot be held against. `path` leads to the place in it; `remedy` says what to do."""

    def __init__(self, path: list[str | int], problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.path, self.problem, self.remedy = path, problem, remedy


def check_schema(schema: dict[str, Any]) -> None:
    """Raise `SchemaProblem` for a schema that is none, refers to other documents, or would take too long."""
    _validators.of(schema)


def misfit_of(response_format: dict[str, Any]) -> Misfit:
    """How answers are held against a request's `response_format`. Raises `SchemaProblem`."""
    if response_format["type"] == "json_object":
        return _no_object
    schema = response_format["json_schema"].get("schema")
    return _no_json if schema is None else _validators.of(schema).misfit


def _parsed(text: str | None) -> tuple[Any, str | None]:
    """The answer, and what keeps it from being one."""
    containers = (text or "").count("{") + (text or "").count("[")
    if len(text or "") > MOST_CHARACTERS or containers * _NANOSECONDS_PER_CONTAINER > MOST_NANOSECONDS:
        return None, _TOO_LARGE
    try:
        return orjson.loads(text or ""), None
    except orjson.JSONDecodeError as error:
        return None, f"the answer is no JSON: {error.msg.partition(': line')[0]} at character {error.pos}"


def _no_json(text: str | None) -> str | None:
    return _parsed(text)[1]


def _no_object(text: str | None) -> str | None:
    answer, problem = _parsed(text)
    if problem is not None or isinstance(answer, dict):
        return problem
    return f"the answer is a JSON {_kind(answer)}, not an object"


@dataclass(frozen=True, slots=True)
class _Checked:
    """A schema that answers can be held against."""

    validator: Any
    work: SchemaWork

    def misfit(self, text: str | None) -> str | None:
        answer, problem = _parsed(text)
        if text is None or problem is not None:
            return problem
        levels = _levels(answer, self.work.levels)
        if levels > self.work.levels:
            return f"the answer is nested more than {self.work.levels} levels deep, too deep to be checked"
        values = 1 + text.count(",") + text.count("{") + text.count("[")
        work = self.work.by_value[levels] * values
        if work + self.work.by_character[levels] * len(text) > MOST_NANOSECONDS:
            return f"{_TOO_LARGE}: simplify the schema"
        if self.validator.is_valid(answer):
            return None
        if self.work.many_errors and work > MOST_ERRORS * APPLIED:
            return "the answer does not fit the schema; it is too long to say where"
        return f"the answer does not fit the schema{self._where(answer)}"

    def _where(self, answer: Any) -> str:
        try:
            self.validator.validate(answer)
        except jsonschema_rs.ValidationError as error:
            missing = getattr(error.kind, "property", None)
            named = f" {missing!r:.100}" if isinstance(missing, str) else ""
            return f" at {self._pointer(error.instance_path) or 'its top'}: {error.kind.name}{named}"
        return ""

    def _pointer(self, path: list[str | int]) -> str:
        """A JSON pointer, in which a `*` stands for what the answer, and not the schema, gave a name."""
        parts = ["*" if isinstance(part, str) and part not in self.work.names else str(part) for part in path]
        pointer = "".join("/" + part[:_LONGEST].replace("~", "~0").replace("/", "~1") for part in parts)
        return "".join(c if c.isprintable() else "?" for c in pointer[:_LONGEST])


class _Validators:
    """Those of late, by their schemas' JSON, while the bytes of all are within bounds. Any thread may ask."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, _Checked] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def of(self, schema: dict[str, Any]) -> _Checked:
        """The schema's; raises `SchemaProblem`."""
        raw = _encoded(schema)
        with self._lock:
            checked = self._kept.get(raw)
            if checked is not None:
                self._kept.move_to_end(raw)
                return checked
        checked = _checked(raw)
        with self._lock:
            if raw not in self._kept:
                self._kept[raw] = checked
                self._bytes += _size(raw, checked)
            while self._bytes > BYTES_KEPT:
                self._bytes -= _size(*self._kept.popitem(last=False))
        return checked


def _size(raw: bytes, checked: _Checked) -> int:
    return 1_000 + len(raw) + _BYTES_PER_PATTERN * checked.work.patterns


_validators = _Validators()


def _levels(answer: Any, most: int) -> int:
    """How deep objects and arrays are nested; one more than `most` where it is more."""
    level, found = ([answer] if type(answer) in _CONTAINERS else []), 0
    while level and found <= most:
        found += 1
        level = [
            child
            for each in level
            for child in (each.values() if type(each) is dict else each)
            if type(child) in _CONTAINERS
        ]
    return found


def _encoded(schema: dict[str, Any]) -> bytes:
    try:
        raw = orjson.dumps(schema, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        problem = "is nested too deeply, or has integers beyond 64 bits"
        raise SchemaProblem([], problem, "simplify it") from None
    if len(raw) > MOST_BYTES:
        raise SchemaProblem([], f"has more than {MOST_BYTES} bytes", "simplify it")
    return raw


def _checked(raw: bytes) -> _Checked:
    schema = orjson.loads(raw)
    try:
        work = work_of(schema)
    except SchemaTooComplex as error:
        raise SchemaProblem(error.path(schema), str(error), "simplify it") from None
    if work.levels < LEAST_DEPTH:
        raise SchemaProblem([], "takes too long to check: it branches too often", "simplify it")
    try:
        validator = jsonschema_rs.validator_for(
            schema, pattern_options=_PATTERNS, validate_formats=False, offline=True, mask="the value"
        )
    except jsonschema_rs.ValidationError as error:
        raise _no_schema(error) from None
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise SchemaProblem([], f"is no JSON Schema: {_first_line(error)}", "correct it") from None
    return _Checked(validator, work)


def _no_schema(error: jsonschema_rs.ValidationError) -> SchemaProblem:
    path = list(error.instance_path)
    if error.kind.name == "format":
        remedy = "simplify it; look-around and back-references are out"
        return SchemaProblem(path, "cannot be used as a regular expression", remedy)
    return SchemaProblem(path, f"is no JSON Schema: {_first_line(error)}", "correct it")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:_LONGEST]


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {list: "array", str: "string", bool: "boolean"}.get(type(value), "number")
