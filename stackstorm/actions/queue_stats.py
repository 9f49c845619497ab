"""What waits, and where: open jobs, dead letters, and the queues' own figures."""

import re

from lib.base import SynthralosAction, told
from lib.synthralos_api import ApiError

OPEN = ("queued", "active", "parked")
LOOKED_AT = 200
"""Jobs of a state that are looked at: the newest."""

GAUGES = {
    "synthralos_queue_jobs": "jobs",
    "synthralos_queue_oldest_seconds": "oldest_seconds",
    "synthralos_broker_messages": "messages",
}
SAMPLE = re.compile(r"^(\w+)\{([^}]*)\} (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class QueueStats(SynthralosAction):
    """Counts what is open up to a bound, and reads the queues' gauges where the key may and this
    process has them.
    """

    @told
    def run(self):
        """Open jobs by state, dead letters, and per stage and lane how many wait since when."""
        causes = self.api.get("/api/v1/dead-letters/causes").data
        queues, gauges = self._queues()
        return {
            "open": {state: self._count(state) for state in OPEN},
            "dead_letters": {
                "jobs": sum(cause["jobs"] for cause in causes["causes"]),
                "more": causes["more"],
            },
            "queues": queues,
            "gauges": gauges,
        }

    def _count(self, state):
        page = self.api.get("/api/v1/jobs", {"state": state, "limit": LOOKED_AT}).data
        places = {}
        for job in page["jobs"]:
            place = "{}/{}".format(job["stage"], job["lane"])
            places[place] = places.get(place, 0) + 1
        return {"jobs": len(page["jobs"]), "more": page["next"] is not None, "places": places}

    def _queues(self):
        """The queues by the gauges, and why there are none: `forbidden`, or `absent` (another
        process has them).
        """
        try:
            text = self.api.get("/metrics", accept="text/plain").data
        except ApiError as error:
            if error.kind != "forbidden":
                raise
            return [], "forbidden"
        queues = parsed(text if isinstance(text, str) else "")
        return queues, "ok" if queues else "absent"


def parsed(text):
    """The queues' gauges of a Prometheus text, one entry a stage and lane."""
    found = {}
    for line in text.splitlines():
        sample = SAMPLE.match(line)
        if sample is None or sample.group(1) not in GAUGES:
            continue
        labels = dict(LABEL.findall(sample.group(2)))
        place = labels.get("stage", ""), labels.get("lane", "")
        entry = found.setdefault(place, {"stage": place[0], "lane": place[1]})
        entry[GAUGES[sample.group(1)]] = float(sample.group(3))
    return [found[place] for place in sorted(found)]
