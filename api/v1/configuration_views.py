"""What is sent and answered about what operators change while everything runs."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.v1.queries import Text
from api.v1.views import View
from pipelines.analyze.trace import rfc3339
from pipelines.intake.closed import Closed
from pipelines.intake.schema import Name, Reason, Time
from synthralos.domain.audit import Act
from synthralos.domain.flags import EVERYBODY, Flag
from synthralos.domain.limits import (
    LONGEST_WAIT,
    MOST_CHARACTERS,
    MOST_OF_A_RATE,
    MOST_RATES,
    MOST_TOKENS,
    MOST_WEIGHT,
    MOST_WORKSPACES,
)
from synthralos.store.admin.configuration import Set

ChangedAt = Annotated[AwareDatetime | None, Field(description="null: it is at its default")]
ChangedBy = Annotated[str | None, Field(description="who changed it last")]


class FlagIn(Closed):
    """How a flag is to stand."""

    enabled: bool
    percentage: Annotated[
        int, Field(ge=0, le=EVERYBODY, description="share of the organizations that have it while it is enabled")
    ] = EVERYBODY
    reason: Reason = ""


Weight = Annotated[int, Field(ge=1, le=MOST_WEIGHT)]


class RateIn(Closed):
    """So many requests or tokens a window: a bucket of that size, which refills evenly within the window."""

    per: Annotated[Literal["organization", "workspace", "user"], Field(description="whose jobs are counted together")]
    unit: Annotated[Literal["requests", "tokens"], Field(description="tokens: of prompts and answers")]
    window: Literal["second", "minute", "hour", "day"]
    limit: Annotated[int, Field(ge=1, le=MOST_OF_A_RATE)]


class LimitsIn(Closed):
    """Limits of a plan or an organization; one that is left out, or null, is at its default."""

    prompt_characters: Annotated[int | None, Field(ge=1, le=MOST_CHARACTERS)] = None
    prompt_tokens: Annotated[int | None, Field(ge=1, le=MOST_TOKENS)] = None
    max_wait_seconds: Annotated[
        float | None, Field(ge=0, le=LONGEST_WAIT, description="for so long a job waits for its rates at most")
    ] = None
    rates: Annotated[list[RateIn] | None, Field(max_length=MOST_RATES, description="[]: none is limited")] = None
    weight: Annotated[
        int | None,
        Field(ge=1, le=MOST_WEIGHT, description="the share, in tokens, beside others whose bulk jobs wait in line"),
    ] = None
    workspace_weights: Annotated[
        dict[Name, Weight] | None,
        Field(
            max_length=MOST_WORKSPACES,
            description="how an organization's workspaces share its turn, by name; one that is not named has 1",
        ),
    ] = None
    reason: Reason = ""


class ReasonQuery(BaseModel):
    """Why something is set back."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    reason: Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$", description="why; it goes on record")] = ""


class FlagQuery(BaseModel):
    """Whom to tell of."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    organization: Annotated[Name | None, Field(description="say of each flag whether this one has it")] = None


class FlagView(View):
    """A feature flag."""

    name: Flag
    enabled: bool
    percentage: int
    default: bool
    source: Annotated[str, Field(description="what decides: default, database, or this process's environment")]
    on: Annotated[str, Field(description="what it does where it is on")]
    off: Annotated[str, Field(description="what happens where it is off")]
    waits_for: Annotated[str | None, Field(description="the feature that it will switch; null: it acts today")]
    has: Annotated[bool | None, Field(description="whether the organization that was asked about has it")]
    changed_at: ChangedAt
    changed_by: ChangedBy


class FlagList(View):
    """All flags."""

    flags: list[FlagView]


class RateView(View):
    """So many requests or tokens a window."""

    per: str
    unit: str
    window: str
    limit: int


class LimitsView(View):
    """What a plan allows."""

    plan: str
    prompt_characters: int
    prompt_tokens: int
    max_wait_seconds: float
    rates: list[RateView]
    weight: int
    workspace_weights: dict[str, int]
    changed_at: ChangedAt
    changed_by: ChangedBy


class OrganizationLimitsView(LimitsView):
    """What an organization may do."""

    organization: str
    own: Annotated[list[str], Field(description="the limits that are its own; the others are its plan's")]


class LimitsList(View):
    """The limits of all plans."""

    limits: list[LimitsView]


class RatesView(View):
    """US dollars per million tokens, by their kind."""

    input: str
    output: str
    cached: str | None
    cache_write: str | None
    cache_write_1h: str | None


class LongPromptView(RatesView):
    """What a whole request costs whose prompt has more than `prompt` tokens."""

    prompt: int


class TariffView(RatesView):
    """The rates of one service tier."""

    above: list[LongPromptView]


class TermsView(TariffView):
    """The rates of the standard tier, and those of the others by tier."""

    service_tiers: dict[str, TariffView]


class LaterPriceView(TermsView):
    """A price that follows, in force from the beginning of that day in UTC."""

    valid_from: str


class PriceView(TermsView):
    """What tokens cost, as of a date, and what they will."""

    as_of: str
    later: list[LaterPriceView]


class DeploymentView(View):
    """A deployment of the catalog that is in force."""

    id: str
    model: str
    region: str
    residency: Annotated[str | None, Field(description="where data is declared to be processed; null: not declared")]
    zero_retention: Annotated[bool, Field(description="whether the provider is declared to keep nothing of a call")]
    enabled: bool
    tier: str
    context_window: int
    max_output: int
    max_in_flight: int
    rpm: Annotated[int | None, Field(description="requests a minute that the provider allows; null: not known")]
    tpm: Annotated[int | None, Field(description="tokens a minute that the provider allows; null: not known")]
    timeout: float
    capabilities: Annotated[list[str], Field(description="declared ones and what goes without saying, save `lacks`")]
    price: PriceView | None
    usable: Annotated[bool, Field(description="whether this process could call it")]
    why_not: str | None
    source: Annotated[str, Field(description="file or database")]
    version: Annotated[int, Field(description="what ETag says: the change that set it; 0: it is the file's")]
    warnings: Annotated[list[str], Field(description="what is left open, and what follows from it")]
    entry: Annotated[dict[str, Any] | None, Field(description="what was set in the database, as it was sent")]
    changed_at: ChangedAt
    changed_by: ChangedBy


class DeploymentList(View):
    """The catalog that is in force."""

    deployments: list[DeploymentView]
    aliases: Annotated[dict[str, list[str]], Field(description="the deployments that each alias stands for")]


class AuditQuery(BaseModel):
    """Which changes to list: all of the conditions that are given, newest first."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    actor: Annotated[Text | None, Field(description="such as key:sk-syn-Ab3dEf12")] = None
    act: Act | None = None
    subject: Annotated[
        Text | None, Field(description="such as flag:track_model_costs; deployment:* is whatever begins so")
    ] = None
    organization: Text | None = None
    since: Annotated[Time | None, Field(description="from this time on")] = None
    until: Annotated[Time | None, Field(description="before this time")] = None
    limit: Annotated[int, Field(ge=1, le=200, description="how many at most")] = 50
    cursor: Annotated[str | None, Field(max_length=64, description="`next` of the page before")] = None


class AuditView(View):
    """A change: who, what, before and after."""

    id: str
    at: AwareDatetime
    actor: str
    act: str
    subject: str
    organization: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str


class AuditList(View):
    """Changes, newest first."""

    changes: list[AuditView]
    next: Annotated[str | None, Field(description="the cursor of the next page; null: this is the last")]


def changed(found: Set[Any] | None) -> dict[str, Any]:
    """When and by whom a value was set, as it is answered; null for both where it is at its default."""
    at, by = (None, None) if found is None else (rfc3339(found.changed_at), found.changed_by)
    return {"changed_at": at, "changed_by": by}
