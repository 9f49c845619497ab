"""From ranked steps to a plan: what policies prefer goes first, and what the sender rules out is left out."""

from collections.abc import Sequence

from synthralos.domain.exclusions import Cause
from synthralos.domain.overlays import Overlay, model_covers
from synthralos.domain.plans import Exclusions, RoutingPlan, Step

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


def plan_of(strategy: str, steps: Sequence[Step], exclusions: Exclusions, fallback: bool) -> RoutingPlan:
    """The plan of these steps; without `fallback` of those at the first deployment alone."""
    if not fallback:
        first = steps[0].deployment
        others = tuple(dict.fromkeys(step.deployment for step in steps if step.deployment != first))
        exclusions = Exclusions([*exclusions.groups, (NOT_FIRST, others)] if others else exclusions.groups)
        steps = [step for step in steps if step.deployment == first]
    return RoutingPlan(strategy, steps, exclusions)
