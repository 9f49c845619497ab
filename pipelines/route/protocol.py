"""What a routing strategy is, and what it is given."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol, overload

from pipelines.route.prices import UNKNOWN
from synthralos.domain.deployments import Deployment
from synthralos.domain.jobs import Job
from synthralos.domain.plans import Step, usd


@dataclass(frozen=True, slots=True)
class Candidate:
    """A deployment that may do the job. `estimated_cost` in USD, None where the price is unknown.

    `rank` decides among equals, the lowest first, and then the id.
    """

    deployment: Deployment
    estimated_cost: Decimal | None
    rank: int = 0


class Columns(NamedTuple):
    """What candidates have in common whatever they cost: `ranks` decide among equals, the lowest first.

    `by_rank` are the indices in that order.
    """

    deployments: Sequence[Deployment]
    ids: Sequence[str]
    ranks: Sequence[int]
    by_rank: Sequence[int]

    @classmethod
    def of(cls, deployments: Sequence[Deployment], ranks: Sequence[int]) -> "Columns":
        """The columns of these, each with its rank."""
        by_rank = sorted(range(len(ranks)), key=ranks.__getitem__)
        return cls(deployments, [deployment.id for deployment in deployments], ranks, by_rank)


class Candidates(Sequence[Candidate]):
    """The deployments that may do a job, in the catalog's order. Single ones are made when they are asked for.

    `costs` are in 10^-12 USD, `UNKNOWN` or more where the price is unknown.
    """

    __slots__ = ("columns", "costs")

    def __init__(self, columns: Columns, costs: Sequence[int]) -> None:
        self.columns, self.costs = columns, costs

    @property
    def deployments(self) -> Sequence[Deployment]:
        """All of them."""
        return self.columns.deployments

    @property
    def ranks(self) -> Sequence[int]:
        """See `Columns`."""
        return self.columns.ranks

    def by_cost(self) -> list[int]:
        """The indices, the cheapest first; among equals the rank decides."""
        return sorted(self.columns.by_rank, key=self.costs.__getitem__)

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
        return Candidates(Columns.of(self.deployments[index], self.ranks[index]), self.costs[index])

    def _item(self, index: int) -> Candidate:
        return Candidate(self.deployments[index], usd(self.cost(index)), self.ranks[index])


class CacheUse(StrEnum):
    """What prompt caches are to a strategy.

    `leads`: what costs least is first, and what costs the same is equally good, so that the prompt cache says
    which of these is first. `prices`, `prices_and_ranks`: candidates cost what the cache makes of it, and are ranked by
    what is drawn.
    """

    NOTHING = "nothing"
    LEADS = "leads"
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
    def cache_use(self) -> CacheUse:
        """What prompt caches are to it."""
        ...

    def rank(self, job: Job, candidates: Sequence[Candidate]) -> Sequence[Step]:
        """Every candidate once, best first, each with the reason for its place."""
        ...
