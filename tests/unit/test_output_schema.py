"""Answers held against a JSON Schema: what fits, what is said of what does not, and schemas that are refused."""

import time
from typing import Any

import orjson
import pytest

from pipelines import output_schema
from pipelines.output_schema import BYTES_KEPT, LEAST_DEPTH, SchemaProblem, check_schema, misfit_of

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


def mismatch(response_format: dict[str, Any], text: str | None) -> str | None:
    return misfit_of(response_format)(text)


def tree(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {"value": 0}
    for level in range(levels - 1):
        found = {"value": level, "left": found}
    return found


def doubling(levels: int) -> dict[str, Any]:
    """Each level applies the next one twice."""
    twice = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/a0", "$defs": {**twice, f"a{levels}": {"type": "object"}}}


def conditional(levels: int) -> dict[str, Any]:
    """As `doubling`, by a keyword of older drafts."""
    twice = {
        f"a{n}": {"dependencies": {"x": {"allOf": [{"$ref": f"#/definitions/a{n + 1}"}] * 2}}} for n in range(levels)
    }
    return {"allOf": [{"$ref": "#/definitions/a0"}], "definitions": {**twice, f"a{levels}": {}}}


def chained(links: int, last: dict[str, Any]) -> dict[str, Any]:
    """Schemas that lead to one another, and in the end to the last one."""
    chain = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}]} for n in range(links)}
    return {"$ref": "#/$defs/a0", "$defs": {**chain, f"a{links}": last}}


def nested(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(levels):
        found = {"not": found}
    return found


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
        (wanted(PERSON), '{"name": "Jo", "secret": 1}', "at its top: additionalProperties"),
        (wanted({"additionalProperties": {"type": "null"}}), '{"secret": {"secret": 1}}', "at /*: type"),
        (wanted({"properties": {"a/b~": {"items": {"minimum": 1}}}}), '{"a/b~": [1, 0]}', "at /a~1b~0/1: minimum"),
        (wanted({"properties": {"k" * 9_000: False}}), f'{{"{"k" * 9_000}": 1}}', "falseSchema"),
        (wanted({"enum": ["a", "b"]}), '"secret"', "at its top: enum"),
        (wanted(PERSON), '```json\n{"name": "Jo"}\n```', "no JSON"),
        (wanted(PERSON), '{"name": "se', "no JSON"),
        (wanted(PERSON), "", "no JSON"),
        (wanted(PERSON), None, "no JSON"),
        (wanted(PERSON), '{"name": NaN}', "no JSON"),
        (wanted({"type": "number"}), "[" * 5000 + "]" * 5000, "no JSON"),
        (wanted(TREE), orjson.dumps(tree(100)).decode(), "too deep to be checked"),
        (wanted({"type": "number"}), "[" * 1_000 + "]" * 1_000, "too deep to be checked"),
        (wanted({}), "[" + "{}," * 400_000 + "{}]", "too large"),
        (ANY_OBJECT, '{"a": "' + "x" * 4_000_000 + '"}', "too large"),
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
        ({"pattern": "(?=a)b"}, ["pattern"], "regular expression"),
        ({"pattern": "("}, ["pattern"], "regular expression"),
        ({"pattern": "(a{1,1000}){1,1000}"}, [], "too long to check"),
        ({"$ref": "https://example.com/schema.json"}, ["$ref"], "leads elsewhere"),
        ({"$ref": "file:///etc/passwd"}, ["$ref"], "leads elsewhere"),
        ({"items": {"anyOf": [{}, {"$ref": "#/$defs/missing"}]}}, ["items", "anyOf", 1, "$ref"], "is not there"),
        ({"$ref": "#"}, [], "leads back to itself"),
        ({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"anyOf": [{"$ref": "#"}]}}}, [], "leads back to itself"),
        (doubling(40), [], "too long to check"),
        ({"anyOf": [{"properties": {"a": {"$ref": "#"}}}] * 20}, [], "too long to check"),
        ({"allOf": [{"type": "object", "title": str(n)} for n in range(6_000)]}, [], "schemas within it"),
        ({"description": "x" * 300_000}, [], "bytes"),
        ({"maximum": 10**30}, [], "64 bits"),
        (nested(300), [], "nested too deeply"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", **conditional(40)}, [], "too long to check"),
        ({"$defs": {"a": {"$id": "https://example.com/a"}}}, ["$defs", "a", "$id"], "within a schema"),
        ({"$schema": "https://example.com/meta"}, [], "is no JSON Schema"),
        ({"$dynamicRef": "#a"}, ["$dynamicRef"], "not supported"),
        (chained(5, {"items": {"enum": [{"a": n} for n in range(4_000)]}}), [], "too long to check"),
        (chained(2_000, {}), [], "too long to check"),
        ({"anyOf": [{"items": {"$ref": "#"}}] * 4}, [], "too long to check"),
        ({"allOf": [{"pattern": str(n)} for n in range(200)]}, [], "patterns"),
        ({"pattern": "^[01]*1[01]{3000}$"}, [], "too long to check"),
    ],
)
def test_schemas_that_answers_cannot_be_held_against(schema: dict[str, Any], path: list[str], said: str) -> None:
    with pytest.raises(SchemaProblem) as caught:
        check_schema(schema)
    assert said in caught.value.problem
    assert caught.value.path == path
    with pytest.raises(SchemaProblem):
        misfit_of(wanted(schema))


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


@pytest.mark.parametrize("schema", [{"minimum": "secret"}, {"pattern": "(secret"}, {"items": {"type": "secret"}}])
def test_what_is_said_of_a_schema_repeats_none_of_its_values(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaProblem) as caught:
        check_schema(schema)
    assert "secret" not in str(caught.value)


def test_a_reference_leads_where_its_escapes_say() -> None:
    schema = {"$ref": "#/$defs/a%61", "$defs": {"aa": {"type": "string"}, "a%61": {}}}
    assert "type" in str(mismatch(wanted(schema), "1"))


def test_what_is_missing_is_named() -> None:
    assert "required 'name'" in str(mismatch(wanted(PERSON), "{}"))


HELD = {"$defs": {"names": {"type": "array", "items": {"type": "string"}}}, "anyOf": [{"$ref": "#/$defs/names"}, {}]}
NEITHER = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}
PATTERN = {"type": "array", "items": {"pattern": "^(a+)+$"}}
HARD_PATTERN = {"type": "array", "items": {"pattern": "^[01]*1[01]{100}$"}}
MIXED = {"items": {"enum": [{"a": n} for n in range(500)]}}
DEPENDENT = {"items": {"dependentRequired": {f"p{n}": ["a"] for n in range(4_900)}}}


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ({"items": {"type": "string"}}, [1] * 500_000),
        (HELD, [1] * 500_000),
        (NEITHER, [1] * 500_000),
        (PATTERN, ["a" * 1_000_000 + "!"]),
        (HARD_PATTERN, ["01" * 500_000]),
        (MIXED, [{"a": 499}] * 100_000),
        (DEPENDENT, [{}] * 300_000),
        ({"items": {"uniqueItems": True}}, [[[n] for n in range(15)]] * 15_000),
        (doubling(13), {"a": "x" * 1_000_000}),
        ({"anyOf": [{"items": {"$ref": "#"}}] * 3}, [[[[[[[[1] * 9] * 9] * 9] * 9] * 9]]]),
    ],
)
def test_a_large_answer_holds_nothing_up_whatever_its_schema(schema: dict[str, Any], answer: Any) -> None:
    """Without bounds, nearly all of them take from seconds to hours."""
    check_schema(schema)
    text = orjson.dumps(answer).decode()
    began = time.process_time()
    mismatch(wanted(schema), text)
    assert time.process_time() - began < 2


def test_a_long_answer_that_fits_is_found_to_fit() -> None:
    person = {**PERSON, "properties": {**PERSON["properties"], "name": {"type": "string", "pattern": "^[A-Z][a-z]+$"}}}
    answer = [{"name": "Jo", "age": 3}] * 40_000
    assert mismatch(wanted({"type": "array", "items": person}), orjson.dumps(answer).decode()) is None
    wrong = [*answer, {"name": "jo"}]
    problem = mismatch(wanted({"type": "array", "items": person}), orjson.dumps(wrong).decode())
    assert "at /40000/name: pattern" in str(problem)


def test_schemas_recurse_no_deeper_than_the_stack() -> None:
    """The process would end, not fail."""
    chain = chained(50, {"items": {"$ref": "#"}, "type": "array"})
    check_schema(chain)
    assert mismatch(wanted(chain), "[" * 8 + "]" * 8) is None
    assert "too deep" in str(mismatch(wanted(chain), "[" * 60 + "1" + "]" * 60))


def test_validators_that_are_kept_are_bounded() -> None:
    for n in range(20):
        check_schema({"description": str(n).ljust(200_000)})
    assert 0 < output_schema._validators._bytes <= BYTES_KEPT
    assert len(output_schema._validators._kept) < 12
