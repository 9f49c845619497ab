"""What StackStorm is told: triggers with closed payloads, made of events and happenings. Pure.

`contracts/triggers/` has the payloads' schemas, from which the pack's triggers are generated. They hold ids, states and
figures: nothing that senders, models or providers wrote.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from synthralos.domain.failures import FailureClass
from synthralos.domain.feed import Item
from synthralos.domain.incidents import KINDS, IncidentKind, Severity
from synthralos.domain.repairs import PACK
from synthralos.domain.residency import kept_from


class Trigger(BaseModel):
    """A payload. Closed: StackStorm refuses a member that its trigger does not have."""

    model_config = ConfigDict(extra="forbid")

    trigger: ClassVar[str]


class OfJob(Trigger):
    """What is told of every job."""

    id: Annotated[str, Field(description="the event's, the same for repeats")]
    at: Annotated[str, Field(description="RFC 3339, UTC")]
    organization: str
    job_id: str
    run_id: str | None


class JobFailed(OfJob):
    """A job failed, and heal decided what is done about it."""

    trigger = "job_failed"

    failure_class: FailureClass
    http_status: int | None
    provider_code: Annotated[str | None, Field(description="the provider's own word")]
    remedy: str
    treatment: Annotated[str, Field(description="such as `Wait`, `NextDeployment` or `GiveUp`")]
    attempts: Annotated[int, Field(description="calls that the job had made by then")]


class JobDeadLettered(OfJob):
    """A job failed for good: no remedy is left."""

    trigger = "job_dead_lettered"

    model: str
    lane: str
    deployment: Annotated[str | None, Field(description="where it was called last")]
    failure_class: FailureClass | None
    calls: int


class BudgetExhausted(Trigger):
    """What a budget allows is spent."""

    trigger = "budget_exhausted"

    id: str
    at: str
    organization: str
    budget: Annotated[str, Field(description="its name")]
    budget_id: str
    subject: Annotated[str, Field(description="whose spending it is")]
    percent: int
    limit_usd: str
    spent_usd: str


class ApprovalWanted(OfJob):
    """A job waits for an approval."""

    trigger = "approval_wanted"

    wait_id: str
    approver: Annotated[str, Field(description="who has to approve")]
    deadline: str


class BreakerOpened(Trigger):
    """A circuit breaker opened: a deployment or a key gets no calls. The pack's sensor tells the same."""

    trigger = "breaker_opened"

    name: Annotated[str, Field(description="the deployment, or `credential:` and the key's name")]
    at: str
    before: str
    actor: str
    reason: str


class IncidentTold(Trigger):
    """What is told of every incident. The pack's sensor tells the same."""

    id: Annotated[str, Field(description="the incident's")]
    kind: IncidentKind
    subject: Annotated[str, Field(description="`deployment:ID`, `organization:NAME` or `queue:STAGE/LANE`")]
    organization: str | None
    severity: Severity
    forecast: bool
    reason: str
    opened_at: str


class IncidentOpened(IncidentTold):
    """The monitor found something that is not as usual."""

    trigger = "incident_opened"


class IncidentClosed(IncidentTold):
    """An incident is over."""

    trigger = "incident_closed"

    closed_at: str


TRIGGERS: Mapping[str, type[Trigger]] = {
    model.trigger: model for model in (JobFailed, JobDeadLettered, BudgetExhausted, ApprovalWanted)
}
"""Those that `contracts/triggers/` has. The others are generated with the sensor, which tells the same."""

NAMES = (*TRIGGERS, BreakerOpened.trigger, IncidentOpened.trigger, IncidentClosed.trigger)

USUAL = tuple(name for name in NAMES if name != JobFailed.trigger)
"""What StackStorm is told by default: every failure that heal treats would be as much as there are calls."""


class Telling(NamedTuple):
    """A trigger that is to be dispatched. `tag`: the same for repeats."""

    trigger: str
    payload: dict[str, Any]
    tag: str


def telling(happened: Item, residency: str | None, names: frozenset[str]) -> Telling | None:
    """What StackStorm, which is declared to be there, is told of it; None: nothing.

    Of a job whose data may not go there it is told nothing at all, not even that it is there.
    """
    make = _MADE.get(happened.type)
    if make is None or kept_from(happened.classification, residency) is not None:
        return None
    made = make(happened)
    if made is None or made.trigger not in names:
        return None
    payload = made.model_dump(mode="json")
    return Telling(f"{PACK}.{made.trigger}", payload, f"{PACK}-event-{happened.id}")


def _of_job(happened: Item) -> dict[str, Any]:
    return {
        "id": happened.id,
        "at": _text(happened.at),
        "organization": happened.organization or "",
        "job_id": happened.job_id or "",
        "run_id": happened.run_id,
    }


def _failed(happened: Item) -> Trigger | None:
    data, failure = happened.data, happened.data["failure"]
    return JobFailed(
        **_of_job(happened), failure_class=failure["class"], http_status=failure.get("http_status"),
        provider_code=failure.get("provider_code"), remedy=data["remedy"], treatment=data["treatment"],
        attempts=data.get("attempts") or 0,
    )  # fmt: skip


def _dead(happened: Item) -> Trigger | None:
    data = happened.data
    given = {name: data[name] or None for name in ("model", "lane", "deployment", "failure_class")}
    return JobDeadLettered.model_validate({**_of_job(happened), **given, "calls": data["calls"]})


def _exhausted(happened: Item) -> Trigger | None:
    data = happened.data
    if data["percent"] < 100:
        return None
    given = {name: data[name] for name in ("budget", "budget_id", "subject", "percent", "limit_usd", "spent_usd")}
    return BudgetExhausted(id=happened.id, at=_text(happened.at), organization=happened.organization or "", **given)


def _approval(happened: Item) -> Trigger | None:
    data = happened.data
    if data["wait_kind"] != "approval":
        return None
    asked = {"wait_id": data["wait_id"], "approver": data["name"], "deadline": str(data["deadline"])}
    return ApprovalWanted(**_of_job(happened), **asked)


def _opened(happened: Item) -> Trigger | None:
    data = happened.data
    return BreakerOpened(
        name=data["name"], at=_text(happened.at), before=data["before"], actor=happened.actor,
        reason=data["reason"][:500],
    )  # fmt: skip


def _incident(happened: Item) -> dict[str, Any]:
    data = happened.data
    return {
        "id": happened.subject, "kind": data["incident_kind"], "subject": data["about"],
        "organization": happened.organization, "severity": data["severity"], "forecast": data["forecast"],
        "reason": data["reason"][:500], "opened_at": _text(happened.at),
    }  # fmt: skip


def _incident_opened(happened: Item) -> Trigger | None:
    return IncidentOpened.model_validate(_incident(happened))


def _incident_closed(happened: Item) -> Trigger | None:
    kind = IncidentKind(happened.data["incident_kind"])
    opened_at = happened.at - timedelta(seconds=happened.data["seconds"])
    severity = Severity.WARNING if happened.data["forecast"] else KINDS[kind].severity
    said = _incident(replace(happened, at=opened_at, data={**happened.data, "severity": severity}))
    return IncidentClosed.model_validate({**said, "closed_at": _text(happened.at)})


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


_MADE: Mapping[str, Callable[[Item], Trigger | None]] = {
    "job.healed": _failed,
    "job.failed": _dead,
    "budget_alert": _exhausted,
    "wait.opened": _approval,
    "breaker.opened": _opened,
    "incident.opened": _incident_opened,
    "incident.closed": _incident_closed,
}
"""By the feed's types."""

_TYPES: Mapping[str, str] = {
    JobFailed.trigger: "job.healed",
    JobDeadLettered.trigger: "job.failed",
    BudgetExhausted.trigger: "budget_alert",
    ApprovalWanted.trigger: "wait.opened",
    BreakerOpened.trigger: "breaker.opened",
    IncidentOpened.trigger: "incident.opened",
    IncidentClosed.trigger: "incident.closed",
}


def types_of(names: Iterable[str]) -> frozenset[str]:
    """The feed's types that triggers of these names are made of."""
    return frozenset(_TYPES[name] for name in names)
