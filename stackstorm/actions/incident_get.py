"""An incident: what the monitor found, and what was done about it."""

from lib.base import SynthralosAction, path_id, told


class IncidentGet(SynthralosAction):
    """Reads an incident."""

    @told
    def run(self, incident_id):
        """The incident, with its evidence, its steps, and whether it is over."""
        found = self.api.get("/api/v1/incidents/" + path_id(incident_id)).data
        found["over"] = found["state"] == "closed"
        return found
