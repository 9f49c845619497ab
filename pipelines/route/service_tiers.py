"""Service tiers: which one a job's calls ask for, and the steps of a plan that has them.

Flex costs about half and may take a quarter of an hour, or be refused for want of room. So it is for what can wait, and
each flex step is followed by the same deployment at its standard tier.
Sources: OpenAI, "Flex processing" (timeouts of 15 minutes, 429 "resource unavailable" that is not billed); "Priority
processing".
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from synthralos.domain.jobs import Job
from synthralos.domain.money import ServiceTier
from synthralos.domain.plans import Step
from synthralos.domain.states import Lane

FLEX_SECONDS = 900.0
"""How long a flex call may take."""

FLEX_ROOM = 1_200.0
"""Seconds until its deadline that a job needs for flex: for the call, and for a standard one where that fails."""

STANDARD_AFTER = "at its standard tier, where flex has no room"


def wanted_tier(job: Job, now: datetime) -> ServiceTier:
    """The service tier that the job's calls ask for first."""
    wanted = job.constraints.service_tier
    if wanted == "priority":
        return ServiceTier.PRIORITY
    if wanted == "flex" or (wanted == "auto" and job.lane is Lane.BULK):
        return ServiceTier.FLEX if _can_wait(job, now) else ServiceTier.STANDARD
    return ServiceTier.STANDARD


def _can_wait(job: Job, now: datetime) -> bool:
    return job.deadline is None or (job.deadline - now).total_seconds() >= FLEX_ROOM


def at_tiers(
    steps: Sequence[Step], tiers: Mapping[str, ServiceTier], standard_costs: Mapping[str, Decimal | None]
) -> Sequence[Step]:
    """The steps at the tier of each deployment (`tiers`, by id); a flex step is followed by its standard one.

    `standard_costs` are the estimated costs of these, in USD, by id.
    """
    found: list[Step] = []
    for step in steps:
        tier = tiers.get(step.deployment, ServiceTier.STANDARD)
        found.append(step._replace(service_tier=tier, reason=_at(step.reason, tier)))
        if tier is ServiceTier.FLEX:
            found.append(Step(step.deployment, STANDARD_AFTER, standard_costs[step.deployment]))
    return found


def _at(reason: str, tier: ServiceTier) -> str:
    return reason if tier is ServiceTier.STANDARD else f"{reason}, at the {tier} tier"
