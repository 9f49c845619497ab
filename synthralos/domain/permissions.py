"""What a key may do: acts, and the roles that are names for sets of them."""

from collections.abc import Mapping
from enum import StrEnum


class Permission(StrEnum):
    """One act, as it is named when it is refused."""

    READ_JOBS = "jobs:read"
    SUBMIT_JOBS = "jobs:submit"
    CANCEL_JOBS = "jobs:cancel"
    RETRY_JOBS = "jobs:retry"
    REROUTE_JOBS = "jobs:reroute"
    CAP_RUNS = "runs:cap"
    ANSWER_WAITS = "waits:answer"
    READ_METRICS = "metrics:read"
    READ_DEPLOYMENTS = "deployments:read"
    WRITE_DEPLOYMENTS = "deployments:write"
    WRITE_BREAKERS = "breakers:write"
    READ_LIMITS = "limits:read"
    WRITE_LIMITS = "limits:write"
    READ_FLAGS = "flags:read"
    WRITE_FLAGS = "flags:write"
    READ_POLICIES = "policies:read"
    WRITE_POLICIES = "policies:write"
    READ_SCHEDULES = "schedules:read"
    WRITE_SCHEDULES = "schedules:write"
    READ_BUDGETS = "budgets:read"
    WRITE_BUDGETS = "budgets:write"
    READ_WEBHOOKS = "webhooks:read"
    WRITE_WEBHOOKS = "webhooks:write"
    READ_AUDIT = "audit:read"
    READ_KEYS = "keys:read"
    WRITE_KEYS = "keys:write"
    READ_ORGANIZATIONS = "organizations:read"
    WRITE_ORGANIZATIONS = "organizations:write"


class Role(StrEnum):
    """A set of acts that goes by one name."""

    VIEWER = "viewer"
    SERVICE = "service"
    OPERATOR = "operator"
    ADMIN = "admin"


_VIEWS = frozenset(
    {
        Permission.READ_JOBS,
        Permission.READ_METRICS,
        Permission.READ_DEPLOYMENTS,
        Permission.READ_LIMITS,
        Permission.READ_SCHEDULES,
        Permission.READ_BUDGETS,
    }
)
_SERVES = _VIEWS | {Permission.SUBMIT_JOBS, Permission.CANCEL_JOBS, Permission.WRITE_SCHEDULES}
_OPERATES = _SERVES | {
    Permission.RETRY_JOBS,
    Permission.REROUTE_JOBS,
    Permission.CAP_RUNS,
    Permission.ANSWER_WAITS,
    Permission.WRITE_BREAKERS,
    Permission.READ_ORGANIZATIONS,
    Permission.READ_FLAGS,
    Permission.READ_POLICIES,
    Permission.READ_WEBHOOKS,
    Permission.READ_AUDIT,
}

PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWS,
    Role.SERVICE: _SERVES,
    Role.OPERATOR: _OPERATES,
    Role.ADMIN: frozenset(Permission),
}
"""What each role may do."""


def roles_with(permission: Permission) -> list[Role]:
    """The roles that may do it, the least first."""
    return [role for role in Role if permission in PERMISSIONS[role]]
