"""A schedule fires no more."""

from lib.base import SynthralosAction, path_id, told


class SchedulePause(SynthralosAction):
    """Pauses a schedule; one that is paused stays so, with the note that it has."""

    @told
    def run(self, schedule_id, note=None, reason=None):
        """Whether this paused it, and the schedule afterwards."""
        path = "/api/v1/schedules/" + path_id(schedule_id)
        before = self.api.get(path).data
        if before["paused"]:
            return {"changed": False, "schedule": before}
        why = self.reason(reason or note)
        body = {"note": note or why, "reason": why}
        return {"changed": True, "schedule": self.api.post(path + "/pause", body).data}
