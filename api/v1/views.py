"""What the API answers, as models. They describe the answers in the OpenAPI document; the answers are written as
plain JSON by `pipelines.analyze.trace`, and the tests hold the two together.
"""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from synthralos.domain.failures import FailureClass
from synthralos.domain.states import Lane, Stage, State

Usd = Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="US dollars, exact")]
TraceId = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
SpanId = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
JobId = Annotated[str, Field(min_length=36, max_length=36, description="UUIDv7")]


class View(BaseModel):
    """An answer. Closed, so that the tests notice what the document does not name."""

    model_config = ConfigDict(extra="forbid")


class FieldProblem(View):
    """What is wrong with one field, and what to do about it."""

    field: str
    problem: str
    remedy: str


class ProblemDocument(View):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem]


class Receipt(View):
    """A job that was accepted: it is durable, whatever happens now."""

    id: JobId
    state: Annotated[
        State | None,
        Field(description="`queued`; in a replay the state that it is in now, null where it is no longer kept"),
    ]
    trace_id: TraceId
    url: str


class Receipts(View):
    """The jobs of an array, in its order."""

    jobs: list[Receipt]


class BulkResult(View):
    """What became of one job of a bulk operation."""

    id: Annotated[str, Field(description="as it was sent, in lower case")]
    outcome: Literal["done", "refused", "not_found"]
    state: Annotated[State | None, Field(description="the state that it is in now")]
    detail: Annotated[str | None, Field(description="why not")]


class BulkReport(View):
    """What became of each job, in their order; a job that was named twice is there once."""

    results: list[BulkResult]


class Cost(View):
    """What was spent. `known`: nothing is missing from `usd`."""

    usd: Usd
    known: bool
    maybe_billed_attempts: int


class FailureView(View):
    """A classified failure; `retry_after` is in seconds."""

    failure_class: Annotated[FailureClass, Field(alias="class")]
    message: str
    retry_after: float | None
    http_status: int | None
    provider_code: str | None


class JobSummary(View):
    """A job without its request and its result."""

    id: JobId
    state: State
    stage: Stage
    lane: Lane
    model: str
    organization: str
    workspace: str
    user: str | None
    trace_id: TraceId
    run_id: str | None
    api_key_id: Annotated[str | None, Field(description="the API key that submitted it; null: a schedule did")]
    metadata: dict[str, Any]
    created_at: AwareDatetime
    run_at: AwareDatetime | None
    deadline: AwareDatetime | None
    finished_at: AwareDatetime | None
    attempts: int
    cost: Cost
    failure: FailureView | None


class UsageView(View):
    """Tokens of the call that brought the result; the cached ones are part of `input`, reasoning of `output`."""

    input: int
    output: int
    cached: int
    cache_write: int
    reasoning: int


class ResultView(View):
    """What the model answered."""

    text: str | None
    reasoning: Annotated[str | None, Field(description="what the model told of its thoughts, if it did")] = None
    thinking: Annotated[
        list[dict[str, Any]] | None,
        Field(description="thoughts that the provider signed: send them back unchanged, as `thinking` of the message"),
    ] = None
    tool_calls: list[dict[str, Any]]
    finish_reason: str | None
    embeddings: Annotated[
        list[list[float]] | list[str] | None,
        Field(description="of an embedding job: a vector for each input, as numbers or as Base64 of 32-bit floats"),
    ] = None
    model: str | None
    deployment: str
    usage: UsageView | None
    reused_from: Annotated[str | None, Field(description="the job whose result this is; it cost nothing here")] = None


class JobView(JobSummary):
    """A job with everything that is known of it."""

    request: dict[str, Any]
    constraints: dict[str, Any]
    verdict: dict[str, Any] | None
    waits_for: Annotated[
        str | None,
        Field(
            description="why a parked job waits until run_at, where a guard put it off; for what a job waits in line"
        ),
    ]
    expected_at: Annotated[AwareDatetime | None, Field(description="about when a job that waits in line has its turn")]
    plan: dict[str, Any] | None
    result: ResultView | None


class JobPage(View):
    """A page of jobs. `next` is the cursor of the page that follows, if one does."""

    jobs: list[JobSummary]
    next: str | None


class SpanView(View):
    """One step of a job. An open one has no end yet, and the status `unset`."""

    span_id: SpanId
    parent_span_id: SpanId | None
    name: str
    kind: Literal["job", "stage", "attempt"]
    started_at: AwareDatetime
    ended_at: AwareDatetime | None
    status: str
    attributes: dict[str, Any]


class EventView(View):
    """Something that was done to a job."""

    id: str
    kind: str
    actor: str
    at: AwareDatetime
    data: dict[str, Any]


class FeedbackView(View):
    """What one source said of a job under one label."""

    source: str
    label: str | None
    score: float | None
    comment: str | None
    by: Annotated[str, Field(description="the beginning of the key that sent it")]
    at: AwareDatetime


class TracedJob(View):
    """A job with its timeline, and what was said of it."""

    job: JobView
    spans: list[SpanView]
    events: list[EventView]
    feedback: list[FeedbackView]


class Trace(View):
    """The jobs of a trace, oldest first. `truncated`: there are more; `next` is the cursor that leads to them."""

    trace_id: TraceId
    jobs: list[TracedJob]
    truncated: bool
    next: str | None
    links: Annotated[dict[str, str], Field(description="its pages elsewhere, such as in Langfuse, by destination")]


class OtlpTrace(BaseModel):
    """A trace in OpenTelemetry's JSON: `ExportTraceServiceRequest` of OTLP."""

    resource_spans: Annotated[list[dict[str, Any]], Field(alias="resourceSpans")]


class TraceSummary(View):
    """A trace at a glance. `jobs` are the ids of its newest jobs, oldest first; `states` counts all of them."""

    trace_id: TraceId
    matched_job: Annotated[JobId, Field(description="the one of its jobs that was found")]
    jobs: list[JobId]
    job_count: int
    states: dict[State, int]
    state: Annotated[State, Field(description="`active` while any job is open, else the worst of the ends")]
    started_at: AwareDatetime
    ended_at: AwareDatetime | None
    cost: Cost


class TracePage(View):
    """A page of traces, newest first, or as `sort` says."""

    traces: list[TraceSummary]
    next: str | None
    complete: Annotated[
        bool,
        Field(
            description="false: more is in no index yet than was looked at directly; or the page ends where its bound"
            " is, and `next` goes on from there"
        ),
    ]
    indexed_until: Annotated[
        AwareDatetime | None,
        Field(description="of a search: when the newest job finished whose words are in the index"),
    ]


class Live(View):
    """The process answers."""

    status: Literal["ok"]


class Checks(View):
    """What readiness depends on, and what is good to know beside it."""

    database: Literal["ok", "unreachable"]
    schema_: Annotated[
        Literal["ok", "newer", "outdated", "foreign", "unknown"],
        Field(alias="schema", description="newer: a later release migrated it, and this one works with it"),
    ]
    broker: Literal["ok", "degraded"]
    workers: int | None
    scheduler: Literal["ok", "missing", "unknown"]


class Ready(View):
    """Whether jobs can be accepted. A degraded broker delays them, and refuses none."""

    status: Literal["ready", "unready"]
    checks: Checks
