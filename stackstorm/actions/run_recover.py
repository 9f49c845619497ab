"""An agent's run goes on from its last good step."""

from lib.base import SynthralosAction, given, path_id, told
from lib.runs import MOST_STEPS, shown_run


class RunRecover(SynthralosAction):
    """Sends through again what ended badly. What is finished is kept, and nothing is paid for it
    again.

    The API does nothing twice: what was sent through is open, or finished.
    """

    @told
    def run(self, run_id, steps=None, reason=None):
        """What became of the steps, and the run afterwards."""
        body = given(steps=steps or None, reason=self.reason(reason))
        done = self.api.post("/api/v1/runs/{}/recover".format(path_id(run_id)), body).data
        return {
            "changed": bool(done["retried"]),
            "retried": done["retried"][:MOST_STEPS],
            "retried_in_all": len(done["retried"]),
            "kept_in_all": len(done["kept"]),
            "missing": done["missing"][:MOST_STEPS],
            "run": shown_run(done["run"]),
        }
