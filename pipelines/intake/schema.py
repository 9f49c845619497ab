"""What the API takes: strict models without room for unknown fields. The OpenAPI document is made from them."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, FiniteFloat, WithJsonSchema

from pipelines.intake.chat import Message, NamedTool, PlainFormat, SchemaFormat, Tool
from pipelines.intake.closed import Closed
from synthralos.domain.limits import LONGEST_WAIT
from synthralos.domain.waits import LONGEST_WAIT_POINT

MOST_JOBS = 1_000
"""Jobs that one request may hand in."""

MOST_SECONDS = 315_360_000.0
"""Ten years: the farthest that a deadline may lie ahead, in seconds."""

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DECIMAL = re.compile(r"\d{1,7}(\.\d{1,12})?", re.ASCII)
_TIME_REMEDY = "send RFC 3339 with an offset, such as 2030-01-31T12:00:00Z"


def parse_time(value: object) -> datetime:
    """An RFC 3339 time as a UTC instant; raises `ValueError`."""
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError(f"must be a time with a UTC offset: {_TIME_REMEDY}")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"is not a time that exists: {_TIME_REMEDY}") from None


def _parse_usd(value: object) -> Decimal:
    if type(value) in (int, float):
        if not 0 <= value < 10_000_000:  # type: ignore[operator]  # an int or a float by now
            raise ValueError("must be between 0 and 10000000: send US dollars")
        return Decimal(str(value))
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise ValueError('must be an amount of US dollars: send a plain decimal such as "0.05"')
    return Decimal(value)


_NAME = r"^[^\x00-\x1f\x7f]+$"

Time = Annotated[datetime, BeforeValidator(parse_time), WithJsonSchema({"type": "string", "format": "date-time"})]
Usd = Annotated[
    Decimal,
    BeforeValidator(_parse_usd),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]{1,7}(\.[0-9]{1,12})?$"},
                {"type": "number", "minimum": 0, "exclusiveMaximum": 10_000_000},
            ]
        }
    ),
]
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=_NAME)]
DeploymentId = Annotated[str, Field(min_length=1, max_length=200, description="the id of a deployment of the catalog")]
RepairId = Annotated[
    str,
    Field(
        min_length=36, max_length=36, description="the repair that acts: only while the job is its to move, and once"
    ),
]
Reason = Annotated[str, Field(max_length=500, description="why; it is recorded with the operation")]
ModelName = Annotated[str, Field(min_length=1, max_length=200)]


class WaitForIn(Closed):
    """A signal that the job waits for before it is routed: it is sent by answering the job's wait point."""

    signal: Annotated[Name, Field(description="its name")]
    within_seconds: Annotated[float, Field(ge=1, le=LONGEST_WAIT_POINT, description="then `default` holds")]
    default: Annotated[
        Literal["continue", "deny"], Field(description="what becomes of the job when the signal did not come in time")
    ] = "deny"  # fmt: skip


class ConstraintsIn(Closed):
    """What the sender demands of the way the job is done."""

    region: Annotated[str, Field(description="where it has to run, a region of the catalog")] | None = None
    classification: Annotated[
        Literal["eu", "none"], Field(description="`eu`: the data only ever goes to EU deployments")
    ] | None = None  # fmt: skip
    strategy: Annotated[str, Field(description="how to choose among what fits")] = "cheapest"
    max_cost_usd: Annotated[
        Usd, Field(description="for one attempt; without max_output_tokens the answer ends where the money does")
    ] | None = None  # fmt: skip
    max_attempts: Annotated[int, Field(ge=1, le=20, description="provider calls at most")] = 6
    fallback: Annotated[bool, Field(description="whether other deployments may be tried after the first")] = True
    pin: DeploymentId | None = None
    exclude: Annotated[list[DeploymentId], Field(max_length=100, fail_fast=True, default_factory=list)]
    on_limit: Annotated[
        Literal["wait", "reject"], Field(description="over a rate limit: wait for room, or be denied at once")
    ] = "wait"  # fmt: skip
    max_wait_seconds: Annotated[
        float, Field(ge=0, le=LONGEST_WAIT, description="seconds to wait for rate limits at most; else as limits say")
    ] | None = None  # fmt: skip
    private_data: Annotated[
        Literal["flag", "redact", "refuse"],
        Field(description="secrets and personal data: at least flag them, replace them, or refuse the job"),
    ] | None = None  # fmt: skip
    restore_private_data: Annotated[bool, Field(description="put back into the answer what was replaced")] = False
    reuse: Annotated[
        Literal["never", "allow"], Field(description="whether the result of an earlier, equal request may answer it")
    ] = "never"  # fmt: skip
    repair: Annotated[
        Literal["none", "again", "explain"],
        Field(
            description="where an answer does not fit: ask that deployment no more, ask the same once more, or tell it "
            "what was wrong with its answer (so it is, unless this says otherwise)"
        ),
    ] | None = None  # fmt: skip
    repair_model: Annotated[
        ModelName,
        Field(
            description="who is told what was wrong and answers again, unless a policy says it: `same` (who gave the "
            "answer), `cheapest` (the cheapest deployment that may do the job), a model, a deployment or an alias"
        ),
    ] | None = None  # fmt: skip
    coalesce: Annotated[
        Literal["never", "allow"],
        Field(
            description="whether it may share a call with other jobs of its workspace: embeddings go in one call (they "
            "may, unless `never`), an equal chat in flight answers this one (where `allow`)"
        ),
    ] | None = None  # fmt: skip
    zero_retention: Annotated[bool, Field(description="only go where the provider is declared to keep nothing")] = False
    wait_for: Annotated[WaitForIn, Field(description="hold the job until a signal comes")] | None = None
    on_cut: Annotated[
        Literal["restart", "fail"],
        Field(description="when a stream breaks off after something was told: begin again, or fail the job"),
    ] = "restart"  # fmt: skip
    service_tier: Annotated[
        Literal["auto", "standard", "flex", "priority"],
        Field(description="the provider's tier, where it has one; `auto`: flex for what can wait, then standard"),
    ] | None = None  # fmt: skip


MetadataKey = Annotated[str, Field(min_length=1, max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)] | bool | int | FiniteFloat


def _kind(value: object) -> object:
    if value != "chat":
        raise ValueError("must be chat or embedding: send one of these, or leave it out for a chat")
    return value


class AnyJobIn(Closed):
    """What a job of any kind may say of itself, and of how to go about it."""

    model: Annotated[ModelName, Field(description="`auto`, `provider/model`, a deployment's id or an alias")] = "auto"
    constraints: ConstraintsIn | None = None
    deadline: Annotated[Time, Field(description="when the result is of no use any more; in the future")] | None = None
    deadline_seconds: Annotated[float, Field(gt=0, le=MOST_SECONDS, description="instead of deadline")] | None = None
    lane: Literal["interactive", "bulk"] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] | None = None
    run_id: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=64,
                pattern=_NAME,
                description="the agent run that it belongs to; `metadata.step` names its step",
            ),
        ]
        | None
    ) = None
    organization: Annotated[Name, Field(description="only with a key of the whole installation")] | None = None
    workspace: Annotated[Name, Field(description="where the key is not bound to one")] | None = None
    user: Annotated[Name, Field(description="where the key is not bound to one")] | None = None
    provider_options: Annotated[dict[str, dict[str, Any]], Field(max_length=16)] | None = None


class JobIn(AnyJobIn):
    """One job: a prompt or messages, and how to go about it."""

    kind: Annotated[Literal["chat"], BeforeValidator(_kind)] = "chat"
    messages: Annotated[list[Message], Field(min_length=1, max_length=10_000, fail_fast=True)] | None = None
    prompt: Annotated[str, Field(min_length=1, description="instead of messages: one user message")] | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    stop: str | Annotated[list[str], Field(max_length=16, fail_fast=True)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    tools: Annotated[list[Tool], Field(max_length=128, fail_fast=True)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    response_format: Annotated[PlainFormat | SchemaFormat, Field(discriminator="type")] | None = None
    stream: Annotated[bool, Field(description="tell the answer while it is written, as `delta` events of the job")] = (
        False
    )


class ReasonIn(Closed):
    """The body of an operation; it may be left out."""

    reason: Reason = ""


class RetryIn(ReasonIn):
    """The body of a retry; it may be left out."""

    repair_id: RepairId | None = None


class BulkIn(ReasonIn):
    """An operation on many jobs."""

    operation: Literal["cancel", "retry"]
    jobs: Annotated[
        list[Annotated[str, Field(max_length=64)]],
        Field(min_length=1, max_length=MOST_JOBS, description="ids of jobs", fail_fast=True),
    ]


class RerouteIn(ReasonIn):
    """What to change of the job's constraints before it is routed anew; what is left out stays, null removes."""

    pin: DeploymentId | None = None
    exclude: Annotated[list[DeploymentId], Field(max_length=100, fail_fast=True)] | None = None
    region: str | None = None
    strategy: str | None = None
    fallback: bool | None = None


class RerouteJobIn(RerouteIn):
    """What to change of one job's constraints."""

    repair_id: RepairId | None = None
