"""What a routing strategy is, and what it is given."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol, overload

from pipelines.route.prices import UNKNOWN
from synthralos.domain.deployments import Deployment
from synthralos.domain.jobs import Job
from synthralos.domain.plans import Step, usd

_RANK_BITS = 24


@dataclass(frozen=True, slots=True)
class Candidate:
    """A deployment that may do the job. `estimated_cost` in USD, None where the price is unknown.

    `rank` decides among equals, the lowest first, and then the id.
    """

    deployment: Deployment
    estimated_cost: Decimal | None
    rank: int = 0


class Candidates(Sequence[Candidate]):
    """The deployments that may do a job, in the catalog's order. Single ones are made when they are asked for.

    `costs` are in 10^-12 USD, `UNKNOWN` or more where the price is unknown. `ranks` are the places of the ids in
    alphabetical order, among all of a catalog.
    """

    __slots__ = ("costs", "deployments", "ranks")

    def __init__(self, deployments: Sequence[Deployment], costs: Sequence[int], ranks: Sequence[int]) -> None:
        self.deployments, self.costs, self.ranks = deployments, costs, ranks

    def by_cost(self) -> list[int]:
        """The indices, the cheapest first; among equals the id decides."""
        keys = [cost << _RANK_BITS | rank for cost, rank in zip(self.costs, self.ranks, strict=True)]
        return sorted(range(len(keys)), key=keys.__getitem__)

    def cost(self, index: int) -> int | None:
        """In 10^-12 USD; None where the price is unknown."""
        cost = self.costs[index]
        return None if cost >= UNKNOWN else cost

    def __len__(self) -> int:
        return len(self.deployments)

    def __iter__(self) -> Iterator[Candidate]:
        return map(self._item, range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Candidate]: ...
    def __getitem__(self, index: int | slice) -> Candidate | Sequence[Candidate]:
        if isinstance(index, int):
            return self._item(index)
        return Candidates(self.deployments[index], self.costs[index], self.ranks[index])

    def _item(self, index: int) -> Candidate:
        return Candidate(self.deployments[index], usd(self.cost(index)), self.ranks[index])


class CacheUse(StrEnum):
    """What the candidates of a strategy have of prompt caches: nothing; cached prices; ranks that are drawn as well."""

    NOTHING = "nothing"
    PRICES = "prices"
    PRICES_AND_RANKS = "prices_and_ranks"


class Strategy(Protocol):
    """Orders the candidates that passed every filter. It excludes nothing and never sees what may not be used."""

    @property
    def name(self) -> str:
        """The name that a request's `constraints.strategy` carries."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether the ranking depends on the candidates and the job's constraints alone.

        The route stage then makes one plan for all jobs that are alike in these, which is what keeps it fast.
        """
        ...

    @property
    def by_cost(self) -> bool:
        """Whether what costs least is first, and candidates that cost the same are equally good.

        The prompt cache then says which of these is first.
        """
        ...

    @property
    def cache_use(self) -> CacheUse:
        """What prompt caches are to it, where they do not simply say what is first (`by_cost`)."""
        ...

    def rank(self, job: Job, candidates: Sequence[Candidate]) -> Sequence[Step]:
        """Every candidate once, best first, each with the reason for its place."""
        ...
