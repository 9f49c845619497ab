"""What is sent and answered about retention and erasures."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model

from api.v1.configuration_views import ChangedAt, ChangedBy
from api.v1.queries import decode_cursor
from api.v1.views import View
from pipelines.analyze.trace import rfc3339
from pipelines.intake.closed import Closed
from pipelines.intake.schema import Name, Reason, ReasonIn
from synthralos.domain.erasures import Erasure, OpenJobs, of_what
from synthralos.domain.retention import LONGEST_DAYS, RULES, Kind, Rule


def _days(rule: Rule) -> Any:
    bounds = Field(ge=rule.least, le=LONGEST_DAYS, description=f"days: {rule.meaning}")
    return (Annotated[float | None, bounds], None)


_Days: Any = create_model(  # one field for each kind that an organization may have a time of its own for
    "_Days", __base__=Closed, **{str(kind): _days(rule) for kind, rule in RULES.items() if rule.own}
)


class RetentionIn(_Days):  # type: ignore[misc]
    """An organization's own times in days; one that is left out, or null, is the installation's."""

    reason: Reason = ""


class KeptView(View):
    """How long a kind is kept."""

    kind: Kind
    days: float
    own: Annotated[bool, Field(description="the organization's own time; else the installation's")]
    least: Annotated[float, Field(description="the least that may be set")]
    meaning: str


class RetentionView(View):
    """How long what of an organization is kept."""

    organization: str
    kept: list[KeptView]
    changed_at: ChangedAt
    changed_by: ChangedBy


class ErasureIn(ReasonIn):
    """Whose data is erased: a user's of an organization, a workspace's, or an organization's whole."""

    organization: Annotated[Name | None, Field(description="left out: the key's own")] = None
    workspace: Name | None = None
    user: Name | None = None
    open_jobs: Annotated[
        Literal["cancel", "wait"], Field(description="jobs that are open: cancel them, or wait for their end")
    ] = "cancel"
    everything: Annotated[bool, Field(description="has to be true where neither a workspace nor a user is named")] = (
        False
    )


class ErasureView(View):
    """An erasure, with how far it is."""

    id: str
    of: Literal["person", "workspace", "organization"]
    organization: str
    workspace: str | None
    user: Annotated[str | None, Field(description="while it is not done; afterwards the pseudonym on the books")]
    open_jobs: OpenJobs
    state: Literal["waiting", "running", "done"]
    step: Annotated[str | None, Field(description="what is erased next; null: not begun, or done")]
    counts: Annotated[dict[str, int], Field(description="what was erased, or made nameless, by table")]
    created_by: str
    reason: str
    created_at: AwareDatetime
    changed_at: AwareDatetime
    finished_at: AwareDatetime | None


class ErasureList(View):
    """Erasures, newest first."""

    erasures: list[ErasureView]
    next: str | None


class ErasuresQuery(BaseModel):
    """A page of erasures."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    limit: Annotated[int, Field(ge=1, le=200, description="how many at most")] = 50
    cursor: Annotated[str | None, Field(max_length=64, description="`next` of the page before")] = None

    @property
    def before(self) -> str | None:
        """The id of the last one that was read."""
        return None if self.cursor is None else decode_cursor(self.cursor)


def erasure_view(erasure: Erasure) -> dict[str, Any]:
    """As the API shows it."""
    scope = erasure.scope
    return {
        "id": erasure.id,
        "of": of_what(scope),
        "organization": scope.organization,
        "workspace": scope.workspace,
        "user": scope.user,
        "open_jobs": erasure.open_jobs,
        "state": erasure.state,
        "step": erasure.step,
        "counts": dict(erasure.counts),
        "created_by": erasure.created_by,
        "reason": erasure.reason,
        "created_at": rfc3339(erasure.created_at),
        "changed_at": rfc3339(erasure.changed_at),
        "finished_at": rfc3339(erasure.finished_at),
    }
