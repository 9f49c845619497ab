"""Happenings: what happens to the installation rather than to one job. Kinds and payloads are a contract.

`contracts/happenings/` has them. What happens to a job is an event (`domain/events.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from synthralos.domain.ids import new_id
from synthralos.domain.incidents import IncidentKind, Severity
from synthralos.domain.repairs import RepairState


class Told(BaseModel):
    """What a happening of one kind says. Closed: a member that is not in its schema is a bug."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    kind: ClassVar[str]


class BreakerOpened(Told):
    """A circuit breaker opened: a deployment or a key gets no calls but probes."""

    kind = "breaker.opened"

    name: Annotated[str, Field(description="the deployment, or `credential:` and the key's name")]
    before: Annotated[str, Field(description="the state that it had")]
    reason: str


class BreakerClosed(Told):
    """A circuit breaker closed: its deployment or key gets calls again."""

    kind = "breaker.closed"

    name: Annotated[str, Field(description="the deployment, or `credential:` and the key's name")]
    reason: str


class IncidentTold(Told):
    """What is told of every incident. The happening's subject is its id."""

    incident_kind: IncidentKind
    about: Annotated[str, Field(description="`deployment:ID`, `organization:NAME` or `queue:STAGE/LANE`")]
    forecast: Annotated[bool, Field(description="it has not come to it yet, but is about to")]


class IncidentOpened(IncidentTold):
    """The monitor found something. Told again where a forecast came true."""

    kind = "incident.opened"

    severity: Severity
    reason: str
    evidence: Annotated[dict[str, float], Field(description="what was measured, against which baseline and limit")]


class IncidentClosed(IncidentTold):
    """An incident is over: all is as usual again, or somebody resolved it."""

    kind = "incident.closed"

    seconds: Annotated[float, Field(description="for how long it was open")]
    reason: str


class IncidentEscalated(IncidentTold):
    """Somebody has to look at an incident: no repair is left, or none helped."""

    kind = "incident.escalated"

    severity: Severity
    reason: str


class IncidentRepairAsked(Told):
    """StackStorm is asked to repair an incident. The happening's subject is the incident's id, and the repair's."""

    kind = "incident.repair_asked"

    about: Annotated[str, Field(description="`deployment:ID`, `organization:NAME` or `queue:STAGE/LANE`")]
    workflow: Annotated[str, Field(description="the action of StackStorm")]
    act: Annotated[str, Field(description="what it is asked to do")]
    state: Annotated[RepairState, Field(description="`asked`; `proposed` where StackStorm may not execute it")]
    reason: str


class IncidentRepairEnded(Told):
    """What became of a repair of an incident by StackStorm. The happening's subject is the incident's id."""

    kind = "incident.repair_ended"

    state: RepairState
    outcome: Annotated[str, Field(description="in words")]
    execution_id: Annotated[str | None, Field(description="of StackStorm")]


class DeliverySetAside(Told):
    """Events were given up: their target did not take them for three days, or refused them."""

    kind = "delivery.set_aside"

    channel: Annotated[str, Field(description="the way out, such as `webhook`")]
    target_id: Annotated[str, Field(description="of webhooks, the endpoint's id")]
    count: Annotated[int, Field(description="events that were set aside at once")]
    reason: Annotated[str, Field(description="of the last one's last try")]


class WebhookDisabled(Told):
    """An endpoint gets nothing any more until somebody enables it: it said so by 410, or failed too often in a row."""

    kind = "webhook.disabled"

    url: str
    reason: str


class ErasureDone(Told):
    """What was known of a person or a tenant is erased."""

    kind = "erasure.done"

    of: Annotated[str, Field(description="person, workspace or organization")]
    workspace: str | None
    user: Annotated[str | None, Field(description="of a person: the pseudonym that stands on the books")]


class ExportStopped(Told):
    """A destination of exports refuses our key, or is not there: it is tried seldom until somebody mends that."""

    kind = "export.stopped"

    destination: str
    reason: str


class ExportResumed(Told):
    """A destination of exports that was stopped takes traces again."""

    kind = "export.resumed"

    destination: str


class ExportDropped(Told):
    """Traces that a destination of exports will never get."""

    kind = "export.dropped"

    destination: str
    traces: Annotated[int, Field(description="how many")]
    reason: str


_KINDS = (
    BreakerOpened, BreakerClosed, IncidentOpened, IncidentClosed, IncidentEscalated, IncidentRepairAsked,
    IncidentRepairEnded, DeliverySetAside, WebhookDisabled, ErasureDone, ExportStopped, ExportResumed, ExportDropped,
)  # fmt: skip

HAPPENINGS: Mapping[str, type[Told]] = {model.kind: model for model in _KINDS}
"""Every kind of happening, with what it says."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened beside jobs.

    `subject` is what it is about, such as a breaker's name or an incident's id; `actor` who did it. `organization`:
    whom it concerns; None is the installation, whose happenings its operators alone see.
    """

    kind: str
    subject: str
    actor: str
    data: dict[str, Any]
    organization: str | None = None
    id: str = field(default_factory=new_id)

    @classmethod
    def of(cls, told: Told, subject: str, actor: str, organization: str | None = None) -> "Happening":
        """A happening of that kind, in the form that is stored and published."""
        data = told.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return cls(told.kind, subject, actor, data, organization)
