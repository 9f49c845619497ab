"""The events that RudderStack gets, and what each says. Names and properties are a contract: `contracts/rudderstack/`.

Money is a decimal string, a time is RFC 3339 in UTC, what is unknown is null. A property may be added; none is renamed.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str | None, Field(description="only where RUDDERSTACK_CONTENT is `all`")]


class Properties(BaseModel):
    """What every event says of the job that it is about."""

    model_config = ConfigDict(extra="forbid")

    event: ClassVar[str]

    job_id: str
    trace_id: str
    run_id: str | None
    organization: str
    workspace: str
    lane: str
    trimmed: Annotated[list[str] | None, Field(description="properties that were too long and were cut")] = None


class JobEnded(Properties):
    """A job came to an end. Told again with a higher `revision` where the end of a call was learned after that."""

    event = "Job Ended"

    state: str
    revision: Annotated[int, Field(description="calls whose end was learned after the job's: the highest counts")]
    attempts: int
    requested_model: str
    deployment: Annotated[str | None, Field(description="that answered")]
    provider: str | None
    model: str | None
    region: str | None
    seconds: Annotated[float | None, Field(description="from acceptance to end")]
    input_tokens: Annotated[int, Field(description="of all calls, as far as known")]
    output_tokens: int
    cost_usd: Annotated[str, Field(description="of all calls, the known part")]
    cost_known: Annotated[bool, Field(description="whether that is all of it")]
    maybe_billed_attempts: int
    failure_class: str | None
    decision: Annotated[str | None, Field(description="of the guards")]
    findings: Annotated[list[str], Field(description="names of guards that did not simply let it through")]
    classification: str | None
    created_at: str
    metadata: Annotated[
        dict[str, str | bool | int | float] | None,
        Field(description="the sender's; only where RUDDERSTACK_CONTENT is `metadata` or `all`"),
    ] = None
    request: Text = None
    result: Text = None
    failure_message: Text = None


class ModelCostLogged(Properties):
    """A provider call that was billed, or may have been, ended: a line of `model_cost_logs`."""

    event = "Model Cost Logged"

    attempt_no: int
    deployment: str
    provider: str
    model: str
    provider_model: Annotated[str | None, Field(description="that the provider says it used")]
    region: str
    service_tier: str | None
    outcome: str
    billed: Annotated[str, Field(description="yes, or maybe")]
    late: Annotated[bool, Field(description="its end was learned late: this replaces what was said of the call before")]
    input_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: Annotated[str | None, Field(description="null: unknown")]
    reserved_usd: str | None
    seconds: float | None
    failure_class: str | None
    started_at: str


class PromptSimilarityLogged(Properties):
    """A prompt was compared with earlier ones of its workspace: a line of `prompt_similarity_logs`."""

    event = "Prompt Similarity Logged"

    matched_job_id: Annotated[
        str | None, Field(description="of the nearest prompt; null: none was near, or its data may not go there")
    ]
    score: Annotated[float | None, Field(description="of the nearest: 0 to 1")]
    matches: Annotated[int, Field(description="earlier prompts that count as near")]
    embedder: str


class FeedbackGiven(Properties):
    """Somebody said something of a job. Saying something else later is an event of its own."""

    event = "Feedback Given"

    source: str
    label: str | None
    score: float | None
    comment: Text = None


class JobEvent(Properties):
    """What else happened to a job: the event's name tells the kind, such as `Job Healed`."""

    event = "Job …"

    kind: str
    by: Annotated[str, Field(description="heal, system, stackstorm, operator")]
    attempts: Annotated[int | None, Field(description="calls that the job had made by then")] = None
    remedy: str | None = None
    treatment: str | None = None
    failure_class: str | None = None
    http_status: int | None = None
    before: Annotated[str | None, Field(description="the state that the job had")] = None
    losses: int | None = None
    schedule_id: str | None = None
    failures: int | None = None
    budget: str | None = None
    budget_id: str | None = None
    subject: Annotated[str | None, Field(description="whose spending it is")] = None
    percent: int | None = None
    limit_usd: str | None = None
    spent_usd: str | None = None
    wait_id: str | None = None
    wait_kind: str | None = None
    state: Annotated[str | None, Field(description="of the wait point")] = None
    reason: Text = None
    text: Text = None
    prompt: Text = None
    comment: Text = None
    failure_message: Text = None


class Traits(BaseModel):
    """What `identify` says of a user of a tenant. The `userId` is `organization/workspace/user`, percent-encoded."""

    model_config = ConfigDict(extra="forbid")

    event: ClassVar[str] = "identify"

    organization: str
    workspace: str
    user: str


CONTRACT: Mapping[str, type[BaseModel]] = {
    "identify": Traits,
    "job_ended": JobEnded,
    "model_cost_logged": ModelCostLogged,
    "prompt_similarity_logged": PromptSimilarityLogged,
    "feedback_given": FeedbackGiven,
    "job_event": JobEvent,
}
"""Every kind of event, with what it says, by the name of its schema's file."""

NAMES: Mapping[str, str] = {
    "healed": "Job Healed",
    "cancel": "Job Cancelled",
    "retry": "Job Retried",
    "reroute": "Job Rerouted",
    "lost": "Job Lost",
    "isolated": "Job Isolated",
    "buried": "Job Buried",
    "budget_alert": "Budget Alert Raised",
    "thought": "Thought Noted",
}
"""The names of job events whose kind does not say it all; `name_of` makes those of the others."""


def name_of(kind: str) -> str:
    """The name of a job event of this kind: `schedule_paused` is `Schedule Paused`."""
    return NAMES.get(kind) or kind.replace(".", " ").replace("_", " ").title()


CHECK = "Export Checked"
"""An event without properties: sent where an event was refused, to see whether others would be taken."""

Event = dict[str, Any]
"""An `identify` or `track` call as the data plane takes it."""
