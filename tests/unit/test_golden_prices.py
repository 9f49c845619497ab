"""What calls cost by the catalog, against figures from elsewhere."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from benchmarks.golden_prices import FEWEST, from_genai_prices, from_lists, mistake


def test_costs_are_those_of_the_vendors_lists() -> None:
    cases = list(from_lists())
    assert len(cases) >= FEWEST
    assert {case.deployment.split("/")[0] for case in cases} == {"anthropic", "google", "openai"}
    assert [problem for case in cases if (problem := mistake(case)) is not None] == []


def test_costs_are_those_of_another_calculator_at_every_tier_and_date() -> None:
    cases = list(from_genai_prices())
    assert len({case.day for case in cases}) > 2
    assert {"standard", "flex", "priority", "batch"} == {case.tier for case in cases}
    assert [problem for case in cases if (problem := mistake(case)) is not None] == []


def test_a_wrong_figure_is_told() -> None:
    case = next(case for case in from_lists() if case.expected)
    assert mistake(replace(case, expected=case.expected + Fraction(Decimal("0.000000000001")))) is not None
