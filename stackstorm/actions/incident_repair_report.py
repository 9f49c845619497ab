"""SynthralOS hears what was done about an incident that it asked StackStorm to repair."""

from lib.base import SynthralosAction, path_id, told
from lib.synthralos_api import ApiError


class IncidentRepairReport(SynthralosAction):
    """Reports, once: the first report of a repair that is open counts."""

    @told
    def run(self, outcome, repair_id=None, detail=None):
        """Whether this is the report that counts, and the repair; without a repair, nothing is
        done: nobody waits for a report of what people started.
        """
        if not repair_id:
            return {"changed": False, "repair": None}
        path = "/api/v1/repairs/" + path_id(repair_id)
        why = self.reason(detail)
        body = {"outcome": outcome, "detail": str(detail or "")[:500], "reason": why}
        before = self.api.get(path).data
        if before["acted_at"] is not None or before["ended_at"] is not None:
            return {"changed": False, "repair": before}
        try:
            after = self.api.post(path + "/report", body).data
        except ApiError as error:
            if error.kind not in ("ambiguous", "unavailable", "server_error"):
                raise
            after = self.api.get(path).data
            if after["result"] is None:
                raise
        counted = (after["result"] or {}).get("outcome") == outcome
        return {"changed": counted, "repair": after}
