"""The fields of requests, for type checkers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypedDict

from synthralos_client.models import Json


class Constraints(TypedDict, total=False):
    """What the sender demands of the way the job is done. `max_cost_usd` is for one attempt.

    Over a rate limit the job waits, `max_wait_seconds` at most, or with `on_limit="reject"` is denied at once.
    `private_data`: what is at least to be done about secrets and personal data; `restore_private_data` puts back into
    the answer what was replaced. With `reuse="allow"` the result of an earlier, equal request may answer it.
    `repair`: where the answer does not fit, the deployment is asked no more, the same again, or told what was wrong;
    `repair_model`: who is told instead: `cheapest`, a model, a deployment or an alias.
    `coalesce`: embeddings share calls unless `never`; with `allow` the answer to an equal job in flight is this one's.
    With `zero_retention` it goes only where the provider is declared to keep nothing. `service_tier` is the provider's,
    where it has one: `auto` takes flex for what can wait, and then standard. `wait_for` holds the job until a signal
    comes: `{"signal": name, "within_seconds": seconds, "default": "deny" or "continue"}`.
    """

    region: str | None
    classification: str | None
    strategy: str
    max_cost_usd: Decimal | str | float | None
    max_attempts: int
    fallback: bool
    pin: str | None
    exclude: list[str]
    on_limit: Literal["wait", "reject"]
    max_wait_seconds: float | None
    private_data: Literal["flag", "redact", "refuse"] | None
    restore_private_data: bool
    reuse: Literal["never", "allow"]
    repair: Literal["none", "again", "explain"] | None
    repair_model: str | None
    coalesce: Literal["never", "allow"] | None
    zero_retention: bool
    on_cut: Literal["restart", "fail"]
    service_tier: Literal["auto", "standard", "flex", "priority"] | None
    wait_for: Mapping[str, Any] | None


class CommonOptions(TypedDict, total=False):
    """What a job of any kind may hold."""

    constraints: Constraints
    deadline: datetime | str
    deadline_seconds: float
    lane: Literal["interactive", "bulk"]
    metadata: dict[str, str | float | bool]
    run_id: str
    workspace: str
    user: str
    organization: str
    provider_options: dict[str, Json]


class JobOptions(CommonOptions, total=False):
    """Everything that a job request may hold besides its model and its prompt or messages."""

    max_output_tokens: int
    temperature: float
    top_p: float
    stop: str | list[str]
    seed: int
    tools: list[Json]
    tool_choice: str | Json
    response_format: Json
    stream: bool


class JobRequest(JobOptions, total=False):
    """One element of a `submit_many`: exactly one of `prompt` (one user message) and `messages` (OpenAI's form)."""

    model: str
    prompt: str
    messages: list[Json]


class JobFilters(TypedDict, total=False):
    """What a listing may be narrowed down to. Times are RFC 3339 strings or aware `datetime`s."""

    state: str | list[str]
    stage: str
    model: str
    lane: str
    workspace: str
    user: str
    run_id: str
    trace_id: str
    api_key_id: str
    created_after: datetime | str
    created_before: datetime | str


class KeyOptions(TypedDict, total=False):
    """What a new key may be given besides its name. It is bound to the tenant that is named.

    `role` is `viewer`, `service` (the default), `operator` or `admin`; `account_plan` puts the organization on a plan.
    """

    role: str
    organization: str
    workspace: str
    user: str
    account_plan: str
    expires_at: datetime | str
    expires_in_seconds: float


class RerouteOptions(TypedDict, total=False):
    """What a reroute may change. The data's classification can never be loosened."""

    reason: str
    pin: str | None
    exclude: list[str]
    region: str | None
    strategy: str
    fallback: bool
