"""Answers held against a JSON Schema: what fits, what is said of what does not, and schemas that are refused."""

import time
from typing import Any

import orjson
import pytest

from pipelines.output_schema import LEAST_DEPTH, SchemaProblem, check_schema, mismatch

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}
TREE = {
    "type": "object",
    "properties": {"value": {"type": "integer"}, "left": {"$ref": "#"}, "right": {"$ref": "#"}},
    "required": ["value"],
}
ANY_OBJECT = {"type": "json_object"}


def wanted(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def tree(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {"value": 0}
    for level in range(levels - 1):
        found = {"value": level, "left": found}
    return found


def doubling(levels: int) -> dict[str, Any]:
    """Each level applies the next one twice."""
    twice = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/a0", "$defs": {**twice, f"a{levels}": {"type": "object"}}}


@pytest.mark.parametrize(
    ("response_format", "text"),
    [
        (wanted(PERSON), '{"name": "Jo", "age": 3}'),
        (wanted(PERSON), ' {"name": "Jo"}\n'),
        (wanted(TREE), orjson.dumps(tree(20)).decode()),
        (wanted({"type": "array", "items": {"enum": [1, 2]}}), "[1, 2, 1]"),
        (wanted({}), "null"),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, "1"),
        (ANY_OBJECT, "{}"),
    ],
)
def test_what_fits(response_format: dict[str, Any], text: str) -> None:
    assert mismatch(response_format, text) is None


@pytest.mark.parametrize(
    ("response_format", "text", "said"),
    [
        (wanted(PERSON), '{"name": "secret", "age": "secret"}', "at /age: type"),
        (wanted(PERSON), '{"age": 3}', "at its top: required"),
        (wanted(PERSON), '{"name": "Jo", "age": -1}', "at /age: minimum"),
        (wanted(PERSON), '{"name": "Jo", "secret": 1}', "additionalProperties"),
        (wanted(PERSON), '```json\n{"name": "Jo"}\n```', "no JSON"),
        (wanted(PERSON), '{"name": "se', "no JSON"),
        (wanted(PERSON), "", "no JSON"),
        (wanted(PERSON), None, "no JSON"),
        (wanted(PERSON), '{"name": NaN}', "no JSON"),
        (wanted({"type": "number"}), "[" * 5000 + "]" * 5000, "no JSON"),
        (wanted(TREE), orjson.dumps(tree(100)).decode(), "too deep to be checked"),
        (ANY_OBJECT, "[1]", "a JSON array, not an object"),
        (ANY_OBJECT, "null", "a JSON null, not an object"),
    ],
)
def test_what_does_not_fit_and_where(response_format: dict[str, Any], text: str | None, said: str) -> None:
    problem = mismatch(response_format, text)
    assert problem is not None
    assert said in problem
    assert "secret" not in problem
    assert len(problem) < 500


@pytest.mark.parametrize(
    ("schema", "path", "said"),
    [
        ({"properties": {"a": {"type": "strin"}}}, ["properties", "a", "type"], "is no JSON Schema"),
        ({"pattern": "(?=a)b"}, ["pattern"], "is no JSON Schema"),
        ({"pattern": "("}, ["pattern"], "is no JSON Schema"),
        ({"$ref": "https://example.com/schema.json"}, [], "leads elsewhere"),
        ({"$ref": "#/$defs/missing"}, [], "is not there"),
        ({"$ref": "#"}, [], "leads back to itself"),
        ({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"anyOf": [{"$ref": "#"}]}}}, [], "leads back to itself"),
        (doubling(40), [], "too long to check"),
        ({"anyOf": [{"properties": {"a": {"$ref": "#"}}}] * 20}, [], "too long to check"),
        ({"allOf": [{"type": "object", "title": str(n)} for n in range(6_000)]}, [], "schemas within it"),
        ({"description": "x" * 300_000}, [], "bytes"),
    ],
)
def test_schemas_that_answers_cannot_be_held_against(schema: dict[str, Any], path: list[str], said: str) -> None:
    with pytest.raises(SchemaProblem) as caught:
        check_schema(schema)
    assert said in caught.value.problem
    assert caught.value.path == path
    problem = mismatch(wanted(schema), "{}")
    assert problem is None or "bytes" in said or "cannot be checked" in problem


def test_schemas_that_hold_themselves_are_checked_as_deep_as_time_allows() -> None:
    expression = {
        "anyOf": [
            {"type": "integer"},
            {"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}},
        ]
    }
    check_schema(expression)
    assert mismatch(wanted(expression), orjson.dumps(tree(30)).decode()) is None
    two_ways = {"anyOf": [{"properties": {"left": {"$ref": "#"}}}, {"properties": {"left": {"$ref": "#"}}}]}
    check_schema(two_ways)
    assert mismatch(wanted(two_ways), orjson.dumps(tree(LEAST_DEPTH)).decode()) is None
    assert "too deep" in str(mismatch(wanted(two_ways), orjson.dumps(tree(30)).decode()))


def test_no_pattern_takes_for_ever() -> None:
    began = time.process_time()
    assert mismatch(wanted({"type": "string", "pattern": "^(a+)+$"}), orjson.dumps("a" * 100_000 + "!").decode())
    assert time.process_time() - began < 5


def test_work_times_size_is_bounded() -> None:
    schema = doubling(14)
    check_schema(schema)
    assert "too large" in str(mismatch(wanted(schema), orjson.dumps({"a": "x" * 100_000}).decode()))
