"""Which prompts may be sent to a server of embeddings. What is not known to be allowed is not sent (promise 4)."""

from pipelines.privacy.find import find
from synthralos.domain.jobs import Job
from synthralos.domain.residency import kept_from


def may_leave(job: Job, text: str, residency: str | None) -> bool:
    """Whether the job's text may go to a server with this declared residency (None: it declares none).

    Not where the data's class or the job's region is bound to somewhere else, where nothing may be kept, and where the
    text holds private data: what a provider is not to see is not replaced yet.
    """
    wanted = job.constraints
    if wanted.zero_retention or kept_from(wanted.classification, residency) is not None:
        return False
    if wanted.region is not None and wanted.region != residency:
        return False
    return not find(text)
