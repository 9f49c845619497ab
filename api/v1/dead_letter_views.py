"""What is sent and answered about dead letters."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.v1.queries import Text, decode_cursor
from api.v1.views import View
from pipelines.analyze.trace import rfc3339
from pipelines.intake.closed import Closed
from pipelines.intake.schema import ReasonIn, RerouteIn, Time
from synthralos.domain.bulk import MOST_NAMED, BulkAct, BulkOperation, BulkState, DeadLetterFilter
from synthralos.domain.failures import FailureClass
from synthralos.store.read.dead_letters import Cause

Id = Annotated[str, Field(pattern="^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]


class FilterQuery(BaseModel):
    """Which dead letters: all of the conditions that are given."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    failure_class: FailureClass | None = None
    model: Annotated[Text | None, Field(description="as it was asked for")] = None
    deployment: Annotated[Text | None, Field(description="which the last call went to")] = None
    workspace: Text | None = None
    user: Text | None = None
    run_id: Text | None = None
    failed_after: Annotated[Time | None, Field(description="from this time on")] = None
    failed_before: Annotated[Time | None, Field(description="before this time")] = None

    def wanted(self) -> DeadLetterFilter:
        """For the store."""
        return DeadLetterFilter(**{name: getattr(self, name) for name in FilterQuery.model_fields})


class DeadLetterQuery(FilterQuery):
    """Which dead letters to list."""

    limit: Annotated[int, Field(ge=1, le=200, description="how many at most")] = 50
    cursor: Annotated[str | None, Field(max_length=64, description="`next` of the page before")] = None


class OperationsQuery(BaseModel):
    """A page of operations."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    limit: Annotated[int, Field(ge=1, le=200, description="how many at most")] = 50
    cursor: Annotated[str | None, Field(max_length=64, description="`next` of the page before")] = None

    @property
    def before(self) -> str | None:
        """The id of the last one that was read."""
        return None if self.cursor is None else decode_cursor(self.cursor)


class FilterIn(Closed):
    """Which dead letters: all of the conditions that are given. `{}`: all that the key may see."""

    failure_class: Annotated[FailureClass | None, Field(strict=False)] = None
    model: Text | None = None
    deployment: Annotated[Text | None, Field(description="which the last call went to")] = None
    workspace: Text | None = None
    user: Text | None = None
    run_id: Text | None = None
    failed_after: Time | None = None
    failed_before: Time | None = None
    jobs: Annotated[
        list[Id],
        Field(default_factory=list, max_length=MOST_NAMED, fail_fast=True, description="these, by id"),
    ]

    def wanted(self) -> DeadLetterFilter:
        """For the store."""
        given = {name: getattr(self, name) for name in FilterIn.model_fields}
        return DeadLetterFilter(**{**given, "jobs": tuple(job_id.lower() for job_id in self.jobs)})


class OperationIn(ReasonIn):
    """An operation on dead letters. It is about those that have failed by now."""

    act: Annotated[BulkAct, Field(strict=False)]
    filter: FilterIn
    name: Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$", description="for people")] = ""
    changes: Annotated[RerouteIn | None, Field(description="reroute: what to change of the constraints")] = None
    per_second: Annotated[float | None, Field(gt=0, le=100_000, description="jobs a second at most")] = None


class CauseView(View):
    """Dead letters that failed alike."""

    failure_class: FailureClass
    provider_code: str | None
    http_status: int | None
    jobs: int
    first_failed_at: AwareDatetime
    last_failed_at: AwareDatetime
    message: Annotated[str, Field(description="of the newest")]
    samples: Annotated[list[str], Field(description="ids, newest first")]


class CauseList(View):
    """The causes, the most frequent first."""

    causes: list[CauseView]
    more: Annotated[bool, Field(description="there are more dead letters than the 50,000 newest, which were grouped")]


class OperationView(View):
    """An operation on dead letters."""

    id: str
    name: str
    act: BulkAct
    filter: dict[str, Any]
    changes: dict[str, Any]
    per_second: float | None
    state: BulkState
    done: Annotated[int, Field(description="jobs that were retried or rerouted so far")]
    organization: Annotated[str | None, Field(description="whose jobs it is about; null: everybody's")]
    created_by: str
    reason: str
    created_at: AwareDatetime
    changed_at: AwareDatetime
    finished_at: AwareDatetime | None
    repeats: Annotated[str | None, Field(description="the operation that it repeats")]


class OperationList(View):
    """Operations, newest first."""

    operations: list[OperationView]
    next: str | None


Change = Literal["pause", "resume", "cancel"]


def operation_view(operation: BulkOperation) -> dict[str, Any]:
    """As the API shows it."""
    return {
        "id": operation.id,
        "name": operation.name,
        "act": operation.act,
        "filter": operation.filter.to_json(),
        "changes": operation.changes,
        "per_second": operation.per_second,
        "state": operation.state,
        "done": operation.done,
        "organization": operation.scope.organization,
        "created_by": operation.created_by,
        "reason": operation.reason,
        "created_at": rfc3339(operation.created_at),
        "changed_at": rfc3339(operation.changed_at),
        "finished_at": rfc3339(operation.finished_at),
        "repeats": operation.repeats,
    }


def cause_view(cause: Cause) -> dict[str, Any]:
    """As the API shows it."""
    return {
        "failure_class": cause.failure_class,
        "provider_code": cause.provider_code,
        "http_status": cause.http_status,
        "jobs": cause.jobs,
        "first_failed_at": rfc3339(cause.first_failed_at),
        "last_failed_at": rfc3339(cause.last_failed_at),
        "message": cause.message,
        "samples": cause.samples,
    }
