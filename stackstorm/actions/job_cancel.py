"""A job is called off."""

from lib.base import SynthralosAction, path_id, shown, told
from lib.synthralos_api import ApiError


class JobCancel(SynthralosAction):
    """Cancels a job; one that is over stays what it is."""

    @told
    def run(self, job_id, reason=None):
        """Whether this called it off, and the job afterwards."""
        url = "/api/v1/jobs/{}/cancel".format(path_id(job_id))
        try:
            job = self.api.post(url, {"reason": self.reason(reason)}).data
        except ApiError as error:
            if error.kind not in ("conflict", "ambiguous"):
                raise
            job = self.job(job_id)
            if not shown(job)["terminal"]:
                raise
            cancelled = error.kind == "ambiguous" and job["state"] == "cancelled"
            return {"changed": cancelled, "job": shown(job)}
        return {"changed": True, "job": shown(job)}
