"""Tokens, prices and costs. Money is `Decimal` US dollars; an unknown price gives an unknown cost, never 0."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

USD = Decimal
MILLION = Decimal(1_000_000)

SCALE = 12
"""Digits after the point that a stored amount keeps: prices have at most 6 per million tokens."""


class Costs(NamedTuple):
    """Of one attempt in USD: as estimated, and at most. None where a price is unknown."""

    estimated: Decimal | None
    worst: Decimal | None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `cached` and `cache_write` are part of `input`; `reasoning` are part of `output`.

    `cached` were read from the provider's prompt cache, `cache_write` were written to it.
    """

    input: int
    output: int
    cached: int = 0
    reasoning: int = 0
    cache_write: int = 0


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens, as published on `as_of` (an ISO date).

    For `cost`, the prices of a token (fresh, read from the cache, written to it, output) are kept as whole numbers of
    the smallest unit that all of them are multiples of.
    """

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    as_of: str = ""
    cache_write: Decimal | None = None
    _units: tuple[int, int, int, int] = field(init=False, repr=False, compare=False)
    _unit: Decimal = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        read = self.input if self.cached is None else self.cached
        write = self.input if self.cache_write is None else self.cache_write
        prices = (self.input, read, write, self.output)
        digits = max(0, *(-int(price.as_tuple().exponent) for price in prices))
        object.__setattr__(self, "_units", tuple(int(price.scaleb(digits)) for price in prices))
        object.__setattr__(self, "_unit", 1 / MILLION.scaleb(digits))

    @property
    def dearest_input(self) -> Decimal:
        """US dollars per million tokens of the prompt, however they are billed."""
        return max(self.input, self.cached or self.input, self.cache_write or self.input)

    def cost(self, usage: Usage) -> Decimal:
        """The exact cost of `usage` in USD. Cache reads and writes without a price of their own cost as input."""
        fresh, read, write, output = self._units
        units = (
            (usage.input - usage.cached - usage.cache_write) * fresh
            + usage.cached * read
            + usage.cache_write * write
            + usage.output * output
        )
        return (units * self._unit).normalize() if units else Decimal(0)


def total(costs: list[Decimal | None]) -> tuple[Decimal, bool]:
    """The sum of the known costs, and whether it is the whole sum (no cost was unknown)."""
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal(0)), len(known) == len(costs)
