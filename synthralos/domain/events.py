"""Events: what happens to a job besides its spans. Their kinds and payloads are a contract: `contracts/events/`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from synthralos.domain.failures import FailureClass
from synthralos.domain.ids import new_id
from synthralos.domain.repairs import RepairKind, RepairState
from synthralos.domain.states import State
from synthralos.domain.waits import WaitKind, WaitState


class FailureFields(BaseModel):
    """A classified failure as it is published (`Failure.to_json`)."""

    model_config = ConfigDict(populate_by_name=True)

    failure_class: Annotated[FailureClass, Field(alias="class")]
    message: str
    retry_after: Annotated[float | None, Field(description="seconds, as the provider asked")] = None
    http_status: int | None = None
    provider_code: Annotated[str | None, Field(description="the provider's own word")] = None


class Payload(BaseModel):
    """What an event of one kind says. Closed: a member that is not in its schema is a bug."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    kind: ClassVar[str]

    attempts: Annotated[int | None, Field(description="calls that the job had made by then")] = None


class Healed(Payload):
    """Heal decided what is to be done about a failure."""

    kind = "healed"

    remedy: Annotated[str, Field(description="the name of the remedy")]
    treatment: Annotated[str, Field(description="what it decided, such as `Wait`, `NextDeployment` or `GiveUp`")]
    reason: str
    failure: FailureFields


class Cancelled(Payload):
    """Somebody called the job off."""

    kind = "cancel"

    reason: str
    before: Annotated[State, Field(alias="from", description="the state that it had")]


class Retried(Cancelled):
    """Somebody sent the job through again from the start."""

    kind = "retry"

    failure: Annotated[FailureFields | None, Field(description="what it had ended of")] = None


class Rerouted(Retried):
    """Somebody had the job routed anew."""

    kind = "reroute"

    changes: Annotated[dict[str, Any], Field(description="what was laid over its constraints")]


class SchedulePaused(Payload):
    """The job was the last failure after which its schedule paused by itself."""

    kind = "schedule_paused"

    schedule_id: str
    failures: Annotated[int, Field(description="failures of the schedule in a row")]


class Lost(Payload):
    """The job's worker died; the job waits for another one."""

    kind = "lost"

    losses: Annotated[int, Field(description="workers that died while they had it")]


class Isolated(Lost):
    """The job's worker died; the job is worked on alone next, because it may be the cause."""

    kind = "isolated"


class Buried(Lost):
    """Too many workers died while they had the job: it is a dead letter."""

    kind = "buried"


class WaitOpened(Payload):
    """The job waits for an approval or a signal."""

    kind = "wait.opened"

    wait_id: str
    wait_kind: WaitKind
    name: Annotated[str, Field(description="who has to approve, or which signal has to come")]
    prompt: str
    deadline: datetime


class WaitAnswered(Payload):
    """What the job waited for was answered, or its deadline passed and the default holds."""

    kind = "wait.answered"

    wait_id: str
    wait_kind: WaitKind
    name: str
    state: WaitState
    answer: Annotated[dict[str, Any] | None, Field(description='`{"answer": "approve"}`, or a payload; null: none')]
    comment: str = ""


class RepairAsked(Payload):
    """StackStorm is asked for a repair of the job; where it is `proposed`, it might be."""

    kind = "repair.asked"

    repair_id: str
    repair_kind: RepairKind
    workflow: Annotated[str, Field(description="the action of StackStorm")]
    state: RepairState
    reason: str
    until: Annotated[datetime, Field(description="when the job goes on by itself, if it waits")]


class RepairEnded(Payload):
    """A repair by StackStorm is over; where it `fell_back`, the built-in remedies go on."""

    kind = "repair.ended"

    repair_id: str
    repair_kind: RepairKind
    state: RepairState
    outcome: str
    execution_id: Annotated[str | None, Field(description="of StackStorm; null: none was started")] = None


class Thought(Payload):
    """An agent noted what it thinks."""

    kind = "thought"

    text: str


class BudgetAlert(Payload):
    """With this job's call, a budget has come to one of its thresholds; told once a period."""

    kind = "budget_alert"

    budget: Annotated[str, Field(description="its name")]
    budget_id: str
    subject: Annotated[str, Field(description="whose spending it is")]
    percent: Annotated[int, Field(description="the threshold, in percent of the limit")]
    limit_usd: str
    spent_usd: Annotated[str, Field(description="spent in the period, with what may have been billed")]


EVENTS: Mapping[str, type[Payload]] = {
    model.kind: model
    for model in (
        Healed, Cancelled, Retried, Rerouted, SchedulePaused, Lost, Isolated, Buried, BudgetAlert, WaitOpened,
        WaitAnswered, Thought, RepairAsked, RepairEnded,
    )
}  # fmt: skip
"""Every kind of event, with what it says."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job besides its spans: `kind` is a word, `actor` who did it."""

    kind: str
    actor: str = "system"
    data: dict[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=new_id)

    @classmethod
    def of(cls, payload: Payload, actor: str) -> "Event":
        """An event of the payload's kind, in the form that is stored and published."""
        return cls(payload.kind, actor, payload.model_dump(mode="json", by_alias=True, exclude_unset=True))
