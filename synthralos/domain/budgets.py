"""Budgets: what may be spent by whom, and in which time. Money is `Decimal` US dollars."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from synthralos.domain.jobs import Job


class Per(StrEnum):
    """Whose spending is counted together: each organization's (workspace's, user's …) by itself.

    `api_key`: that of the jobs that were submitted with it, whichever organization they are of.
    """

    ORGANIZATION = "organization"
    WORKSPACE = "workspace"
    USER = "user"
    RUN = "run"
    JOB = "job"
    API_KEY = "api_key"


class Period(StrEnum):
    """The calendar time, in UTC, after which counting begins anew; `total` never ends."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"

    def since(self, now: datetime) -> datetime:
        """The beginning of the period that `now` is in."""
        if self is Period.TOTAL:
            return datetime(1970, 1, 1, tzinfo=UTC)
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        if self is Period.HOUR:
            return hour
        day = hour.replace(hour=0)
        return day if self is Period.DAY else day.replace(day=1)

    def until(self, now: datetime) -> datetime | None:
        """The beginning of the next period; None where there is none."""
        since = self.since(now)
        if self is Period.TOTAL:
            return None
        if self is Period.MONTH:
            return (since + timedelta(days=32)).replace(day=1)
        return since + (timedelta(hours=1) if self is Period.HOUR else timedelta(days=1))


class AtLimit(StrEnum):
    """What becomes of a job whose call has no room: it waits for the next period, fails, or goes to a cheaper model."""

    PARK = "park"
    DENY = "deny"
    CHEAPER = "cheaper"


class Raised(NamedTuple):
    """Another limit for a time, who gave it, and why."""

    limit: Decimal
    until: datetime
    by: str
    reason: str


MOST_USD = Decimal(1_000_000)
DEFAULT_ALERTS = (80, 100)


@dataclass(frozen=True, slots=True)
class Budget:
    """So much in USD for each `per` in each `period`. With `organization` … `run`: for those jobs alone.

    `api_key` is the id of the key that submitted them. One of a `run` is a cap of it, and has an `organization`.

    `alerts` are percentages of the limit whose crossing is told once a period.
    """

    id: str
    name: str
    per: Per
    period: Period
    limit: Decimal
    at_limit: AtLimit = AtLimit.DENY
    organization: str | None = None
    workspace: str | None = None
    user: str | None = None
    alerts: tuple[int, ...] = DEFAULT_ALERTS
    raised: Raised | None = None
    api_key: str | None = None
    run: str | None = None

    def limit_at(self, now: datetime) -> Decimal:
        """What may be spent in the period, at that time."""
        return self.raised.limit if self.raised is not None and now < self.raised.until else self.limit

    def subject(self, job: Job) -> str | None:
        """Under which name the job's spending is counted; None: it is not held by this budget."""
        tenant = job.tenant
        wanted = (
            (self.organization, tenant.organization),
            (self.workspace, tenant.workspace),
            (self.user, tenant.user),
            (self.api_key, job.api_key_id),
            (self.run, job.run_id),
        )
        if any(own is not None and own != other for own, other in wanted):
            return None
        match self.per:
            case Per.ORGANIZATION:
                return tenant.organization
            case Per.WORKSPACE:
                return f"{tenant.organization}/{tenant.workspace}"
            case Per.USER:
                return None if tenant.user is None else f"{tenant.organization}/{tenant.user}"
            case Per.RUN:
                return None if job.run_id is None else f"{tenant.organization}/{job.run_id}"
            case Per.JOB:
                return job.id
            case Per.API_KEY:
                return job.api_key_id

    def to_json(self) -> dict[str, Any]:
        """The published form, without what is used of it."""
        raised = self.raised
        return {
            "id": self.id,
            "name": self.name,
            "organization": self.organization,
            "workspace": self.workspace,
            "user": self.user,
            "api_key": self.api_key,
            "per": str(self.per),
            "period": str(self.period),
            "limit_usd": format(self.limit, "f"),
            "at_limit": str(self.at_limit),
            "alerts": list(self.alerts),
            "raised": None
            if raised is None
            else {
                "limit_usd": format(raised.limit, "f"),
                "until": raised.until.astimezone(UTC).isoformat().replace("+00:00", "Z"),
                "by": raised.by,
                "reason": raised.reason,
            },
        }


class Charge(NamedTuple):
    """A budget that holds a call, and the name under which it counts there."""

    budget: Budget
    subject: str


NO_CHARGES: tuple[Charge, ...] = ()


class Budgets:
    """All budgets. For a tenant that has none, asking costs a look into a dictionary."""

    def __init__(self, budgets: Iterable[Budget] = ()) -> None:
        self.all = tuple(budgets)
        own: defaultdict[str | None, list[Budget]] = defaultdict(list)
        of_runs: defaultdict[tuple[str | None, str], list[Budget]] = defaultdict(list)
        for budget in self.all:
            (own[budget.organization] if budget.run is None else of_runs[budget.organization, budget.run]).append(
                budget
            )
        self._everybodys = tuple(own.pop(None, ()))
        self._own: Mapping[str | None, tuple[Budget, ...]] = {name: tuple(each) for name, each in own.items()}
        self._of_runs: Mapping[tuple[str | None, str], tuple[Budget, ...]] = {
            name: tuple(each) for name, each in of_runs.items()
        }

    def of(self, job: Job) -> tuple[Charge, ...]:
        """What holds the job's calls."""
        own = self._own.get(job.tenant.organization)
        of_run = self._of_runs.get((job.tenant.organization, job.run_id), ()) if self._of_runs and job.run_id else ()
        if own is None and not self._everybodys and not of_run:
            return NO_CHARGES
        found = ((budget, budget.subject(job)) for budget in (*of_run, *(own or ()), *self._everybodys))
        return tuple(Charge(budget, subject) for budget, subject in found if subject is not None)


NO_BUDGETS = Budgets()


@dataclass(frozen=True, slots=True)
class Use:
    """What was used of a budget in one period. `held` is reserved for calls under way; `maybe` for lost ones.

    What may have been billed counts like what was spent, until its end is learned.
    """

    subject: str
    since: datetime
    held: Decimal
    maybe: Decimal
    spent: Decimal

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        return {
            "subject": self.subject,
            "since": self.since.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "held_usd": format(self.held, "f"),
            "spent_maybe_usd": format(self.maybe, "f"),
            "spent_usd": format(self.spent, "f"),
        }
