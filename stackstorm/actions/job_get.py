"""One job, waited for if need be."""

from lib.base import SynthralosAction, shown, told


class JobGet(SynthralosAction):
    """Reads a job."""

    @told
    def run(self, job_id, wait=0, include_payloads=False):
        """The job; with `wait`, as soon as it is over or so many seconds are."""
        return shown(self.job(job_id, wait or 0), bool(include_payloads))
