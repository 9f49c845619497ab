"""A job is sent through again from the start."""

from lib.base import SynthralosAction, given, retryable, shown, told


class JobRetry(SynthralosAction):
    """Retries a job that failed, was denied or cancelled, expired, or is parked for a repair; any
    other is left alone.
    """

    @told
    def run(self, job_id, reason=None, if_finished_at=None, repair_id=None):
        """Whether this retried it, and the job afterwards."""
        body = dict(given(repair_id=repair_id), reason=self.reason(reason))
        changed, job = self.revive(job_id, "retry", body, retryable, if_finished_at)
        return {"changed": changed, "job": shown(job)}
