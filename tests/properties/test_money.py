from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from synthralos.domain.money import MILLION, SCALE, Price, Usage, total
from tests.fakes.generated import costs, prices, tokens


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    whole, output = draw(tokens), draw(tokens)
    cached = draw(st.integers(0, whole))
    return Usage(whole, output, cached, draw(st.integers(0, output)), draw(st.integers(0, whole - cached)))


@given(prices, usages())
def test_a_cost_is_exact(price: Price, usage: Usage) -> None:
    cached = price.input if price.cached is None else price.cached
    written = price.input if price.cache_write is None else price.cache_write
    exact = (
        Fraction(price.input) * (usage.input - usage.cached - usage.cache_write)
        + Fraction(cached) * usage.cached
        + Fraction(written) * usage.cache_write
        + Fraction(price.output) * usage.output
    ) / 10**6
    assert Fraction(price.cost(usage)) == exact


@given(prices, usages())
def test_a_cost_fits_the_digits_that_are_stored(price: Price, usage: Usage) -> None:
    cost = price.cost(usage)
    assert cost == round(cost, SCALE)
    assert cost >= 0


@given(prices, usages(), usages())
def test_costs_add_up(price: Price, one: Usage, two: Usage) -> None:
    both = Usage(
        one.input + two.input,
        one.output + two.output,
        one.cached + two.cached,
        one.reasoning + two.reasoning,
        one.cache_write + two.cache_write,
    )
    assert price.cost(both) == price.cost(one) + price.cost(two)


@given(prices, usages())
def test_reasoning_is_paid_as_output_and_not_twice(price: Price, usage: Usage) -> None:
    without = Usage(usage.input, usage.output, usage.cached, 0, usage.cache_write)
    assert price.cost(usage) == price.cost(without)


def test_a_million_tokens_cost_the_price() -> None:
    price = Price(Decimal("0.15"), Decimal("0.6"), Decimal("0.075"))
    assert price.cost(Usage(int(MILLION), 0)) == Decimal("0.15")
    assert price.cost(Usage(0, int(MILLION))) == Decimal("0.6")
    assert price.cost(Usage(int(MILLION), 0, cached=int(MILLION))) == Decimal("0.075")


@given(st.lists(costs))
def test_a_total_is_the_exact_sum_of_what_is_known_and_says_if_that_is_all(amounts: list[Decimal | None]) -> None:
    known = [amount for amount in amounts if amount is not None]
    amount, complete = total(amounts)
    assert Fraction(amount) == sum(map(Fraction, known), Fraction(0))
    assert complete is (None not in amounts)
