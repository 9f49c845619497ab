"""Routing strategies and their table: adding one is a class, one line in `strategies`, and its tests."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from pipelines.route.protocol import Candidate, Strategy
from pipelines.route.quality.strategy import QualityAware
from synthralos.config.quality import built_in_quality
from synthralos.domain.jobs import Job
from synthralos.domain.plans import Step
from synthralos.domain.quality import QualityTable


class Cheapest:
    """By estimated cost; deployments of unknown price come last; among equals the id decides."""

    name = "cheapest"
    repeatable = True

    def rank(self, job: Job, candidates: Sequence[Candidate]) -> list[Step]:
        """See `Strategy.rank`."""
        return [
            Step(candidate.deployment.id, _place(number, candidate), candidate.estimated_cost)
            for number, candidate in enumerate(sorted(candidates, key=_by_cost), 1)
        ]


class Pinned:
    """The deployment of `constraints.pin` first, then the others, cheapest first."""

    name = "pinned"
    repeatable = True

    def rank(self, job: Job, candidates: Sequence[Candidate]) -> list[Step]:
        """See `Strategy.rank`."""
        pin = job.constraints.pin
        pinned = [Step(c.deployment.id, "pinned", c.estimated_cost) for c in candidates if c.deployment.id == pin]
        others = [candidate for candidate in candidates if candidate.deployment.id != pin]
        return pinned + Cheapest().rank(job, others)


class CatalogOrder:
    """As the catalog has them: what is left of routing where the unified routing service is switched off."""

    name = "catalog_order"
    repeatable = True

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


def _place(number: int, candidate: Candidate) -> str:
    if candidate.estimated_cost is None:
        return "its price is unknown, so it comes after all that are known"
    return "the cheapest that fits" if number == 1 else f"number {number} by estimated cost"


def strategies(quality: QualityTable) -> Mapping[str, Strategy]:
    """The table: every strategy by its name."""
    return {
        "cheapest": Cheapest(),
        "pinned": Pinned(),
        "quality_aware": QualityAware(quality),
    }


STRATEGIES = strategies(built_in_quality())
"""With the quality that is assumed where nothing was measured."""
