"""What is written down when people or programs change something."""

from enum import StrEnum


class Act(StrEnum):
    """What was done, as the audit log names it."""

    SET_FLAG = "flags.set"
    RESET_FLAG = "flags.reset"
    SET_LIMITS = "limits.set"
    RESET_LIMITS = "limits.reset"
    SET_OWN_LIMITS = "organizations.set_limits"
    RESET_OWN_LIMITS = "organizations.reset_limits"
    SET_DEPLOYMENT = "deployments.set"
    REMOVE_DEPLOYMENT = "deployments.remove"
    CREATE_POLICY = "policies.create"
    CHANGE_POLICY = "policies.change"
    REMOVE_POLICY = "policies.remove"
    CREATE_SCHEDULE = "schedules.create"
    CHANGE_SCHEDULE = "schedules.change"
    REMOVE_SCHEDULE = "schedules.remove"
    PAUSE_SCHEDULE = "schedules.pause"
    RESUME_SCHEDULE = "schedules.resume"
    RUN_SCHEDULE = "schedules.run"
    BACKFILL_SCHEDULE = "schedules.backfill"
    CREATE_KEY = "keys.create"
    ROTATE_KEY = "keys.rotate"
    REVOKE_KEY = "keys.revoke"
    SET_PLAN = "organizations.set_plan"
    CANCEL_JOB = "jobs.cancel"
    RETRY_JOB = "jobs.retry"
    REROUTE_JOB = "jobs.reroute"
