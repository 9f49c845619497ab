"""Happenings: what happens to the installation rather than to one job. Kinds and payloads are a contract.

`contracts/happenings/` has them. What happens to a job is an event (`domain/events.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from synthralos.domain.ids import new_id


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


HAPPENINGS: Mapping[str, type[Told]] = {
    model.kind: model for model in (BreakerOpened, BreakerClosed, DeliverySetAside, WebhookDisabled)
}
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
