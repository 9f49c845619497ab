"""Tokens, prices and costs. Money is `Decimal` US dollars; an unknown price gives an unknown cost, never 0."""

from dataclasses import dataclass
from decimal import Decimal

USD = Decimal
MILLION = Decimal(1_000_000)

SCALE = 12
"""Digits after the point that a stored amount keeps: prices have at most 6 per million tokens."""


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
    """US dollars per million tokens, as published on `as_of` (an ISO date)."""

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    as_of: str = ""
    cache_write: Decimal | None = None

    def cost(self, usage: Usage) -> Decimal:
        """The exact cost of `usage` in USD. Cache reads and writes without a price of their own cost as input."""
        read_price = self.input if self.cached is None else self.cached
        write_price = self.input if self.cache_write is None else self.cache_write
        fresh = usage.input - usage.cached - usage.cache_write
        micro = (
            fresh * self.input
            + usage.cached * read_price
            + usage.cache_write * write_price
            + usage.output * self.output
        )
        return (micro / MILLION).normalize() if micro else Decimal(0)


def total(costs: list[Decimal | None]) -> tuple[Decimal, bool]:
    """The sum of the known costs, and whether it is the whole sum (no cost was unknown)."""
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal(0)), len(known) == len(costs)
