"""The job: one LLM request to be done, as the stages see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from synthralos.domain.findings import Verdict
from synthralos.domain.overlays import NO_DEMANDS, Overlay
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.states import Lane, Stage
from synthralos.domain.waits import Grant, WaitFor

PrivateData = Literal["flag", "redact", "refuse"]
"""What a job may demand to be done about private data."""
Reuse = Literal["never", "allow"]
Repair = Literal["none", "again", "explain"]
"""What follows at a deployment whose answer does not fit. None: `explain`."""
SAME, CHEAPEST = "same", "cheapest"
"""Who repairs an answer, where no model is named: the deployment that gave it, or the cheapest that may do the job."""
Coalesce = Literal["never", "allow"]
"""Whether a job may share a call. None: embeddings may, chats may not."""
OnCut = Literal["restart", "fail"]
WantedTier = Literal["auto", "standard", "flex", "priority"]
"""The service tier that a job may demand of providers that have several."""

DEFAULT_WORKSPACE = "default"


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose job it is. The organization's `account_plan` (`free`, `pro`, `enterprise` …) comes along."""

    organization: str
    workspace: str = DEFAULT_WORKSPACE
    user: str | None = None
    account_plan: str = "free"


@dataclass(frozen=True, slots=True)
class Constraints:
    """What the sender demands of the way the job is done.

    `region` is where it must run; `classification` is the data's class (`eu` data only ever goes to EU
    deployments). `max_cost` is in USD for one attempt, and bounds its answer. `max_attempts` counts provider calls.
    `exclude` names deployments that must not be tried; `pin` the one that must. Over a rate limit the job waits, for
    `max_wait` seconds at most where given, or is denied at once (`on_limit`: `wait`, `reject`). `private_data` is to be
    treated at least so strictly (`flag`, `redact`, `refuse`); with `restore` what was replaced is put back into the
    answer. `reuse`: whether the result of an earlier, equal request may answer it. With `zero_retention` it goes only
    where the provider is declared to keep nothing. With `stream` its answer is told while it is written; `on_cut`:
    what follows when that breaks off after something was told (`restart`: as after any failure, `fail`).

    `service_tier` is the provider's to ask for; with `auto` it is flex where the job can wait. None: the standard one,
    as the provider's account has it.

    `coalesce`: an embedding may go to its provider in one call with others of its workspace; a chat is answered by the
    answer to an equal one that is in flight, where it is allowed.

    `repair`: where its answer does not fit, the deployment is asked no more (`none`), asked the same once more
    (`again`), or told what was wrong with the answer (`explain`). `repair_model`: who is told so instead, the cheapest
    deployment that may do the job (`cheapest`), or a model, deployment or alias. None is `same`: who gave the answer.

    `wait_for`: before it is routed it waits for a signal. `granted` is not the sender's: what was approved of this job,
    and which signals came, so that nothing is asked twice.
    """

    region: str | None = None
    classification: str | None = None
    strategy: str = "cheapest"
    max_cost: Decimal | None = None
    max_attempts: int = 6
    fallback: bool = True
    pin: str | None = None
    exclude: tuple[str, ...] = ()
    on_limit: str = "wait"
    max_wait: float | None = None
    private_data: PrivateData | None = None
    restore: bool = False
    reuse: Reuse = "never"
    zero_retention: bool = False
    stream: bool = False
    on_cut: OnCut = "restart"
    service_tier: WantedTier | None = None
    wait_for: WaitFor | None = None
    granted: tuple[Grant, ...] = ()
    coalesce: Coalesce | None = None
    repair: Repair | None = None
    repair_model: str | None = None
    asked: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The stored and published form."""
        return {
            "region": self.region,
            "classification": self.classification,
            "strategy": self.strategy,
            "max_cost_usd": None if self.max_cost is None else format(self.max_cost, "f"),
            "max_attempts": self.max_attempts,
            "fallback": self.fallback,
            "pin": self.pin,
            "exclude": list(self.exclude),
            "on_limit": self.on_limit,
            "max_wait_seconds": self.max_wait,
            "private_data": self.private_data,
            "restore_private_data": self.restore,
            "reuse": self.reuse,
            "zero_retention": self.zero_retention,
            **({"stream": True, "on_cut": self.on_cut} if self.stream else {}),
            "service_tier": self.service_tier,
            **({} if self.wait_for is None else {"wait_for": self.wait_for.to_json()}),
            **({} if self.coalesce is None else {"coalesce": self.coalesce}),
            **({} if self.repair is None else {"repair": self.repair}),
            **({} if self.repair_model is None else {"repair_model": self.repair_model}),
            **({"granted": [grant.to_json() for grant in self.granted]} if self.granted else {}),
            **({"asked": list(self.asked)} if self.asked else {}),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Constraints":
        """The inverse of `to_json`."""
        max_cost = data.get("max_cost_usd")
        return cls(
            region=data.get("region"),
            classification=data.get("classification"),
            strategy=data.get("strategy", "cheapest"),
            max_cost=None if max_cost is None else Decimal(max_cost),
            max_attempts=data.get("max_attempts", 6),
            fallback=data.get("fallback", True),
            pin=data.get("pin"),
            exclude=tuple(data.get("exclude", ())),
            on_limit=data.get("on_limit", "wait"),
            max_wait=data.get("max_wait_seconds"),
            private_data=data.get("private_data"),
            restore=data.get("restore_private_data", False),
            reuse=data.get("reuse", "never"),
            zero_retention=data.get("zero_retention", False),
            stream=data.get("stream", False),
            on_cut=data.get("on_cut", "restart"),
            service_tier=data.get("service_tier"),
            wait_for=WaitFor.from_json(data["wait_for"]) if "wait_for" in data else None,
            granted=tuple(map(Grant.from_json, data["granted"])) if "granted" in data else (),
            coalesce=data.get("coalesce"),
            repair=data.get("repair"),
            repair_model=data.get("repair_model"),
            asked=tuple(data.get("asked", ())),
        )


UNCONSTRAINED = Constraints()
"""What most jobs are: one for all of them."""


EMBEDDING = "embedding"
"""The kind of a request for vectors."""

MEMBERS = frozenset({"role", "content", "name", "refusal", "tool_calls", "tool_call_id"})
"""Members of a chat message that every server knows. Others come from answers, and go back to those who know them."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the model is asked, in OpenAI's form, in `body`: a chat, or texts to be placed as vectors.

    A chat's `body` holds `messages` and, where given, `max_output_tokens`, `temperature`, `top_p`, `stop`, `seed`,
    `tools`, `tool_choice`, `response_format`; for one call also `service_tier`. That of an embedding holds `kind`
    (`embedding`), `input` (a text or a list of them) and, where given, `dimensions` and `encoding_format`.
    `provider_options` holds one dict per provider, passed on to its adapter alone. None of this changes once it is
    made, so `measured` keeps what was found out about it, by name: a copy begins anew.
    """

    model: str
    body: dict[str, Any]
    provider_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    embeds: bool = field(init=False, repr=False, compare=False)
    """Whether vectors are asked for, and no answer."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "embeds", self.body.get("kind") == EMBEDDING)

    @property
    def inputs(self) -> list[str]:
        """The texts of an embedding, one for each vector."""
        given: str | list[str] = self.body["input"]
        return [given] if isinstance(given, str) else given

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The OpenAI chat messages; an embedding has none."""
        if self.embeds:
            return []
        messages: list[dict[str, Any]] = self.body["messages"]
        return messages

    @property
    def prompt_field(self) -> str:
        """The member of `body` that holds what the model would read."""
        return "input" if self.embeds else "messages"

    @property
    def max_output_tokens(self) -> int | None:
        """The most tokens the answer may have, where the sender said so; vectors have none."""
        return 0 if self.embeds else self.body.get("max_output_tokens")

    def texts(self, without: Sequence[str] = ()) -> list[str]:
        """Every piece of text that the model would read, but for messages of some roles."""
        if self.embeds:
            return list(self.inputs)
        pieces: list[str] = []
        for message in self.messages:
            if message.get("role") in without:
                continue
            content = message.get("content")
            if isinstance(content, str):
                pieces.append(content)
            elif isinstance(content, list):
                pieces.extend(part["text"] for part in content if part.get("type") == "text")
        return pieces


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a job: every write is fenced by it.

    `held`: the store has written the claim, and the job is active under it. Where it has not, the job is still
    queued under `claim_no - 1`, and the worker's first write about it takes the claim.
    """

    worker_id: str
    claim_no: int
    held: bool = True

    def taken(self) -> "Claim":
        """The same claim after the write that took it."""
        return self if self.held else Claim(self.worker_id, self.claim_no)


@dataclass(slots=True)
class Job:
    """A job in a worker's hands: what the stages need of it.

    `attempts` counts the provider calls made so far, `losses` the workers that were lost while they held the job.
    `metadata` is the sender's. `api_key_id` is the key that submitted it, None where a schedule did. `size` is that of
    the stored request, in characters of its JSON: about its bytes; 0 where unknown.
    """

    id: str
    tenant: Tenant
    stage: Stage
    lane: Lane
    trace_id: str
    request: Request
    constraints: Constraints
    claim: Claim
    created_at: datetime
    parent_span_id: str | None = None
    deadline: datetime | None = None
    attempts: int = 0
    losses: int = 0
    plan: RoutingPlan | None = None
    verdict: Verdict | None = None
    failure: dict[str, Any] | None = None
    queued_at: datetime | None = None
    size: int = 0
    run_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    api_key_id: str | None = None

    @property
    def overlay(self) -> Overlay:
        """What policies demand of the way it is done."""
        return NO_DEMANDS if self.verdict is None else self.verdict.overlay

    @property
    def max_cost(self) -> Decimal | None:
        """USD that one attempt may cost at most: the sender's bound, or that of policies where it is smaller."""
        own, demanded = self.constraints.max_cost, self.overlay.max_cost
        if own is None or demanded is None:
            return demanded if own is None else own
        return min(own, demanded)


@dataclass(slots=True)
class NewJob:
    """A job as it was handed in and validated. `deadline` is absolute.

    `line_tokens`: the tokens that it is expected to take, where it is to wait in line. `api_key_id`: the key that
    submitted it, if any; `user_bound`: whether that key is its user's own.
    """

    id: str
    tenant: Tenant
    lane: Lane
    trace_id: str
    request: Request
    constraints: Constraints
    parent_span_id: str | None = None
    run_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    deadline: datetime | None = None
    line_tokens: int | None = None
    api_key_id: str | None = None
    user_bound: bool = False
