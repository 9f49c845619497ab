"""What is sent and answered about repairs by StackStorm."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from api.v1.queries import Text, decode_cursor
from api.v1.views import View
from api.v1.wait_views import an_id
from pipelines.analyze.trace import rfc3339
from pipelines.intake.closed import Closed
from pipelines.intake.schema import DeploymentId, ReasonIn
from synthralos.domain.repairs import Repair, RepairKind, RepairState, Reported
from synthralos.store.queue.repairs import RepairFilter


class RepairsQuery(BaseModel):
    """Which repairs to list: all of the conditions that are given, newest first."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    state: RepairState | None = None
    kind: RepairKind | None = None
    job: Annotated[str | None, AfterValidator(an_id), Field(description="of this job")] = None
    run: Annotated[Text | None, Field(description="of this run's jobs")] = None
    limit: Annotated[int, Field(ge=1, le=200, description="how many at most")] = 50
    cursor: Annotated[str | None, Field(max_length=64, description="`next` of the page before")] = None

    def wanted(self) -> RepairFilter:
        """For the store."""
        before = None if self.cursor is None else decode_cursor(self.cursor)
        return RepairFilter(self.state, self.kind, self.job, self.run, before)


class RepairIn(ReasonIn):
    """What is asked of StackStorm: which of the pack's workflows, and for `reroute` where the job is to go."""

    kind: Annotated[
        Literal["retry", "reroute", "recover"], Field(description="`retry`, `reroute`, or `recover` for the job's run")
    ] = "retry"
    pin: Annotated[DeploymentId | None, Field(description="reroute: the one deployment that it may go to")] = None
    exclude: Annotated[
        list[DeploymentId] | None, Field(max_length=100, description="reroute: where it must not go")
    ] = None

    @property
    def wanted(self) -> RepairKind:
        """The kind as the domain has it."""
        return RepairKind(self.kind)


class ReportIn(Closed):
    """What a workflow reports of the incident that it was asked to repair."""

    outcome: Annotated[
        Reported,
        Field(strict=False, description="`acted`: it did something, and whether that helps is watched; else it ends"),
    ]
    detail: Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$", description="what it did, or found")] = ""
    reason: Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$", description="who; it goes on record")] = ""


class RepairView(View):
    """A repair by StackStorm."""

    id: str
    state: Annotated[RepairState, Field(description="`fell_back`: the built-in remedies went on with the job")]
    kind: RepairKind
    workflow: Annotated[str, Field(description="the action of StackStorm")]
    organization: Annotated[str, Field(description="whose job or incident it is; empty: the installation's")]
    workspace: str
    user: str | None
    job_id: str | None
    run_id: str | None
    subject: Annotated[str, Field(description="`job:` or `incident:`, and an id; an incident's repair has its id")]
    failure_class: Annotated[str, Field(description="what the job failed of; empty: of nothing")]
    reason: str
    asked_by: Annotated[str, Field(description="`heal`, `monitor`, or who asked")]
    asked_at: AwareDatetime
    until: Annotated[
        AwareDatetime,
        Field(description="when a job that waits for it goes on, and an incident is escalated"),
    ]
    started_at: AwareDatetime | None
    execution_id: Annotated[str | None, Field(description="of StackStorm")]
    acted_at: Annotated[AwareDatetime | None, Field(description="when it moved the job, or acted on the incident")]
    ended_at: AwareDatetime | None
    outcome: Annotated[str, Field(description="what became of it, in words")]
    result: Annotated[dict[str, Any] | None, Field(description="what its workflow told")]


class RepairList(View):
    """Repairs, newest first."""

    repairs: list[RepairView]
    next: str | None


def repair_view(repair: Repair) -> dict[str, Any]:
    """As the API shows it."""
    return {
        "id": repair.id,
        "state": repair.state,
        "kind": repair.kind,
        "workflow": repair.workflow,
        "organization": repair.organization,
        "workspace": repair.workspace,
        "user": repair.user,
        "job_id": repair.job_id,
        "run_id": repair.run_id,
        "subject": repair.subject,
        "failure_class": repair.failure_class,
        "reason": repair.reason,
        "asked_by": repair.asked_by,
        "asked_at": rfc3339(repair.asked_at),
        "until": rfc3339(repair.until),
        "started_at": rfc3339(repair.started_at),
        "execution_id": repair.execution_id,
        "acted_at": rfc3339(repair.acted_at),
        "ended_at": rfc3339(repair.ended_at),
        "outcome": repair.outcome,
        "result": None if repair.result is None else dict(repair.result),
    }
