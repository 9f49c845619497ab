"""What policies make of a job: demands on the way it is done, which only ever grow stricter when they are merged."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from synthralos.domain.deployments import Deployment, Tier
from synthralos.domain.exclusions import Cause
from synthralos.domain.output_checks import OutputCheck, no_length_left

TIERS = tuple(Tier)
"""The classes of models, lowest first."""


class Priority(StrEnum):
    """Whose call comes first where several wait for a slot of one deployment."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


def model_covers(wide: str, narrow: str) -> bool:
    """Whether the models named `narrow` are all among those named `wide`.

    A name is `provider/*`, `provider/model`, or a deployment's id, `provider/model@region`.
    """
    if wide.endswith("/*"):
        return narrow.startswith(wide[:-1])
    return narrow == wide or narrow.startswith(f"{wide}@")


@dataclass(frozen=True, slots=True)
class Overlay:
    """What policies demand of the way a job is done, over what its sender demands. The empty one demands nothing.

    `regions`, `allowed_models`: None allows all; a region is meant by its name, or by the residency that is declared.
    Models are named as in `model_covers`. `prefer`: models in the order of preference. `tier` is the highest class of
    models that is allowed. `max_cost`: USD for one attempt. `redact`: kinds of private data to be replaced. `guards`:
    names of guards that must have looked at the job. `output_schema`: it has to say what JSON Schema its answer fits.
    `output_checks`: what its answer has to pass. `hedge`: a slow call of an interactive job may be made twice.
    `repair_model`: who repairs an answer that does not fit, whatever the job says (`Constraints.repair_model`).
    `priority`: its place in the line for a deployment; None is `normal`.
    """

    regions: frozenset[str] | None = None
    allowed_models: frozenset[str] | None = None
    forbidden_models: frozenset[str] = frozenset()
    prefer: tuple[str, ...] = ()
    tier: Tier | None = None
    max_cost: Decimal | None = None
    redact: frozenset[str] = frozenset()
    guards: frozenset[str] = frozenset()
    output_schema: bool = False
    priority: Priority | None = None
    output_checks: tuple[OutputCheck, ...] = ()
    hedge: bool = False
    repair_model: str | None = None

    def merged(self, other: "Overlay") -> "Overlay":
        """Both demands at once, never wider than either. Where one alone can hold (`prefer`, …): this one."""
        if other is NO_DEMANDS:
            return self
        if self is NO_DEMANDS:
            return other
        return Overlay(
            _both(self.regions, other.regions),
            _both_models(self.allowed_models, other.allowed_models),
            self.forbidden_models | other.forbidden_models,
            tuple(dict.fromkeys(self.prefer + other.prefer)),
            min((t for t in (self.tier, other.tier) if t is not None), key=TIERS.index, default=None),
            min((c for c in (self.max_cost, other.max_cost) if c is not None), default=None),
            self.redact | other.redact,
            self.guards | other.guards,
            self.output_schema or other.output_schema,
            self.priority or other.priority,
            tuple(dict.fromkeys(self.output_checks + other.output_checks)),
            self.hedge or other.hedge,
            self.repair_model or other.repair_model,
        )

    def refusal(self, deployment: Deployment) -> Cause | None:
        """Why the deployment may not be used; None where it may. Costs are not looked at."""
        if self.regions is not None and not {deployment.region, deployment.residency} & self.regions:
            return Cause("policy_regions", {"allowed": sorted(self.regions)})
        if self.allowed_models is not None and not _named(self.allowed_models, deployment.id):
            return Cause("policy_allowed_models", {"allowed": sorted(self.allowed_models)})
        if _named(self.forbidden_models, deployment.id):
            return Cause("policy_forbidden_models", {"forbidden": sorted(self.forbidden_models)})
        if self.tier is not None and TIERS.index(deployment.tier) > TIERS.index(self.tier):
            return Cause("policy_tier", {"limit": str(self.tier), "tier": str(deployment.tier)})
        return None

    def impossible(self) -> str | None:
        """What makes it a demand that no deployment can meet, whatever the catalog has; None where nothing does."""
        if self.regions is not None and not self.regions:
            return "no region is left that all of them allow"
        models = self.allowed_models
        if models is not None and all(_named(self.forbidden_models, model) for model in models):
            return "no model is left that all of them allow"
        if no_length_left(self.output_checks):
            return "no answer is long enough for one of them and short enough for another"
        return None

    def to_json(self) -> dict[str, Any]:
        """The stored and published form."""
        return {
            "regions": None if self.regions is None else sorted(self.regions),
            "allowed_models": None if self.allowed_models is None else sorted(self.allowed_models),
            "forbidden_models": sorted(self.forbidden_models),
            "prefer": list(self.prefer),
            "tier": self.tier,
            "max_cost_usd": None if self.max_cost is None else format(self.max_cost, "f"),
            "redact": sorted(self.redact),
            "guards": sorted(self.guards),
            "output_schema": self.output_schema,
            "priority": self.priority,
            "hedge": self.hedge,
            "repair_model": self.repair_model,
            "output_checks": [check.to_json() for check in self.output_checks],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Overlay":
        """The inverse of `to_json`."""
        regions, allowed, cost = data.get("regions"), data.get("allowed_models"), data.get("max_cost_usd")
        read = cls(
            None if regions is None else frozenset(regions),
            None if allowed is None else frozenset(allowed),
            frozenset(data.get("forbidden_models", ())),
            tuple(data.get("prefer", ())),
            Tier(data["tier"]) if data.get("tier") else None,
            None if cost is None else Decimal(cost),
            frozenset(data.get("redact", ())),
            frozenset(data.get("guards", ())),
            bool(data.get("output_schema", False)),
            Priority(data["priority"]) if data.get("priority") else None,
            tuple(OutputCheck.from_json(check) for check in data.get("output_checks", ())),
            bool(data.get("hedge", False)),
            data.get("repair_model"),
        )
        return NO_DEMANDS if read == NO_DEMANDS else read


NO_DEMANDS = Overlay()
"""What most jobs get: one for all of them."""


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _both_models(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return frozenset([*(m for m in one if _named(other, m)), *(m for m in other if _named(one, m))])


def _named(names: Iterable[str], model: str) -> bool:
    return any(model_covers(name, model) for name in names)
