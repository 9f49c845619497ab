"""The sandbox's examples fit the schemas that they are made from."""

from typing import Any

import jsonschema_rs
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.providers.sandbox_examples import example

numbers = st.integers(-50, 50)


def bounded(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda low, more, step: {"type": kind} | low | more | step,
        st.just({})
        | st.builds(lambda n: {"minimum": n}, numbers)
        | st.builds(lambda n: {"exclusiveMinimum": n}, numbers),
        st.just({}) | st.builds(lambda n: {"maximum": n}, st.integers(60, 90)),
        st.just({}) | st.builds(lambda n: {"multipleOf": n}, st.integers(1, 7)),
    )


texts = st.builds(
    lambda low, high: {"type": "string", "minLength": low, "maxLength": low + high},
    st.integers(0, 30),
    st.integers(0, 30),
)
leaves = st.one_of(
    texts,
    bounded("integer"),
    bounded("number"),
    st.sampled_from(
        [{"type": "boolean"}, {"type": "null"}, {"const": [1]}, {"enum": ["b", "a"]}, {}, {"type": "string"}]
    ),
    st.just({"type": ["null", "integer"]}),
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
    choices = st.builds(lambda name, options: {name: options}, st.sampled_from(["anyOf", "allOf"]), st.tuples(inner))
    return st.one_of(objects, arrays, choices.map(lambda found: {name: list(o) for name, o in found.items()}))


schemas = st.recursive(leaves, within, max_leaves=8)


@settings(deadline=None)
@given(schemas)
def test_an_example_fits_its_schema(schema: dict[str, Any]) -> None:
    whole = {**schema, "$defs": {"name": {"type": "string", "minLength": 3}}}
    jsonschema_rs.validator_for(whole).validate(example(whole, "Hello"))


def test_schemas_that_hold_themselves_come_to_an_end() -> None:
    tree = {
        "type": "object",
        "properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["value", "children"],
    }
    jsonschema_rs.validator_for(tree).validate(example(tree, "Hello"))
    linked = {
        "anyOf": [{"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}, {"type": "null"}]
    }
    jsonschema_rs.validator_for(linked).validate(example(linked, "Hello"))
