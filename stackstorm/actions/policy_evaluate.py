"""What the policies would decide, and why."""

from lib.base import SynthralosAction, given, told


class PolicyEvaluate(SynthralosAction):
    """Tries the policies in force, or a draft, on a recorded job or on stated facts. Nothing is
    changed.
    """

    @told
    def run(self, job_id=None, facts=None, draft=None):
        """The decision, with what became of each rule."""
        body = given(job_id=job_id, facts=facts, draft=draft)
        return self.api.post("/api/v1/policies/evaluate", body).data
