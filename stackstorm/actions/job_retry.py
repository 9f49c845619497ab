"""A job is sent through again from the start."""

from lib.base import REVIVABLE, SynthralosAction, shown, told


class JobRetry(SynthralosAction):
    """Retries a job that failed, was denied or cancelled, or expired; any other is left alone."""

    @told
    def run(self, job_id, reason=None, if_finished_at=None):
        """Whether this retried it, and the job afterwards."""
        body = {"reason": self.reason(reason)}
        changed, job = self.revive(job_id, "retry", body, REVIVABLE, if_finished_at)
        return {"changed": changed, "job": shown(job)}
