"""What keeps a deployment from doing a job: one table of rules, asked in order; the first reason counts.

The rules look at a job's `Demand` instead of the job itself: jobs with equal demands get equal answers, so the
stage asks once and remembers.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from pipelines.providers.table import asked_of, not_taken
from pipelines.route.needs import needs_of
from pipelines.route.observed import Observed
from pipelines.spending import LEAST_OUTPUT, affordable_output, dearest
from synthralos.config.credentials import SANDBOX
from synthralos.domain.deployments import Capability, Deployment, Tier
from synthralos.domain.exclusions import Cause
from synthralos.domain.failures import FailureClass
from synthralos.domain.jobs import Constraints, Job
from synthralos.domain.money import ServiceTier
from synthralos.domain.overlays import NO_DEMANDS, Overlay
from synthralos.domain.residency import home_of, kept_from

DEFAULT_OUTPUT = LEAST_OUTPUT
"""Output tokens to estimate a cost with when the request does not say how many, and nothing is known of its like."""

PLAN_TIERS: Mapping[str, frozenset[Tier]] = {
    "free": frozenset({Tier.ECONOMY}),
    "pro": frozenset(Tier),
    "enterprise": frozenset(Tier),
}

DEFAULT_PLAN = "free"
"""The tiers of a plan that the table does not have: a misspelt plan must not cost more than the smallest."""

_NOTHING: frozenset[str] = frozenset()
_ZERO_RETENTION, _DISABLED, _EXCLUDED = Cause("zero_retention"), Cause("disabled"), Cause("exclude")
_NO_NEEDS: frozenset[Capability] = frozenset()


class Demand(NamedTuple):
    """Everything about a job that decides which deployments may do it. `tokens_in` and `max_output` are tokens.

    `tokens_billed`: what may be billed for the prompt at most; known where there is a `max_cost`.
    `asked`: see `asked_of`. `day` (an ISO date) is the one whose prices count; without one, the catalog's own do.
    `expected_output`: tokens of answer that 95 of 100 of its like had at most, where it does not say how many it wants
    and enough are known; else 0. `longest_input`: tokens of an embedding's longest text; windows are for one text each.
    `service_tier` is asked for where a deployment has it. `slower` than the `seconds_left` until the deadline are these
    deployments, by id, in more than half of their calls.
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
    day: str = ""
    service_tier: ServiceTier = ServiceTier.STANDARD
    seconds_left: int = 0
    slower: frozenset[str] = _NOTHING
    longest_input: int = 0
    expected_output: int = 0

    @property
    def embeds(self) -> bool:
        """Whether vectors are asked for."""
        return Capability.EMBEDDINGS in self.needs


Check = Callable[[Demand, Deployment], Cause | None]
"""Why the deployment may not be used, or None."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table.

    `view` is the part of a deployment that `check` looks at: where it is the same, so is the answer. A rule with
    `names` tells only those that a demand names from all others. A demand that leaves it `idle` needs no asking.
    A `soft` rule keeps nobody away where it would keep all away: late is better than never.
    `failure_class` is what a job fails with when this rule alone kept the otherwise fitting deployments away.
    """

    check: Check
    view: Callable[[Deployment], Hashable] = lambda deployment: deployment.id
    failure_class: FailureClass = FailureClass.INVALID_REQUEST
    idle: Callable[[Demand], bool] | None = None
    names: Callable[[Demand], Iterable[str]] | None = None
    soft: bool = False


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
        needs_of(request.body, constraints),
        request.max_output_tokens,
        job.max_cost,
        job.overlay,
        zero_retention=constraints.zero_retention,
        asked=asked_of(request),
    )


def hurried(demand: Demand, left: timedelta, observed: Observed) -> Demand:
    """The demand of a job with a deadline in `left`, which is rounded down so that jobs stay alike."""
    seconds = max(0, int(left.total_seconds()))
    shift = max(0, seconds.bit_length() - 4)
    seconds = seconds >> shift << shift
    slower = [name for name, known in observed.seconds.items() if known.median > seconds]
    return demand._replace(seconds_left=seconds, slower=frozenset(slower)) if slower else demand


def assumed_output(demand: Demand) -> int:
    """Tokens of answer that an estimated cost counts with; no deployment gives more than its own `max_output`."""
    if demand.max_output is not None:
        return demand.max_output
    return demand.expected_output or DEFAULT_OUTPUT


def room(demand: Demand, window: int) -> int:
    """Tokens that a window of so many leaves for the prompt."""
    return window - (demand.max_output or 0)


def closed_to(wanted: Constraints | Demand, deployment: Deployment) -> Cause | None:
    """Why such a job may not go there, whatever was planned; None: it may. Asked again before each call."""
    if kept_from(wanted.classification, deployment.residency) is not None:
        said = {"classification": wanted.classification, "needed": home_of(wanted.classification)}
        return Cause("classification", {**said, "residency": deployment.residency})
    if wanted.zero_retention and not deployment.zero_retention:
        return _ZERO_RETENTION
    return None if deployment.enabled else _DISABLED


def _refused_by_adapter(demand: Demand, deployment: Deployment) -> Cause | None:
    why = not_taken(demand.asked, deployment)
    return None if why is None else Cause("protocol", {"why": why})


def _wrong_region(demand: Demand, deployment: Deployment) -> Cause | None:
    if demand.region in (None, deployment.region):
        return None
    return Cause("region", {"needed": demand.region, "region": deployment.region})


def _pinned_elsewhere(demand: Demand, deployment: Deployment) -> Cause | None:
    return None if demand.pin in (None, deployment.id) else Cause("pin", {"pin": demand.pin})


def _excluded(demand: Demand, deployment: Deployment) -> Cause | None:
    return _EXCLUDED if deployment.id in demand.exclude else None


def _against_policies(demand: Demand, deployment: Deployment) -> Cause | None:
    return None if demand.overlay is NO_DEMANDS else demand.overlay.refusal(deployment)


def _tier_above_plan(demand: Demand, deployment: Deployment) -> Cause | None:
    if deployment.adapter == SANDBOX:
        return None
    tiers = PLAN_TIERS.get(demand.plan, PLAN_TIERS[DEFAULT_PLAN])
    if deployment.tier in tiers:
        return None
    said = {"account_plan": demand.plan, "tiers": sorted(tiers), "tier": deployment.tier}
    return Cause("account_plan", said)


def _lacks_capability(demand: Demand, deployment: Deployment) -> Cause | None:
    missing = demand.needs - deployment.abilities
    return Cause("capability", {"missing": sorted(missing)}) if missing else None


def _of_other_kind(demand: Demand, deployment: Deployment) -> Cause | None:
    """Chats and embeddings never go to the same deployment."""
    if demand.embeds is deployment.embeds:
        return None
    return Cause("kind", {"wanted": "embeddings" if demand.embeds else "chat"})


def _output_too_long(demand: Demand, deployment: Deployment) -> Cause | None:
    if demand.max_output is None or demand.max_output <= deployment.max_output:
        return None
    return Cause("max_output", {"needed_tokens": demand.max_output, "limit_tokens": deployment.max_output})


def _window_too_small(demand: Demand, deployment: Deployment) -> Cause | None:
    window, tokens = deployment.context_window, demand.longest_input or demand.tokens_in
    if tokens <= room(demand, window):
        return None
    if demand.embeds:
        return Cause("input_window", {"needed_tokens": tokens, "limit_tokens": window})
    output = demand.max_output or 0
    said = {"needed_tokens": tokens + output, "output_tokens": output, "output": "asked"}
    return Cause("context_window", {**said, "limit_tokens": window})


def _expected_too_long(demand: Demand, deployment: Deployment) -> Cause | None:
    """Whether an answer as the last ones were has no room beside the prompt, whose tokens may be estimated here."""
    output = min(demand.expected_output, deployment.max_output)
    if demand.tokens_in + output <= deployment.context_window:
        return None
    said = {"needed_tokens": demand.tokens_in + output, "output_tokens": output, "output": "expected"}
    return Cause("context_window", {**said, "limit_tokens": deployment.context_window})


def _too_expensive(demand: Demand, deployment: Deployment) -> Cause | None:
    if demand.max_cost is None:
        return None
    limit = format(demand.max_cost, "f")
    if deployment.price is None:
        return Cause("price_unknown", {"limit_usd": limit})
    wanted = min(LEAST_OUTPUT, deployment.max_output) if demand.max_output is None else demand.max_output
    price = deployment.price.on(demand.day) if demand.day else deployment.price
    bound = dearest(deployment, price, demand.tokens_billed, demand.service_tier)
    allowed = affordable_output(bound, demand.tokens_billed, demand.max_cost)
    if allowed >= wanted:
        return None
    output = "assumed" if demand.max_output is None else "asked"
    said = {"needed_tokens": wanted, "limit_tokens": max(allowed, 0), "limit_usd": limit, "output": output}
    return Cause("max_cost", said)


def _names_models(overlay: Overlay) -> bool:
    return overlay.allowed_models is not None or bool(overlay.forbidden_models)


def _adapter_of(deployment: Deployment) -> Hashable:
    return deployment.adapter, deployment.provider, str(sorted(deployment.options.items()))


def _too_slow(demand: Demand, deployment: Deployment) -> Cause | None:
    return Cause("deadline", {"seconds_left": demand.seconds_left}) if deployment.id in demand.slower else None


STANDING_RULES: tuple[Rule, ...] = (
    Rule(closed_to, lambda d: (d.residency, d.zero_retention, d.enabled)),
    Rule(_wrong_region, lambda d: d.region, idle=lambda demand: demand.region is None),
    Rule(
        _pinned_elsewhere,
        idle=lambda demand: demand.pin is None,
        names=lambda demand: () if demand.pin is None else (demand.pin,),
    ),
    Rule(_excluded, idle=lambda demand: not demand.exclude, names=lambda demand: dict.fromkeys(demand.exclude)),
    Rule(_against_policies, idle=lambda demand: not _names_models(demand.overlay)),
    Rule(
        _against_policies,
        lambda d: (d.region, d.residency, d.tier),
        idle=lambda demand: demand.overlay is NO_DEMANDS or _names_models(demand.overlay),
    ),
    Rule(_tier_above_plan, lambda d: (d.adapter == SANDBOX, d.tier)),
    Rule(_of_other_kind, lambda d: d.embeds),
    Rule(_lacks_capability, lambda d: d.abilities, idle=lambda demand: not demand.needs),
    Rule(_refused_by_adapter, _adapter_of, idle=lambda demand: not demand.asked),
    Rule(_output_too_long, lambda d: d.max_output, idle=lambda demand: demand.max_output is None),
)
"""Rules that do not depend on the length of the prompt."""

SIZED_RULES: tuple[Rule, ...] = (
    Rule(_window_too_small, lambda d: d.context_window, FailureClass.CONTEXT_LENGTH),
    Rule(_too_expensive, failure_class=FailureClass.BUDGET, idle=lambda demand: demand.max_cost is None),
    Rule(
        _expected_too_long,
        lambda d: (d.context_window, d.max_output),
        idle=lambda demand: not demand.expected_output,
        soft=True,
    ),
    Rule(_too_slow, idle=lambda demand: not demand.slower, names=lambda demand: sorted(demand.slower), soft=True),
)
"""Rules that look at `tokens_in`, and last those that give way where nobody else is left: they know no more than what
was seen so far.
"""
