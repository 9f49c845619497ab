"""Everything that may change while a process runs, as it is at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from synthralos.config.credentials import Credentials
from synthralos.domain.deployments import Catalog
from synthralos.domain.flags import Flags
from synthralos.domain.limits import DEFAULT_LIMITS, DEFAULT_PLAN, PlanLimits


@dataclass(frozen=True, slots=True, eq=False)
class Config:
    """Immutable, and compared by identity: what is made of one config is made anew for the next.

    `version` counts the changes that were made in the database; `limits` has every account plan.
    """

    catalog: Catalog
    credentials: Credentials
    flags: Flags = field(default_factory=Flags)
    limits: Mapping[str, PlanLimits] = field(default_factory=lambda: DEFAULT_LIMITS)
    version: int = 0

    def limits_of(self, plan: str) -> PlanLimits:
        """What the plan allows; for a plan that is not known, what the smallest does."""
        return self.limits.get(plan) or self.limits[DEFAULT_PLAN]
