"""Any text at all is judged: with numbers, and alike each time."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.route.quality.choosing import cheapest_within
from pipelines.route.quality.model import load_quality_model
from synthralos.domain.quality import KINDS

quick = settings(deadline=None, database=None, max_examples=60)
texts = st.lists(st.text(st.characters(exclude_categories=()), max_size=300), max_size=5)
shares = st.floats(0, 1)


@quick
@given(texts)
def test_every_judgement_is_a_number(found: list[str]) -> None:
    judged = load_quality_model().judge(found)
    assert judged.kinds.shape == (len(found), len(KINDS))
    assert np.allclose(judged.kinds.sum(axis=1), 1)
    assert np.isfinite(judged.gain).all()
    assert ((judged.output >= 1) & (np.abs(judged.gain) <= 1)).all()


@quick
@given(st.lists(st.tuples(shares, shares), min_size=1, max_size=6), shares)
def test_the_choice_is_near_enough_and_nothing_near_enough_is_cheaper(
    found: list[tuple[float, float]], give_up: float
) -> None:
    expected, costs = (np.array([column]) for column in zip(*found, strict=True))
    chosen = int(cheapest_within(expected, costs, give_up)[0])
    near = expected[0] >= expected[0].max() - give_up
    assert expected[0, chosen] >= expected[0].max() - give_up - 1e-9
    assert costs[0, chosen] <= costs[0][near].min()
