"""What is asked and answered about incidents."""

from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from api.v1.queries import Text, decode_cursor
from api.v1.views import View
from pipelines.analyze.trace import rfc3339
from pipelines.intake.closed import Closed
from pipelines.intake.schema import Time
from synthralos.domain.incidents import (
    LIVE,
    UNDER_WAY,
    Incident,
    IncidentKind,
    IncidentState,
    Severity,
    Step,
    Subject,
    SubjectKind,
)
from synthralos.store.admin.incidents import IncidentFilter


def _a_subject(text: str) -> str:
    try:
        Subject.parse(text)
    except ValueError:
        kinds = ", ".join(f"{kind}:NAME" for kind in SubjectKind)
        raise ValueError(f"is no subject: write one of {kinds}") from None
    return text


class IncidentsQuery(BaseModel):
    """Which incidents to list: all of the conditions that are given, newest first."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    state: Annotated[
        list[IncidentState | Literal["live"]],
        Field(max_length=10, description="any of these states; live: all but closed"),
    ] = []
    kind: IncidentKind | None = None
    subject: Annotated[
        Text | None,
        AfterValidator(lambda text: text and _a_subject(text)),
        Field(description="deployment:ID, organization:NAME or queue:STAGE/LANE"),
    ] = None
    organization: Annotated[Text | None, Field(description="that this organization is the subject of")] = None
    changed_after: Annotated[Time | None, Field(description="opened, moved or closed from this time on")] = None
    limit: Annotated[int, Field(ge=1, le=200, description="how many at most")] = 50
    cursor: Annotated[str | None, Field(max_length=64, description="`next` of the page before")] = None

    def wanted(self) -> IncidentFilter:
        """For the store."""
        states = {state for each in self.state for state in (LIVE if each == "live" else (IncidentState(each),))}
        before = None if self.cursor is None else decode_cursor(self.cursor)
        return IncidentFilter(sorted(states), self.kind, self.subject, self.organization, self.changed_after, before)


class CommentIn(Closed):
    """Why; it goes on record."""

    comment: Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$", description="why; it goes on record")] = ""


class IncidentEvidence(View):
    """What was measured. The unit is the kind's: a share of calls, times the usual, seconds, or jobs."""

    unit: Annotated[str, Field(description="of measured, baseline and limit")]
    measured: float
    baseline: Annotated[float, Field(description="what is usual for the subject")]
    limit: Annotated[float, Field(description="the level from which on it counts as evidence")]
    calls: Annotated[float, Field(description="calls that it was measured in; jobs, for a queue")]
    seconds: Annotated[float, Field(description="the window that it was measured over")]
    score: Annotated[float, Field(description="the evidence, in nats; seconds beyond the limit, for a queue")]
    threshold: Annotated[float, Field(description="the score that opens an incident; it tunes itself")]
    in_seconds: Annotated[float | None, Field(description="of a forecast: until the limit is reached")] = None


class IncidentStep(View):
    """What was done about it. A repair has two steps: `begun`, and how it ended."""

    at: AwareDatetime
    actor: Annotated[str, Field(description="monitor, or who did it")]
    act: Annotated[str, Field(description="open_breaker, ring_again, ask, canary, verify, escalate …")]
    outcome: Annotated[str, Field(description="begun, under_way, done, refused, sent, recovered")]
    note: str
    before: dict[str, Any]
    after: dict[str, Any]


class IncidentSummary(View):
    """An incident."""

    id: str
    kind: IncidentKind
    subject: Annotated[str, Field(description="deployment:ID, organization:NAME or queue:STAGE/LANE")]
    organization: Annotated[str | None, Field(description="null: it is about the installation")]
    state: IncidentState
    forecast: Annotated[bool, Field(description="it has not come to it yet, but is about to")]
    severity: Severity
    reason: str
    opened_at: AwareDatetime
    changed_at: AwareDatetime
    closed_at: AwareDatetime | None
    acknowledged_at: AwareDatetime | None
    acknowledged_by: str | None


class IncidentView(IncidentSummary):
    """An incident, with its evidence and what was done about it."""

    evidence: IncidentEvidence
    steps: Annotated[list[IncidentStep], Field(description="oldest first, the last 50")]
    links: Annotated[dict[str, str], Field(description="where to look next, by name: paths of this API")]


class IncidentList(View):
    """Incidents, newest first."""

    incidents: list[IncidentSummary]
    next: str | None


def summary_view(incident: Incident) -> dict[str, Any]:
    """As lists show it."""
    return {
        "id": incident.id,
        "kind": incident.kind,
        "subject": str(incident.subject),
        "organization": incident.subject.organization,
        "state": incident.state,
        "forecast": incident.forecast,
        "severity": incident.severity,
        "reason": incident.reason,
        "opened_at": rfc3339(incident.opened_at),
        "changed_at": rfc3339(incident.changed_at),
        "closed_at": rfc3339(incident.closed_at),
        "acknowledged_at": rfc3339(incident.acknowledged_at),
        "acknowledged_by": incident.acknowledged_by,
    }


def incident_view(incident: Incident) -> dict[str, Any]:
    """As the API shows one."""
    return {
        **summary_view(incident),
        "evidence": {"unit": incident.unit, **incident.evidence},
        "steps": [_step(step) for step in incident.steps],
        "links": {**_links(incident), **_repair_link(incident)},
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "at": rfc3339(step.at),
        "actor": step.actor,
        "act": step.act,
        "outcome": step.outcome,
        "note": step.note,
        "before": dict(step.before),
        "after": dict(step.after),
    }


def _repair_link(incident: Incident) -> dict[str, str]:
    """StackStorm's repair, where it was asked for: it has the incident's id."""
    asked = any(step.act == "ask" and step.outcome == UNDER_WAY for step in incident.steps)
    return {"repair": f"/api/v1/repairs/{incident.id}"} if asked else {}


def _links(incident: Incident) -> dict[str, str]:
    """Paths with what the subject's matters are found under."""
    since = rfc3339(incident.opened_at)
    match incident.subject.kind:
        case SubjectKind.DEPLOYMENT:
            name = quote(incident.subject.name, safe="/@:")
            return {
                "breaker": f"/api/v1/breakers/{name}",
                "metrics": f"/api/v1/observability/metrics?deployment={name}",
                "errors": f"/api/v1/observability/errors?deployment={name}",
            }
        case SubjectKind.ORGANIZATION:
            return {"dead_letters": f"/api/v1/dead-letters/causes?failed_after={since}"}
    return {"demand": "/api/v1/observability/demand"}
