"""The route stage: from a job to its plan, or to the failure that says why there is none.

What decides a plan repeats from job to job: the same models, plans and constraints, prompts of about the same
length. So the stage sifts the catalog once per demand, prices the survivors once per (rounded) prompt length, and
hands the same immutable plan to all jobs that are alike. What is remembered is bounded, the least used goes first.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from pipelines.route.filters import (
    SIZED_RULES,
    STANDING_RULES,
    Demand,
    Rule,
    assumed_output,
    demand_of,
    estimated_cost,
    room,
    worst_cost_at,
)
from pipelines.route.protocol import Candidate, Strategy
from pipelines.route.strategies import CATALOG_ORDER, strategies
from pipelines.spending import billed_at_most
from pipelines.tokens import BYTES_PER_TOKEN, TextSize, TokenCounter, encoding_for, measure, prompt_texts
from synthralos.config.config import Config
from synthralos.domain.deployments import Catalog, Deployment
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.flags import Flag, Flags
from synthralos.domain.jobs import Job
from synthralos.domain.money import Costs
from synthralos.domain.overlays import NO_DEMANDS, Overlay, model_covers
from synthralos.domain.plans import Exclusion, RoutingPlan, Step

_log = logging.getLogger(__name__)

WhyNotOffered = Callable[[Deployment], str | None]
"""None when a deployment can be used at all in this process, otherwise the reason."""

PINNED = "pinned"
NOT_FIRST = "constraints.fallback is false, so only the first choice is tried"
DEMANDS_KEPT = 512
CHOICES_KEPT = 1024


class _Excluded(NamedTuple):
    """`unrelated`: it is not what was asked for at all, which is not worth telling when others are."""

    deployment: str
    reason: str
    failure_class: FailureClass
    unrelated: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Offer:
    """Why each deployment is not offered, if so. Compared by identity: a changed offer starts memory anew."""

    reasons: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class _Sifted:
    """What the rules that do not depend on the prompt left over."""

    survivors: tuple[Deployment, ...]
    excluded: tuple[_Excluded, ...]
    rooms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    """What all rules left over, priced, and the plans made of it by repeatable strategies."""

    candidates: tuple[Candidate, ...]
    excluded: tuple[_Excluded, ...]
    plans: dict[tuple[str, bool], RoutingPlan] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the stage makes of a job, and of what. Tokens are those that the estimates count with."""

    outcome: RoutingPlan | Failure
    exclusions: tuple[Exclusion, ...]
    tokens_in: int
    tokens_out: int


class RouteStage:
    """Makes plans. `why_not_offered` is asked about every deployment once per batch."""

    def __init__(
        self,
        catalog: Catalog,
        strategies: Mapping[str, Strategy],
        why_not_offered: WhyNotOffered,
        *,
        flags: Flags | None = None,
        counter: TokenCounter | None = None,
    ) -> None:
        self._catalog = catalog
        self._deployments = tuple(catalog)
        self._strategies = dict(strategies)
        self._why_not_offered = why_not_offered
        self._flags = flags or Flags()
        self._counter = counter or TokenCounter()
        self._offer = _Offer(())
        self._sifted = lru_cache(DEMANDS_KEPT)(self._sift)
        self._choice = lru_cache(CHOICES_KEPT)(self._choose)

    def plan(self, jobs: Sequence[Job]) -> list[RoutingPlan | Failure]:
        """One plan or failure per job, in the order of `jobs`.

        A plan names every deployment of the catalog once, as a step or as an exclusion. Jobs that are alike
        share one plan object.
        """
        offer = self._current_offer()
        return [self._plan_or_bug(job, offer) for job in jobs]

    def costs(self, job: Job, *, worst: bool = True) -> Costs:
        """What an attempt costs: as estimated where it is cheapest, at most where it is dearest. Demands no policy.

        Without `worst`, tokens need not be counted, and what it costs at most stays unknown.
        """
        offer, demand = self._current_offer(), demand_of(job)._replace(overlay=NO_DEMANDS)
        choice = self._choice(
            demand, offer, self._tokens_in(job, self._sifted(demand, offer)), self._tokens_billed(job)
        )
        known = [each.estimated_cost for each in choice.candidates if each.estimated_cost is not None]
        estimated = min(known, default=None)
        if not worst:
            return Costs(estimated, None)
        billed = billed_at_most(job.request, self._counter)
        most = [worst_cost_at(billed, demand.max_output, each.deployment) for each in choice.candidates]
        bounds = [cost for cost in most if cost is not None]
        return Costs(estimated, max(bounds) if bounds and len(bounds) == len(most) else None)

    def explain(self, job: Job) -> Explanation:
        """The plan or failure of one job, with what was excluded in either case and what was counted with."""
        [outcome] = self.plan([job])
        offer, demand = self._offer, demand_of(job)
        tokens_in = self._tokens_in(job, self._sifted(demand, offer))
        if isinstance(outcome, RoutingPlan):
            exclusions = outcome.exclusions
        else:
            choice = self._choice(demand, offer, tokens_in, self._tokens_billed(job))
            exclusions = tuple(Exclusion(found.deployment, found.reason) for found in choice.excluded)
        return Explanation(outcome, exclusions, tokens_in, assumed_output(demand))

    def _current_offer(self) -> _Offer:
        reasons = tuple(map(self._why_not_offered, self._deployments))
        if reasons != self._offer.reasons:
            self._offer = _Offer(reasons)
        return self._offer

    def _plan_or_bug(self, job: Job, offer: _Offer) -> RoutingPlan | Failure:
        try:
            return self._plan(job, offer)
        except Exception as error:  # noqa: BLE001 - the edge to pluggable strategies: a bug must not lose the batch
            _log.exception("routing of job %s failed", job.id)
            return Failure(FailureClass.INTERNAL, f"routing failed with {type(error).__name__}: tell the operator")

    def _plan(self, job: Job, offer: _Offer) -> RoutingPlan | Failure:
        constraints = job.constraints
        strategy = self._strategies.get(PINNED if constraints.pin else constraints.strategy)
        if strategy is None:
            return _unknown_strategy(constraints.strategy, self._strategies)
        if not self._flags.on(Flag.ENABLE_ARCHGW_ROUTING, job.tenant.organization):
            strategy = CATALOG_ORDER
        demand = demand_of(job)
        sifted = self._sifted(demand, offer)
        choice = self._choice(demand, offer, self._tokens_in(job, sifted), self._tokens_billed(job))
        if not choice.candidates:
            return _nothing_left(choice.excluded)
        kind = (strategy.name, constraints.fallback)
        plan = choice.plans.get(kind)
        if plan is None:
            steps = preferred(strategy.rank(job, choice.candidates), demand.overlay)
            plan = _plan_of(strategy.name, steps, choice.excluded, constraints.fallback)
            if strategy.repeatable:
                choice.plans[kind] = plan
        return plan

    def _tokens_in(self, job: Job, sifted: _Sifted) -> int:
        """The prompt's tokens: exact where they decide which windows are large enough, estimated elsewhere."""
        texts = prompt_texts(job.request)
        size = measure(texts)
        if _undecided(size, sifted.rooms):
            return self._counter.count(texts, encoding_for(job.request.model))
        return rounded_up(size.estimate)

    def _tokens_billed(self, job: Job) -> int:
        """What may be billed for the prompt at most, where the job's money is bounded."""
        return 0 if job.max_cost is None else rounded_up(billed_at_most(job.request, self._counter))

    def _sift(self, demand: Demand, offer: _Offer) -> _Sifted:
        survivors, excluded = [], []
        meant = {deployment.id for deployment in self._catalog.matching(demand.model)}
        other = f"the request names {demand.model}"
        for deployment, not_offered in zip(self._deployments, offer.reasons, strict=True):
            if deployment.id not in meant:
                excluded.append(_Excluded(deployment.id, other, FailureClass.INVALID_REQUEST, unrelated=True))
                continue
            found = _first_reason(STANDING_RULES, demand, deployment)
            if found is None and not_offered is not None:
                found = _Excluded(deployment.id, not_offered, FailureClass.CREDENTIAL)
            if found is None:
                survivors.append(deployment)
            else:
                excluded.append(found)
        rooms = sorted({room(demand, deployment) for deployment in survivors})
        return _Sifted(tuple(survivors), tuple(excluded), tuple(rooms))

    def _choose(self, demand: Demand, offer: _Offer, tokens_in: int, tokens_billed: int) -> _Choice:
        sifted = self._sifted(demand, offer)
        sized = demand._replace(tokens_in=tokens_in, tokens_billed=tokens_billed)
        candidates, excluded = [], list(sifted.excluded)
        for deployment in sifted.survivors:
            found = _first_reason(SIZED_RULES, sized, deployment)
            if found is None:
                candidates.append(Candidate(deployment, estimated_cost(sized, deployment)))
            else:
                excluded.append(found)
        return _Choice(tuple(candidates), tuple(excluded))


def preferred(steps: list[Step], overlay: Overlay) -> list[Step]:
    """The steps that policies prefer first, in the order of their preference; the others in the strategy's."""
    if not overlay.prefer:
        return steps
    first = [
        Step(step.deployment, f"policies prefer {name}", step.estimated_cost)
        for name in overlay.prefer
        for step in steps
        if model_covers(name, step.deployment)
    ]
    found = {step.deployment: step for step in reversed(first)}
    chosen = [step for step in dict.fromkeys(first) if found[step.deployment] is step]
    return [*chosen, *(step for step in steps if step.deployment not in found)]


def build_route_stage(config: Config, counter: TokenCounter | None = None) -> RouteStage:
    """The stage of a configuration."""
    offered = config.credentials.why_not_offered
    return RouteStage(config.catalog, strategies(config.quality), offered, flags=config.flags, counter=counter)


def rounded_up(tokens: int) -> int:
    """`tokens` rounded up by at most 1/32, so that the estimates of prompts of about the same length are equal."""
    shift = max(0, tokens.bit_length() - 6)
    return -(-tokens >> shift) << shift


def _undecided(size: TextSize, rooms: Sequence[int]) -> bool:
    """Whether an estimate of tokens that is wrong by a factor of two might be on the wrong side of a window.

    Denser text than that does pass, and meets the provider's own check; heal then looks for a larger window.
    `rooms` is what each window leaves for the prompt, smallest first.
    """
    low = size.bytes // (2 * BYTES_PER_TOKEN)
    high = 2 * size.bytes // BYTES_PER_TOKEN + size.overhead
    return bool(rooms) and rooms[0] < high and any(low <= room_left < high for room_left in rooms)


def _first_reason(rules: Iterable[Rule], demand: Demand, deployment: Deployment) -> _Excluded | None:
    for rule in rules:
        reason = rule.check(demand, deployment)
        if reason is not None:
            return _Excluded(deployment.id, reason, rule.failure_class)
    return None


def _plan_of(strategy: str, steps: Sequence[Step], excluded: Sequence[_Excluded], fallback: bool) -> RoutingPlan:
    exclusions = [Exclusion(found.deployment, found.reason) for found in excluded]
    if not fallback:
        exclusions += [Exclusion(step.deployment, NOT_FIRST) for step in steps[1:]]
        steps = steps[:1]
    return RoutingPlan(strategy, tuple(steps), tuple(exclusions))


def _unknown_strategy(name: str, known: Iterable[str]) -> Failure:
    message = f"constraints.strategy is {name}, which is none of: {', '.join(sorted(known))}"
    return Failure(FailureClass.INVALID_REQUEST, message)


def _nothing_left(excluded: Sequence[_Excluded]) -> Failure:
    """The failure of a job that no deployment may do.

    Its class is the one that kept all the otherwise fitting deployments away, where it is the same for all.
    """
    relevant = [found for found in excluded if not found.unrelated] or list(excluded)
    classes = {found.failure_class for found in relevant} - {FailureClass.INVALID_REQUEST}
    by_reason: dict[str, list[str]] = {}
    for found in relevant:
        by_reason.setdefault(found.reason, []).append(found.deployment)
    listed = "; ".join(f"{reason} ({', '.join(deployments)})" for reason, deployments in by_reason.items())
    return Failure(
        classes.pop() if len(classes) == 1 else FailureClass.INVALID_REQUEST,
        f"no deployment may do this job: {listed or 'the catalog is empty'}",
    )
