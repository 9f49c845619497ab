"""What a deployment is asked: the job's request, without what must not be sent, and with what a repair adds."""

from collections.abc import Collection

from pipelines.execute.repairing import asked_again
from pipelines.flow.work import Repair, Work
from pipelines.guard.private_data import kinds_to_redact
from pipelines.privacy.kinds import Kind
from pipelines.privacy.redaction import redact
from pipelines.providers.table import service_tiers
from pipelines.tokens import estimate, prompt_size
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Failure
from synthralos.domain.jobs import Request
from synthralos.domain.money import ServiceTier


def asked_of(work: Work, deployment: Deployment) -> Request:
    """What the deployment may see of the job's request: without the values that the guard had replaced.

    An answer is quoted to the deployment alone that gave it.
    """
    kinds = kinds_to_redact(work.job.verdict)
    request = _redacted(work, kinds) if kinds else work.job.request
    repair = work.repair
    if repair is None or repair.deployment != deployment.id:
        return request
    return asked_again(request, repair.rejected)


def repair_of(work: Work, deployment: Deployment, failure: Failure) -> Repair | None:
    """What the next call there says of the answer that failed; None where the sender wants none, or it has no room."""
    rejected, wanted = failure.rejected, work.job.constraints.repair
    if rejected is None or wanted not in (None, "explain"):
        return None
    request = asked_again(asked_of(work, deployment), rejected)
    if prompt_size(request).estimate + (request.max_output_tokens or 0) > deployment.context_window:
        return None
    return Repair(deployment.id, rejected, estimate(rejected))


def at_tier(request: Request, deployment: Deployment, tier: ServiceTier) -> Request:
    """The request with the service tier to ask for, where the deployment has several."""
    if not service_tiers(deployment, deployment.price):
        return request
    return Request(request.model, {**request.body, "service_tier": str(tier)}, request.provider_options)


def _redacted(work: Work, kinds: Collection[Kind]) -> Request:
    if work.redaction is None:
        work.redaction = redact(work.job.request, kinds)
    return work.redaction.request
