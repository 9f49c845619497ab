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
    RESET_BREAKER = "breakers.reset"
    CREATE_KEY = "keys.create"
    ROTATE_KEY = "keys.rotate"
    REVOKE_KEY = "keys.revoke"
    SET_PLAN = "organizations.set_plan"
    BULK_OPERATION = "dead_letters.operate"
    CANCEL_JOB = "jobs.cancel"
    RETRY_JOB = "jobs.retry"
    REROUTE_JOB = "jobs.reroute"
