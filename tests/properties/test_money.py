from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthralos.domain.money import MILLION, SCALE, Price, Rates, ServiceTier, Tariff, Usage, total
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


LONG = (
    (100, Rates(Decimal(2), Decimal(3), Decimal("0.2"))),
    (200, Rates(Decimal(4), Decimal(5), Decimal("0.4"))),
)
DATED = Price(
    Decimal(1), Decimal(2), above=LONG, service_tiers={ServiceTier.FLEX: Tariff(Rates(Decimal(0), Decimal(1)))}
)


@pytest.mark.parametrize(("prompt", "input_price"), [(0, 1), (100, 1), (101, 2), (200, 2), (201, 4), (10**6, 4)])
def test_the_whole_request_is_at_the_rates_of_its_prompts_length(prompt: int, input_price: int) -> None:
    rates = DATED.rates(prompt)
    assert rates is not None
    assert rates.input == input_price
    assert DATED.cost(Usage(prompt, 7)) == rates.cost(Usage(prompt, 7))


def test_the_tier_that_was_billed_counts_and_else_the_one_that_was_asked_for() -> None:
    usage = Usage(50, 10**6)
    assert DATED.cost(usage, ServiceTier.FLEX) == 1
    assert DATED.cost(replace(usage, service_tier="standard"), ServiceTier.FLEX) == Decimal("2.00005")
    assert DATED.cost(replace(usage, service_tier="flex")) == 1


def test_the_cost_at_a_tier_without_a_known_price_is_unknown() -> None:
    assert DATED.cost(Usage(1, 1), ServiceTier.PRIORITY) is None
    assert DATED.cost(Usage(1, 1, service_tier="scale")) is None


def test_what_was_written_for_an_hour_costs_its_own_price_or_is_unknown() -> None:
    usage = Usage(1_000_000, 0, cache_write=400_000, cache_write_1h=100_000)
    price = Price(Decimal(1), Decimal(0), cache_write=Decimal("1.25"), cache_write_1h=Decimal(2))
    assert price.cost(usage) == Decimal("0.6") + Decimal("0.375") + Decimal("0.2")
    assert replace(price, cache_write_1h=None).cost(usage) is None


def test_a_price_holds_until_the_next_one_does() -> None:
    later = (
        Price(Decimal(3), Decimal(4), valid_from="2026-12-01"),
        Price(Decimal(5), Decimal(6), valid_from="2027-01-01"),
    )
    price = replace(DATED, later=later)
    assert price.at(datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)) is price
    assert price.at(datetime(2026, 12, 1, tzinfo=UTC)) is later[0]
    assert price.at(datetime(2028, 1, 1, tzinfo=UTC)) is later[1]


@given(st.integers(0, 300), st.data(), st.sampled_from([ServiceTier.STANDARD, ServiceTier.FLEX]))
def test_nothing_costs_more_than_the_dearest(most: int, data: st.DataObject, tier: ServiceTier) -> None:
    bound = DATED.dearest(most, tier)
    prompt = data.draw(st.integers(0, most))
    read = data.draw(st.integers(0, prompt))
    billed = data.draw(st.sampled_from([None, "standard", str(tier)]))
    cost = DATED.cost(Usage(prompt, 9, read, service_tier=billed), tier)
    assert cost is not None
    assert cost <= (most * bound.input + 9 * bound.output) / MILLION
