"""Answers that have to be JSON, or to fit a JSON Schema: whether a schema can be used, and whether an answer fits.

Validation is `jsonschema-rs`'s, without network and with regular expressions in linear time. Its time can still grow
without bound: `$ref`s branch, and branch again on each level of the answer. So the work is reckoned before it is done.
"""

from functools import lru_cache
from typing import Any

import jsonschema_rs
import orjson

from pipelines.schema_work import SchemaTooComplex, work_by_level

MOST_BYTES = 256 * 1024
"""Bytes of a schema as JSON."""

LEAST_DEPTH = 8
"""Levels of an answer that a schema has to allow to be checked."""

MOST_STEPS = 1_000_000_000
"""Work along a path times the characters of the answer, at most: some seconds in the worst case that can be made up."""

_PATTERNS = jsonschema_rs.RegexOptions(size_limit=1_000_000, dfa_size_limit=1_000_000)
_LONGEST = 300


class SchemaProblem(ValueError):
    """A schema that answers cannot be held against. `path` leads to the place in it; `remedy` says what to do."""

    def __init__(self, path: list[str | int], problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.path, self.problem, self.remedy = path, problem, remedy


def check_schema(schema: dict[str, Any]) -> None:
    """Raise `SchemaProblem` for a schema that is none, refers to other documents, or would take too long."""
    raw = _encoded(schema)
    if len(raw) > MOST_BYTES:
        raise SchemaProblem([], f"has more than {MOST_BYTES} bytes", "simplify it")
    _validator(raw)


def mismatch(response_format: dict[str, Any], text: str | None) -> str | None:
    """Why the text is not what the request's `response_format` asked for; None where it is. Repeats no value of it."""
    try:
        answer = orjson.loads(text or "")
    except orjson.JSONDecodeError as error:
        return f"the answer is no JSON: {error.msg.partition(': line')[0]} at character {error.pos}"
    if response_format["type"] == "json_object":
        return None if isinstance(answer, dict) else f"the answer is a JSON {_kind(answer)}, not an object"
    schema = response_format["json_schema"].get("schema")
    return None if schema is None else _misfit(schema, answer, len(text or ""))


def _misfit(schema: dict[str, Any], answer: Any, size: int) -> str | None:
    try:
        validator, work = _validator(_encoded(schema))
    except SchemaProblem as problem:
        return f"the answer cannot be checked: the schema {problem.problem}"
    levels = _levels(answer)
    if levels >= len(work):
        return f"the answer is nested more than {len(work) - 1} levels deep, too deep to be checked"
    if work[levels] * size > MOST_STEPS:
        return "the answer is too large to be checked: simplify the schema"
    if validator.is_valid(answer):
        return None
    error = next(validator.iter_errors(answer))
    place = "".join(f"/{part}" for part in error.instance_path)[:_LONGEST]
    keyword = str(error.schema_path[-1]) if error.schema_path else "false"
    return f"the answer does not fit the schema at {place or 'its top'}: {keyword}"


def _levels(answer: Any) -> int:
    """How deep objects and arrays are nested."""
    level, found = [answer], 0
    while level := [each for each in level if isinstance(each, dict | list)]:
        found += 1
        level = [child for each in level for child in (each.values() if isinstance(each, dict) else each)]
    return found


def _encoded(schema: dict[str, Any]) -> bytes:
    return orjson.dumps(schema, option=orjson.OPT_NON_STR_KEYS)


@lru_cache(256)
def _validator(raw: bytes) -> tuple[Any, list[int]]:
    """The validator, and its work on answers of so many levels."""
    schema = orjson.loads(raw)
    try:
        work = work_by_level(schema)
    except SchemaTooComplex as error:
        raise SchemaProblem([], str(error), "simplify it") from None
    if len(work) <= LEAST_DEPTH:
        raise SchemaProblem([], "takes too long to check: its $refs branch too often", "simplify it")
    try:
        return jsonschema_rs.validator_for(schema, pattern_options=_PATTERNS, offline=True), work
    except jsonschema_rs.ValidationError as error:
        raise _no_schema(error, list(error.instance_path)) from None
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise _no_schema(error, []) from None


def _no_schema(error: Exception, path: list[str | int]) -> SchemaProblem:
    first_line = (str(error).splitlines() or [""])[0][:_LONGEST]
    return SchemaProblem(path, f"is no JSON Schema: {first_line}", "correct it")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {list: "array", str: "string", bool: "boolean"}.get(type(value), "number")
