"""Reading JSON: what is refused, and where the complaint points to."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.bodies import parse_json
from api.http.problems import Problem


def refusal(raw: bytes, max_depth: int = 32) -> Problem:
    with pytest.raises(Problem) as caught:
        parse_json(raw, max_depth, "")
    return caught.value


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize("levels", [1, 31, 32])
def test_nesting_up_to_the_limit_is_read(levels: int) -> None:
    assert parse_json(nested(levels), 32, "") is not None


@pytest.mark.parametrize("levels", [33, 1000, 2000, 1_000_000])
def test_nesting_past_the_limit_is_refused_whatever_its_depth(levels: int) -> None:
    assert refusal(nested(levels)).status == 422


@pytest.mark.parametrize("raw", [b"", b"{", b"nul", b"{'a': 1}", b'"\xff"', b"[1,]", b'"\n"', b"1e400e"])
def test_what_is_not_json_is_a_400(raw: bytes) -> None:
    assert refusal(raw).status == 400


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (rb'{"a": [{"b": "\u0000"}]}', "a[0].b"),
        (rb'{"a": {"\u0000": 1}}', "a.?"),
        (rb'{"a": "\ud83d"}', "a"),
        (rb'["\udc00"]', "[0]"),
        (rb'"\ud800"', "body"),
        (b'{"a": NaN}', "a"),
        (b'[0, {"x": -Infinity}]', "[1].x"),
        (b'{"a": 18446744073709551616}', "a"),
        (b'{"a": -9223372036854775809}', "a"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "a"),
    ],
)
def test_what_cannot_be_stored_is_a_422_at_its_field(raw: bytes, field: str) -> None:
    problem = refusal(raw)
    assert (problem.status, [error.field for error in problem.errors]) == (422, [field])


@pytest.mark.parametrize("value", [2**64 - 1, -(2**63), 1e300, -1e19, "\\u0000", "👋", {"a\\": "\\\\u0000"}])
def test_what_only_looks_like_it_is_read_as_it_is(value: Any) -> None:
    assert parse_json(json.dumps([value]).encode(), 32, "") == [value]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(documents)
def test_every_storable_document_is_read_as_it_was_sent(document: Any) -> None:
    assert parse_json(json.dumps(document).encode(), 64, "") == document


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    status = 200
    try:
        parse_json(raw, 32, "")
    except Problem as problem:
        status = problem.status
    assert status in (200, 400, 422)


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"a": 1, "a": 2}', "a"),
        (b'{"a" : 1, "a": 2}', "a"),
        (b'{"a": 1, "\\u0061": 2}', "a"),
        (b'{"constraints": {"classification": "eu", "classification": "none"}}', "constraints.classification"),
        (b'[{"x": ":"}, {"b": "\\":", "b": ""}]', "[1].b"),
        (b'{"a\\\\": 1, "b" : ":", "b": 2}', "b"),
    ],
)
def test_a_member_that_is_given_twice_is_refused_by_name(raw: bytes, field: str) -> None:
    problem = refusal(raw)
    assert problem.status == 422
    assert [error.field for error in problem.errors] == [field]


@given(
    st.recursive(st.text(), lambda inner: st.dictionaries(st.text(), inner, max_size=4) | st.lists(inner, max_size=4))
)
def test_no_member_is_taken_for_two(document: Any) -> None:
    raw = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    if "\\u0000" not in json.dumps(document):
        assert parse_json(raw, 64, "") == json.loads(raw)


def test_a_mark_before_the_body_is_skipped() -> None:
    assert parse_json(b"\xef\xbb\xbf" + b'{"a": 1}', 32, "") == {"a": 1}
