"""What the pack's actions share: the API by the pack's configuration, reasons that name the
execution, told errors.
"""

import functools
import os

from st2common.runners.base_action import Action

from lib.synthralos_api import Api, ApiError, ConfigError

LONGEST_REASON = 500
"""Characters that the API takes."""

TERMINAL = frozenset({"succeeded", "denied", "failed", "cancelled", "expired"})
REVIVABLE = TERMINAL - {"succeeded"}
"""States of a job: those that are an end, and those of them that a retry leads out of."""

HIDDEN = ("request", "result", "plan", "constraints", "verdict")
"""What a job says only if it is asked for: StackStorm keeps results, and prompts and answers are
not its business.
"""


def told(run):
    """Have an action's `run` answer (succeeded, result), with errors as a result that a workflow
    can look into.
    """

    @functools.wraps(run)
    def telling(self, *args, **parameters):
        try:
            return True, run(self, *args, **parameters)
        except ApiError as error:
            self.logger.error("%s: %s", error.kind, error.detail)
            return False, {"error": error.to_dict()}
        except ConfigError as error:
            self.logger.error("configuration: %s", error)
            return False, {"error": ApiError("configuration", str(error)).to_dict()}

    return telling


class SynthralosAction(Action):
    """The base of all actions. Subclasses write `run`, under `@told`, and answer with plain
    values.
    """

    def __init__(self, config=None, action_service=None):
        super().__init__(config=config, action_service=action_service)
        self._api = None

    @property
    def api(self):
        """The API; raises `ConfigError`."""
        if self._api is None:
            self._api = Api(self.config)
        return self._api

    @property
    def execution(self):
        """The id of this execution; empty outside of StackStorm."""
        return os.environ.get("ST2_ACTION_EXECUTION_ID", "")

    def reason(self, text):
        """Why something is done, as the API records it: it begins with this execution, so that both
        sides can be found.
        """
        by = "StackStorm execution {}".format(self.execution) if self.execution else "StackStorm"
        printable = (letter if letter.isprintable() else " " for letter in str(text or ""))
        clean = "".join(printable).strip()
        return (by + ": " + clean if clean else by)[:LONGEST_REASON]

    def job(self, job_id, wait=0.0):
        """A job as the API has it."""
        query = {"wait": wait} if wait else None
        return self.api.get("/api/v1/jobs/" + path_id(job_id), query, wait=wait or 0.0).data

    def revive(self, job_id, act, body, possible, if_finished_at=None):
        """Have a job go through again, once: (whether this did it, the job afterwards).

        `act` is retry or reroute, `possible` says whether it is for a job. A job that moved since
        `if_finished_at`, or that is not the repair's to move any more, is left alone.
        """
        before = self.job(job_id)
        if not possible(before):
            return False, before
        if if_finished_at and before["finished_at"] != if_finished_at:
            return False, before
        url = "/api/v1/jobs/{}/{}".format(path_id(job_id), act)
        try:
            return True, self.api.post(url, body).data
        except ApiError as error:
            if error.kind not in ("conflict", "ambiguous", "unavailable", "server_error"):
                raise
            after = self.job(job_id)
            if error.kind == "conflict":
                if possible(after) and "repair_id" not in body:
                    raise
                return False, after
            # It may have been done although no answer came: the job's record tells.
            if self._recorded(after, act, body["reason"]):
                return True, after
            raise

    def _recorded(self, job, act, reason):
        """Whether the job has an event of that act with that reason, which names this execution."""
        trace = self.api.get("/api/v1/observability/traces/" + path_id(job["trace_id"])).data
        events = [each["events"] for each in trace["jobs"] if each["job"]["id"] == job["id"]]
        return any(
            event["kind"] == act and event["data"].get("reason") == reason
            for each in events
            for event in each
        )


def awaits_repair(job):
    """Whether it is parked until a repair acts."""
    return job["state"] == "parked" and job["stage"] == "heal"


def retryable(job):
    """Whether a retry leads out of its state."""
    return job["state"] in REVIVABLE or awaits_repair(job)


def shown(job, everything=False):
    """A job as an action tells it, with the questions answered that workflows ask."""
    told_of = {name: value for name, value in job.items() if everything or name not in HIDDEN}
    told_of["terminal"] = job["state"] in TERMINAL
    told_of["succeeded"] = job["state"] == "succeeded"
    told_of["revivable"] = job["state"] in REVIVABLE
    told_of["retryable"] = retryable(job)
    return told_of


def path_id(value):
    """An id as part of a path; raises `ApiError` for what is none."""
    text = str(value).strip()
    if not text or len(text) > 64 or not all(part.isalnum() or part in "-_.:" for part in text):
        raise ApiError("invalid", "{!r} is no id".format(text[:80]))
    return text


def given(**values):
    """What was set: StackStorm hands over None for a parameter that was left out."""
    return {name: value for name, value in values.items() if value is not None}
