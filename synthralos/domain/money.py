"""Tokens, prices and costs. Money is `Decimal` US dollars; an unknown price gives an unknown cost, never 0.

A price has dates (one price follows another), service tiers (what a provider charges for waiting longer or less), and
context tiers (what it charges for long prompts). Once these are known, `Rates` are left: one price for each kind of
token.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

USD = Decimal
MILLION = Decimal(1_000_000)

SCALE = 12
"""Digits after the point that a stored amount keeps: prices have at most 6 per million tokens."""


class ServiceTier(StrEnum):
    """How soon a provider answers, and at which price. `batch` is a provider's own, whose answers come within a day."""

    STANDARD = "standard"
    FLEX = "flex"
    PRIORITY = "priority"
    BATCH = "batch"


class Costs(NamedTuple):
    """Of one attempt in USD: as estimated, and at most. None where a price is unknown."""

    estimated: Decimal | None
    worst: Decimal | None


class Bound(NamedTuple):
    """What tokens cost at most: US dollars per million of the prompt, however it is billed, and of the answer."""

    input: Decimal
    output: Decimal


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `cached` and `cache_write` are part of `input`; `reasoning` are part of `output`.

    `cached` were read from the provider's prompt cache, `cache_write` were written to it; of these, `cache_write_1h`
    are kept for an hour. `service_tier` is the one that the provider says it billed, in its own word where it is none
    of `ServiceTier`; None where it does not say.
    """

    input: int
    output: int
    cached: int = 0
    reasoning: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    service_tier: str | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars per million tokens of each kind.

    For `cost`, the prices of a token (fresh, read from the cache, written to it, for an hour, output) are kept as whole
    numbers of the smallest unit that all of them are multiples of.
    """

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    _units: tuple[int, int, int, int, int] = field(init=False, repr=False, compare=False)
    _unit: Decimal = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        read = self.input if self.cached is None else self.cached
        write = self.input if self.cache_write is None else self.cache_write
        hour = write if self.cache_write_1h is None else self.cache_write_1h
        prices = (self.input, read, write, hour, self.output)
        digits = max(0, *(-int(price.as_tuple().exponent) for price in prices))
        object.__setattr__(self, "_units", tuple(int(price.scaleb(digits)) for price in prices))
        object.__setattr__(self, "_unit", 1 / MILLION.scaleb(digits))

    def cost(self, usage: Usage) -> Decimal | None:
        """The exact cost of `usage` in USD. Cache reads and writes without a price of their own cost as input.

        None where something was written to the cache for an hour that no price is known for: it costs more than input.
        """
        if usage.cache_write_1h and self.cache_write_1h is None:
            return None
        fresh, read, write, hour, output = self._units
        units = (
            (usage.input - usage.cached - usage.cache_write) * fresh
            + usage.cached * read
            + (usage.cache_write - usage.cache_write_1h) * write
            + usage.cache_write_1h * hour
            + usage.output * output
        )
        return (units * self._unit).normalize() if units else Decimal(0)

    def bound(self, *, writes_cache: bool) -> Bound:
        """What a token costs at most; of writing to the cache where that may happen."""
        written = (self.cache_write, self.cache_write_1h) if writes_cache else ()
        return Bound(max(self.input, *(price or self.input for price in (self.cached, *written))), self.output)

    def times(self, factor: Decimal) -> "Rates":
        """All of them by a factor."""
        kinds = (self.input, self.output, self.cached, self.cache_write, self.cache_write_1h)
        first, second, *others = (None if price is None else price * factor for price in kinds)
        assert first is not None
        assert second is not None
        return Rates(first, second, *others)


@dataclass(frozen=True, slots=True)
class Tariff:
    """What one service tier charges. With more than so many tokens of prompt, the whole request is at other rates.

    `above` has (tokens of prompt, rates), the fewest first. Sources: "Pricing" of OpenAI, Anthropic and Gemini, which
    all charge the tokens below the limit at the higher rate, too.
    """

    rates: Rates
    above: tuple[tuple[int, Rates], ...] = ()

    def at(self, prompt_tokens: int) -> Rates:
        """The rates of a request with so many tokens of prompt."""
        if not self.above:
            return self.rates
        return self.up_to(prompt_tokens)[-1]

    def up_to(self, prompt_tokens: int) -> list[Rates]:
        """The rates of requests with so many tokens of prompt, or fewer."""
        return [self.rates, *(rates for start, rates in self.above if prompt_tokens > start)]

    def times(self, factor: Decimal) -> "Tariff":
        """All rates by a factor."""
        return Tariff(self.rates.times(factor), tuple((start, rates.times(factor)) for start, rates in self.above))


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens, as published on `as_of` (an ISO date).

    `input` to `cache_write_1h` are the standard tier's for short prompts, `above` its for longer ones (see `Tariff`);
    `service_tiers` has the other tiers. `later` are the prices that follow, each in force from the beginning of its
    `valid_from` (an ISO date) in UTC, the earliest first.
    """

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    as_of: str = ""
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    above: tuple[tuple[int, Rates], ...] = ()
    service_tiers: Mapping[ServiceTier, Tariff] = field(default_factory=dict)
    valid_from: str = ""
    later: tuple["Price", ...] = ()
    tariffs: Mapping[str, Tariff] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rates = Rates(self.input, self.output, self.cached, self.cache_write, self.cache_write_1h)
        tariffs: dict[str, Tariff] = {ServiceTier.STANDARD: Tariff(rates, self.above)}
        tariffs.update(self.service_tiers.items())
        object.__setattr__(self, "tariffs", tariffs)

    def at(self, moment: datetime) -> "Price":
        """The price in force at a moment (aware, in UTC)."""
        return self.on(moment.date().isoformat()) if self.later else self

    def on(self, day: str) -> "Price":
        """The price in force on a day, an ISO date in UTC."""
        found = self
        for price in self.later:
            if price.valid_from <= day:
                found = price
        return found

    def rates(self, prompt_tokens: int, tier: str = ServiceTier.STANDARD) -> Rates | None:
        """The rates of a request with so many tokens of prompt; None where the tier has no known price."""
        tariff = self.tariffs.get(tier)
        return None if tariff is None else tariff.at(prompt_tokens)

    def cost(self, usage: Usage, asked: ServiceTier = ServiceTier.STANDARD) -> Decimal | None:
        """The exact cost of `usage` in USD, at the tier that was billed, or else at the one `asked` for; None: unknown.

        Nothing is guessed: the tier's price may be unknown, and so may that of what was written for an hour.
        """
        rates = self.rates(usage.input, usage.service_tier or asked)
        return None if rates is None else rates.cost(usage)

    def dearest(
        self, prompt_tokens: int, tier: ServiceTier = ServiceTier.STANDARD, *, writes_cache: bool = True
    ) -> Bound:
        """What tokens cost at most where the prompt has at most so many, and `tier` is asked for.

        A provider may serve a request at the standard tier instead. Of writing to the cache: where that may happen.
        """
        tariffs = {self.tariffs[ServiceTier.STANDARD], self.tariffs.get(tier, self.tariffs[ServiceTier.STANDARD])}
        reachable = [rates.bound(writes_cache=writes_cache) for each in tariffs for rates in each.up_to(prompt_tokens)]
        return Bound(max(each.input for each in reachable), max(each.output for each in reachable))


@dataclass(frozen=True, slots=True)
class PriceUsed:
    """What a call was counted with: USD per million tokens, the day it was checked, and the one since when it holds."""

    rates: Rates
    as_of: str
    valid_from: str = ""

    def to_json(self) -> dict[str, str | None]:
        """The form in the books."""
        kinds = {name: getattr(self.rates, name) for name in ("input", "output", "cached", "cache_write")}
        booked = {name: None if price is None else format(price, "f") for name, price in kinds.items()}
        if self.rates.cache_write_1h is not None:
            booked["cache_write_1h"] = format(self.rates.cache_write_1h, "f")
        booked["as_of"] = self.as_of
        return {**booked, "valid_from": self.valid_from} if self.valid_from else booked


def total(costs: list[Decimal | None]) -> tuple[Decimal, bool]:
    """The sum of the known costs, and whether it is the whole sum (no cost was unknown)."""
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal(0)), len(known) == len(costs)
