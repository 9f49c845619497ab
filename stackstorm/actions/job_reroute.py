"""A job is routed anew, with other constraints where some are given."""

from lib.base import REVIVABLE, SynthralosAction, given, shown, told

OPEN = frozenset({"queued", "active", "parked"})


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
    ):
        """Whether this rerouted it, and the job afterwards."""
        changes = given(
            pin=pin, exclude=exclude or None, region=region, strategy=strategy, fallback=fallback
        )
        body = dict(changes, reason=self.reason(reason))
        sources = OPEN | REVIVABLE
        changed, job = self.revive(job_id, "reroute", body, sources, if_finished_at)
        return {"changed": changed, "job": shown(job)}
