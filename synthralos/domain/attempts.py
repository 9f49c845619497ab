"""Attempts: one call to one deployment, what it brought, and what it cost."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from synthralos.domain.failures import Failure
from synthralos.domain.findings import Finding
from synthralos.domain.money import PriceUsed, Usage
from synthralos.domain.quota_units import Left


class Outcome(StrEnum):
    """How an attempt ended; `open` while it has not. `lost`: nobody saw the end, it may have been billed."""

    OPEN = "open"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"


class Billed(StrEnum):
    """Whether the provider charged for an attempt, as far as can be known from here."""

    YES = "yes"
    NO = "no"
    MAYBE = "maybe"


@dataclass(slots=True)
class Reply:
    """What a deployment answered.

    `text` is the assistant's message; `tool_calls` and `finish_reason` are as OpenAI names them.
    `model` is the model that the provider says it used. `reasoning` is what it tells of its thoughts, where it does.
    `thinking` are thoughts that it signed: the next turn brings them back unchanged, as `thinking` of the message.
    `finding` is what a guard on answers has to say of it. `embeddings` are the vectors that were asked for, one for
    each input: lists of numbers, or Base64 of little-endian 32-bit floats. `limits` are what the answer says is left of
    the quota.
    """

    text: str | None
    usage: Usage | None
    finish_reason: str | None = None
    model: str | None = None
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    provider_request_id: str | None = None
    reasoning: str | None = None
    thinking: list[dict[str, Any]] = field(default_factory=list)
    finding: Finding | None = None
    embeddings: list[list[float]] | list[str] | None = None
    limits: tuple[Left, ...] = ()


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """An ended attempt of a job, as heal looks back on it. `credential` names the key that it was made with."""

    attempt_no: int
    deployment: str
    outcome: Outcome
    failure: Failure | None
    started_at: datetime
    credential: str | None = None


@dataclass(slots=True)
class AttemptEnd:
    """The end of an attempt, for the books. `cost` is in USD, None where the price or the usage is unknown.

    `service_tier` is what was billed, else what was asked for; None: the standard one. `price` is what was counted
    with where that is not the deployment's standard price at its date. `first_token`: seconds to the first delta, of an
    answer that was streamed.
    """

    attempt_no: int
    outcome: Outcome
    billed: Billed
    usage: Usage | None
    cost: Decimal | None
    failure: Failure | None = None
    provider_model: str | None = None
    provider_request_id: str | None = None
    seconds: float = 0.0
    service_tier: str | None = None
    price: PriceUsed | None = None
    first_token: float | None = None
