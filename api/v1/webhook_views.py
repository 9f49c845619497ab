"""What is sent and answered about webhooks."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.v1.queries import Text
from api.v1.views import View
from pipelines.analyze.trace import rfc3339
from pipelines.intake.closed import Closed
from pipelines.intake.schema import Reason, Time
from synthralos.domain.delivering import DeliveryState
from synthralos.domain.webhooks import Form
from synthralos.store.admin.webhooks import StoredDelivery, StoredEndpoint, shown

LONGEST_OVERLAP = 30 * 86_400.0


class WebhookIn(Closed):
    """Where events are to be sent, and which."""

    url: Annotated[str, Field(min_length=1, max_length=2_000, description="https://…; redirects are not followed")]
    description: Annotated[str, Field(max_length=1_000)] = ""
    types: Annotated[
        list[Annotated[str, Field(max_length=100)]],
        Field(default_factory=list, max_length=50, description="types, or beginnings such as `job.*`; []: all"),
    ]
    enabled: Annotated[bool, Field(description="false: paused; it goes on where it stopped")] = True
    content: Annotated[
        bool, Field(description="send prompts, answers and messages along; without it ids, states and figures alone")
    ] = False
    residency: Annotated[
        Text | None,
        Field(description="where the receiver is declared to process data: `eu` lets it have data classified eu"),
    ] = None
    form: Annotated[
        Literal["synthralos", "openai"], Field(description="`openai`: the ends of jobs as OpenAI's SDKs know them")
    ] = "synthralos"
    organization: Annotated[
        Text | None, Field(description="whose events; for keys of the installation alone. null: everybody's")
    ] = None
    reason: Reason = ""


class RotateSecretIn(Closed):
    """How long the secrets before go on signing beside the new one."""

    overlap_seconds: Annotated[float, Field(ge=0, le=LONGEST_OVERLAP, allow_inf_nan=False)] = 86_400.0
    reason: Reason = ""


class ReplayIn(Closed):
    """Which events are to be sent again."""

    since: Annotated[Time, Field(description="from this time on")]
    until: Annotated[Time | None, Field(description="before this time; null: until now")] = None
    reason: Reason = ""


class WebhookView(View):
    """An endpoint. Its secrets are shown once, where they are made."""

    id: str
    organization: str | None
    url: str
    description: str
    types: list[str]
    enabled: bool
    disabled_because: Annotated[str | None, Field(description="why the installation disabled it; null: it did not")]
    content: bool
    residency: str | None
    form: Form
    failures: Annotated[int, Field(description="tries that failed in a row")]
    secrets: Annotated[int, Field(description="secrets that sign, or did: more than one while they rotate")]
    version: int
    created_at: AwareDatetime
    created_by: str
    changed_at: AwareDatetime
    changed_by: str


class WebhookWithSecret(WebhookView):
    """An endpoint with the secret that was just made."""

    secret: Annotated[str, Field(description="`whsec_…`: kept by the receiver; it is not shown again")]


class WebhookList(View):
    """A page of endpoints, oldest first."""

    webhooks: list[WebhookView]
    next: str | None


class DeliveryView(View):
    """An event on its way to an endpoint, or there."""

    id: str
    event_id: str
    type: str
    job_id: str | None
    subject: str | None
    state: DeliveryState
    tries: int
    created_at: Annotated[AwareDatetime, Field(description="when it was put on its way, or again by hand")]
    last_at: Annotated[AwareDatetime | None, Field(description="of the last try")]
    next_at: Annotated[AwareDatetime | None, Field(description="of the next try")]
    status: Annotated[int | None, Field(description="of the last answer")]
    answer: Annotated[str | None, Field(description="the beginning of the last answer")]
    reason: Annotated[str | None, Field(description="why the last try failed")]


class DeliveryList(View):
    """A page of deliveries, newest first."""

    deliveries: list[DeliveryView]
    next: str | None


class Sent(View):
    """What was put on its way."""

    deliveries: Annotated[list[str], Field(description="ids, oldest first")]
    next_since: Annotated[
        AwareDatetime | None, Field(description="there was more: go on with this as `since`; null: that was all")
    ] = None


class DeliveryQuery(BaseModel):
    """Which deliveries."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    state: Literal["pending", "delivered", "set_aside"] | None = None
    limit: Annotated[int, Field(ge=1, le=200, description="how many at most")] = 50
    cursor: Annotated[str | None, Field(max_length=64, description="`next` of the page before")] = None


def webhook_view(stored: StoredEndpoint) -> dict[str, Any]:
    """The published form."""
    endpoint = stored.endpoint
    return {
        "id": endpoint.id,
        "organization": endpoint.organization,
        **shown(endpoint),
        "failures": stored.failures,
        "secrets": len(endpoint.secrets),
        "version": endpoint.version,
        "created_at": rfc3339(stored.created_at),
        "created_by": stored.created_by,
        "changed_at": rfc3339(stored.changed_at),
        "changed_by": stored.changed_by,
    }


def delivery_view(stored: StoredDelivery) -> dict[str, Any]:
    """The published form."""
    event = stored.event
    return {
        "id": stored.id,
        "event_id": event.id,
        "type": event.type,
        "job_id": event.job_id,
        "subject": event.subject,
        "state": stored.state,
        "tries": stored.tries,
        "created_at": rfc3339(stored.created_at),
        "last_at": rfc3339(stored.last_at),
        "next_at": rfc3339(stored.next_at),
        "status": stored.status,
        "answer": stored.answer,
        "reason": stored.reason,
    }
