"""What jobs cost at each deployment of a catalog, as columns of whole numbers of 10^-12 USD a token.

A price has at most six digits after the point for a million tokens, so these numbers are exact.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from pipelines.providers.table import service_tiers, writes_cache
from synthralos.domain.deployments import Deployment
from synthralos.domain.money import MILLION, Price, ServiceTier

UNKNOWN = 10**40
"""10^-12 USD: what a deployment of unknown price is taken to cost where costs are put in order."""


class Column(NamedTuple):
    """10^-12 USD for a token of prompt and of answer, by the number of the deployment.

    `saved`: what a token of prompt costs less where it is read from the prompt cache; 0 where that is not known.
    """

    prompt: list[int]
    answer: list[int]
    saved: list[int]


class Prices:
    """The prices in force on a day, at a service tier where a deployment has that, else at the standard one."""

    def __init__(self, deployments: Sequence[Deployment], day: str, wanted: ServiceTier = ServiceTier.STANDARD) -> None:
        self.day, self.wanted = day, wanted
        self._deployments = deployments
        prices = [deployment.price and deployment.price.on(day) for deployment in deployments]
        self.prices: list[Price | None] = prices
        self._tiers = [_tier(d, price, wanted) for d, price in zip(deployments, prices, strict=True)]
        self._limits = sorted(
            {start for price in prices if price for tariff in price.tariffs.values() for start, _ in tariff.above}
        )
        self._estimated: dict[int, Column] = {}
        self._worst: dict[int, Column] = {}

    def tier(self, number: int) -> ServiceTier:
        """The service tier that a deployment is counted with."""
        return self._tiers[number]

    def estimated(self, prompt_tokens: int) -> Column:
        """For prompts of so many tokens."""
        return self._column(self._estimated, prompt_tokens, worst=False)

    def worst(self, prompt_tokens: int) -> Column:
        """The most that tokens may cost in prompts of at most so many."""
        return self._column(self._worst, prompt_tokens, worst=True)

    def costs(self, numbers: Sequence[int], prompt_tokens: int, output: int, *, asked: bool) -> list[int]:
        """10^-12 USD that a call is estimated to cost at each. An answer whose length was not `asked` for is no longer
        than the deployment allows.
        """
        prompt, answer, _ = self.estimated(prompt_tokens)
        if asked:
            return [prompt_tokens * prompt[number] + output * answer[number] for number in numbers]
        return [
            prompt_tokens * prompt[number] + min(output, self._deployments[number].max_output) * answer[number]
            for number in numbers
        ]

    def worst_costs(self, numbers: Sequence[int], billed: int, max_output: int | None) -> list[int]:
        """10^-12 USD that a call may cost at most at each, where at most so many tokens are `billed` for the prompt."""
        prompt, answer, _ = self.worst(billed)
        longest = [self._deployments[number].max_output if max_output is None else max_output for number in numbers]
        return [
            billed * prompt[number] + output * answer[number] for number, output in zip(numbers, longest, strict=True)
        ]

    def _column(self, known: dict[int, Column], prompt_tokens: int, *, worst: bool) -> Column:
        step = bisect_left(self._limits, prompt_tokens)
        column = known.get(step)
        if column is None:
            rows = [self._row(number, prompt_tokens, worst=worst) for number in range(len(self._deployments))]
            column = known[step] = Column(*([row[kind] for row in rows] for kind in range(3)))
        return column

    def _row(self, number: int, prompt_tokens: int, *, worst: bool) -> tuple[int, int, int]:
        price, tier = self.prices[number], self._tiers[number]
        if price is None:
            return UNKNOWN, UNKNOWN, 0
        if worst:
            bound = price.dearest(prompt_tokens, tier, writes_cache=writes_cache(self._deployments[number]))
            return int(bound.input * MILLION), int(bound.output * MILLION), 0
        rates = price.tariffs[tier].at(prompt_tokens)
        # Where a prompt is never written to the cache, it is never read from it.
        cached = rates.cached is not None and writes_cache(self._deployments[number])
        saved = rates.input - rates.cached if cached and rates.cached is not None else 0
        return int(rates.input * MILLION), int(rates.output * MILLION), max(0, int(saved * MILLION))


def _tier(deployment: Deployment, price: Price | None, wanted: ServiceTier) -> ServiceTier:
    return wanted if wanted in service_tiers(deployment, price) else ServiceTier.STANDARD
