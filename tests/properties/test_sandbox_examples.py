"""The sandbox's examples fit the schemas that they are made from."""

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.providers.sandbox_answers import answer
from pipelines.providers.sandbox_examples import MOST_CHARACTERS, MOST_VALUES, examples
from synthralos.domain.jobs import Request

numbers = st.integers(-50, 50)


def bounded(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda low, more, step: {"type": kind} | low | more | step,
        st.just({})
        | st.builds(lambda n: {"minimum": n}, numbers)
        | st.builds(lambda n: {"exclusiveMinimum": n}, numbers),
        st.just({}) | st.builds(lambda n: {"maximum": n}, st.integers(60, 90)),
        st.just({}) | st.builds(lambda n: {"multipleOf": n}, st.integers(1, 7) | st.sampled_from([0.1, 0.5, 1.5])),
    )


texts = st.builds(
    lambda low, high: {"type": "string", "minLength": low, "maxLength": low + high},
    st.integers(0, 30),
    st.integers(0, 30),
)
texts_with_room = st.builds(lambda low: {"type": "string", "minLength": low, "maxLength": 40}, st.integers(0, 30))
leaves = st.one_of(
    texts,
    bounded("integer"),
    bounded("number"),
    st.sampled_from(
        [{"type": "boolean"}, {"type": "null"}, {"const": [1]}, {"enum": ["b", "a"]}, {}, {"type": "string"}]
    ),
    st.just({"type": ["null", "integer"]}),
    st.sampled_from(
        [{"type": "string", "format": "date-time"}, {"type": "string", "enum": [1, None, "c"]}, {"minimum": 7}]
    ),
    st.just({"$ref": "#/$defs/name"}),
)


def within(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    objects = st.dictionaries(st.sampled_from(["a", "b", "c d"]), inner, max_size=3).flatmap(
        lambda found: st.builds(
            lambda required, closed: {
                "type": "object", "properties": found, "required": required, "additionalProperties": not closed
            },
            st.lists(st.sampled_from(sorted(found)), unique=True) if found else st.just([]),
            st.booleans(),
        )
    )  # fmt: skip
    arrays = st.builds(
        lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 3)
    )
    unique = st.builds(
        lambda items, least: {"type": "array", "items": items, "minItems": least, "uniqueItems": True},
        texts_with_room | bounded("integer"),
        st.integers(0, 3),
    )
    some = st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3))
    same = st.builds(lambda part: {"allOf": [part, {"description": "again"}, part]}, inner)
    one = inner.map(lambda part: {"oneOf": [{"type": "array", "maxItems": 0, "items": False}, wrapped(part)]})
    return st.one_of(objects, arrays, unique, some, same, one)


def wrapped(part: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"kind": {"const": "x"}, "value": part}, "required": ["kind", "value"]}


schemas = st.recursive(leaves, within, max_leaves=8)


def said(schema: dict[str, Any]) -> Any:
    """What the sandbox answers where the schema is asked for."""
    asked = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    return json.loads(answer(Request("auto", {"messages": [], "response_format": asked})))


@settings(deadline=None)
@given(schemas)
def test_an_example_fits_its_schema(schema: dict[str, Any]) -> None:
    whole = {**schema, "$defs": {"name": {"type": "string", "minLength": 3}}}
    found = said(whole)
    jsonschema_rs.validator_for(whole).validate(found)
    assert said(whole) == found


TREE = {
    "type": "object",
    "properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["value", "children"],
}
LINKED = {"anyOf": [{"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}, {"type": "null"}]}


@pytest.mark.parametrize(
    "schema",
    [
        TREE,
        LINKED,
        {"oneOf": [{"type": "string"}, {"type": "string", "minLength": 1}, {"type": "integer"}]},
        {
            "allOf": [
                {"properties": {"a": {"type": "string"}}},
                {"properties": {"a": {"minLength": 50}}, "minProperties": 3},
            ]
        },
        {"allOf": [{"type": "number", "exclusiveMinimum": 3}, {"type": "integer", "exclusiveMinimum": 8}]},
        {"type": "array", "contains": {"type": "integer", "minimum": 4}, "minContains": 2, "uniqueItems": True},
        {"type": "array", "prefixItems": [{"const": 1}, {"type": "string"}], "items": False, "minItems": 2},
        {"type": "object", "properties": {"a": False, "b": True}, "required": ["c"], "dependentRequired": {"c": ["d"]}},
        {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 3, "uniqueItems": True},
        {"type": "integer", "minimum": 2**62, "multipleOf": 7},
        {"type": "number", "minimum": 0.7, "multipleOf": 0.1},
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"enum": [3]}}},
    ],
)
def test_these_are_answered_with_what_fits(schema: dict[str, Any]) -> None:
    jsonschema_rs.validator_for(schema).validate(said(schema))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"l": {"$ref": "#"}, "r": {"$ref": "#"}}, "required": ["l", "r"]},
        {"type": "array", "minItems": 10**9, "items": {"type": "array", "minItems": 10**9}},
        {"type": "array", "minItems": 10**9, "items": {"type": "string", "minLength": 10**9}},
        {"type": "object", "minProperties": 10**9},
        {"type": "number", "minimum": 1e308, "multipleOf": 1e-300},
        {"type": "number", "exclusiveMinimum": 1.7e308},
        {"$defs": {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)}, "$ref": "#/$defs/a0"},
        {"$ref": "#"},
        {"type": "string", "not": {}},
    ],
)
def test_what_cannot_be_made_is_answered_in_bounds(schema: dict[str, Any]) -> None:
    tried = list(examples(schema, "Hello"))
    assert len(json.dumps(tried)) < 8 * (MOST_CHARACTERS + 50 * MOST_VALUES)
    said(schema)
