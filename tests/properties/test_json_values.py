"""Plain JSON values: whatever has a form in JSON is stored, and reads back as it is."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthralos.domain.json_values import MOST_DEPTH, plain

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    scalars | st.decimals() | st.datetimes(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(scalars, inner)
        | st.frozensets(scalars)
        | st.sets(st.integers())
    ),
    max_leaves=20,
)


@given(values)
def test_what_is_plain_reads_back_as_it_was_written(value: Any) -> None:
    stored = plain(value)
    assert orjson.loads(orjson.dumps(stored)) == stored


@given(values)
def test_what_is_plain_stays_as_it_is(value: Any) -> None:
    assert plain(plain(value)) == plain(value)


def test_what_holds_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["self"] = endless
    with pytest.raises(ValueError, match=str(MOST_DEPTH)):
        plain(endless)
