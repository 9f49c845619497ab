"""Everything that may change while a process runs, as it is at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from synthralos.config.credentials import Credentials
from synthralos.config.quality import built_in_quality
from synthralos.domain.abuse_patterns import Pattern
from synthralos.domain.aliases import Aliases
from synthralos.domain.budgets import NO_BUDGETS, Budgets
from synthralos.domain.deployments import Catalog
from synthralos.domain.flags import Flags
from synthralos.domain.jobs import Job, NewJob
from synthralos.domain.limits import DEFAULT_LIMITS, DEFAULT_PLAN, PlanLimits
from synthralos.domain.policies import PolicySet
from synthralos.domain.quality import QualityTable
from synthralos.domain.retention import Retention
from synthralos.domain.run_caps import CapsByRun, RunCaps
from synthralos.domain.turns import Path

AbuseAction = Literal["off", "flag", "deny"]
PrivateDataAction = Literal["off", "flag", "redact", "refuse"]
"""What is done about private data."""
SimilarAction = Literal["log", "flag", "deny"]


@dataclass(frozen=True, slots=True)
class GuardActions:
    """What guards do about what they find; by default they do not look.

    With `similar_prompts` of `deny` a prompt that repeats more than `similar_deny_after` earlier ones is denied.
    """

    abuse: AbuseAction = "off"
    secrets: PrivateDataAction = "off"
    personal_data: PrivateDataAction = "off"
    similar_prompts: SimilarAction = "log"
    similar_deny_after: int = 3


@dataclass(frozen=True, slots=True)
class RepairTerms:
    """On which terms StackStorm repairs: where it is declared to be, and how many seconds a job waits for it to act."""

    residency: str | None = None
    patience: float = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Config:
    """Immutable, and compared by identity: what is made of one config is made anew for the next.

    `version` counts the changes that were made in the database; `limits` has every account plan, and `own_limits`
    the organizations that have limits of their own, as what they change of their plan's. `patterns` are what prompts of
    an organization are held against, those of `EVERYONE` all prompts. `aliases` are the
    catalog's, as they were set. `stackstorm`: None where there is none.
    """

    catalog: Catalog
    credentials: Credentials
    flags: Flags = field(default_factory=Flags)
    limits: Mapping[str, PlanLimits] = field(default_factory=lambda: DEFAULT_LIMITS)
    version: int = 0
    own_limits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    guards: GuardActions = GuardActions()
    patterns: Mapping[str, tuple[Pattern, ...]] = field(default_factory=dict)
    quality: QualityTable = field(default_factory=built_in_quality)
    policies: tuple[PolicySet, ...] = ()
    aliases: Aliases = field(default_factory=dict)
    budgets: Budgets = NO_BUDGETS
    run_caps: CapsByRun = field(default_factory=dict)
    stackstorm: RepairTerms | None = None
    retention: Retention = field(default_factory=Retention)
    _merged: dict[tuple[str, str], PlanLimits] = field(default_factory=dict, init=False, repr=False)

    def caps_of(self, job: Job | NewJob) -> RunCaps | None:
        """The caps of the job's run. For a job without a run that is a look at a member."""
        if job.run_id is None or not self.run_caps:
            return None
        return self.run_caps.get((job.tenant.organization, job.run_id))

    def limits_of(self, plan: str) -> PlanLimits:
        """What the plan allows; for a plan that is not known, what the smallest does."""
        return self.limits.get(plan) or self.limits[DEFAULT_PLAN]

    def weights_of(self, path: Path, plan: str) -> tuple[float, float, float]:
        """How much an organization on that plan, its workspace and a user there have of what is shared."""
        limits = self.limits_for(path[0], plan)
        return limits.weight, limits.workspace_weights.get(path[1], 1), 1

    def limits_for(self, organization: str, plan: str) -> PlanLimits:
        """What an organization on that plan may do: its own limits, and the plan's where it has none."""
        own = self.own_limits.get(organization)
        if own is None:
            return self.limits_of(plan)
        known = self._merged.get((organization, plan))
        if known is None:
            known = self._merged[organization, plan] = self.limits_of(plan).changed(own)
        return known
