"""What keeps a deployment from doing a job: one table of rules, asked in order; the first reason counts.

The rules look at a job's `Demand` instead of the job itself: jobs with equal demands get equal answers, so the
stage asks once and remembers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from pipelines.providers.table import asked_of, not_taken
from pipelines.spending import LEAST_OUTPUT, affordable_output, dearest, worst_cost
from synthralos.config.credentials import SANDBOX
from synthralos.config.deployment_view import SWITCHED_OFF
from synthralos.domain.deployments import Capability, Deployment, Tier
from synthralos.domain.failures import FailureClass
from synthralos.domain.jobs import Constraints, Job
from synthralos.domain.money import ServiceTier, Usage
from synthralos.domain.overlays import NO_DEMANDS, Overlay
from synthralos.domain.residency import kept_from

DEFAULT_OUTPUT = LEAST_OUTPUT
"""Output tokens to estimate a cost with when the request does not say how many it wants at most."""

PLAN_TIERS: Mapping[str, frozenset[Tier]] = {
    "free": frozenset({Tier.ECONOMY}),
    "pro": frozenset(Tier),
    "enterprise": frozenset(Tier),
}

DEFAULT_PLAN = "free"
"""The tiers of a plan that the table does not have: a misspelt plan must not cost more than the smallest."""

JSON_FORMATS = frozenset({"json_object", "json_schema"})
IMAGE_PARTS = frozenset({"image_url", "image", "input_image"})
_NO_NEEDS: frozenset[Capability] = frozenset()


class Demand(NamedTuple):
    """Everything about a job that decides which deployments may do it. `tokens_in` and `max_output` are tokens.

    `tokens_billed`: what may be billed for the prompt at most; known where there is a `max_cost`.
    `asked`: see `asked_of`.
    """

    model: str
    plan: str
    region: str | None = None
    classification: str | None = None
    pin: str | None = None
    exclude: tuple[str, ...] = ()
    needs: frozenset[Capability] = _NO_NEEDS
    max_output: int | None = None
    max_cost: Decimal | None = None
    overlay: Overlay = NO_DEMANDS
    tokens_in: int = 0
    tokens_billed: int = 0
    zero_retention: bool = False
    asked: frozenset[str] = frozenset()


Check = Callable[[Demand, Deployment], str | None]
"""The reason why the deployment may not be used, or None."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table.

    `failure_class` is what a job fails with when this rule alone kept the otherwise fitting deployments away.
    """

    check: Check
    failure_class: FailureClass = FailureClass.INVALID_REQUEST


def demand_of(job: Job) -> Demand:
    """The demand of `job`, without its tokens: they are counted only once it is known for whom."""
    request, constraints = job.request, job.constraints
    return Demand(
        request.model,
        job.tenant.account_plan,
        constraints.region,
        constraints.classification,
        constraints.pin,
        constraints.exclude,
        needs_of(request.body),
        request.max_output_tokens,
        job.max_cost,
        job.overlay,
        zero_retention=constraints.zero_retention,
        asked=asked_of(request),
    )


def needs_of(body: Mapping[str, Any]) -> frozenset[Capability]:
    """The capabilities that a request's body asks for."""
    needs = set()
    if body.get("tools"):
        needs.add(Capability.TOOLS)
    if (body.get("response_format") or {}).get("type") in JSON_FORMATS:
        needs.add(Capability.JSON_MODE)
    if any(_has_image(message.get("content")) for message in body["messages"]):
        needs.add(Capability.VISION)
    return frozenset(needs) if needs else _NO_NEEDS


def _has_image(content: object) -> bool:
    return isinstance(content, list) and any(part.get("type") in IMAGE_PARTS for part in content)


def estimated_cost(demand: Demand, deployment: Deployment) -> Decimal | None:
    """The estimated cost of one attempt in USD; None where the price is unknown."""
    if deployment.price is None:
        return None
    return deployment.price.cost(Usage(demand.tokens_in, assumed_output(demand)))


def assumed_output(demand: Demand) -> int:
    """Tokens of answer that an estimated cost counts with."""
    return DEFAULT_OUTPUT if demand.max_output is None else demand.max_output


def worst_cost_at(tokens_billed: int, max_output: int | None, deployment: Deployment) -> Decimal | None:
    """What one attempt costs at most, in USD; None where the price is unknown."""
    if deployment.price is None:
        return None
    output = deployment.max_output if max_output is None else max_output
    return worst_cost(dearest(deployment, deployment.price, tokens_billed, ServiceTier.STANDARD), tokens_billed, output)


def room(demand: Demand, deployment: Deployment) -> int:
    """Tokens that the deployment's window leaves for the prompt."""
    return deployment.context_window - (demand.max_output or 0)


def _pinned_elsewhere(demand: Demand, deployment: Deployment) -> str | None:
    return None if demand.pin in (None, deployment.id) else f"constraints.pin is {demand.pin}"


def closed_to(wanted: Constraints | Demand, deployment: Deployment) -> str | None:
    """Why such a job may not go there, whatever was planned; None: it may. Asked again before each call."""
    kept = kept_from(wanted.classification, deployment.residency)
    if kept is None and wanted.zero_retention and not deployment.zero_retention:
        kept = "constraints.zero_retention is true, and this deployment does not declare zero_retention"
    return kept if kept is not None or deployment.enabled else SWITCHED_OFF


def _refused_by_adapter(demand: Demand, deployment: Deployment) -> str | None:
    return not_taken(demand.asked, deployment)


def _wrong_region(demand: Demand, deployment: Deployment) -> str | None:
    return None if demand.region in (None, deployment.region) else f"constraints.region is {demand.region}"


def _excluded(demand: Demand, deployment: Deployment) -> str | None:
    return "listed in constraints.exclude" if deployment.id in demand.exclude else None


def _against_policies(demand: Demand, deployment: Deployment) -> str | None:
    return None if demand.overlay is NO_DEMANDS else demand.overlay.refusal(deployment)


def _tier_above_plan(demand: Demand, deployment: Deployment) -> str | None:
    if deployment.adapter == SANDBOX:
        return None
    tiers = PLAN_TIERS.get(demand.plan, PLAN_TIERS[DEFAULT_PLAN])
    if deployment.tier in tiers:
        return None
    return f"the {demand.plan} plan is for {' and '.join(sorted(tiers))} models, this one is {deployment.tier}"


def _lacks_capability(demand: Demand, deployment: Deployment) -> str | None:
    missing = demand.needs - deployment.capabilities
    return f"the request needs {', '.join(sorted(missing))}" if missing else None


def _output_too_long(demand: Demand, deployment: Deployment) -> str | None:
    if demand.max_output is None or demand.max_output <= deployment.max_output:
        return None
    return f"max_output_tokens is {demand.max_output}, it gives at most {deployment.max_output}"


def _window_too_small(demand: Demand, deployment: Deployment) -> str | None:
    if demand.tokens_in <= room(demand, deployment):
        return None
    output = f" and {demand.max_output} of max_output_tokens" if demand.max_output else ""
    return f"about {demand.tokens_in} tokens of messages{output} exceed its window of {deployment.context_window}"


def _too_expensive(demand: Demand, deployment: Deployment) -> str | None:
    if demand.max_cost is None:
        return None
    if deployment.price is None:
        return f"an attempt may cost {demand.max_cost:f} USD at most and its price is unknown"
    wanted = min(LEAST_OUTPUT, deployment.max_output) if demand.max_output is None else demand.max_output
    bound = dearest(deployment, deployment.price, demand.tokens_billed, ServiceTier.STANDARD)
    allowed = affordable_output(bound, demand.tokens_billed, demand.max_cost)
    if allowed >= wanted:
        return None
    most = f"max_cost_usd of {demand.max_cost:f} allows {max(allowed, 0)} tokens of answer here"
    return f"{most}, and {wanted} are {'assumed' if demand.max_output is None else 'asked for'}"


STANDING_RULES: tuple[Rule, ...] = (
    Rule(closed_to),
    Rule(_wrong_region),
    Rule(_pinned_elsewhere),
    Rule(_excluded),
    Rule(_against_policies),
    Rule(_tier_above_plan),
    Rule(_lacks_capability),
    Rule(_refused_by_adapter),
    Rule(_output_too_long),
)
"""Rules that do not depend on the length of the prompt."""

SIZED_RULES: tuple[Rule, ...] = (
    Rule(_window_too_small, FailureClass.CONTEXT_LENGTH),
    Rule(_too_expensive, FailureClass.BUDGET),
)
"""Rules that look at `tokens_in`."""
