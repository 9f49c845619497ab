"""From ranked steps to a plan: what policies prefer goes first, and what the sender rules out is left out."""

from collections.abc import Sequence

from pipelines.route.affinity import First
from synthralos.domain.exclusions import Cause
from synthralos.domain.overlays import Overlay, model_covers
from synthralos.domain.plans import Exclusions, RoutingPlan, Step, Steps, usd

NOT_FIRST = Cause("fallback")


def preferred(steps: Sequence[Step], overlay: Overlay) -> Sequence[Step]:
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


def led_by(steps: Sequence[Step], first: First | None) -> Sequence[Step]:
    """The steps with `first` first. It costs no more than others: reasons, which tell places by cost, stay there."""
    if first is None:
        return steps
    if isinstance(steps, Steps):
        at = steps.deployments.index(first.deployment)
        deployments = [first.deployment, *steps.deployments[:at], *steps.deployments[at + 1 :]]
        costs = [first.cost, *steps.costs[:at], *steps.costs[at + 1 :]]
        return Steps(deployments, steps.reasons, costs, first.cache)
    others = [step for step in steps if step.deployment != first.deployment]
    ordered = [Step(first.deployment, "", usd(first.cost), prompt_cache=first.cache), *others]
    return [step._replace(reason=before.reason) for step, before in zip(ordered, steps, strict=True)]


def plan_of(strategy: str, steps: Sequence[Step], exclusions: Exclusions, fallback: bool) -> RoutingPlan:
    """The plan of these steps; without `fallback` of those at the first deployment alone."""
    if not fallback:
        first = steps[0].deployment
        others = tuple(dict.fromkeys(step.deployment for step in steps if step.deployment != first))
        exclusions = Exclusions([*exclusions.groups, (NOT_FIRST, others)] if others else exclusions.groups)
        steps = [step for step in steps if step.deployment == first]
    return RoutingPlan(strategy, steps, exclusions)
