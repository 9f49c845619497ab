"""Which embeddings may go to their provider in one call with others: those of one workspace and one classification."""

from pipelines.flow.work import Work
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import FailureClass
from synthralos.domain.flags import Flag, Flags

MAY_BE_ITS_OWN = frozenset(
    {FailureClass.SCHEMA_MISMATCH, FailureClass.SERVER_ERROR, FailureClass.TIMEOUT, FailureClass.AMBIGUOUS}
)
"""What a job's own texts may have brought upon a call that it shared: it goes alone from then on."""


def joins(work: Work, deployment: Deployment, flags: Flags) -> tuple[str | None, ...] | None:
    """What calls that share one with the job's have to be equal in; None: it goes alone."""
    job = work.job
    stored = None if job.failure is None else job.failure.get("class")
    if not job.request.embeds or work.alone or stored in MAY_BE_ITS_OWN or job.constraints.coalesce == "never":
        return None
    if _tiered(deployment) or not flags.on(Flag.ENABLE_COALESCING, job.tenant.organization):
        return None
    return job.tenant.organization, job.tenant.workspace, job.constraints.classification


def _tiered(deployment: Deployment) -> bool:
    """Whether what a token costs depends on how many there are, so that parts of a bill are not the parts' bills."""
    price = deployment.price
    if price is None:
        return False
    return any(tariff.above for each in (price, *price.later) for tariff in each.tariffs.values())
