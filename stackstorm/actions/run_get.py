"""An agent's run: its steps, and how it stands."""

from lib.base import SynthralosAction, path_id, told
from lib.runs import shown_run


class RunGet(SynthralosAction):
    """Reads a run."""

    @told
    def run(self, run_id, wait=0):
        """The run; with `wait`, after one of its open jobs ended or so many seconds are over."""
        url = "/api/v1/runs/" + path_id(run_id)
        found = shown_run(self.api.get(url).data)
        if not wait or found["finished"] or not found["open_jobs"]:
            return found
        self.job(found["open_jobs"][0], wait)
        return shown_run(self.api.get(url).data)
