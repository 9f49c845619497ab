"""A schedule fires again."""

from lib.base import SynthralosAction, path_id, told


class ScheduleResume(SynthralosAction):
    """Resumes a schedule; one that is not paused stays so."""

    @told
    def run(self, schedule_id, reason=None):
        """Whether this resumed it, and the schedule afterwards."""
        path = "/api/v1/schedules/" + path_id(schedule_id)
        before = self.api.get(path).data
        if not before["paused"]:
            return {"changed": False, "schedule": before}
        after = self.api.post(path + "/resume", {"reason": self.reason(reason)}).data
        return {"changed": True, "schedule": after}
