"""What a deployment is asked: the job's request, without what must not be sent, and with what a repair adds."""

from collections.abc import Collection
from dataclasses import replace

from pipelines.execute.repairing import asked_again
from pipelines.flow.work import Repair, Work
from pipelines.guard.private_data import kinds_to_redact
from pipelines.heal.remedies import may_move
from pipelines.privacy.kinds import Kind
from pipelines.privacy.redaction import redact
from pipelines.providers.table import service_tiers
from pipelines.route.stage import RouteStage
from pipelines.tokens import estimate, prompt_size
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Rejected
from synthralos.domain.jobs import CHEAPEST, SAME, Request
from synthralos.domain.money import ServiceTier
from synthralos.domain.plans import RoutingPlan


def asked_of(work: Work, deployment: Deployment) -> Request:
    """What the deployment may see of the job's request: without the values that the guard had replaced.

    An answer is quoted to those alone whom its repair is to be told.
    """
    request, repair = _seen(work), work.repair
    if repair is None or deployment.id not in repair.told:
        return request
    return asked_again(request, repair.rejected)


def repair_at(work: Work, deployment: Deployment, rejected: Rejected) -> Repair | None:
    """What the next call there says of the answer that it gave; None where that has no room in its window."""
    request = asked_again(asked_of(work, deployment), rejected)
    if prompt_size(request).estimate + (request.max_output_tokens or 0) > deployment.context_window:
        return None
    return Repair(frozenset({deployment.id}), rejected, estimate(rejected))


def repair_elsewhere(work: Work, gave: str, rejected: Rejected, route: RouteStage) -> Repair | None:
    """A repair by whom the job or a policy names, with a plan of its own: routing has made it under all that the job
    demands. None where nobody else is named than `gave`, the deployment that gave the answer, or nobody else may do it.
    """
    job = work.job
    model = job.overlay.repair_model or job.constraints.repair_model or SAME
    if model == SAME or not may_move(job.constraints):
        return None
    request = asked_again(_seen(work), rejected)
    asked = replace(
        job,
        request=Request("auto" if model == CHEAPEST else model, request.body, request.provider_options),
        constraints=replace(job.constraints, strategy="cheapest"),
        verdict=job.verdict and job.verdict.demanding(replace(job.overlay, prefer=())),
    )
    [plan] = route.plan([asked])
    if not isinstance(plan, RoutingPlan) or plan.steps[0].deployment == gave:
        return None
    return Repair(frozenset(step.deployment for step in plan.steps), rejected, estimate(rejected), plan)


def at_tier(request: Request, deployment: Deployment, tier: ServiceTier) -> Request:
    """The request with the service tier to ask for, where the deployment has several."""
    if not service_tiers(deployment, deployment.price):
        return request
    return Request(request.model, {**request.body, "service_tier": str(tier)}, request.provider_options)


def _seen(work: Work) -> Request:
    """The job's request without the values that the guard had replaced."""
    kinds = kinds_to_redact(work.job.verdict)
    return _redacted(work, kinds) if kinds else work.job.request


def _redacted(work: Work, kinds: Collection[Kind]) -> Request:
    if work.redaction is None:
        work.redaction = redact(work.job.request, kinds)
    return work.redaction.request
