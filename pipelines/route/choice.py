"""What the route stage remembers of demands, and what it says of a job when it is asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from pipelines.route.affinity import Contest, First
from pipelines.route.protocol import Candidates
from pipelines.route.sieve import Loss
from synthralos.domain.failures import Failure
from synthralos.domain.plans import Exclusion, RoutingPlan

PLANS_KEPT = 64

Kind = tuple[str, bool, First | None]
"""A strategy, whether the job may fall back, and what is first for its prompt cache."""


class Sifted(NamedTuple):
    """What the rules that do not depend on the prompt left over. `rooms`: see `prompt_tokens`."""

    survivors: int
    losses: tuple[Loss, ...]
    rooms: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Choice:
    """What all rules left over, priced, and the plans made of it by repeatable strategies.

    `saved` has what a token saves by being read from the prompt cache (10^-12 USD), by the number of a deployment;
    `numbers` are those of the candidates.
    """

    candidates: Candidates
    losses: tuple[Loss, ...]
    worst: Sequence[int]
    saved: Sequence[int]
    numbers: Sequence[int]
    plans: dict[Kind, RoutingPlan] = field(default_factory=dict)

    @cached_property
    def contest(self) -> Contest:
        """Who may be first for its prompt cache."""
        return Contest(self.candidates, lambda index: self.saved[self.numbers[index]])

    def keep(self, kind: Kind, plan: RoutingPlan) -> None:
        """Remember a plan; when there are too many, all are forgotten."""
        if len(self.plans) >= PLANS_KEPT:
            self.plans.clear()
        self.plans[kind] = plan


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the stage makes of a job, and of what. Tokens are those that the estimates count with."""

    outcome: RoutingPlan | Failure
    exclusions: tuple[Exclusion, ...]
    tokens_in: int
    tokens_out: int
