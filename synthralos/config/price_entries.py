"""Prices as a catalog has them: US dollars per million tokens, as decimals in quotes, with tiers and dates.

The form is explained at the top of `catalog.toml`.
"""

from datetime import date
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from synthralos.domain.money import Price, Rates, ServiceTier, Tariff

FACTOR, RATES = "a factor", "rates"
"""Which of its two forms the price of a service tier has. In the path to an error it is of no use."""


class Table(BaseModel):
    """A table of the catalog: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _dollars(value: object) -> Decimal:
    if not isinstance(value, str):
        raise ValueError('must be a decimal in quotes, such as "0.15"')
    try:
        amount = Decimal(value)
    except InvalidOperation:
        raise ValueError('must be a decimal in quotes, such as "0.15"') from None
    if not amount.is_finite() or amount < 0:
        raise ValueError("must not be negative")
    return amount


def _iso_date(value: str) -> str:
    return date.fromisoformat(value).isoformat()


Dollars = Annotated[Decimal, BeforeValidator(_dollars)]
Day = Annotated[str, AfterValidator(_iso_date)]
Tokens = Annotated[int, Field(strict=True, gt=0)]


class RatesEntry(Table):
    """What the tokens of a request cost, by their kind."""

    input: Dollars
    output: Dollars
    cached: Annotated[Dollars | None, Field(description="read from the prompt cache; else as input")] = None
    cache_write: Annotated[Dollars | None, Field(description="written to the prompt cache; else as input")] = None
    cache_write_1h: Annotated[Dollars | None, Field(description="written for an hour; null: unknown")] = None

    def rates(self) -> Rates:
        """As routing and the books use them."""
        return Rates(self.input, self.output, self.cached, self.cache_write, self.cache_write_1h)


class LongPromptEntry(RatesEntry):
    """What a whole request costs whose prompt is longer than so many tokens."""

    prompt: Annotated[Tokens, Field(description="a prompt of more tokens than these is at these rates")]


def _rising(steps: list[LongPromptEntry]) -> list[LongPromptEntry]:
    if any(one.prompt >= two.prompt for one, two in pairwise(steps)):
        raise ValueError("prompt must rise from entry to entry; put the shortest first")
    return steps


Above = Annotated[
    list[LongPromptEntry], AfterValidator(_rising), Field(description="other rates for longer prompts, shortest first")
]


class TariffEntry(RatesEntry):
    """The rates of one service tier."""

    above: Above = []

    def steps(self) -> tuple[tuple[int, Rates], ...]:
        """(tokens of prompt, rates), the fewest tokens first."""
        return tuple((step.prompt, step.rates()) for step in self.above)


def _form(value: object) -> str:
    return RATES if isinstance(value, dict | TariffEntry) else FACTOR


TierPrice = Annotated[
    Annotated[Dollars, Tag(FACTOR)] | Annotated[TariffEntry, Tag(RATES)],
    Discriminator(_form),
    Field(description='a factor on the standard rates, such as "0.5", or rates of its own'),
]


class ServiceTiersEntry(Table):
    """What a provider charges for its other service tiers. A tier that is not named has no known price."""

    flex: TierPrice | None = None
    priority: TierPrice | None = None
    batch: TierPrice | None = None

    def tariffs(self, standard: Tariff) -> dict[ServiceTier, Tariff]:
        """By tier; factors are on `standard`."""
        found = {tier: getattr(self, tier) for tier in ServiceTier if tier is not ServiceTier.STANDARD}
        return {tier: _tariff(price, standard) for tier, price in found.items() if price is not None}


def _tariff(price: Decimal | TariffEntry, standard: Tariff) -> Tariff:
    return standard.times(price) if isinstance(price, Decimal) else Tariff(price.rates(), price.steps())


class _TermsEntry(TariffEntry):
    """All that is charged at one time."""

    service_tiers: ServiceTiersEntry = ServiceTiersEntry()

    def terms(self) -> dict[str, Any]:
        """The members of a `Price`."""
        rates, steps = self.rates(), self.steps()
        kinds = {name: getattr(rates, name) for name in RatesEntry.model_fields}
        return {**kinds, "above": steps, "service_tiers": self.service_tiers.tariffs(Tariff(rates, steps))}


class LaterEntry(_TermsEntry):
    """A price that follows."""

    valid_from: Annotated[Day, Field(description="the day in UTC from which it holds")]


def _in_order(prices: list[LaterEntry]) -> list[LaterEntry]:
    if any(one.valid_from >= two.valid_from for one, two in pairwise(prices)):
        raise ValueError("valid_from must rise from entry to entry; put the earliest first")
    return prices


class PriceEntry(_TermsEntry):
    """US dollars per million tokens, as decimals in quotes; `as_of` is the ISO date on which it was checked."""

    as_of: Day
    later: Annotated[
        list[LaterEntry], AfterValidator(_in_order), Field(description="prices that follow, the earliest first")
    ] = []

    def price(self) -> Price:
        """As routing and the books use it."""
        later = [Price(as_of=self.as_of, valid_from=each.valid_from, **each.terms()) for each in self.later]
        return Price(as_of=self.as_of, later=tuple(later), **self.terms())
