"""Whether SynthralOS accepts jobs, and whether the pack's key works."""

import time

from lib.base import SynthralosAction, told


class Health(SynthralosAction):
    """Looks at what readiness depends on, then reads something with the key."""

    @told
    def run(self):
        """What was found; the action fails where SynthralOS or the key does not work."""
        began = time.monotonic()
        ready = self.api.get("/health/ready", statuses=(503,)).data
        self.api.get("/api/v1/jobs", {"limit": 1})
        return {
            "ready": ready["status"] == "ready",
            "checks": ready["checks"],
            "seconds": round(time.monotonic() - began, 3),
        }
