"""Routing strategies and their table: adding one is a class, one line in `strategies`, and its tests."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from math import log

from pipelines.route.fastest import Fastest
from pipelines.route.observed import NOTHING, Observed
from pipelines.route.prices import UNKNOWN
from pipelines.route.protocol import CacheUse, Candidate, Candidates, Strategy
from pipelines.route.quality.strategy import QualityAware
from synthralos.config.quality import built_in_quality
from synthralos.domain.deployments import Deployment
from synthralos.domain.jobs import Job
from synthralos.domain.plans import Picked, Step, Steps
from synthralos.domain.quality import QualityTable


class Cheapest:
    """By estimated cost; deployments of unknown price come last; among equals the id decides."""

    name = "cheapest"
    repeatable = True
    cache_use = CacheUse.LEADS

    def rank(self, job: Job, candidates: Sequence[Candidate]) -> Sequence[Step]:
        """See `Strategy.rank`."""
        if isinstance(candidates, Candidates):
            return _by_costs(candidates)
        return [
            Step(candidate.deployment.id, _place(number, candidate), candidate.estimated_cost)
            for number, candidate in enumerate(sorted(candidates, key=_by_cost), 1)
        ]


def _by_costs(candidates: Candidates) -> Steps:
    order = candidates.by_cost()
    costs, ids = candidates.costs, candidates.columns.ids
    known = len(order)
    while known and costs[order[known - 1]] >= UNKNOWN:
        known -= 1
    unknown = len(order) - known
    told = [*Picked(costs, order[:known]), *(None,) * unknown] if unknown else Picked(costs, order)
    return Steps(Picked(ids, order), _reasons(known, unknown), told)


@lru_cache(64)
def _reasons(known: int, unknown: int) -> tuple[str, ...]:
    """Those of so many steps of known cost, and of so many after them. Every plan of that length has the same."""
    places = (f"number {number} by estimated cost" for number in range(2, known + 1))
    return (*("the cheapest that fits", *places)[:known], *(_UNKNOWN_PRICE,) * unknown)


class Pinned:
    """The deployment of `constraints.pin` first, then the others, cheapest first."""

    name = "pinned"
    repeatable = True
    cache_use = CacheUse.NOTHING

    def rank(self, job: Job, candidates: Sequence[Candidate]) -> list[Step]:
        """See `Strategy.rank`."""
        pin = job.constraints.pin
        pinned = [Step(c.deployment.id, "pinned", c.estimated_cost) for c in candidates if c.deployment.id == pin]
        others = [candidate for candidate in candidates if candidate.deployment.id != pin]
        return [*pinned, *Cheapest().rank(job, others)]


class Weighted:
    """By `weight` of the catalog: each run, or else organization, has its own order; a deployment begins as many as it
    weighs.

    Nothing is rolled: the order hangs on that name alone, so that its jobs, their retries and their reroutes stay
    together; where a deployment comes or goes, only those move that it gains or loses.
    """

    name = "weighted"
    repeatable = False
    cache_use = CacheUse.PRICES

    def rank(self, job: Job, candidates: Sequence[Candidate]) -> list[Step]:
        """See `Strategy.rank`."""
        name, total = job.run_id or job.tenant.organization, sum(c.deployment.weight for c in candidates)
        ordered = sorted(candidates, key=lambda c: (-_draw(name, c.deployment), c.deployment.id))
        return [
            Step(c.deployment.id, _share(number, c.deployment, total, name), c.estimated_cost)
            for number, c in enumerate(ordered, 1)
        ]


def _draw(name: str, deployment: Deployment) -> float:
    """Weighted rendezvous hashing: the highest of `weight / -ln(u)` wins in proportion to its weight."""
    digest = blake2b(f"{name}\0{deployment.id}".encode(), digest_size=6).digest()
    return deployment.weight / -log((int.from_bytes(digest) + 1) / (2**48 + 1))


def _share(number: int, deployment: Deployment, total: int, name: str) -> str:
    if not deployment.weight:
        return "its weight is 0, so it comes last"
    return f"number {number} of {name} by weight ({deployment.weight} of {total})"


class CatalogOrder:
    """As the catalog has them: what is left of routing where the unified routing service is switched off."""

    name = "catalog_order"
    repeatable = True
    cache_use = CacheUse.NOTHING

    def rank(self, job: Job, candidates: Sequence[Candidate]) -> list[Step]:
        """See `Strategy.rank`."""
        return [
            Step(candidate.deployment.id, _in_order(number), candidate.estimated_cost)
            for number, candidate in enumerate(candidates, 1)
        ]


CATALOG_ORDER = CatalogOrder()


def _in_order(number: int) -> str:
    return "the first of the catalog that fits" if number == 1 else f"number {number} of the catalog that fits"


def _by_cost(candidate: Candidate) -> tuple[bool, Decimal, str]:
    cost = candidate.estimated_cost
    return cost is None, Decimal(0) if cost is None else cost, candidate.deployment.id


_UNKNOWN_PRICE = "its price is unknown, so it comes after all that are known"


def _place(number: int, candidate: Candidate) -> str:
    if candidate.estimated_cost is None:
        return _UNKNOWN_PRICE
    return "the cheapest that fits" if number == 1 else f"number {number} by estimated cost"


def strategies(quality: QualityTable, observed: Callable[[], Observed] = lambda: NOTHING) -> Mapping[str, Strategy]:
    """The table: every strategy by its name. `observed` says how long deployments took."""
    return {
        "cheapest": Cheapest(),
        "fastest": Fastest(observed),
        "pinned": Pinned(),
        "quality_aware": QualityAware(quality),
        "weighted": Weighted(),
    }


STRATEGIES = strategies(built_in_quality())
"""With the quality that is assumed where nothing was measured."""
