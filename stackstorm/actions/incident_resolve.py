"""An incident is over: somebody, or a workflow that mended it, says so."""

from lib.base import SynthralosAction, path_id, told
from lib.synthralos_api import ApiError


class IncidentResolve(SynthralosAction):
    """Resolves an incident. One that is closed stays as it is."""

    @told
    def run(self, incident_id, comment=None):
        """Whether this closed it, and the incident afterwards."""
        path = "/api/v1/incidents/" + path_id(incident_id)
        before = self.api.get(path).data
        if before["state"] == "closed":
            return {"changed": False, "incident": before}
        why = self.reason(comment)
        try:
            after = self.api.post(path + "/resolve", {"comment": why}).data
        except ApiError as error:
            if error.kind not in ("ambiguous", "unavailable", "server_error"):
                raise
            after = self.api.get(path).data
            if after["state"] != "closed":
                raise
        return {"changed": _resolved_for(after) == why, "incident": after}


def _resolved_for(incident):
    """Why it was resolved; None where the monitor closed it."""
    reasons = [step["note"] for step in incident["steps"] if step["act"] == "resolve"]
    return reasons[-1] if reasons else None
