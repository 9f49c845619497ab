"""A job is routed anew, with other constraints where some are given."""

from lib.base import SynthralosAction, given, retryable, shown, told


class JobReroute(SynthralosAction):
    """Reroutes a job, unless it succeeded. Data stays where its classification allows it to be."""

    @told
    def run(
        self,
        job_id,
        pin=None,
        exclude=None,
        region=None,
        strategy=None,
        fallback=None,
        reason=None,
        if_finished_at=None,
        repair_id=None,
    ):
        """Whether this rerouted it, and the job afterwards."""
        changes = given(
            pin=pin,
            exclude=exclude or None,
            region=region,
            strategy=strategy,
            fallback=fallback,
            repair_id=repair_id,
        )
        body = dict(changes, reason=self.reason(reason))
        possible = retryable if repair_id else reroutable
        changed, job = self.revive(job_id, "reroute", body, possible, if_finished_at)
        return {"changed": changed, "job": shown(job)}


def reroutable(job):
    """Whether it can be routed anew: all but one that succeeded."""
    return job["state"] != "succeeded"
