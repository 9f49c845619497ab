"""Tells StackStorm of dead letters, of breakers that open, and of incidents that open and close,
each at least once, in the order in which it happened.
"""

import os
import sys
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

from st2reactor.sensor.base import PollingSensor

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "actions", "lib"))

from synthralos_api import Api, ApiError, ConfigError  # noqa: E402
from synthralos_cursor import Cursor, moment, text  # noqa: E402

PAGE = 200
MOST_PAGES = 25
MOST_TOLD = 500
"""Rows of a page, pages of a window, and triggers of one poll; what is left comes with the next
one.
"""

AHEAD = timedelta(seconds=5)
"""How far the API's date may be behind: whole seconds, set a while ago, by another clock."""

SHORTEST_WINDOW = timedelta(milliseconds=1)
KEEP_EVERY = 25
"""Triggers after which the place is kept: so many may be told twice after a crash."""

LONGEST_MESSAGE = 500


class FailureSensor(PollingSensor):
    """Asks the API at every poll for what happened since the last one."""

    def setup(self):
        """Nothing is asked yet: what is wrong with the configuration is told at each poll, and the
        sensor lives on.
        """
        self._logger = self.sensor_service.get_logger(__name__)
        self._api = None
        self._letters = Cursor(self.sensor_service, "dead_letters")
        self._changes = Cursor(self.sensor_service, "breakers")
        self._opened = Cursor(self.sensor_service, "incidents_opened")
        self._closed = Cursor(self.sensor_service, "incidents_closed")
        self._looks = [self._dead_letters, self._breakers, self._incidents]

    def cleanup(self):
        """Nothing is held between two polls."""

    def add_trigger(self, trigger):
        """Triggers have no parameters."""

    def update_trigger(self, trigger):
        """Triggers have no parameters."""

    def remove_trigger(self, trigger):
        """Triggers have no parameters."""

    def poll(self):
        """Look for each kind in turn; what hinders one does not hinder the others."""
        for look in list(self._looks):
            try:
                if self._api is None:
                    self._api = Api(self.config)
                look()
            except ConfigError as error:
                self._logger.error("configuration: %s", error)
            except ApiError as error:
                self._logger.warning("SynthralOS: %s: %s", error.kind, error.detail)
                if look == self._breakers and error.kind == "forbidden":
                    self._logger.warning("The key is a tenant's: breakers are not watched.")
                    self._looks.remove(self._breakers)
            except Exception:
                # The edge of the sensor's process, which StackStorm does not start for ever: its
                # own API may be away, and its client raises what its libraries do.
                self._logger.exception(
                    "StackStorm did not take what was found; it is told at the next poll."
                )

    def _dead_letters(self):
        now, cursor = self._now(), self._letters
        if not cursor.ready(now):
            return
        since, end, left = cursor.since, now + AHEAD, MOST_TOLD
        while since < end and left:
            found, until = self._window(since, end)
            rows = [
                (job["id"] + " " + job["finished_at"], job["finished_at"], job) for job in found
            ]
            left -= self._tell("synthralos.dead_letter", cursor, rows, dead_letter, until, left)
            since = until

    def _breakers(self):
        now, cursor = self._now(), self._changes
        if not cursor.ready(now):
            return
        changes = []
        for page in self._pages("/api/v1/breaker-changes", {}, "changes"):
            changes += page
            if moment(page[-1]["at"]) < cursor.since:
                break
        rows = [(each["id"], each["at"], each) for each in changes if each["after"] == "open"]
        rows = [row for row in rows if moment(row[1]) >= cursor.since]
        until = now + AHEAD
        self._tell("synthralos.breaker_opened", cursor, rows, breaker_opened, until, MOST_TOLD)

    def _incidents(self):
        """One that opened and closed since the last look is told of twice, as opened first."""
        now = self._now()
        for trigger, cursor, member, payload_of in (
            ("synthralos.incident_opened", self._opened, "opened_at", incident_opened),
            ("synthralos.incident_closed", self._closed, "closed_at", incident_closed),
        ):
            if not cursor.ready(now):
                continue
            query = {"changed_after": text(cursor.since)}
            pages = self._pages("/api/v1/incidents", query, "incidents")
            found = [each for page in pages for each in page if each[member]]
            rows = [(each["id"], each[member], each) for each in found]
            rows = [row for row in rows if moment(row[1]) >= cursor.since]
            self._tell(trigger, cursor, rows, payload_of, now + AHEAD, MOST_TOLD)

    def _window(self, since, until):
        """Dead letters from `since` to `until`, which is nearer where there are too many: (they,
        until).
        """
        while True:
            query = {"failed_after": text(since), "failed_before": text(until)}
            found, whole = [], True
            for number, page in enumerate(self._pages("/api/v1/dead-letters", query, "jobs"), 1):
                found += page
                if number == MOST_PAGES and until - since > SHORTEST_WINDOW:
                    whole = False
                    break
            if whole:
                return found, until
            until = since + (until - since) / 2

    def _pages(self, path, query, name):
        cursor = None
        while True:
            page = self._api.get(path, dict(query, limit=PAGE, cursor=cursor)).data
            if page[name]:
                yield page[name]
            cursor = page["next"]
            if cursor is None:
                return

    def _tell(self, trigger, cursor, rows, payload_of, until, most):
        """Dispatch what was not told yet, oldest first, and keep the place after it: how many were
        dispatched.
        """
        fresh = sorted((row for row in rows if not cursor.knows(row[0])), key=lambda row: row[1])
        for number, (key, at, row) in enumerate(fresh[:most], 1):
            self.sensor_service.dispatch(trigger=trigger, payload=payload_of(row), trace_tag=key)
            cursor.told(key, at)
            if number % KEEP_EVERY == 0:
                cursor.keep()
        if len(fresh) <= most:
            cursor.reached(until)
        cursor.keep()
        return min(len(fresh), most)

    def _now(self):
        """The time by the API's clock, a little early."""
        date = self._api.get("/health/live").headers.get("date")
        now = datetime.now(timezone.utc) if date is None else parsedate_to_datetime(date)
        return now.astimezone(timezone.utc)


def dead_letter(job):
    """A dead letter as the trigger tells it: nothing of its request, and its metadata stay in
    SynthralOS.
    """
    failure = job["failure"] or {}
    return {
        "job_id": job["id"],
        "trace_id": job["trace_id"],
        "run_id": job["run_id"],
        "organization": job["organization"],
        "workspace": job["workspace"],
        "user": job["user"],
        "model": job["model"],
        "lane": job["lane"],
        "stage": job["stage"],
        "created_at": job["created_at"],
        "finished_at": job["finished_at"],
        "attempts": job["attempts"],
        "cost_usd": job["cost"]["usd"],
        "cost_known": job["cost"]["known"],
        "failure_class": failure.get("class"),
        "message": (failure.get("message") or "")[:LONGEST_MESSAGE],
        "http_status": failure.get("http_status"),
        "provider_code": failure.get("provider_code"),
        "retry_after": failure.get("retry_after"),
    }


def breaker_opened(change):
    """A breaker that opened as the trigger tells it."""
    return {
        "name": change["name"],
        "at": change["at"],
        "before": change["before"],
        "actor": change["actor"],
        "reason": change["reason"][:LONGEST_MESSAGE],
    }


def incident_opened(incident):
    """An incident that was opened as the trigger tells it."""
    names = ("id", "kind", "subject", "organization", "severity", "forecast", "opened_at")
    told = {name: incident[name] for name in names}
    return dict(told, reason=incident["reason"][:LONGEST_MESSAGE])


def incident_closed(incident):
    """An incident that is over as the trigger tells it."""
    return dict(incident_opened(incident), closed_at=incident["closed_at"])
