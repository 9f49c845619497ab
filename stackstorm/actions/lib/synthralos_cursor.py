"""How far a sensor is: a time up to which everything was told, and what was told near it."""

import json
from datetime import datetime, timedelta, timezone

OVERLAP = timedelta(seconds=60)
"""What is looked at again each time: transactions become visible later than the times that they
wrote.
"""


class Cursor:
    """How far the sensor is with one kind, kept in StackStorm's datastore after what it is about
    was dispatched.
    """

    def __init__(self, service, name):
        self._service = service
        self._name = "failure_sensor_" + name
        self._at = None
        self._seen = {}
        self._kept = None

    def ready(self, now):
        """Whether it is known what to look for. The first look ever begins at `now`: what was
        before is not told.

        Raises what StackStorm's client raises where the datastore does not answer.
        """
        if self._at is not None:
            return True
        value = self._service.get_value(self._name)
        if value is None and self._service.list_values(prefix=self._name):
            # StackStorm hands out None also for what it failed to read; whoever began anew then
            # would lose events.
            return False
        if value is None:
            self._at = now + OVERLAP
            self.keep()
            return False
        kept = json.loads(value)
        self._at, self._seen, self._kept = moment(kept["at"]), kept["seen"], value
        return True

    @property
    def since(self):
        """From when on is looked at."""
        return self._at - OVERLAP

    def knows(self, key):
        """Whether it was told."""
        return key in self._seen

    def told(self, key, at):
        """It was dispatched."""
        self._seen[key] = at
        self.reached(moment(at))

    def reached(self, until):
        """Everything before that time was told."""
        self._at = max(self._at, until)

    def keep(self):
        """Store it; what lies before the next window is forgotten."""
        since = self.since
        self._seen = {key: at for key, at in self._seen.items() if moment(at) >= since}
        written = json.dumps({"at": text(self._at), "seen": self._seen}, sort_keys=True)
        if written != self._kept:
            self._service.set_value(self._name, written)
            self._kept = written


def moment(words):
    """A time as the API and the cursor write it."""
    return datetime.fromisoformat(words[:-1] + "+00:00" if words.endswith("Z") else words)


def text(at):
    """A time as the API reads it."""
    return at.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
