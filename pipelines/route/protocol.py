"""What a routing strategy is, and what it is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from synthralos.domain.deployments import Deployment
from synthralos.domain.jobs import Job
from synthralos.domain.plans import Step


@dataclass(frozen=True, slots=True)
class Candidate:
    """A deployment that may do the job. `estimated_cost` in USD, None where the price is unknown."""

    deployment: Deployment
    estimated_cost: Decimal | None


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

    def rank(self, job: Job, candidates: Sequence[Candidate]) -> list[Step]:
        """Every candidate once, best first, each with the reason for its place."""
        ...
