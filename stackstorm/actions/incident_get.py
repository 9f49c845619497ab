"""An incident: what the monitor found, and what was done about it."""

from lib.base import SynthralosAction, path_id, told


class IncidentGet(SynthralosAction):
    """Reads an incident."""

    @told
    def run(self, incident_id):
        """The incident, with its evidence, its steps, whether it is over, and what it is about."""
        found = self.api.get("/api/v1/incidents/" + path_id(incident_id)).data
        found["over"] = found["state"] == "closed"
        found["escalated"] = found["state"] == "escalated"
        found["subject_kind"], _, found["subject_name"] = found["subject"].partition(":")
        return found
